"""From photographs on disk to batches of degraded and clean patches, with tf.data."""

from ipt_tf.data.pairs import paired
from ipt_tf.data.photographs import Photographs
from ipt_tf.data.pipeline import degraded, task_of_step

__all__ = ["Photographs", "degraded", "paired", "task_of_step"]
