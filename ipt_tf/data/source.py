"""What training asks of the data: examples by position, photographs to hold out, pairs to validate on."""

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np

from ipt_tf.tasks import Task


class Source(Protocol):
    """Where training's examples come from; `Photographs`, `Pairs` and those in `ipt_tf.data.tfds` are such.

    Examples are a function of (seed, position), where positions count examples since the start of training: each
    run of `len(source)` positions is an epoch, which meets every picture once. `Photographs` and `Pairs` also have
    `batch`, which makes the same examples without TensorFlow.
    """

    @property
    def names(self) -> list[str]:
        """What identifies the data, for the record of a run."""

    def __len__(self) -> int: ...

    def split(self, held_out: int, seed: int, fraction: float = 1.0) -> tuple["Source", "Source | None"]:
        """Returns (a fraction to train on, `held_out` other pictures to validate on, or None if that is 0)."""

    def examples(self, requests: Any, tasks: Sequence[Task], patch_size: int, seed: int) -> Any:
        """Turns a tf.data.Dataset of (index of a task, position) into one of (input, target), in the same order.

        Inputs are (P, P, 3), targets (sP, sP, 3), float32, 0..255.
        """

    def validation_pairs(self, task: Task, patch_size: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
        """Returns one (input, target) of each picture, always the same: (n, P, P, 3) and (n, sP, sP, 3)."""
