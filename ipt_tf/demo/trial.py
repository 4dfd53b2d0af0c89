"""What the demonstrations do beside restoring: degrade a photograph first, measure, enlarge the input to compare."""

from dataclasses import replace
from typing import NamedTuple

import numpy as np
from keras import ops

from ipt_tf.evaluation import metrics
from ipt_tf.images import Photograph
from ipt_tf.restoration import files
from ipt_tf.tasks import Task


class Scores(NamedTuple):
    """PSNR of a picture against the clean one, in dB, by the protocol of `ipt evaluate`; inf for the same pixels."""

    y: float
    rgb: float

    def __str__(self) -> str:
        return f"PSNR-Y {self.y:.2f} dB, RGB {self.rgb:.2f} dB"


def scores(image: np.ndarray, clean: np.ndarray, task: Task) -> Scores:
    """Returns how near a picture (H, W, 3), 0..255, is to the clean one, inside the task's border."""
    y, rgb = (metrics.psnr(image, clean, channel=channel, border=task.border) for channel in ("y", "rgb"))
    return Scores(y, rgb)


def degrade(photograph: np.ndarray, task: Task) -> tuple[np.ndarray, np.ndarray]:
    """Returns a clean photograph and the input that a task makes of it, the same each time.

    Args:
        photograph: (H, W, 3), uint8.
        task: one with a degradation.

    Returns:
        The photograph, cropped to a multiple of the task's scale, and its input, (H / scale, W / scale, 3), uint8.

    Raises:
        ValueError: the task has no degradation, or the photograph is too small to be degraded and measured.

    Example:
        >>> clean, noisy = degrade(images.read("photo.jpg").pixels, tasks.find("denoise_50"))
    """
    height, width = (length // task.scale * task.scale for length in photograph.shape[:2])
    if min(height, width) <= 2 * task.border:
        raise ValueError(
            f"{photograph.shape[1]} x {photograph.shape[0]} pixels are too few to be degraded for {task.name}"
        )
    clean = photograph[:height, :width]
    made = task.make_input(clean[None].astype(np.float32), np.random.default_rng(0))
    return clean, metrics.quantize(ops.convert_to_numpy(made)[0]).astype(np.uint8)


def enlarge(photograph: Photograph, scale: int) -> Photograph:
    """Returns a photograph bicubically enlarged: what a restored one is compared with."""
    planes = [files.enlarge(plane, scale) for plane in np.moveaxis(photograph.pixels, -1, 0)]
    alpha = photograph.alpha
    return replace(
        photograph,
        pixels=np.stack(planes, axis=-1),
        alpha=None if alpha is None else files.enlarge(alpha, scale),
    )
