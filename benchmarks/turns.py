"""Rounds in which each has its turn, with the machine's peak beside every one.

The clock of a machine that others use too moves by a third between minutes. What is measured one after the other does
not compare; what is measured in turns does, and a share of a peak that was measured in the same second holds.
"""

import functools
import time
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import tensorflow as tf

SIDE = 2048
LEAST_SECONDS = 0.3
"""Calls shorter than this are repeated, until clock and caches are those of steady work."""


@dataclass
class Turns:
    """One value per round, and the peak (GFLOP/s) around it."""

    values: list[float] = field(default_factory=list)
    peaks: list[float] = field(default_factory=list)


def in_turns(calls: dict[str, Callable[[], float]], rounds: int) -> dict[str, Turns]:
    """Runs each call once in every round.

    Args:
        calls: by name; each returns what it measured, usually seconds.
        rounds: how many; before them each is called once, which does not count.
    """
    for call in calls.values():
        call()
    turns: dict[str, Turns] = {name: Turns() for name in calls}
    before = peak()
    for _ in range(rounds):
        for name, call in calls.items():
            turns[name].values.append(call())
            after = peak()
            turns[name].peaks.append((before + after) / 2)
            before = after
    return turns


def peak() -> float:
    """Returns what a large product of float32 matrices reaches on all cores, in GFLOP/s."""
    a, b = _matrices(SIDE)
    start = time.perf_counter()
    tf.linalg.matmul(a, b).numpy()
    return 2 * SIDE**3 / (time.perf_counter() - start) / 1e9


@functools.cache
def _matrices(side: int) -> tuple[tf.Tensor, tf.Tensor]:
    rng = np.random.default_rng(0)
    a, b = (tf.constant(rng.standard_normal((side, side)), tf.float32) for _ in range(2))
    for _ in range(3):  # oneDNN chooses its kernel
        tf.linalg.matmul(a, b).numpy()
    return a, b


def seconds(call: Callable[[], object]) -> float:
    """Returns the mean seconds of a call, which is repeated until LEAST_SECONDS have gone by."""
    start, calls = time.perf_counter(), 0
    while (elapsed := time.perf_counter() - start) < LEAST_SECONDS:
        call()
        calls += 1
    return elapsed / calls
