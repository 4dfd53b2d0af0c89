"""Clean crops -> (degraded, clean), inside a tf.data pipeline."""

from collections.abc import Sequence

import tensorflow as tf

from ipt_tf.tasks import Task


class StatelessRandom:
    """TensorFlow's stateless random numbers behind the two method names that degradations use.

    Args:
        seed: two integers; the same seed gives the same sequence of draws.
    """

    def __init__(self, seed):
        self._seed = tf.cast(seed, tf.int64)
        self._draws = 0

    def standard_normal(self, size):
        """Draws from the normal distribution with mean 0 and variance 1, float32."""
        return tf.random.stateless_normal(size, self._next())

    def random(self, size):
        """Draws uniformly from [0, 1), float32."""
        return tf.random.stateless_uniform(size, self._next())

    def _next(self):
        self._draws += 1
        return tf.random.fold_in(self._seed, self._draws)


def degrade(clean: tf.Tensor, task: tf.Tensor, tasks: Sequence[Task], patch_size: int, seed) -> tuple:
    """Returns (input, target) of one clean crop for the task of an index.

    Args:
        clean: (sP, sP, 3), float32, 0..255, for the scale s of the task.
        task: index in `tasks`, a scalar.
        tasks: each with a degradation.
        patch_size: side P of an input, pixels.
        seed: two integers, of the degradation.
    """
    return tf.switch_case(task, [_branch(each, clean, patch_size, seed) for each in tasks])


def _branch(task: Task, clean: tf.Tensor, patch_size: int, seed):
    def branch():
        side = patch_size * task.scale
        target = tf.ensure_shape(clean, (side, side, 3))
        inputs = task.make_input(target[None], StatelessRandom(tf.stack(seed)))[0]
        return tf.ensure_shape(inputs, (patch_size, patch_size, 3)), tf.identity(clean)

    return branch


def check_degradable(tasks: Sequence[Task]) -> None:
    """Raises ValueError for a task without degradation, which can only be trained on pairs."""
    for task in tasks:
        if task.degrade is None:
            raise ValueError(f"task {task.name} has no degradation: it needs pairs")
