"""Measurements of speed, of scale and of synthetic data; never part of the test suite."""
