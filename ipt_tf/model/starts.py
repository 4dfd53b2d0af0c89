"""Initial weights: the identity start and the random start.

`"identity"`: the last projection of every residual branch is zero, heads pass RGB through and tails read it
back, so that an untrained network returns its input, bilinearly enlarged for super-resolution.
`"random"`: the uniform start of the official PyTorch code, drawn anew for every layer.
"""

import math

import keras
import numpy as np
from keras import ops

STARTS = ("identity", "random")


def projection(fan_in: int, start: str, ends_branch: bool = False) -> dict:
    """Returns the initializers of a projection as keyword arguments of a Keras layer.

    Args:
        fan_in: number of inputs of one output value.
        start: `"identity"` or `"random"`.
        ends_branch: True for the projection whose result is added to a residual stream.
    """
    if start == "random":
        bound = 1 / math.sqrt(fan_in)
        return {
            "kernel_initializer": keras.initializers.RandomUniform(-bound, bound),
            "bias_initializer": keras.initializers.RandomUniform(-bound, bound),
        }
    kernel = keras.initializers.Zeros() if ends_branch else keras.initializers.GlorotUniform()
    return {"kernel_initializer": kernel, "bias_initializer": keras.initializers.Zeros()}


class RgbThrough(keras.initializers.Initializer):
    """3x3 kernels whose first three outputs copy the first three inputs; the others are random."""

    def __call__(self, shape, dtype=None):
        kernel = np.array(ops.convert_to_numpy(keras.initializers.GlorotUniform()(shape)))
        kernel[..., :3] = 0
        kernel[1, 1, range(3), range(3)] = 1
        return ops.convert_to_tensor(kernel, dtype)


class RgbBack(keras.initializers.Initializer):
    """3x3 kernels whose three outputs are `gain` times the first three inputs."""

    def __init__(self, gain: float):
        self.gain = gain

    def __call__(self, shape, dtype=None):
        kernel = np.zeros(shape, "float32")
        kernel[1, 1, range(3), range(3)] = self.gain
        return ops.convert_to_tensor(kernel, dtype)

    def get_config(self):
        return {"gain": self.gain}


class Bilinear(keras.initializers.Initializer):
    """3x3 kernels of a sub-pixel convolution that enlarges every feature bilinearly.

    Output c r^2 + i r + j of feature c lies at the offset ((i, j) - (r - 1) / 2) / r from its input pixel.
    """

    def __init__(self, factor: int):
        self.factor = factor

    def __call__(self, shape, dtype=None):
        r, channels = self.factor, shape[2]
        offsets = (np.arange(r) - (r - 1) / 2) / r
        triangle = np.maximum(0, 1 - np.abs(np.arange(-1, 2)[:, None] - offsets))  # (3, r)
        kernel = np.zeros((3, 3, channels, channels, r, r), "float32")
        for c in range(channels):
            kernel[:, :, c, c] = np.einsum("yi,xj->yxij", triangle, triangle)
        return ops.convert_to_tensor(kernel.reshape(shape), dtype)

    def get_config(self):
        return {"factor": self.factor}
