"""All photographs in one array, in the memory of whatever trains, and crops of them, taken there."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from keras import ops

from ipt_tf.data import sampling

Tensor = Any

LARGEST = 2**30
"""Pixels that an album may hold: 3 GB."""

ALIGNMENT = 64
"""Bytes of which addresses are multiples that frameworks take as they are."""


class Album(NamedTuple):
    """Photographs one after the other.

    Args:
        pixels: (sum of H W, 3), uint8; None where they lie on a device already.
        starts: (n,), place of each photograph's first pixel in `pixels`.
        heights, widths: (n,), in pixels.
    """

    pixels: np.ndarray | None
    starts: np.ndarray
    heights: np.ndarray
    widths: np.ndarray

    def walks(self, positions: Sequence[int] | np.ndarray, side: int | np.ndarray, seed: int) -> np.ndarray:
        """Returns where the crops of examples lie: (n, 3), int32.

        Each is the place of its first pixel, how far it is from there to the pixel below, and to the one on the right.
        A crop that is mirrored goes backwards, one that is mirrored at the diagonal goes down along a row.

        Args:
            positions: of the examples.
            side: of the crops, pixels; one number, or one of each.
            seed: of the run.
        """
        pictures = sampling.pictures_at(positions, len(self.starts), seed)
        widths = self.widths[pictures]
        top, left, way = sampling.crops_at(positions, self.heights[pictures], widths, side, seed)
        is_up, is_left, is_across = ((way & bit).astype(bool) for bit in (1, 2, 4))
        top, left = top + is_up * (side - 1), left + is_left * (side - 1)
        down, right = np.where(is_up, -widths, widths), np.where(is_left, -1, 1)
        down, right = np.where(is_across, right, down), np.where(is_across, down, right)
        return np.stack([self.starts[pictures] + top * widths + left, down, right], axis=1).astype(np.int32)


def empty(count: int) -> np.ndarray:
    """Returns an array for so many pixels (count, 3), uint8, at an aligned address."""
    room = np.empty(3 * count + ALIGNMENT, np.uint8)
    start = -room.ctypes.data % ALIGNMENT
    return room[start : start + 3 * count].reshape(count, 3)


def crops(pixels: Tensor, walks: Tensor, side: int) -> Tensor:
    """Returns the crops (n, side, side, 3), uint8, of an album's pixels that `Album.walks` describes."""
    return ops.take(pixels, places(walks, ops.arange(side, dtype="int32")), axis=0)


def places(walks: Tensor, along: Tensor) -> Tensor:
    """Returns the places (n, side, side) of the crops' pixels, where `along` is 0, 1, ... side - 1."""
    first, down, right = (walks[:, i, None, None] for i in range(3))
    return first + down * along[:, None] + right * along
