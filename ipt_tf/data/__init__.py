"""From pictures on disk to batches of degraded and clean patches."""

from ipt_tf.data.opening import Data, open_source, open_sources
from ipt_tf.data.pairs import Pairs, paired
from ipt_tf.data.photographs import Photographs
from ipt_tf.data.pipeline import batches
from ipt_tf.data.sampling import task_of_step
from ipt_tf.data.source import Source

__all__ = [
    "Data",
    "Pairs",
    "Photographs",
    "Source",
    "batches",
    "open_source",
    "open_sources",
    "paired",
    "task_of_step",
]
