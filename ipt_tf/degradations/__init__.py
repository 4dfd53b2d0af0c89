"""Degradations: how the input of a task is made from a clean photograph.

A degradation is a pure function `degrade(clean, rng) -> degraded` of a batch (B, H, W, 3), RGB, 0..255. All
that is random comes from `rng`: anything with the methods `standard_normal(shape)` and `random(shape)` of
`numpy.random.Generator`. Written in keras.ops, so a function runs eagerly and inside a `tf.data` map alike.
"""

from ipt_tf.degradations.camera import camera_noise
from ipt_tf.degradations.jpeg import jpeg_artefacts
from ipt_tf.degradations.noise import gaussian_noise
from ipt_tf.degradations.rain import rain_streaks
from ipt_tf.degradations.random_numbers import Degradation, RandomNumbers, Range, Tensor
from ipt_tf.degradations.resampling import bicubic

__all__ = [
    "Degradation",
    "RandomNumbers",
    "Range",
    "Tensor",
    "bicubic",
    "camera_noise",
    "gaussian_noise",
    "jpeg_artefacts",
    "rain_streaks",
]
