"""What the demonstrations do beside restoring: measure, and enlarge the input to compare."""

from dataclasses import replace
from typing import NamedTuple

import numpy as np

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


def enlarge(photograph: Photograph, scale: int) -> Photograph:
    """Returns a photograph bicubically enlarged: what a restored one is compared with."""
    planes = [files.enlarge(plane, scale) for plane in np.moveaxis(photograph.pixels, -1, 0)]
    alpha = photograph.alpha
    return replace(
        photograph,
        pixels=np.stack(planes, axis=-1),
        alpha=None if alpha is None else files.enlarge(alpha, scale),
    )
