"""What JPEG files lose."""

import io

import numpy as np
from keras import ops
from PIL import Image

from ipt_tf.degradations.jpeg_in_graph import JPEG_BLOCK, compress
from ipt_tf.degradations.random_numbers import Degradation, RandomNumbers, Tensor


def jpeg_artefacts(quality: int | tuple[int, int], *, cropped: bool = False) -> Degradation:
    """Returns what becomes of pictures that are saved as JPEG and read again.

    Of NumPy arrays libjpeg does it. Of tensors, as they are trained on, `compress` does the same in keras.ops. Colour
    is kept at half resolution (4:2:0), which is Pillow's own choice and that of most files.

    Args:
        quality: of libjpeg, 1 to 100, or a range (lowest, highest) from which each image of a batch gets its own.
        cropped: whether the images are crops of larger ones, in which the blocks of JPEG may begin anywhere; else they
            begin in the corner.

    Returns:
        Function of (B, H, W, 3) and `rng`, giving (B, H, W, 3) float32, whole numbers 0..255. H and W of tensors
        have to be known.

    Raises:
        ValueError: a quality that is not from 1 to 100, or a range in the wrong order.

    Example:
        >>> degrade = jpeg_artefacts(20)
        >>> blocky = degrade(clean, np.random.default_rng(0))
    """
    low, high = (quality, quality) if isinstance(quality, int) else quality
    if not 1 <= low <= high <= 100:
        raise ValueError(
            f"jpeg_artefacts: quality is a number from 1 to 100 or a range (lowest, highest), not {quality!r}"
        )

    def degrade(clean: Tensor, rng: RandomNumbers) -> Tensor:
        drawn = ops.cast(rng.random((ops.shape(clean)[0], 3)), "float32")
        pixels = ops.clip(ops.round(ops.cast(clean, "float32")), 0, 255)
        own_quality = ops.minimum(low + _whole(drawn[:, 0] * (high - low + 1)), high)
        offsets = _whole(drawn[:, 1:] * JPEG_BLOCK) if cropped else None
        save = _by_libjpeg if isinstance(clean, np.ndarray) else compress
        return save(pixels, own_quality, offsets)

    return degrade


def _whole(numbers: Tensor) -> Tensor:
    return ops.cast(numbers, "int32")


def _by_libjpeg(images: Tensor, quality: Tensor, offsets: Tensor | None) -> Tensor:
    """What `compress` returns, from libjpeg."""
    pixels = ops.convert_to_numpy(images).astype(np.uint8)
    corners = np.zeros((len(pixels), 2), int) if offsets is None else ops.convert_to_numpy(offsets)
    files = map(_through_a_file, pixels, ops.convert_to_numpy(quality), corners)
    return ops.convert_to_tensor(np.stack(list(files)).astype(np.float32))


def _through_a_file(pixels: np.ndarray, quality: int, corner: np.ndarray) -> np.ndarray:
    top, left = corner
    larger = np.pad(pixels, ((top, 0), (left, 0), (0, 0)), mode="symmetric")
    file = io.BytesIO()
    Image.fromarray(larger).save(file, "JPEG", quality=int(quality))
    return np.asarray(Image.open(file))[top:, left:]
