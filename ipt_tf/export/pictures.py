"""Files of pictures to PNG files of restored ones, as a TensorFlow graph."""

from collections.abc import Callable

import tensorflow as tf

PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
PNG_DEPTH = 24  # the byte of a PNG that holds the bits per channel

Restore = Callable[..., tf.Tensor]
"""Called as `restore(image, finish=..., dtype=...)`: see `ipt_tf.export.tiles.restore`."""


def restored_files(files: tf.Tensor, restore: Restore, scale: int) -> tf.Tensor:
    """Restores picture files, one after the other, so that they may differ in size.

    A PNG comes back with the channels (grey, alpha) and the bits per channel that it had; JPEG, GIF (its first
    picture) and BMP become 8-bit PNGs. Alpha is enlarged bicubically. EXIF and ICC profiles are lost, and an
    EXIF orientation is not applied: who sends files of cameras turns them upright first.

    A file that cannot be decoded is an error where it is alone. Beside others, which may be those of other clients,
    its result is an empty string.

    Args:
        files: (N,) strings, each a whole PNG, JPEG, GIF or BMP file.
        restore: restores one image (H, W, 3) in 0..255.
        scale: output pixels per input pixel and axis.

    Returns:
        (N,) strings, PNG files.
    """
    alone = tf.size(files) == 1

    def restored_as(file, dtype):
        pixels = tf.cond(alone, lambda: _decode_as(file, dtype), lambda: _decode_or_nothing(file, dtype))
        return tf.cond(tf.size(pixels) == 0, lambda: b"", lambda: _restored_file(pixels, restore, scale))

    def restored(file):
        return tf.cond(
            _is_16_bit_png(file),
            lambda: restored_as(file, tf.uint16),
            lambda: restored_as(file, tf.uint8),
        )

    return tf.map_fn(restored, files, fn_output_signature=tf.TensorSpec((), tf.string), parallel_iterations=1)


def _is_16_bit_png(file: tf.Tensor) -> tf.Tensor:
    header = tf.strings.join([tf.strings.substr(file, 0, PNG_DEPTH + 1), b"\0" * (PNG_DEPTH + 1)])
    is_png = tf.strings.substr(header, 0, len(PNG_SIGNATURE)) == PNG_SIGNATURE
    return tf.logical_and(is_png, tf.strings.substr(header, PNG_DEPTH, 1) == bytes([16]))


def decode(file: bytes) -> tf.Tensor:
    """Decodes a picture (H, W, C), uint8 or uint16, outside of graphs.

    Raises:
        tf.errors.InvalidArgumentError: it is damaged, or no PNG, JPEG, GIF or BMP.
    """
    return _decode_as(tf.constant(file), tf.uint16 if _is_16_bit_png(file) else tf.uint8)


def _decode_as(file: tf.Tensor, dtype: tf.DType) -> tf.Tensor:
    pixels = tf.io.decode_png(file, dtype=dtype) if dtype == tf.uint16 else _decode_8(file)
    return tf.ensure_shape(pixels, (None, None, None))


def _decode_8(file: tf.Tensor) -> tf.Tensor:
    """TensorFlow decodes JPEG roughly, unless asked, where other programs do not."""
    return tf.cond(
        tf.io.is_jpeg(file),
        lambda: tf.io.decode_jpeg(file, dct_method="INTEGER_ACCURATE"),
        lambda: tf.io.decode_image(file, expand_animations=False),
    )


def _decode_or_nothing(file: tf.Tensor, dtype: tf.DType) -> tf.Tensor:
    """Decodes a picture, or returns (0, 0, 0): in a graph only a dataset can go on after an error."""
    decoded = tf.data.Dataset.from_tensors(file).map(lambda file: _decode_as(file, dtype)).ignore_errors()
    nothing = tf.data.Dataset.from_tensors(tf.zeros((0, 0, 0), dtype))
    return decoded.concatenate(nothing).take(1).get_single_element()


def _restored_file(pixels: tf.Tensor, restore: Restore, scale: int) -> tf.Tensor:
    dtype = pixels.dtype
    colours = tf.where(tf.shape(pixels)[-1] < 3, 1, 3)
    white = 65535 if dtype == tf.uint16 else 255

    def finish(rows):
        own = tf.cond(colours == 1, lambda: tf.reduce_mean(rows, axis=-1, keepdims=True), lambda: rows)
        return tf.cast(tf.round(tf.clip_by_value(own, 0, 255) * (white // 255)), dtype)

    rgb = tf.gather(pixels, tf.minimum(tf.range(3), colours - 1), axis=-1)
    restored = restore(rgb, finish=finish, dtype=dtype)
    alpha = enlarged(pixels[..., colours:], scale)
    return tf.io.encode_png(tf.concat([restored, alpha], axis=-1))


def enlarged(alpha: tf.Tensor, scale: int) -> tf.Tensor:
    """Enlarges an alpha channel (H, W, 1) bicubically; without one, (H, W, 0), it stays without."""
    if scale == 1:
        return alpha
    size = scale * tf.shape(alpha)[:2]

    def larger():
        values = tf.image.resize(alpha, size, tf.image.ResizeMethod.BICUBIC)
        return tf.cast(tf.round(tf.clip_by_value(values, 0, alpha.dtype.max)), alpha.dtype)

    none = tf.zeros(tf.concat([size, [0]], axis=0), alpha.dtype)
    return tf.cond(tf.shape(alpha)[-1] > 0, larger, lambda: none)
