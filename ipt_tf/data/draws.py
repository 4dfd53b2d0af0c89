"""The random numbers that examples are degraded with, the same in every framework."""

from collections.abc import Iterator, Sequence

import numpy as np


def draw(kind: str, size: tuple, seed: int, position: int, count: int) -> np.ndarray:
    """Returns the numbers of one draw for one example, float32.

    Args:
        kind: "random" or "standard_normal", as methods of `numpy.random.Generator`.
        size: shape.
        seed: of the run.
        position: of the example, counted since the start of training.
        count: number of the draw among those for this example, from 1.
    """
    return getattr(np.random.default_rng((seed, position, count)), kind)(size, np.float32)


class Draws:
    """Random numbers for degrading a batch: those of each example are a function of (seed, position) alone.

    So an example is degraded alike in whatever batch it stands.

    Args:
        seed: of the run.
        positions: of the examples.
    """

    def __init__(self, seed: int, positions: Sequence[int]):
        self._seed, self._positions = seed, positions
        self._count = 0

    def standard_normal(self, size: tuple) -> np.ndarray:
        """Draws from the normal distribution with mean 0 and variance 1; `size[0]` examples."""
        return np.stack(list(self._each("standard_normal", size)))

    def random(self, size: tuple) -> np.ndarray:
        """Draws uniformly from [0, 1); `size[0]` examples."""
        return np.stack(list(self._each("random", size)))

    def _each(self, kind: str, size: tuple) -> Iterator[np.ndarray]:
        self._count += 1
        return (draw(kind, size[1:], self._seed, position, self._count) for position in self._positions)
