"""The geometry of overlapping tiles, and the weights that blend them into one image.

This is the one definition; exported graphs and clients restate these equations. Per axis, with n pixels,
tiles of P, an overlap of v and a scale of s:

    starts      a_k = min(k (P - v), n - P),  k = 0 .. ceil((n - P) / (P - v)),  and a_0 = 0 alone where n <= P
    reflection  pixel i of the padded image is pixel min(j, p - j), j = i mod p, p = max(2 (n - 1), 1)
    overlap     l_k = s (a_{k-1} + P - a_k) output pixels shared with the tile before, l_0 = 0
    ramp        r(t, l) = sin^2(pi/2 min(t / l, 1)), 1 where l = 0
    window      w_k(t) = r(t, l_k) r(sP - t, l_{k+1}) at the pixel centres t = 1/2, 3/2 .. sP - 1/2
    weight      w_k divided by the sum of all windows at the same output pixel

The weight of a pixel in a tile is the product of its weights along both axes.
"""

from collections.abc import Iterable, Iterator

import numpy as np


def starts(length: int, tile: int, overlap: int) -> np.ndarray:
    """First pixel of every tile along one axis.

    Neighbours share `overlap` pixels; the last tile ends with the image and shares what is left. No tile is
    there twice. An image shorter than a tile has one, which `reflect` fills.

    Args:
        length: pixels of the image along the axis, at least 1.
        tile: pixels of a tile along the axis.
        overlap: pixels shared by neighbours, from 0 to `tile - 1`.

    Returns:
        Increasing integers, (count,).

    Raises:
        ValueError: the overlap does not fit the tile, or there is nothing to tile.

    Example:
        >>> starts(100, tile=48, overlap=10)
        array([ 0, 38, 52])
    """
    if not 0 <= overlap < tile:
        raise ValueError(f"the overlap is {overlap} pixels; tiles of {tile} allow 0 to {tile - 1}")
    if length < 1:
        raise ValueError(f"an image needs at least 1 pixel along each axis, not {length}")
    last = max(length - tile, 0)
    count = 1 + -(-last // (tile - overlap))
    return np.minimum(np.arange(count) * (tile - overlap), last)


def reflect(index: np.ndarray, length: int) -> np.ndarray:
    """Pixel of the image that stands at `index` when the image is mirrored at its edges for ever.

    The edge pixel itself is not repeated. Unlike `np.pad` in one step, this has no largest padding: a single
    pixel fills a whole tile.

    Example:
        >>> reflect(np.arange(7), length=3)
        array([0, 1, 2, 1, 0, 1, 2])
    """
    period = max(2 * (length - 1), 1)
    phase = index % period
    return np.minimum(phase, period - phase)


def weights(length: int, tile: int, overlap: int, scale: int = 1) -> np.ndarray:
    """Blending weights of every tile along one axis.

    A raised cosine has no slope where a tile begins or ends: a linear ramp does, and the eye sees that kink as
    a faint line. It also trusts the outermost pixels of a tile least, whose surroundings the network never saw.
    No weight is zero. Where an image ends there is no neighbour and no ramp.

    Args:
        length: pixels of the input image along the axis.
        tile: pixels of an input tile.
        overlap: input pixels shared by neighbours.
        scale: output pixels per input pixel.

    Returns:
        float64, (count, tile * scale), in output pixels: row k belongs to tile k of `starts`. Over all tiles
        that cover an output pixel the weights sum to 1.

    Example:
        >>> weights(6, tile=4, overlap=2).round(3)
        array([[1.   , 1.   , 0.854, 0.146],
               [0.146, 0.854, 1.   , 1.   ]])
    """
    first = starts(length, tile, overlap)
    shared = np.concatenate([[0], first[:-1] + tile - first[1:], [0]]) * scale
    centre = np.arange(tile * scale) + 0.5
    windows = _ramp(centre, shared[:-1, None]) * _ramp(centre[::-1], shared[1:, None])
    return normalise(windows, first * scale)


def _ramp(distance: np.ndarray, width: np.ndarray) -> np.ndarray:
    # The nearest pixel centre is half a pixel from the edge, so a width of 1/2 is no ramp at all.
    rise = np.minimum(distance / np.maximum(width, 0.5), 1)
    return np.sin(np.pi / 2 * rise) ** 2


def normalise(windows: np.ndarray, first: np.ndarray) -> np.ndarray:
    """Divides windows (count, side) that begin at the pixels `first` by their sum at each pixel."""
    pixel = first[:, None] + np.arange(windows.shape[1])
    total = np.bincount(pixel.ravel(), windows.ravel())
    return windows / total[pixel]


def cut(image: np.ndarray, top: int, left: int, tile: int) -> np.ndarray:
    """The tile (tile, tile, 3) of an image (H, W, 3) at a start, filled by reflection beyond the image."""
    rows = reflect(np.arange(top, top + tile), image.shape[0])
    columns = reflect(np.arange(left, left + tile), image.shape[1])
    return image[np.ix_(rows, columns)]


def blend(
    tiles: Iterable[np.ndarray],
    tops: np.ndarray,
    lefts: np.ndarray,
    row_weights: np.ndarray,
    column_weights: np.ndarray,
    height: int,
    width: int,
) -> Iterator[np.ndarray]:
    """Sums weighted tiles, and hands out the rows of the image as soon as no later tile covers them.

    Only one row of tiles is held, however tall the image is. Everything is in output pixels.

    Args:
        tiles: arrays (side, side, 3), one row of tiles after the other; only as many as needed are taken.
        tops: first output row of each row of tiles.
        lefts: first output column of each column of tiles.
        row_weights: (len(tops), side).
        column_weights: (len(lefts), side).
        height: rows of the image; what tiles hold beyond is dropped.
        width: columns of the image.

    Yields:
        float64 arrays (n, width, 3), from the top of the image to its bottom.
    """
    tiles = iter(tiles)
    side = row_weights.shape[1]
    pending = np.empty((0, width, 3))
    for top, next_top, row_weight in zip(tops, [*tops[1:], height], row_weights, strict=True):
        # float64: the weights sum to 1 far below a float32's last bit, so an identity comes out exactly.
        band = np.zeros((min(side, height - top), width, 3))
        band[: len(pending)] = pending
        for left, column_weight in zip(lefts, column_weights, strict=True):
            weighted = next(tiles) * (row_weight[:, None] * column_weight)[..., None]
            band[:, left : left + side] += weighted[: len(band), : width - left]
        yield band[: next_top - top]
        pending = band[next_top - top :]
