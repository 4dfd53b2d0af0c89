"""From pictures on disk to batches of degraded and clean patches."""

from typing import TYPE_CHECKING, Any

from ipt_tf.data.opening import Data, open_source, open_sources
from ipt_tf.data.pairs import Pairs, paired
from ipt_tf.data.photographs import Photographs
from ipt_tf.data.sampling import task_of_step
from ipt_tf.data.source import Source

if TYPE_CHECKING:
    from ipt_tf.data.pipeline import batches

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


def __getattr__(name: str) -> Any:
    """Imports what needs TensorFlow when it is asked for."""
    if name == "batches":
        from ipt_tf.data.pipeline import batches

        return batches
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
