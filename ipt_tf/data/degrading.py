"""Clean crops -> (degraded, clean), inside a tf.data pipeline."""

from collections.abc import Sequence

import tensorflow as tf

from ipt_tf.data.draws import draw
from ipt_tf.tasks import Task


class DrawsInGraph:
    """The random numbers of `ipt_tf.data.draws.Draws` for one example, whose position only the graph knows.

    Args:
        seed: of the run.
        position: of the example, a scalar.
    """

    def __init__(self, seed: int, position: tf.Tensor):
        self._seed, self._position = seed, position
        self._count = 0

    def standard_normal(self, size: tuple) -> tf.Tensor:
        """Draws from the normal distribution with mean 0 and variance 1, float32."""
        return self._draw("standard_normal", size)

    def random(self, size: tuple) -> tf.Tensor:
        """Draws uniformly from [0, 1), float32."""
        return self._draw("random", size)

    def _draw(self, kind: str, size: tuple) -> tf.Tensor:
        self._count += 1
        seed, count = self._seed, self._count  # of this draw: the function is called later
        numbers = tf.numpy_function(
            lambda position: draw(kind, size, seed, int(position), count), [self._position], tf.float32
        )
        return tf.ensure_shape(numbers, size)


def degrade(
    clean: tf.Tensor, task: tf.Tensor, tasks: Sequence[Task], patch_size: int, seed: int, position: tf.Tensor
) -> tuple:
    """Returns (input, target) of one clean crop for the task of an index.

    Args:
        clean: (sP, sP, 3), float32, 0..255, for the scale s of the task.
        task: index in `tasks`, a scalar.
        tasks: each with a degradation.
        patch_size: side P of an input, pixels.
        seed: of the run.
        position: of the example, a scalar.
    """
    return tf.switch_case(task, [_branch(each, clean, patch_size, seed, position) for each in tasks])


def _branch(task: Task, clean: tf.Tensor, patch_size: int, seed: int, position: tf.Tensor):
    def branch():
        side = patch_size * task.scale
        target = tf.ensure_shape(clean, (side, side, 3))
        inputs = task.make_input(target[None], DrawsInGraph(seed, position))[0]
        return tf.ensure_shape(inputs, (patch_size, patch_size, 3)), tf.identity(clean)

    return branch


def check_degradable(tasks: Sequence[Task]) -> None:
    """Raises ValueError for a task without degradation, which can only be trained on pairs."""
    for task in tasks:
        if task.degrade is None:
            raise ValueError(f"task {task.name} has no degradation: it needs pairs")
