"""Degradations: how the input of a task is made from a clean photograph.

A degradation is a pure function `degrade(clean, rng) -> degraded` of a batch (B, H, W, 3), RGB, 0..255. All
that is random comes from `rng`: anything with the methods `standard_normal(shape)` and `random(shape)` of
`numpy.random.Generator`. Written in keras.ops, so a function runs eagerly and inside a `tf.data` map alike.
"""

import functools
import io
import math
from collections.abc import Callable
from typing import Any, Protocol

import keras
import numpy as np
from keras import ops
from PIL import Image

Tensor = Any
Range = tuple[float, float]


class RandomNumbers(Protocol):
    """The two methods of `numpy.random.Generator` that degradations draw from."""

    def standard_normal(self, size: tuple) -> Tensor:
        """Draws from the normal distribution with mean 0 and variance 1."""

    def random(self, size: tuple) -> Tensor:
        """Draws uniformly from [0, 1)."""


Degradation = Callable[[Tensor, RandomNumbers], Tensor]


# --- bicubic downsampling ---------------------------------------------------------------------------------


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


# --- noise ------------------------------------------------------------------------------------------------


def gaussian_noise(sigma: float | Range, clamp: bool = True) -> Degradation:
    """Returns additive white Gaussian noise.

    Args:
        sigma: standard deviation in grey levels (of 255), or a range (lowest, highest) from which each image
            of a batch gets its own.
        clamp: clip the noisy image to 0..255, as the paper's evaluation does. It is never rounded.

    Returns:
        Function of (B, H, W, 3) and `rng`, giving (B, H, W, 3) float32.

    Raises:
        ValueError: a negative sigma or a range in the wrong order.

    Example:
        >>> degrade = gaussian_noise(30)
        >>> noisy = degrade(clean, np.random.default_rng(0))
    """
    low, high = (sigma, sigma) if isinstance(sigma, int | float) else sigma
    if not 0 <= low <= high:
        raise ValueError(
            f"gaussian_noise: sigma is a number from 0 or a range (lowest, highest), not {sigma!r}"
        )

    def degrade(clean: Tensor, rng: RandomNumbers) -> Tensor:
        clean = ops.cast(clean, "float32")
        levels = _uniform(rng, (ops.shape(clean)[0], 1, 1, 1), low, high)
        noisy = clean + levels * ops.cast(rng.standard_normal(ops.shape(clean)), "float32")
        return ops.clip(noisy, 0.0, 255.0) if clamp else noisy

    return degrade


def _uniform(rng: RandomNumbers, shape: tuple, low: float, high: float) -> Tensor:
    return low + (high - low) * ops.cast(rng.random(shape), "float32")


# --- rain -------------------------------------------------------------------------------------------------


def rain_streaks(
    *,
    brightness: Range = (7.0, 28.0),
    crowding: Range = (0.1, 3.0),
    cut: Range = (0.2, 1.2),
    angle: Range = (-35.0, 35.0),
    length: Range = (28.0, 88.0),
    width: Range = (1.5, 4.0),
) -> Degradation:
    """Returns synthetic rain in the manner of the Rain100L benchmark (about 27 dB PSNR-Y, 22 to 33).

    rain = clip(clean + streaks, 0, 255); the streaks are bright and grey (R = G = B). They are motion-blurred
    noise, cut at a level: random seeds are spread by an oriented line kernel and standardised to mean 0 and
    variance 1 (z), then streak = brightness * max(z - cut, 0). Few seeds give single drops, many a curtain of
    streaks that grow thin at their ends. Each image has two such kinds of streak in about one direction, each
    with values of its own.

    Args:
        brightness: in grey levels, of one standard deviation of the blurred noise.
        crowding: how many streaks overlap at a pixel, on average, before the cut.
        cut: in standard deviations; a larger one leaves fewer and shorter streaks.
        angle: degrees from the vertical, positive if a streak's lower end is further right.
        length: of a line kernel in pixels.
        width: of a line kernel in pixels, where it is half as bright as in its middle.

    Each is a range (lowest, highest). Angle and cut are drawn uniformly, the others uniformly in their
    logarithm.

    Returns:
        Function of (B, H, W, 3) and `rng`, giving (B, H, W, 3) float32, 0..255.

    Raises:
        ValueError: a range in the wrong order, or not above 0 where it has to be.

    Example:
        >>> degrade = rain_streaks(brightness=(40, 80))  # heavy rain
        >>> rainy = degrade(clean, np.random.default_rng(0))
    """
    logarithmic = {"brightness": brightness, "crowding": crowding, "length": length, "width": width}
    for name, (low, high) in logarithmic.items():
        if not 0 < low <= high:
            raise ValueError(
                f"rain_streaks: {name} is a range (lowest, highest) above 0, not {(low, high)!r}"
            )
    kinds, spread = 2, 3.0  # degrees by which the kinds' directions differ at most
    steepest = math.radians(min(90, max(abs(limit) for limit in angle) + spread / 2))
    margins = [math.ceil(length[1] / 2 * part + width[1]) for part in (1, math.sin(steepest))]
    size = (2 * margins[0] + 1, 2 * margins[1] + 1)

    def degrade(clean: Tensor, rng: RandomNumbers) -> Tensor:
        clean = ops.cast(clean, "float32")
        batch, height, row_width = ops.shape(clean)[:3]
        one, each = (batch, 1, 1, 1), (batch, kinds, 1, 1)
        direction = _uniform(rng, one, *angle) + _uniform(rng, each, -spread / 2, spread / 2)
        kernels = _line_kernels(
            size,
            angle=direction * (math.pi / 180),
            length=_log_uniform(rng, each, *length),
            width=_log_uniform(rng, each, *width),
        )
        energy = ops.sum(ops.square(kernels), axis=(2, 3), keepdims=True)
        # The kernels sum to 1, so 1/energy is the area that a streak covers.
        density = ops.minimum(_log_uniform(rng, each, *crowding) * energy, 1.0)
        # Seeds outside the picture too: streaks come in across its border.
        seeds = _seeds(rng, (batch, kinds, height + size[0] - 1, row_width + size[1] - 1), density)
        noise = _convolve(seeds, kernels) / ops.sqrt(energy)
        streaks = _log_uniform(rng, each, *brightness) * ops.relu(noise - _uniform(rng, each, *cut))
        return ops.clip(clean + ops.sum(streaks, axis=1)[..., None], 0.0, 255.0)

    return degrade


def _log_uniform(rng: RandomNumbers, shape: tuple, low: float, high: float) -> Tensor:
    return ops.exp(_uniform(rng, shape, math.log(low), math.log(high)))


def _seeds(rng: RandomNumbers, shape: tuple, density: Tensor) -> Tensor:
    """Draws noise of mean 0 and variance 1: a share `density` of all pixels is lit, each to its own degree."""
    heights = ops.cast(rng.random(shape), "float32")
    points = ops.where(ops.cast(rng.random(shape), "float32") < density, heights, 0.0)
    return (points - density / 2) / ops.sqrt(density / 3 - ops.square(density / 2))


def _line_kernels(size: tuple[int, int], *, angle: Tensor, length: Tensor, width: Tensor) -> Tensor:
    """Returns soft-edged lines (B, K, *size) of sum 1 through the centre, from (B, K, 1, 1) values."""
    y, x = (
        ops.convert_to_tensor(axis - axis.mean()) for axis in np.mgrid[: size[0], : size[1]].astype("float32")
    )
    along = ops.abs(y * ops.cos(angle) + x * ops.sin(angle))
    across = x * ops.cos(angle) - y * ops.sin(angle)
    lengthwise = ops.relu(1 - (along / (length / 2)) ** 4)
    crosswise = ops.exp(-4 * math.log(2) * ops.square(across / width))
    line = lengthwise * crosswise
    return line / ops.sum(line, axis=(2, 3), keepdims=True)


def _convolve(images: Tensor, kernels: Tensor) -> Tensor:
    """Convolves each of (B, K, H, W) images with its own kernel of (B, K, h, w), without padding.

    By Fourier transforms: such long kernels cost less so, and a whole photograph far less.
    """
    height, width = ops.shape(images)[2:]
    rows, columns = kernels.shape[2:]
    kernels = ops.pad(kernels, ((0, 0), (0, 0), (0, height - rows), (0, width - columns)))
    a, b = ops.fft2((images, ops.zeros_like(images)))
    c, d = ops.fft2((kernels, ops.zeros_like(kernels)))
    result, _ = ops.ifft2((a * c - b * d, a * d + b * c))
    # The first h - 1 rows and w - 1 columns wrap round the canvas.
    return result[:, :, rows - 1 :, columns - 1 :]


# --- JPEG -------------------------------------------------------------------------------------------------

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
