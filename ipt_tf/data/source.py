"""What training asks of the data: crops by position, pictures to hold out, pairs to validate on."""

from collections.abc import Callable, Sequence
from typing import Protocol

import numpy as np

from ipt_tf.data.album import Album
from ipt_tf.tasks import Task


class Source(Protocol):
    """Where training's examples come from; `Photographs`, `Pairs` and those in `ipt_tf.data.tfds` are such.

    Crops are a function of (seed, position), where positions count examples since the start of training: each
    run of `len(source)` positions is an epoch, which meets every picture once.
    """

    @property
    def names(self) -> list[str]:
        """What identifies the data, for the record of a run."""

    def __len__(self) -> int: ...

    def split(self, held_out: int, seed: int, fraction: float = 1.0) -> tuple["Source", "Source | None"]:
        """Returns (a fraction to train on, `held_out` other pictures to validate on, or None if that is 0)."""

    def check(self, tasks: Sequence[Task], patch_size: int) -> None:
        """Raises ValueError if tasks with inputs of this side cannot be trained on these data; it says why."""

    def crops(
        self, task: Task, positions: Sequence[int], patch_size: int, seed: int
    ) -> tuple[np.ndarray, ...]:
        """Returns the clean crops (n, sP, sP, 3) at positions, uint8; before them, of pairs, the degraded (n, P, P, 3).

        What is then made of them, `ipt_tf.data.examples.examples` says.
        """

    def album(self, log: Callable[[str], None] = print) -> Album | None:
        """Returns all pictures as an `Album`, from which the same crops can be taken, or None where there is none."""

    def validation_pairs(self, task: Task, patch_size: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
        """Returns one (input, target) of each picture, always the same: (n, P, P, 3) and (n, sP, sP, 3)."""
