"""Which task, which picture, which crop, which flip: functions of the seed and of a step or position alone."""

import functools
import itertools
import math
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from ipt_tf.data.draws import Draws, words
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


def pictures_at(positions: Sequence[int] | np.ndarray, count: int, seed: int) -> np.ndarray:
    """Returns the indices (n,) of the pictures at positions: each epoch of `count` meets all once, in its own order."""
    epochs, places = np.divmod(np.asarray(positions, np.int64), count)
    found = np.empty_like(places)
    for epoch in np.unique(epochs):
        is_in_it = epochs == epoch
        found[is_in_it] = _permutation(int(epoch), count, seed)[places[is_in_it]]
    return found


@functools.lru_cache(maxsize=4)
def _permutation(epoch: int, count: int, seed: int) -> np.ndarray:
    return np.random.default_rng((seed, epoch)).permutation(count)


class Crops(NamedTuple):
    """Where square crops begin in pictures, in pixels, and in which of 8 ways they are turned: arrays (n,).

    The bits of `way` mirror it up-down (1), left-right (2) and, after that, at the diagonal (4).
    """

    top: np.ndarray
    left: np.ndarray
    way: np.ndarray


def crops_at(
    positions: Sequence[int] | np.ndarray,
    heights: Sequence[int] | np.ndarray,
    widths: Sequence[int] | np.ndarray,
    side: int | np.ndarray,
    seed: int,
) -> Crops:
    """Returns the random crops that n positions take from pictures of these heights and widths."""
    # Numbers of another seed, because those of this one degrade the crops.
    drawn = Draws(-1 - seed, words(positions), np).random((len(positions), 3)).astype(np.float64)
    tops, lefts, ways = (
        np.floor(numbers * counts).astype(np.int64)
        for numbers, counts in zip(
            drawn.T, (np.asarray(heights) - side + 1, np.asarray(widths) - side + 1, 8), strict=True
        )
    )
    return Crops(tops, lefts, ways)


def cut(pictures: Sequence[np.ndarray], crops: Crops, side: int, scale: int = 1) -> np.ndarray:
    """Returns a crop (side, side, 3) of each picture (H, W, 3), stacked.

    Args:
        pictures: n pictures.
        crops: arrays of n places, in pixels of a picture that is `scale` times smaller.
        side: of a crop, in pixels of the pictures.
        scale: of the pictures.
    """
    patches = (
        turned(picture[top : top + side, left : left + side], way)
        for picture, top, left, way in zip(
            pictures, scale * crops.top, scale * crops.left, crops.way, strict=True
        )
    )
    return np.stack(list(patches))


def turned(patch: np.ndarray, way: int) -> np.ndarray:
    """Returns a patch (H, W, 3) in one of the 8 ways of `Crops`; way 0 leaves it as it is."""
    patch = patch[::-1] if way & 1 else patch
    patch = patch[:, ::-1] if way & 2 else patch
    return patch.transpose(1, 0, 2) if way & 4 else patch


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


def middle(picture: np.ndarray, side: int) -> np.ndarray:
    """Returns the central crop (side, side, 3) of a picture (H, W, 3)."""
    top, left = ((length - side) // 2 for length in picture.shape[:2])
    return picture[top : top + side, left : left + side]
