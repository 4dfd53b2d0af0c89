"""Image -> tiles -> network -> blend -> image, for any image size, in the memory of a band of tiles."""

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import islice, product

import numpy as np
from numpy.typing import ArrayLike

from ipt_tf.restoration import tiling
from ipt_tf.threads import ahead

Network = Callable[[np.ndarray], ArrayLike]
"""Tiles (n, P, P, 3), float32, 0..255, to tiles (n, P * scale, P * scale, 3), not clipped."""

Progress = Callable[[int, int], object]
"""Called with (tiles done, tiles in all) after every batch."""


def restore(
    image: ArrayLike,
    network: Network,
    scale: int,
    *,
    tile: int = 48,
    overlap: int = 10,
    batch_size: int = 16,
    self_ensemble: bool = False,
    threads: int = 1,
    progress: Progress | None = None,
) -> np.ndarray:
    """Restores images of any size with a network that sees tiles of one size.

    The tiles overlap and are blended without seams (see `ipt_tf.restoration.tiling`); images smaller than a
    tile are mirrored to fill it. Beside the image and the result, both in their own dtype, only one row of
    tiles and a batch per thread are held.

    Args:
        image: RGB, (H, W, 3) or a batch (B, H, W, 3), H and W from 1 up; or grey, (H, W), (H, W, 1) or
            (B, H, W, 1), which the network sees as three equal channels. uint8; uint16, where 65535 stands for
            255.0; or float in units of 0..255. A float image in 0..1 is a nearly black one: multiply it by 255
            first. Floats outside 0..255 (noise that was not clamped) reach the network as they are.
        network: callable from float32 tiles (n, tile, tile, 3) in 0..255 to (n, tile * scale, tile * scale, 3).
            Its values may leave 0..255.
        scale: output pixels per input pixel and axis.
        tile: pixels of a tile per axis: the network's input size.
        overlap: input pixels shared by neighbouring tiles, 10 in the paper.
        batch_size: most tiles per call of the network. The tiles of an image, and those of the images of a
            batch, are dealt into calls of equal size (the last filled up by repeating a tile), so that a traced
            network meets one shape only.
        self_ensemble: average the network over the 8 flips and transposes of each tile, before rounding.
            The authors' code transforms the whole image instead (`official_restore` does that), so that its
            grid of tiles is mirrored too; doing it tile by tile keeps the memory bounded.
        threads: calls of the network at once, where it allows that: one per core, or some that keep a network on
            another machine busy.
        progress: called as `progress(done, total)` with tiles after each batch.

    Returns:
        The restored image, in the layout of `image` (grey stays grey: the mean of the three channels), H and W
        times `scale`, clipped to 0..255. uint8 and uint16 keep their dtype and are rounded, half to even;
        floats give float32.

    Raises:
        ValueError: not such an image (shape, dtype, NaN), an overlap not below the tile, or a network that
            returned another shape, NaN or infinity.

    Example:
        >>> photograph = np.zeros((300, 451, 3), np.uint8)
        >>> restore(photograph, lambda tiles: tiles.repeat(2, 1).repeat(2, 2), scale=2).shape
        (600, 902, 3)
    """
    image = np.asarray(image)
    pixels = as_rgb(image)
    count, height, width, _ = pixels.shape
    check_scale(scale)
    tops, lefts = (tiling.starts(length, tile, overlap) for length in (height, width))
    row_weights, column_weights = (tiling.weights(length, tile, overlap, scale) for length in (height, width))

    places = product(pixels, tops, lefts)
    tiles = (in_255(tiling.cut(each, top, left, tile)) for each, top, left in places)
    outputs = in_batches(
        eightfold(network) if self_ensemble else network,
        tiles,
        count * len(tops) * len(lefts),
        scale,
        batch_size,
        threads,
        progress,
    )

    restored = np.empty((count, height * scale, width * scale, 3 if is_rgb(image) else 1), own_dtype(image))
    for result in restored:
        done = 0
        for rows in tiling.blend(
            outputs, tops * scale, lefts * scale, row_weights, column_weights, height * scale, width * scale
        ):
            result[done : done + len(rows)] = like(image, rows)
            done += len(rows)
    return as_layout(image, restored)


def in_batches(
    network: Network,
    tiles: Iterable[np.ndarray],
    total: int,
    scale: int,
    batch_size: int,
    threads: int = 1,
    progress: Progress | None = None,
) -> Iterator[np.ndarray]:
    """Yields the network's output for each of `total` tiles, in their order.

    All calls have the same number of tiles, at most `batch_size`: 17 tiles in batches of 16 are 9 and 9 with one
    repeated, not 16 and 1 (two shapes) nor 16 and 16 (15 computed for nothing). Several threads have as many calls
    each: where two share 40 tiles, 4 calls of 10 are done before 3 of 14.

    Raises:
        ValueError: the batch size or the number of threads is below 1, or the network returned another shape, NaN or
            infinity.
    """
    if batch_size < 1:
        raise ValueError(f"the batch size is a number of tiles from 1, not {batch_size}")
    if threads < 1:
        raise ValueError(f"the threads are a number from 1, not {threads}")
    batches = -(-total // batch_size)
    size = -(-total // min(-(-batches // threads) * threads, total))

    def run(batch: list[np.ndarray]) -> np.ndarray:
        inputs = np.stack(batch + batch[-1:] * (size - len(batch)))
        outputs = np.asarray(network(inputs), np.float32)
        _check_outputs(outputs, inputs, scale)
        return outputs[: len(batch)]

    tiles = iter(tiles)
    chunks = iter(lambda: list(islice(tiles, size)), [])
    done = 0
    with ThreadPoolExecutor(threads) as pool:
        for outputs in ahead(run, chunks, pool, depth=threads - 1) if threads > 1 else map(run, chunks):
            done += len(outputs)
            if progress is not None:
                progress(done, total)
            yield from outputs


def _check_outputs(outputs: np.ndarray, inputs: np.ndarray, scale: int) -> None:
    count, height, width, channels = inputs.shape
    expected = (count, height * scale, width * scale, channels)
    if outputs.shape != expected:
        raise ValueError(
            f"the network made {outputs.shape} of tiles {inputs.shape}; at scale {scale} that should be {expected}"
        )
    if not np.isfinite(outputs).all():
        raise ValueError(
            "the network returned NaN or infinity: its weights are damaged, or overflow in this precision"
        )


def eightfold(network: Network) -> Network:
    """The x8 self-ensemble: the mean of a network over the 8 flips and transposes of its input.

    Each output is turned back before the mean is taken. Works on images (B, H, W, 3) of any size the
    network takes; with a transpose it gets (B, W, H, 3).
    """

    def mean_of_eight(images: np.ndarray) -> np.ndarray:
        total: np.ndarray | float = 0.0
        for transposed, axes in product((False, True), ((), (1,), (2,), (1, 2))):
            seen = np.flip(images, axes)
            if transposed:
                seen = seen.swapaxes(1, 2)
            # Not every framework takes an array with negative strides.
            output = np.asarray(network(np.ascontiguousarray(seen)), np.float32)
            if transposed:
                output = output.swapaxes(1, 2)
            total = total + np.flip(output, axes)
        return np.asarray(total) / 8

    return mean_of_eight


def check_scale(scale: int) -> None:
    """Raises ValueError where `scale` is not a whole number from 1."""
    if int(scale) != scale or scale < 1:
        raise ValueError(f"the scale is a whole number from 1, not {scale!r}")


def as_rgb(image: np.ndarray) -> np.ndarray:
    """Any image `restore` takes, as a view (B, H, W, 3) in its own dtype.

    Raises:
        ValueError: with what is wrong and what would be right.
    """
    _check_pixels(image)
    channels = image[..., None] if image.ndim == 2 else image
    if channels.ndim not in (3, 4):
        raise ValueError(f"an image is (H, W, 3), (H, W) or (B, H, W, 3), not {_shape(image)}")
    if channels.shape[-1] == 4:
        raise ValueError(
            f"this image, {_shape(image)}, has a fourth channel: restore its RGB, image[..., :3], and resize the "
            "alpha apart; or restore the file with the command `ipt restore`, which keeps it"
        )
    if channels.shape[-1] not in (1, 3):
        raise ValueError(f"an image has 3 channels, or 1, as its last axis; this one is {_shape(image)}")
    batch = channels if channels.ndim == 4 else channels[None]
    return np.broadcast_to(batch, (*batch.shape[:3], 3))


def _check_pixels(image: np.ndarray) -> None:
    if image.size == 0:
        raise ValueError(f"this image is empty: its shape is {_shape(image)}")
    if image.dtype not in (np.uint8, np.uint16) and not np.issubdtype(image.dtype, np.floating):
        raise ValueError(f"pixels are uint8, uint16 or float in 0..255, not {image.dtype}")
    # The extremes are NaN where any pixel is, and take no copy of the image.
    if not (np.isfinite(image.min()) and np.isfinite(image.max())):
        raise ValueError("this image has NaN or infinite pixels; floats are expected in 0..255")


def _shape(image: np.ndarray) -> str:
    return " x ".join(map(str, image.shape)) or "a single number"


def is_rgb(image: np.ndarray) -> bool:
    """Whether an image that `as_rgb` accepted has three channels of its own."""
    return image.ndim > 2 and image.shape[-1] == 3


def in_255(pixels: np.ndarray) -> np.ndarray:
    """Pixels in their own dtype as float32 in units of 0..255."""
    values = pixels.astype(np.float32)
    return values / 257 if pixels.dtype == np.uint16 else values


def own_dtype(image: np.ndarray) -> np.dtype:
    """Dtype of the result for an image: its own for integers, float32 for floats."""
    return image.dtype if image.dtype in (np.uint8, np.uint16) else np.dtype(np.float32)


def like(image: np.ndarray, rgb: np.ndarray) -> np.ndarray:
    """Values (..., 3) in 0..255 as pixels of an image's kind: its channels, clipped, rounded half to even."""
    values = np.clip(rgb if is_rgb(image) else rgb.mean(axis=-1, keepdims=True), 0, 255)
    dtype = own_dtype(image)
    if dtype == np.uint16:
        values *= 257
    if dtype != np.float32:
        np.rint(values, out=values)
    return values.astype(dtype)


def as_layout(image: np.ndarray, batch: np.ndarray) -> np.ndarray:
    """A batch (B, H, W, C) with the axes that `image` had."""
    if image.ndim == 4:
        return batch
    return batch[0, ..., 0] if image.ndim == 2 else batch[0]
