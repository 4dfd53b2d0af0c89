"""What degradations are made of: their type, and the random numbers that they draw."""

import math
from collections.abc import Callable
from typing import Any, Protocol

from keras import ops

Tensor = Any
Range = tuple[float, float]


class RandomNumbers(Protocol):
    """The two methods of `numpy.random.Generator` that degradations draw from."""

    def standard_normal(self, size: tuple) -> Tensor:
        """Draws from the normal distribution with mean 0 and variance 1."""

    def random(self, size: tuple) -> Tensor:
        """Draws uniformly from [0, 1)."""


Degradation = Callable[[Tensor, RandomNumbers], Tensor]


def uniform(rng: RandomNumbers, shape: tuple, low: float, high: float) -> Tensor:
    """Draws uniformly from [low, high), float32."""
    return low + (high - low) * ops.cast(rng.random(shape), "float32")


def log_uniform(rng: RandomNumbers, shape: tuple, low: float, high: float) -> Tensor:
    """Draws from [low, high), uniformly in the logarithm, float32."""
    return ops.exp(uniform(rng, shape, math.log(low), math.log(high)))
