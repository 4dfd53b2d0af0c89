"""PSNR and SSIM on Y and on RGB, in float64, after rounding to 8 bits and shaving a border.

`ipt_tf.evaluation.keras_metrics` has the same as Keras metrics.
"""

import numpy as np

Y_FROM_RGB = np.array([65.738, 129.057, 25.064]) / 256
"""BT.601 luma, studio range, from RGB in 0..255, without its offset of 16 (the official code's `calc_psnr`)."""

WINDOW = np.exp(-((np.arange(11) - 5) ** 2) / (2 * 1.5**2))
"""The Gaussian window of SSIM along one axis: 11 pixels, sigma 1.5, sum 1."""
WINDOW /= WINDOW.sum()

C1, C2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
"""The constants that keep SSIM from dividing by zero."""


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
    x, y = _planes(restored, clean, channel, border)
    mse = float(np.mean((x - y) ** 2))
    return float("inf") if mse == 0 else float(10 * np.log10(255**2 / mse))


def ssim(restored: np.ndarray, clean: np.ndarray, *, channel: str = "y", border: int = 0) -> float:
    """Returns the structural similarity (Wang et al. 2004): Gaussian window 11, sigma 1.5, valid part, as MATLAB's.

    Args:
        restored: (H, W, 3), RGB, 0..255; clipped and rounded first.
        clean: (H, W, 3), RGB, 0..255.
        channel: `"y"`, or `"rgb"` for the mean over the three channels.
        border: pixels left out along each edge.

    Raises:
        ValueError: shapes that differ, an unknown channel, or fewer than 11 pixels left along an axis.

    Example:
        >>> ssim(clean, clean)
        1.0
    """
    x, y = _planes(restored, clean, channel, border)
    if min(x.shape[1:]) < len(WINDOW):
        raise ValueError(f"SSIM needs {len(WINDOW)} pixels along each axis, not {x.shape[1]} x {x.shape[2]}")
    mean_x, mean_y = _blur(x), _blur(y)
    var_x, var_y = _blur(x * x) - mean_x**2, _blur(y * y) - mean_y**2
    covariance = _blur(x * y) - mean_x * mean_y
    similarity = (2 * mean_x * mean_y + C1) * (2 * covariance + C2)
    similarity /= (mean_x**2 + mean_y**2 + C1) * (var_x + var_y + C2)
    return float(similarity.mean())


def _planes(
    restored: np.ndarray, clean: np.ndarray, channel: str, border: int
) -> tuple[np.ndarray, np.ndarray]:
    """Returns what is compared: (1, H, W) of Y or (3, H, W) of RGB, inside the border, float64."""
    restored, clean = np.asarray(restored), np.asarray(clean)
    if restored.shape != clean.shape:
        raise ValueError(f"cannot compare {restored.shape} with {clean.shape}: the shapes differ")
    check_channel(channel)
    height, width = clean.shape[:2]
    if min(height, width) <= 2 * border:
        raise ValueError(f"nothing is left of {height} x {width} pixels inside a border of {border}")
    inside = np.s_[border : height - border, border : width - border]
    pair = quantize(restored[inside]), clean[inside].astype(np.float64)
    x, y = (luma(image)[None] if channel == "y" else np.moveaxis(image, -1, 0) for image in pair)
    return x, y


def check_channel(channel: str) -> None:
    """Raises ValueError where `channel` is neither "y" nor "rgb"."""
    if channel not in ("y", "rgb"):
        raise ValueError(f"channel is 'y' or 'rgb', not {channel!r}")


def _blur(planes: np.ndarray) -> np.ndarray:
    height, width = (length - len(WINDOW) + 1 for length in planes.shape[1:])
    rows = sum(w * planes[:, i : i + height] for i, w in enumerate(WINDOW))
    return sum(w * rows[:, :, i : i + width] for i, w in enumerate(WINDOW))
