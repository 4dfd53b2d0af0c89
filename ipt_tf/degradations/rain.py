"""Rain, drawn as streaks."""

import math

import numpy as np
from keras import ops

from ipt_tf.degradations.random_numbers import (
    Degradation,
    RandomNumbers,
    Range,
    Tensor,
    log_uniform,
    uniform,
)


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
        direction = uniform(rng, one, *angle) + uniform(rng, each, -spread / 2, spread / 2)
        kernels = _line_kernels(
            size,
            angle=direction * (math.pi / 180),
            length=log_uniform(rng, each, *length),
            width=log_uniform(rng, each, *width),
        )
        energy = ops.sum(ops.square(kernels), axis=(2, 3), keepdims=True)
        # The kernels sum to 1, so 1/energy is the area that a streak covers.
        density = ops.minimum(log_uniform(rng, each, *crowding) * energy, 1.0)
        # Seeds outside the picture too: streaks come in across its border.
        seeds = _seeds(rng, (batch, kinds, height + size[0] - 1, row_width + size[1] - 1), density)
        noise = _convolve(seeds, kernels) / ops.sqrt(energy)
        streaks = log_uniform(rng, each, *brightness) * ops.relu(noise - uniform(rng, each, *cut))
        return ops.clip(clean + ops.sum(streaks, axis=1)[..., None], 0.0, 255.0)

    return degrade


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
