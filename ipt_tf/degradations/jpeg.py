"""What JPEG files lose."""

import io
from collections.abc import Callable

import keras
import numpy as np
from keras import ops
from PIL import Image

from ipt_tf.degradations.random_numbers import Degradation, RandomNumbers, Tensor

_JPEG_BLOCK = 16  # pixels along which JPEG repeats itself: blocks of 8, and colour at half resolution


def jpeg_artefacts(quality: int | tuple[int, int], *, cropped: bool = False) -> Degradation:
    """Returns what becomes of pictures that are saved as JPEG and read again, by libjpeg itself.

    Colour is kept at half resolution (4:2:0), which is Pillow's own choice and that of most files.

    Args:
        quality: of libjpeg, 1 to 100, or a range (lowest, highest) from which each image of a batch gets its own.
        cropped: whether the images are crops of larger ones, in which the blocks of JPEG may begin anywhere; else they
            begin in the corner.

    Returns:
        Function of (B, H, W, 3) and `rng`, giving (B, H, W, 3) float32, whole numbers 0..255. In a `tf.data` map it
        is computed outside of the graph.

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

    def degrade_all(clean: np.ndarray, drawn: np.ndarray) -> np.ndarray:
        pixels = np.clip(np.rint(clean), 0, 255).astype(np.uint8)
        return np.stack([degrade_one(*each) for each in zip(pixels, drawn, strict=True)]).astype(np.float32)

    def degrade_one(pixels: np.ndarray, drawn: np.ndarray) -> np.ndarray:
        own_quality = low + int(drawn[0] * (high - low + 1))
        top, left = (int(number * _JPEG_BLOCK) if cropped else 0 for number in drawn[1:])
        larger = np.pad(pixels, ((top, 0), (left, 0), (0, 0)), mode="symmetric")
        return _as_jpeg(larger, own_quality)[top:, left:]

    def degrade(clean: Tensor, rng: RandomNumbers) -> Tensor:
        return _outside_of_the_graph(degrade_all, clean, rng.random((ops.shape(clean)[0], 3)))

    return degrade


def _as_jpeg(pixels: np.ndarray, quality: int) -> np.ndarray:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "JPEG", quality=quality)
    return np.asarray(Image.open(file))


def _outside_of_the_graph(function: Callable[..., np.ndarray], clean: Tensor, drawn: Tensor) -> Tensor:
    """Calls a NumPy function of images and random numbers, which gives images of the same shape."""
    if keras.backend.backend() == "tensorflow":
        from ipt_tf import numpy_in_graphs

        return numpy_in_graphs.call(function, clean, drawn)
    return ops.convert_to_tensor(function(*map(ops.convert_to_numpy, (clean, drawn))))
