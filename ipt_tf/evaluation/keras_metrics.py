"""PSNR and SSIM as Keras metrics: what `ipt_tf.evaluation.metrics` measures, inside `compile` and `fit`."""

from typing import Any

import keras
from keras import ops

from ipt_tf.evaluation.metrics import C1, C2, WINDOW, Y_FROM_RGB, check_channel

Tensor = Any


class _OnImages(keras.metrics.MeanMetricWrapper):
    """The mean over images of a score that is taken on Y or on RGB, inside a border, in float64."""

    def __init__(self, score, channel: str, border: int, name: str, dtype: str):
        check_channel(channel)
        super().__init__(score, name=name, dtype=dtype, channel=channel, border=border)
        self.channel, self.border = channel, border

    def get_config(self):
        return {"name": self.name, "dtype": self.dtype, "channel": self.channel, "border": self.border}


@keras.saving.register_keras_serializable("ipt_tf")
class PSNR(_OnImages):
    """Peak signal-to-noise ratio in dB, the mean over images; inf once an image is identical to its target.

    Inputs are (B, H, W, 3), RGB, 0..255. Predictions are clipped and rounded to 8 bits first. In float64 where
    the backend has it, which JAX does only with its option `jax_enable_x64`.

    Args:
        channel: `"y"` (BT.601, studio range) or `"rgb"`.
        border: pixels left out along each edge; the scale for super-resolution, 0 else.
        name: name of the metric.
        dtype: in which the mean is kept.

    Raises:
        ValueError: an unknown channel.

    Example:
        >>> derain.compile("adam", loss="mae", metrics=[PSNR(), PSNR("rgb", name="psnr_rgb"), SSIM()])
    """

    def __init__(
        self, channel: str = "y", border: int = 0, name: str = "psnr", dtype: str = "float64"
    ) -> None:
        super().__init__(_psnr, channel, border, name, dtype)


@keras.saving.register_keras_serializable("ipt_tf")
class SSIM(_OnImages):
    """Structural similarity, the mean over images: Gaussian window 11, sigma 1.5, valid part.

    Inputs are (B, H, W, 3), RGB, 0..255, with at least 11 pixels along each axis inside the border. Predictions
    are clipped and rounded to 8 bits first. In float64 where the backend has it; see `PSNR`.

    Args:
        channel: `"y"` (BT.601, studio range), or `"rgb"` for the mean over the three channels.
        border: pixels left out along each edge; the scale for super-resolution, 0 else.
        name: name of the metric.
        dtype: in which the mean is kept.

    Raises:
        ValueError: an unknown channel.

    Example:
        >>> metric = SSIM(border=2)
        >>> metric.update_state(clean, restored)
        >>> float(metric.result())
    """

    def __init__(
        self, channel: str = "y", border: int = 0, name: str = "ssim", dtype: str = "float64"
    ) -> None:
        super().__init__(_ssim, channel, border, name, dtype)


def _psnr(clean: Tensor, restored: Tensor, channel: str, border: int) -> Tensor:
    x, y = _planes(clean, restored, channel, border)
    mse = ops.mean(ops.square(x - y), axis=(1, 2, 3))
    return 10 * ops.log10(255**2 / mse)


def _ssim(clean: Tensor, restored: Tensor, channel: str, border: int) -> Tensor:
    x, y = _planes(clean, restored, channel, border)
    mean_x, mean_y = _blur(x), _blur(y)
    var_x, var_y = _blur(x * x) - mean_x**2, _blur(y * y) - mean_y**2
    covariance = _blur(x * y) - mean_x * mean_y
    similarity = (2 * mean_x * mean_y + C1) * (2 * covariance + C2)
    similarity /= (mean_x**2 + mean_y**2 + C1) * (var_x + var_y + C2)
    return ops.mean(similarity, axis=(1, 2, 3))


def _planes(clean: Tensor, restored: Tensor, channel: str, border: int) -> list[Tensor]:
    restored = ops.round(ops.clip(restored, 0, 255))
    pair = []
    for image in (clean, restored):
        height, width = ops.shape(image)[1:3]
        image = ops.cast(image[:, border : height - border, border : width - border], "float64")
        pair.append(ops.sum(image * Y_FROM_RGB, axis=-1, keepdims=True) + 16 if channel == "y" else image)
    return pair


def _blur(planes: Tensor) -> Tensor:
    height, width = (length - len(WINDOW) + 1 for length in ops.shape(planes)[1:3])
    rows = sum(w * planes[:, i : i + height] for i, w in enumerate(WINDOW))
    return sum(w * rows[:, :, i : i + width] for i, w in enumerate(WINDOW))
