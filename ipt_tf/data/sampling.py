"""Which picture, which crop, which flip: functions of (seed, position) alone."""

import functools

import numpy as np


def picture_at(position: int, count: int, seed: int) -> int:
    """Returns the index of the picture at a position: each epoch of `count` meets all once, in its own order."""
    epoch, place = divmod(position, count)
    return int(_permutation(epoch, count, seed)[place])


@functools.lru_cache(maxsize=16)
def _permutation(epoch: int, count: int, seed: int) -> np.ndarray:
    return np.random.default_rng((seed, epoch)).permutation(count)


def divide(count: int, held_out: int, seed: int) -> tuple[list[int], list[int]]:
    """Returns the indices of `count` pictures, divided into those to train on and `held_out` others.

    Raises:
        ValueError: nothing would be left to train on.
    """
    if held_out >= count:
        raise ValueError(f"cannot hold {held_out} of {count} pictures out of training and still train")
    order = np.random.default_rng(seed).permutation(count).tolist()
    return sorted(order[held_out:]), sorted(order[:held_out])


def augment(patch: np.ndarray, way: int) -> np.ndarray:
    """Returns a patch (..., H, W, 3) in one of its 8 flips and quarter turns; way 0 leaves it as it is."""
    turned = np.rot90(patch, way % 4, axes=(-3, -2))
    return np.ascontiguousarray(turned[..., ::-1, :] if way >= 4 else turned)


def middle(picture: np.ndarray, side: int) -> np.ndarray:
    """Returns the central crop (side, side, 3) of a picture (H, W, 3)."""
    top, left = ((length - side) // 2 for length in picture.shape[:2])
    return picture[top : top + side, left : left + side]
