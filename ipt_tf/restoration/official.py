"""The tiling of the authors' code, to reproduce its numbers exactly.

`restore` is the better choice for photographs: about eight times fewer tiles, no hard cuts, any image size and
bounded memory. This one holds whole images in float and exists to compare results.
"""

from collections.abc import Iterator
from itertools import chain, product

import numpy as np
from numpy.typing import ArrayLike

from ipt_tf.restoration import tiling
from ipt_tf.restoration.restore import (
    Network,
    as_layout,
    as_rgb,
    check_scale,
    eightfold,
    in_255,
    in_batches,
    like,
)


def official_restore(
    image: ArrayLike,
    network: Network,
    scale: int,
    *,
    tile: int = 48,
    batch_size: int = 64,
    stride: int | None = None,
    self_ensemble: bool = False,
    threads: int = 1,
) -> np.ndarray:
    """Restores images with the tiles, averages and joins of the authors' evaluation.

    Args:
        image: as in `ipt_tf.restoration.restore.restore`, at least one tile high and wide.
        network: callable from float32 tiles (n, tile, tile, 3) in 0..255 to (n, tile * scale, tile * scale, 3).
        scale: output pixels per input pixel and axis.
        tile: pixels of a tile per axis: the network's input size.
        batch_size: most tiles per call of the network.
        stride: pixels from window to window. None is a quarter of a tile, 12 for 48: the published numbers.
            Three quarters, 36, is the cheaper form in the authors' MindSpore evaluation.
        self_ensemble: average over the 8 flips and transposes of the whole image.
        threads: calls of the network at once, where it allows that.

    Returns:
        The restored image in the layout and dtype of `image` (float32 for floats), clipped to 0..255 and, for
        integers, rounded half to even: the authors' `quantize`.

    Raises:
        ValueError: the image is smaller than a tile, or not an image; see `restore`.

    Example:
        >>> noisy = np.zeros((321, 481, 3), np.uint8)
        >>> official_restore(noisy, lambda tiles: tiles, scale=1).shape
        (321, 481, 3)
    """
    image = np.asarray(image)
    pixels = in_255(as_rgb(image))

    def chop(images: np.ndarray) -> np.ndarray:
        return np.stack(
            [
                forward_chop(
                    each, network, scale, tile=tile, batch_size=batch_size, stride=stride, threads=threads
                )
                for each in images
            ]
        )

    restored = np.asarray((eightfold(chop) if self_ensemble else chop)(pixels))
    return as_layout(image, like(image, restored))


def forward_chop(
    image: np.ndarray,
    network: Network,
    scale: int,
    *,
    tile: int = 48,
    batch_size: int = 64,
    stride: int | None = None,
    threads: int = 1,
) -> np.ndarray:
    """The authors' `forward_chop`: one float image (H, W, 3) to (H * scale, W * scale, 3), not clipped.

    Windows stand at multiples of `stride`, as many as fit. Each gives its centre, without a margin of `crop`
    pixels, and the centres that cover a pixel are averaged; the image's own edges come from the outermost
    windows. What the multiples do not reach at the bottom and at the right comes from windows that end with the
    image, and is joined by a hard cut in the middle of the uncropped overlap.

    One asymmetry of the original is kept: the top `crop` rows of the first `tile` columns come from the first
    window alone. Its repeated evaluation of the windows along the edges is not, as it changes nothing.

    Raises:
        ValueError: the image is smaller than a tile, or the stride is not 1..tile.
    """
    check_scale(scale)
    height, width, _ = image.shape
    if min(height, width) < tile:
        raise ValueError(
            f"the authors' tiling needs at least {tile} x {tile} pixels, not {height} x {width}; "
            "restore() takes any size"
        )
    stride = tile // 4 if stride is None else stride
    if not 1 <= stride <= tile:
        raise ValueError(f"the stride is {stride} pixels; windows of {tile} allow 1 to {tile}")
    # Both of the authors' forms: 12 of 48 at stride 12, and centres that just meet, 6 of 48, at stride 36.
    crop = min(stride, (tile - stride) // 2)

    tops, lefts = (np.arange(0, length - tile + 1, stride) for length in (height, width))
    bottom, right = np.array([height - tile]), np.array([width - tile])
    grids = ((tops, lefts), (bottom, lefts), (tops, right), (bottom, right))
    places = chain.from_iterable(product(*grid) for grid in grids)
    windows = (tiling.cut(image, top, left, tile) for top, left in places)
    total = (len(tops) + 1) * (len(lefts) + 1)
    outputs = in_batches(network, windows, total, scale, batch_size, threads)

    first = next(outputs)
    outputs = chain([first], outputs)  # the four grids below take their windows from it in turn
    inner, below, beside, corner = (
        _average(outputs, tops, lefts, crop, tile, scale) for tops, lefts in grids
    )
    inner[: crop * scale, : tile * scale] = first[: crop * scale]

    rows_left, columns_left = (height - tile) % stride, (width - tile) % stride
    left_part = _join(inner, below, (tile - rows_left) * scale, axis=0)
    right_part = _join(beside, corner, (tile - rows_left) * scale, axis=0)
    return _join(left_part, right_part, (tile - columns_left) * scale, axis=1)


def _average(
    outputs: Iterator[np.ndarray],
    tops: np.ndarray,
    lefts: np.ndarray,
    crop: int,
    tile: int,
    scale: int,
) -> np.ndarray:
    """The plain mean of the cropped windows of one grid, over the part of the image they cover."""
    row_weights, column_weights = (
        tiling.normalise(_centres(len(first), crop * scale, tile * scale), (first - first[0]) * scale)
        for first in (tops, lefts)
    )
    height, width = ((first[-1] - first[0] + tile) * scale for first in (tops, lefts))
    tops, lefts = (tops - tops[0]) * scale, (lefts - lefts[0]) * scale
    rows = tiling.blend(outputs, tops, lefts, row_weights, column_weights, height, width)
    return np.concatenate([band.astype(np.float32) for band in rows])


def _centres(count: int, crop: int, side: int) -> np.ndarray:
    """1 in each window's centre, 0 in its margins, except where the first begins and the last ends."""
    windows = np.zeros((count, side))
    windows[:, crop : side - crop] = 1
    windows[0, :crop] = 1
    windows[-1, side - crop :] = 1
    return windows


def _join(before: np.ndarray, after: np.ndarray, shared: int, axis: int) -> np.ndarray:
    """Two parts that share `shared` pixels, cut in the middle; the odd pixel is left to `before`."""
    dropped_before, dropped_after = shared // 2, shared - shared // 2
    kept = before.shape[axis] - dropped_before
    return np.concatenate(
        [before.take(range(kept), axis), after.take(range(dropped_after, after.shape[axis]), axis)], axis
    )
