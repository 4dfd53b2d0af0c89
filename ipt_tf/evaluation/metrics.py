"""PSNR and SSIM on Y and on RGB, in float64, after rounding to 8 bits and shaving a border."""

import numpy as np

Y_FROM_RGB = np.array([65.738, 129.057, 25.064]) / 256
"""BT.601 luma, studio range, from RGB in 0..255, without its offset of 16 (the official code's `calc_psnr`)."""


def quantize(image: np.ndarray) -> np.ndarray:
    """Clips to 0..255 and rounds half to even, as the official evaluation does before it measures."""
    return np.rint(np.clip(np.asarray(image, np.float64), 0, 255))


def luma(image: np.ndarray) -> np.ndarray:
    """Returns Y (..., H, W), 16..235, of RGB (..., H, W, 3) in 0..255."""
    return np.asarray(image, np.float64) @ Y_FROM_RGB + 16


def psnr(restored: np.ndarray, clean: np.ndarray, *, channel: str = "y", border: int = 0) -> float:
    """Returns the peak signal-to-noise ratio of one image in dB; inf for identical images.

    Args:
        restored: (H, W, 3), RGB, 0..255; clipped and rounded first.
        clean: (H, W, 3), RGB, 0..255.
        channel: `"y"` or `"rgb"`.
        border: pixels left out along each edge; the scale for super-resolution, 0 else.

    Raises:
        ValueError: shapes that differ, an unknown channel, or nothing left inside the border.

    Example:
        >>> psnr(np.full((48, 48, 3), 10), np.full((48, 48, 3), 12), channel="rgb")
        42.110...
    """
    error = _difference(restored, clean, channel, border)
    mse = float(np.mean(error**2))
    return float("inf") if mse == 0 else float(10 * np.log10(255**2 / mse))


def _difference(restored: np.ndarray, clean: np.ndarray, channel: str, border: int) -> np.ndarray:
    restored, clean = (_inside(image, border) for image in _checked(restored, clean))
    error = quantize(restored) - clean
    if channel == "y":
        return error @ Y_FROM_RGB
    if channel == "rgb":
        return error
    raise ValueError(f"channel is 'y' or 'rgb', not {channel!r}")


def _checked(restored: np.ndarray, clean: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    restored, clean = np.asarray(restored), np.asarray(clean)
    if restored.shape != clean.shape:
        raise ValueError(f"cannot compare {restored.shape} with {clean.shape}: the shapes differ")
    return restored, clean.astype(np.float64)


def _inside(image: np.ndarray, border: int) -> np.ndarray:
    height, width = image.shape[:2]
    if min(height, width) <= 2 * border:
        raise ValueError(f"nothing is left of {height} x {width} pixels inside a border of {border}")
    return image[border : height - border, border : width - border]


def ssim(restored: np.ndarray, clean: np.ndarray, *, border: int = 0) -> float:
    """Returns the structural similarity on Y (Wang et al. 2004): Gaussian window 11, sigma 1.5, valid part.

    Args:
        restored: (H, W, 3), RGB, 0..255; clipped and rounded first.
        clean: (H, W, 3), RGB, 0..255.
        border: pixels left out along each edge.

    Raises:
        ValueError: shapes that differ, or fewer than 11 pixels left along an axis.
    """
    restored, clean = (_inside(image, border) for image in _checked(restored, clean))
    if min(clean.shape[:2]) < 11:
        raise ValueError(f"SSIM needs 11 pixels along each axis, not {clean.shape[0]} x {clean.shape[1]}")
    x, y = luma(quantize(restored)), luma(clean)
    mean_x, mean_y = _blur(x), _blur(y)
    var_x, var_y = _blur(x * x) - mean_x**2, _blur(y * y) - mean_y**2
    covariance = _blur(x * y) - mean_x * mean_y
    c1, c2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
    similarity = (2 * mean_x * mean_y + c1) * (2 * covariance + c2)
    similarity /= (mean_x**2 + mean_y**2 + c1) * (var_x + var_y + c2)
    return float(similarity.mean())


def _blur(image: np.ndarray) -> np.ndarray:
    window = np.exp(-((np.arange(11) - 5) ** 2) / (2 * 1.5**2))
    window /= window.sum()
    for axis in (0, 1):
        length = image.shape[axis] - 10
        image = sum(w * np.take(image, range(i, i + length), axis) for i, w in enumerate(window))
    return image
