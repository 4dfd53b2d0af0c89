"""Freed memory is kept: the same allocation again costs no page faults."""

import subprocess
import sys

import pytest

SCRIPT = """
import resource, sys
from ipt_tf import memory
if sys.argv[1] == "keep":
    memory.keep_freed()
import tensorflow as tf
step = tf.function(lambda x: tf.reduce_sum(tf.nn.softmax(tf.nn.relu(x) * 2 + 1)))
x = tf.random.normal((4096, 4096))
for i in range(12):
    if i == 4:
        before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    step(x)
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="the allocator of other systems is left as it is")
def test_operations_find_the_memory_that_others_freed():
    faults = {}
    for how in ("keep", "return"):
        found = subprocess.run(
            [sys.executable, "-c", SCRIPT, how], check=True, capture_output=True, text=True
        )
        faults[how] = int(found.stdout)
    assert faults["keep"] < faults["return"] / 20
