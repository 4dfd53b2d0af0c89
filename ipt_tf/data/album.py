"""All photographs in the memory of the device that trains, and crops of them, made there."""

from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np
from keras import ops

Tensor = Any

LARGEST = 2**31 - 1
"""Bytes of pixels that an album may hold: places in it are 32-bit numbers."""


class Album(NamedTuple):
    """Photographs one after the other.

    Args:
        pixels: (sum of H W 3,), uint8.
        starts: (n,), int32: place of each photograph's first value in `pixels`.
        heights, widths: (n,), int32, in pixels.
    """

    pixels: Tensor
    starts: Tensor
    heights: Tensor
    widths: Tensor


def collect(pictures: Iterable[np.ndarray], largest: int | None = None) -> Album | None:
    """Returns an album of pictures (H, W, 3) uint8, as NumPy arrays, or None if they are more than `largest` bytes."""
    kept, size = [], 0
    for picture in pictures:
        kept.append(picture)
        size += picture.size
        if size > (LARGEST if largest is None else largest):
            return None
    sizes = np.array([picture.size for picture in kept])
    heights, widths = (np.array([picture.shape[axis] for picture in kept], np.int32) for axis in (0, 1))
    starts = (np.cumsum(sizes) - sizes).astype(np.int32)
    return Album(np.concatenate([picture.ravel() for picture in kept]), starts, heights, widths)


def crops(album: Album, drawn: Tensor, side: int) -> Tensor:
    """Returns random crops (B, side, side, 3), float32, 0..255, each flipped and turned in one of 8 ways.

    Args:
        album: photographs of at least `side` pixels a side.
        drawn: (B, 6) numbers from [0, 1), from which picture, place and way follow.
        side: of a crop, pixels.
    """
    picture = _below(drawn[:, 0], album.heights.shape[0])
    width = ops.take(album.widths, picture)
    top = _below(drawn[:, 1], ops.take(album.heights, picture) - side + 1)
    left = _below(drawn[:, 2], width - side + 1)
    corner = ops.take(album.starts, picture) + 3 * (top * width + left)
    rows = corner[:, None] + 3 * width[:, None] * ops.arange(side, dtype="int32")
    places = rows[:, :, None] + ops.arange(3 * side, dtype="int32")
    patches = ops.reshape(ops.take(album.pixels, places), (-1, side, side, 3))
    return ops.cast(_augmented(patches, drawn[:, 3:] < 0.5), "float32")


def _below(drawn: Tensor, count: Tensor | int) -> Tensor:
    """Turns numbers from [0, 1) into whole numbers from 0 to count - 1."""
    whole = ops.cast(ops.floor(drawn * ops.cast(count, "float32")), "int32")
    return ops.minimum(whole, count - 1)  # a product may be rounded up


def _augmented(patches: Tensor, ways: Tensor) -> Tensor:
    """Mirrors patches up-down, left-right and at the diagonal, each where (B, 3) `ways` says so."""
    mirrored = (
        lambda x: ops.flip(x, axis=1),
        lambda x: ops.flip(x, axis=2),
        lambda x: ops.transpose(x, (0, 2, 1, 3)),
    )
    for axis, mirror in enumerate(mirrored):
        patches = ops.where(ways[:, axis, None, None, None], mirror(patches), patches)
    return patches
