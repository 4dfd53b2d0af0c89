"""What libjpeg does to pixels, written in keras.ops: it runs in graphs and on accelerators.

Every step rounds where libjpeg's default (accurate integer) code rounds. All numbers are whole and most stay below
2**24, so that float32 holds them exactly; nothing is a matrix product, which accelerators would shorten to 11 bits.
"""

import numpy as np
from keras import ops

from ipt_tf.degradations.random_numbers import Tensor

JPEG_BLOCK = 16  # pixels along which JPEG repeats itself: blocks of 8, and colour at half resolution

# 2**16 times the weights of RGB in Y, Cb and Cr, and what is added before rounding down (jccolor.c).
_TO_YCC = np.array([[19595, 38470, 7471], [-11059, -21709, 32768], [32768, -27439, -5329]], "float32")
_YCC_BIAS = np.array([2**15, 2**23 + 2**15 - 1, 2**23 + 2**15 - 1], "float32")

# 2**13 times the cosine transform of 8 pixels, as the integers of jfdctint.c and jidctint.c add up.
# Frequencies are rows.
_COSINES = np.array(
    [
        [8192, 8192, 8192, 8192, 8192, 8192, 8192, 8192],
        [11363, 9633, 6437, 2260, -2260, -6437, -9633, -11363],
        [10703, 4433, -4433, -10703, -10703, -4433, 4433, 10703],
        [9633, -2259, -11362, -6436, 6436, 11362, 2259, -9633],
        [8192, -8192, -8192, 8192, 8192, -8192, -8192, 8192],
        [6437, -11362, 2261, 9633, -9633, -2261, 11362, -6437],
        [4433, -10704, 10704, -4433, -4433, 10704, -10704, 4433],
        [2260, -6436, 9633, -11363, 11363, -9633, 6436, -2260],
    ],
    "float32",
)

# The JPEG standard's tables K.1 (luminance) and K.2 (chrominance).
_LUMINANCE = np.array(
    [
        [16, 11, 10, 16, 24, 40, 51, 61],
        [12, 12, 14, 19, 26, 58, 60, 55],
        [14, 13, 16, 24, 40, 57, 69, 56],
        [14, 17, 22, 29, 51, 87, 80, 62],
        [18, 22, 37, 56, 68, 109, 103, 77],
        [24, 35, 55, 64, 81, 104, 113, 92],
        [49, 64, 78, 87, 103, 121, 120, 101],
        [72, 92, 95, 98, 112, 100, 103, 99],
    ],
    "float32",
)
_CHROMINANCE = np.full((8, 8), 99, "float32")
_CHROMINANCE[:4, :4] = [[17, 18, 24, 47], [18, 21, 26, 66], [24, 26, 56, 99], [47, 66, 99, 99]]


def compress(images: Tensor, quality: Tensor, offsets: Tensor | None = None) -> Tensor:
    """Returns what libjpeg makes of images: saved at a quality, colour at half resolution (4:2:0), and read again.

    Args:
        images: (B, H, W, 3), RGB, whole numbers 0..255; H and W are known while tracing.
        quality: (B,), whole numbers 1 to 100, of each image.
        offsets: (B, 2), whole numbers 0 to 15: how many rows above and columns left of each image the blocks begin.
            There the image is mirrored. Without them, blocks begin in the corner.

    Returns:
        (B, H, W, 3) float32, whole numbers 0..255.

    Raises:
        ValueError: a height or width that is not known while tracing.
    """
    height, width = images.shape[1:3]
    if height is None or width is None:
        raise ValueError(f"compress: height and width of the images have to be known, not {images.shape}")
    larger = 0 if offsets is None else JPEG_BLOCK - 1
    if offsets is None:
        offsets = ops.zeros((ops.shape(images)[0], 2), "int32")
    top, left = (_Side(size, offsets[:, i], larger) for i, size in enumerate((height, width)))
    planes = _ycc(ops.cast(images, "float32"))
    luma = _pick(planes[:, :1], top.padded, left.padded)
    chroma = _halved(_pick(planes[:, 1:], top.padded_for_chroma, left.padded))
    scale = _scale(ops.cast(quality, "float32"))
    luma, chroma = _quantised(luma, _LUMINANCE, scale), _quantised(chroma, _CHROMINANCE, scale)
    return _rgb(_pick(luma, top.pixels, left.pixels), _doubled(chroma, top, left))


class _Side:
    """Indices along one side of images that begin at an offset: each is (B, pixels) int32.

    padded: of the image, that fill whole blocks; mirrored before the offset, the last pixel is repeated at the end.
    padded_for_chroma: the same, but the last pair of pixels is repeated, as libjpeg does with rows of chroma.
    pixels: of the image in what was padded.
    near, far: of the two pixels of halved chroma that each pixel of the image lies between.
    few: (B, 1), whether there are so few pixels of halved chroma that libjpeg does not interpolate them.
    """

    def __init__(self, size: int, offset: Tensor, larger: int):
        offset = ops.cast(offset, "int32")[:, None]
        end = offset + size
        blocks = ops.arange(-(-(size + larger) // JPEG_BLOCK) * JPEG_BLOCK, dtype="int32")[None]
        pair = (end - 1) // 2 * 2
        self.padded = _mirrored(ops.minimum(blocks, end - 1) - offset, size)
        repeated = ops.minimum(ops.where(blocks < pair, blocks, pair + blocks % 2), end - 1)
        self.padded_for_chroma = _mirrored(repeated - offset, size)
        self.pixels = ops.arange(size, dtype="int32")[None] + offset
        self.odd = self.pixels % 2
        self.near = self.pixels // 2
        self.far = ops.clip(self.near + 2 * self.odd - 1, 0, (end - 1) // 2)
        self.few = end <= 4


def _mirrored(index: Tensor, size: int) -> Tensor:
    """Returns indices that go back and forth over a size: 1 0 0 1 .. size-1 size-1 .. from an index of -2 on."""
    index = index % (2 * size)
    return ops.minimum(index, 2 * size - 1 - index)


def _pick(planes: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    """Takes the crossings of (B, h) rows and (B, w) columns from (B, C, H, W) planes: (B, C, h, w)."""
    return _columns(_rows(planes, rows), columns)


def _rows(planes: Tensor, rows: Tensor) -> Tensor:
    """Takes (B, h) rows of (B, C, H, W) planes: (B, C, h, W)."""
    height, width = planes.shape[2:]
    return ops.take(ops.reshape(planes, (-1, width)), _plane(planes) * height + rows[:, None], axis=0)


def _columns(planes: Tensor, columns: Tensor) -> Tensor:
    """Takes (B, w) columns of (B, C, H, W) planes: (B, C, H, w)."""
    height, width = planes.shape[2:]
    row = _plane(planes)[..., None] * height + ops.arange(height, dtype="int32")[:, None]
    return ops.take(ops.reshape(planes, (-1,)), row * width + columns[:, None, None], axis=0)


def _plane(planes: Tensor) -> Tensor:
    """(B, C, 1) int32, how many planes come before each of (B, C, H, W)."""
    batch, channels = ops.shape(planes)[:2]
    return ops.reshape(ops.arange(batch * channels, dtype="int32"), (batch, channels, 1))


def _ycc(images: Tensor) -> Tensor:
    """(B, H, W, 3) RGB to (B, 3, H, W) whole numbers of YCbCr, 0..255."""
    images = ops.transpose(images, (0, 3, 1, 2))
    red, green, blue = (images[:, i] for i in range(3))
    planes = [
        ops.floor((red * r + green * g + blue * b + bias) / 2**16)
        for (r, g, b), bias in zip(_TO_YCC.tolist(), _YCC_BIAS.tolist(), strict=True)
    ]
    return ops.stack(planes, axis=1)


def _rgb(luma: Tensor, chroma: Tensor) -> Tensor:
    """(B, 1, H, W) Y and (B, 2, H, W) CbCr to (B, H, W, 3) whole numbers of RGB, 0..255 (jdcolor.c)."""
    luma, blue, red = luma[:, 0], chroma[:, 0] - 128, chroma[:, 1] - 128
    added = (91881 * red, -22554 * blue - 46802 * red, 116130 * blue)
    return ops.clip(ops.stack([luma + _shifted(each, 16) for each in added], axis=-1), 0, 255)


def _shifted(numbers: Tensor, bits: int) -> Tensor:
    """Divides whole numbers by 2**bits and rounds, halves up."""
    return ops.floor((numbers + 2 ** (bits - 1)) / 2**bits)


def _halved(planes: Tensor) -> Tensor:
    """Means of 2 x 2 pixels, where halves are rounded down and up in turns (jcsample.c, h2v2_downsample)."""
    batch = ops.shape(planes)[0]
    _, channels, height, width = planes.shape
    pairs = ops.reshape(planes, (batch, channels, height // 2, 2, width))
    pairs = ops.reshape(pairs[:, :, :, 0] + pairs[:, :, :, 1], (batch, channels, height // 2, width // 2, 2))
    sums = pairs[..., 0] + pairs[..., 1]
    bias = 1 + ops.arange(width // 2, dtype="float32") % 2
    return ops.floor((sums + bias) / 4)


def _doubled(planes: Tensor, top: _Side, left: _Side) -> Tensor:
    """Interpolates halved planes, 3/4 the near pixel and 1/4 the far one (jdsample.c, h2v2_fancy_upsample)."""
    top_far, left_far = (ops.where(left.few, side.near, side.far) for side in (top, left))
    rows = 3 * _rows(planes, top.near) + _rows(planes, top_far)
    bias = ops.cast(8 - ops.where(left.few, 0, left.odd), "float32")[:, None, None]
    return ops.floor((3 * _columns(rows, left.near) + _columns(rows, left_far) + bias) / 16)


def _scale(quality: Tensor) -> Tensor:
    """Percentage by which quality scales the tables. Half a unit keeps quotients off whole numbers: it is exact."""
    quality = ops.floor(quality)
    return ops.where(quality < 50, ops.floor(5000.5 / quality), 200 - 2 * quality)


def _quantised(planes: Tensor, table: np.ndarray, scale: Tensor) -> Tensor:
    """Rounds the cosine transform of 8 x 8 blocks to multiples of a scaled table: planes (B, C, H, W), scale (B,)."""
    batch = ops.shape(planes)[0]
    _, channels, height, width = planes.shape
    steps = ops.floor((ops.convert_to_tensor(table) * scale[:, None, None] + 50.5) / 100)
    steps = ops.clip(steps, 1, 255)[:, None, None, :, None]
    blocks = ops.reshape(planes - 128, (batch, channels, height // 8, 8, width // 8, 8))
    found = _transformed(_transformed(blocks, 5, _COSINES, 11), 3, _COSINES, 15)  # 8 times the coefficients
    kept = ops.sign(found) * ops.floor((ops.abs(found) + 4 * steps + 0.5) / (8 * steps)) * steps
    blocks = _transformed(_transformed(kept, 3, _COSINES.T, 11), 5, _COSINES.T, 18)
    return ops.clip(ops.reshape(blocks, (batch, channels, height, width)) + 128, 0, 255)


def _transformed(blocks: Tensor, axis: int, matrix: np.ndarray, bits: int) -> Tensor:
    """Multiplies 8 numbers along an axis by a matrix of whole numbers, and divides by 2**bits, rounded."""
    matrix = ops.reshape(ops.convert_to_tensor(matrix), (8, 8, *(1,) * (5 - axis)))
    return _shifted(ops.sum(ops.expand_dims(blocks, axis) * matrix, axis=axis + 1), bits)
