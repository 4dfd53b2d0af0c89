"""Bicubic downsampling, as MATLAB does it."""

import functools

import numpy as np
from keras import ops

from ipt_tf.degradations.random_numbers import Degradation, RandomNumbers, Tensor


def bicubic(scale: int, *, round_between: bool = True) -> Degradation:
    """Returns the bicubic downsampling with which super-resolution is trained and judged.

    It is MATLAB's antialiased `imresize(image, 1/scale)` for 8-bit images, as it was when the LR files of the
    benchmarks (`LR_bicubic/X2` ...) were made, and equals those bit for bit: Keys' cubic kernel (a = -1/2)
    stretched by the scale, borders replicated, the height resampled first, the width second, each result
    rounded and clipped to whole numbers from 0 to 255.

    Args:
        scale: HR pixels per LR pixel and axis, a whole number from 1.
        round_between: round and clip between the two passes, as MATLAB does. False rounds only at the end,
            as the official MindSpore training code does.

    Returns:
        Function of (B, H, W, 3) and an unused `rng`, giving (B, H/scale, W/scale, 3) float32, whole numbers
        0..255.

    Raises:
        ValueError: (from the function) H or W is unknown or no multiple of the scale.

    Example:
        >>> degrade = bicubic(2)
        >>> degrade(np.full((1, 96, 96, 3), 128.0), rng=None).shape
        (1, 48, 48, 3)
    """

    def degrade(clean: Tensor, rng: RandomNumbers | None = None) -> Tensor:
        height, width = clean.shape[1:3]
        _check_multiple(height, width, scale)
        rows, columns = _bicubic_matrix(height, scale), _bicubic_matrix(width, scale)
        total = _bicubic_taps(scale).sum()
        lr = ops.einsum("hy,byxc->bhxc", rows, ops.cast(clean, "float32")) / total
        if round_between:
            lr = _round_to_8_bits(lr)
        lr = ops.einsum("wx,bhxc->bhwc", columns, lr) / total
        return _round_to_8_bits(lr)

    return degrade


def _check_multiple(height: int | None, width: int | None, scale: int) -> None:
    if height is None or width is None or height % scale or width % scale:
        raise ValueError(
            f"bicubic({scale}) needs images whose height and width are known multiples of {scale}, "
            f"not {height} x {width}: crop them first"
        )


@functools.cache
def _bicubic_taps(scale: int) -> np.ndarray:
    """Returns Keys' kernel, stretched by the scale, at HR pixels -2 * scale ... 3 * scale - 1 for LR pixel 0.

    They are the smallest whole numbers of that proportion (x2: -3 -9 29 111 111 29 -9 -3), so that sums of
    products with 8-bit pixels are exact, and a result half way between two grey levels is seen as such.
    """
    doubled_distance = np.abs(2 * np.arange(-2 * scale, 3 * scale) - (scale - 1))
    k, n = doubled_distance, 2 * scale  # the kernel's argument is k/n
    near = 3 * k**3 - 5 * k**2 * n + 2 * n**3
    far = -(k**3) + 5 * k**2 * n - 8 * k * n**2 + 4 * n**3
    taps = np.where(k <= n, near, np.where(k <= 2 * n, far, 0))
    return taps // np.gcd.reduce(taps)


@functools.lru_cache(maxsize=64)
def _bicubic_matrix(size: int, scale: int) -> np.ndarray:
    """Returns the (size / scale, size) matrix of taps; those beyond the border fall on the border's pixel."""
    taps = _bicubic_taps(scale)
    lr = np.arange(size // scale)[:, None]
    hr = np.clip(lr * scale + np.arange(-2 * scale, 3 * scale), 0, size - 1)
    matrix = np.zeros((size // scale, size), "float32")
    np.add.at(matrix, (lr, hr), taps)
    return matrix


def _round_to_8_bits(image: Tensor) -> Tensor:
    """Rounds half up, as MATLAB does for positive numbers, and clips to 0..255."""
    return ops.clip(ops.floor(image + 0.5), 0.0, 255.0)
