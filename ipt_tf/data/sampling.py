"""Which task, which picture, which crop, which flip: functions of the seed and of a step or position alone."""

import functools
import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from ipt_tf.tasks import Task


def task_of_step(tasks: Sequence[Task], step: int, seed: int) -> int:
    """Returns the index of the task that a step trains: uniform over the tasks, a function of (seed, step)."""
    return int(np.random.default_rng((seed, step)).integers(len(tasks)))


def micro_batches(
    tasks: Sequence[Task],
    batch_size: int,
    seed: int,
    first_step: int = 0,
    accumulate: int = 1,
    share: tuple[int, int] = (0, 1),
) -> Iterator[tuple[int, range]]:
    """Yields (index of the task, positions of the examples) of every micro-batch, in order, without end.

    Args:
        tasks: the model's tasks.
        batch_size: examples per step, of all workers.
        seed: of the run.
        first_step: where to begin.
        accumulate: micro-batches per step.
        share: (index, count) of the workers: which part of every micro-batch one of them makes.
    """
    index, count = share
    size = batch_size // accumulate
    for step in itertools.count(first_step):
        task = task_of_step(tasks, step, seed)
        for start in range(step * batch_size, (step + 1) * batch_size, size):
            yield task, range(start + index * size // count, start + (index + 1) * size // count)


@dataclass(frozen=True)
class Crop:
    """Where a square crop begins in a picture, pixels, and in which of 8 ways it is flipped and turned."""

    top: int
    left: int
    way: int


def picture_at(position: int, count: int, seed: int) -> int:
    """Returns the index of the picture at a position: each epoch of `count` meets all once, in its own order."""
    epoch, place = divmod(position, count)
    return int(_permutation(epoch, count, seed)[place])


@functools.lru_cache(maxsize=4)
def _permutation(epoch: int, count: int, seed: int) -> np.ndarray:
    return np.random.default_rng((seed, epoch)).permutation(count)


def crop_at(position: int, size: Sequence[int], side: int, seed: int) -> Crop:
    """Returns the random crop of `side` pixels that a position takes from a picture of size (height, width)."""
    rng = np.random.default_rng((seed, position))
    top, left = (int(rng.integers(0, length - side + 1)) for length in size)
    return Crop(top, left, int(rng.integers(8)))


def divide(count: int, held_out: int, seed: int, fraction: float = 1.0) -> tuple[list[int], list[int]]:
    """Returns the indices of `count` pictures, divided into those to train on and `held_out` others.

    Args:
        count: of all pictures.
        held_out: not to train on, whatever the fraction.
        seed: of the choice.
        fraction: of the rest, to train on; what a smaller fraction has, a larger one has too.

    Raises:
        ValueError: nothing would be left to train on.
    """
    if held_out >= count:
        raise ValueError(f"cannot hold {held_out} of {count} pictures out of training and still train")
    order = np.random.default_rng(seed).permutation(count).tolist()
    last = held_out + math.ceil(fraction * (count - held_out))
    return sorted(order[held_out:last]), sorted(order[:held_out])


def augment(patch: np.ndarray, way: int) -> np.ndarray:
    """Returns a patch (..., H, W, 3) in one of its 8 flips and quarter turns; way 0 leaves it as it is."""
    turned = np.rot90(patch, way % 4, axes=(-3, -2))
    return np.ascontiguousarray(turned[..., ::-1, :] if way >= 4 else turned)


def middle(picture: np.ndarray, side: int) -> np.ndarray:
    """Returns the central crop (side, side, 3) of a picture (H, W, 3)."""
    top, left = ((length - side) // 2 for length in picture.shape[:2])
    return picture[top : top + side, left : left + side]
