"""Measurements of speed, of scale and of synthetic data; never part of the test suite."""

from ipt_tf import console

console.tune()  # as the commands do
