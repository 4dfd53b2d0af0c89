"""Starting Keras leaves a terminal, and a notebook, to who uses it."""

import subprocess
import sys

import pytest


@pytest.mark.slow
def test_tensorflow_says_nothing_of_a_trace_per_task_in_a_notebook():
    code = """
import sys
sys.ps1 = ">>> "  # what makes a Python interactive, to TensorFlow too
from ipt_tf.console import start_keras
start_keras()
import tensorflow as tf
tf.get_logger().warning("5 out of the last 9 calls triggered tf.function retracing")
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout + done.stderr == ""
