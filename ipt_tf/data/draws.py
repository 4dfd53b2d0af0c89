"""The random numbers that training draws: each a function of (seed, position, draw), the same on every backend.

They are made where they are used, on the device, by Threefry-2x32 with 20 rounds (Salmon et al., "Parallel Random
Numbers: As Easy as 1, 2, 3", 2011): a key and a counter of two words each give two random words.

Words are int32, because that is what every backend adds and shifts; their sums wrap round.
"""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from keras import ops

Tensor = Any

_ROTATIONS = ((13, 15, 26, 6), (17, 29, 16, 24))
_PARITY = 0x1BD11BDA


def words(numbers: Sequence[int] | np.ndarray) -> np.ndarray:
    """Returns whole numbers of 64 bits as two words each, the low one first: (B, 2), int32."""
    return np.asarray(numbers, "<i8").reshape(-1, 1).view("<i4")


def threefry(key: tuple, counter: tuple, xp: Any = ops) -> tuple:
    """Returns two random words of a key (two words) and a counter (two words), all int32 and of shapes that broadcast.

    Args:
        key: two words.
        counter: two words.
        xp: `keras.ops`, or `numpy`.
    """
    keys = (*key, xp.bitwise_xor(xp.bitwise_xor(*key), _PARITY))
    x, y = xp.add(counter[0], keys[0]), xp.add(counter[1], keys[1])
    for group in range(5):
        for bits in _ROTATIONS[group % 2]:
            x = x + y
            y = xp.bitwise_xor(x, _rotated(y, bits, xp))
        x = xp.add(x, keys[(group + 1) % 3])
        y = xp.add(y, keys[(group + 2) % 3]) + (group + 1)
    return x, y


def _rotated(word: Tensor, bits: int, xp: Any) -> Tensor:
    left, right = xp.left_shift(word, bits), xp.right_shift(word, 32 - bits)
    return xp.bitwise_or(left, xp.bitwise_and(right, 2**bits - 1))  # without the copies of the sign


class Draws:
    """Random numbers for a batch, of which each example's are a function of the seed and its position alone.

    So an example is degraded alike in whatever batch, on whatever device and by whatever backend. What the backends
    differ in are the last digits of normal numbers.

    Args:
        seed: Seed of the run.
        positions: Words of the examples' positions, (B, 2), int32; see `words`.
        xp: `keras.ops`, or `numpy` where the numbers are wanted by the processor.
    """

    def __init__(self, seed: int, positions: Tensor, xp: Any = ops):
        low, high = words([seed]).T
        self._key = threefry((low, high), (positions[:, 0], positions[:, 1]), xp)
        self._xp = xp
        self._count = 0

    def random(self, size: tuple) -> Tensor:
        """Draws uniformly from [0, 1), float32; `size[0]` examples."""
        xp, count = self._xp, math.prod(size[1:])
        drawn = xp.concatenate(self._uniform(count), axis=1)
        return xp.reshape(drawn[:, :count], (-1, *size[1:]))

    def standard_normal(self, size: tuple) -> Tensor:
        """Draws from the normal distribution with mean 0 and variance 1, float32; `size[0]` examples."""
        xp, count = self._xp, math.prod(size[1:])
        u, v = self._uniform(count)
        radius, angle = xp.sqrt(-2 * xp.log(1 - u)), 2 * math.pi * v  # Box and Muller 1958
        drawn = xp.concatenate([radius * xp.cos(angle), radius * xp.sin(angle)], axis=1)
        return xp.reshape(drawn[:, :count], (-1, *size[1:]))

    def _uniform(self, count: int) -> tuple[Tensor, Tensor]:
        """Returns two arrays (B, count / 2, rounded up) of numbers from [0, 1), multiples of 2**-24."""
        self._count += 1
        key = tuple(word[:, None] for word in self._key)
        counter = np.array([[self._count]], np.int32), np.arange(-(-count // 2), dtype="int32")[None]
        xp, drawn = self._xp, threefry(key, counter, self._xp)
        first, second = (xp.bitwise_and(xp.right_shift(word, 8), 2**24 - 1) for word in drawn)
        return _as_float(first, xp) * 2.0**-24, _as_float(second, xp) * 2.0**-24


def _as_float(numbers: Tensor, xp: Any) -> Tensor:
    return numbers.astype("float32") if xp is np else ops.cast(numbers, "float32")
