"""The tiles of `ipt_tf.restoration.tiling` as a TensorFlow graph, for images whose size only a request tells.

The equations stand there. Everything is a standard operation of TensorFlow, so that whatever loads the graph needs
neither Python nor this package.
"""

from collections.abc import Callable

import tensorflow as tf

CHANNELS = 3


def starts(length: tf.Tensor, tile: int, overlap: int) -> tf.Tensor:
    """First pixel of every tile along one axis, int32, (count,)."""
    last = tf.maximum(length - tile, 0)
    count = 1 + -(-last // (tile - overlap))
    return tf.minimum(tf.range(count) * (tile - overlap), last)


def reflect(index: tf.Tensor, length: tf.Tensor) -> tf.Tensor:
    """Pixel of the image that stands at `index` when the image is mirrored at its edges for ever."""
    period = tf.maximum(2 * (length - 1), 1)
    phase = index % period
    return tf.minimum(phase, period - phase)


def weights(length: tf.Tensor, tile: int, overlap: int, scale: int) -> tf.Tensor:
    """Blending weights of every tile along one axis, float32, (count, tile * scale), in output pixels."""
    first = starts(length, tile, overlap)
    shared = tf.concat([[0], first[:-1] + tile - first[1:], [0]], axis=0) * scale
    centre = tf.range(tile * scale, dtype=tf.float64) + 0.5
    windows = _ramp(centre, shared[:-1, None]) * _ramp(centre[::-1], shared[1:, None])
    pixel = first[:, None] * scale + tf.range(tile * scale)
    total = tf.math.unsorted_segment_sum(windows, pixel, tf.maximum(length, tile) * scale)
    return tf.cast(windows / tf.gather(total, pixel), tf.float32)


def _ramp(distance: tf.Tensor, width: tf.Tensor) -> tf.Tensor:
    rise = tf.minimum(distance / tf.maximum(tf.cast(width, tf.float64), 0.5), 1)
    return tf.sin(0.5 * 3.141592653589793 * rise) ** 2


def restore(
    image: tf.Tensor,
    network: Callable[[tf.Tensor], tf.Tensor],
    scale: int,
    *,
    tile: int,
    overlap: int = 10,
    batch_size: int = 16,
    finish: Callable[[tf.Tensor], tf.Tensor],
    dtype: tf.DType,
) -> tf.Tensor:
    """Restores an image of any size, band by band.

    Beside the image and the result, in the dtype that `finish` gives it, one row of tiles and one batch are held.

    Args:
        image: (H, W, 3), H and W from 1 up: uint8, float32 in 0..255, or uint16, where 65535 stands for 255.
        network: float32 tiles (n, tile, tile, 3) to (n, scale tile, scale tile, 3).
        scale: output pixels per input pixel and axis.
        tile: side of a tile, in pixels.
        overlap: input pixels shared by neighbouring tiles.
        batch_size: most tiles per call of the network.
        finish: blended rows (n, scale W, 3), float32, not clipped, to what is kept of them (n, scale W, C).
        dtype: what `finish` returns.

    Returns:
        (scale H, scale W, C).
    """
    height, width = tf.shape(image)[0], tf.shape(image)[1]
    tops, side = starts(height, tile, overlap), tile * scale
    row_weights = weights(height, tile, overlap, scale)
    done = tf.concat([tops[1:], [height]], axis=0) - tops  # rows that no later tile covers

    def add(index, pending, rows):
        strip = tf.gather(image, reflect(tops[index] + tf.range(tile), height))
        restored = _restore_strip(strip, network, scale, tile, overlap, batch_size)
        band = pending + restored * row_weights[index][:, None, None]
        ready = done[index] * scale
        rows = rows.write(index, finish(band[:ready]))
        return index + 1, tf.pad(band[ready:], [[0, ready], [0, 0], [0, 0]]), rows

    count = tf.shape(tops)[0]
    kept = tf.TensorArray(dtype, count, infer_shape=False, element_shape=(None, None, None))
    _, _, rows = tf.while_loop(
        lambda index, *_: index < count,
        add,
        (0, tf.zeros((side, width * scale, CHANNELS)), kept),
        shape_invariants=(tf.TensorShape(()), tf.TensorShape((None, None, CHANNELS)), None),
        parallel_iterations=1,  # more would run ahead with the network, and hold what it returns
    )
    return rows.concat()


def _restore_strip(strip, network, scale, tile, overlap, batch_size):
    """Restores one row of tiles (tile, W, 3), and blends it along its width: (scale tile, scale W, 3)."""
    width, side = tf.shape(strip)[1], tile * scale
    lefts = starts(width, tile, overlap)
    column_weights = weights(width, tile, overlap, scale)
    padded = tf.maximum(width, tile) * scale
    count = tf.shape(lefts)[0]
    batches = -(-count // batch_size)
    size = -(-count // batches)  # batches of equal size: 17 tiles are 9 and 8, not 16 and 1

    def add(first, columns):
        left = lefts[first : first + size]
        seen = tf.gather(strip, reflect(left[:, None] + tf.range(tile), width), axis=1)
        restored = network(_in_255(tf.transpose(seen, (1, 0, 2, 3))))
        weighted = restored * column_weights[first : first + size, None, :, None]
        pixel = left[:, None] * scale + tf.range(side)
        return first + size, columns + tf.math.unsorted_segment_sum(
            tf.transpose(weighted, (0, 2, 1, 3)), pixel, padded
        )

    _, columns = tf.while_loop(
        lambda first, _: first < count,
        add,
        (0, tf.zeros((padded, side, CHANNELS))),
        parallel_iterations=1,
    )
    return tf.transpose(columns[: width * scale], (1, 0, 2))


def _in_255(pixels):
    values = tf.cast(pixels, tf.float32)
    return values / 257 if pixels.dtype == tf.uint16 else values
