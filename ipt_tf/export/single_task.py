"""One task of a model as every export has it: pixels in 0..255, and a note of where it came from."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from ipt_tf._version import __version__
from ipt_tf.model import checkpoints
from ipt_tf.model.ipt import IPT


def network(model: IPT) -> Callable:
    """Returns a model of one task as a function of tensors (N, P, P, 3) in 0..255, whatever its `rgb_range`."""
    unit = model.rgb_range / 255
    return lambda images: model(images * unit, training=False) / unit


def origin(model: IPT, source: str | Path | None) -> dict[str, Any]:
    """Returns what an exported model says about itself, ready for JSON.

    Args:
        model: a model of one task.
        source: the preset, folder or file that it was loaded from, if any; its sha256 is then that of the weights.
    """
    return {
        "ipt_tf": __version__,
        "task": model.task().name,
        "scale": model.task().scale,
        "tile": model.patch_size,
        "source": None if source is None else str(source),
        "sha256": checkpoints.digest(model, source),
        "config": checkpoints.arguments(model),
    }
