"""Photographs -> crops -> flips and turns -> degradation -> batches, each a function of (seed, step) alone.

So a run that resumes at step N needs no saved state of the pipeline: it asks for the batches from N on.
"""

import itertools
from collections.abc import Iterator, Sequence

import numpy as np
import tensorflow as tf

from ipt_tf.data.photographs import Photographs
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


def task_of_step(tasks: Sequence[Task], step: int, seed: int) -> int:
    """Returns the index of the task that a step trains: uniform over the tasks, a function of (seed, step)."""
    return int(np.random.default_rng((seed, step)).integers(len(tasks)))


def degraded(
    photographs: Photographs,
    tasks: Sequence[Task],
    *,
    patch_size: int,
    batch_size: int,
    seed: int,
    first_step: int = 0,
    accumulate: int = 1,
    replicas: int = 1,
    share: tuple[int, int] = (0, 1),
) -> tf.data.Dataset:
    """Returns the batches of all training steps from one on, in order, one task per step.

    A step's patches are dealt into `accumulate` micro-batches, each of those to the workers, and a worker's to its
    replicas: whatever their numbers, a step trains the same patches.

    Args:
        photographs: where clean crops come from.
        tasks: the model's tasks; each needs a degradation.
        patch_size: side of an input, pixels; targets have patch_size * scale.
        batch_size: patches per step, on all replicas of all workers together.
        seed: of everything random.
        first_step: where to begin.
        accumulate: micro-batches per step.
        replicas: of all workers together.
        share: (index, count) of the workers: which part of every micro-batch is made here.

    Returns:
        Dataset without end of (inputs (b, P, P, 3), targets (b, sP, sP, 3)), float32, 0..255, with
        b = batch_size / (accumulate * replicas). Its task at each step is `task_of_step`.

    Raises:
        ValueError: a batch that cannot be dealt out equally, or a task without degradation, which can only be
            trained on pairs.
    """
    pieces = accumulate * replicas
    if batch_size % pieces:
        raise ValueError(
            f"a batch of {batch_size} patches cannot be dealt into {accumulate} micro-batches for {replicas} replicas"
        )
    for task in tasks:
        if task.degrade is None:
            raise ValueError(f"task {task.name} has no degradation: it needs pairs")

    def requests() -> Iterator[tuple[int, int]]:
        for step in itertools.count(first_step):
            task = task_of_step(tasks, step, seed)
            for position in _positions(step, batch_size, accumulate, share):
                yield task, position

    def crop(task, position):
        side = patch_size * tasks[int(task)].scale
        return photographs.crop(int(position), side, seed).astype(np.float32)

    def pair(task, position):
        clean = tf.numpy_function(crop, [task, position], tf.float32)
        branches = [_degrade(each, clean, patch_size, (seed, position)) for each in tasks]
        return tf.switch_case(task, branches)

    signature = (tf.TensorSpec((), tf.int32), tf.TensorSpec((), tf.int64))
    dataset = tf.data.Dataset.from_generator(requests, output_signature=signature)
    # Said here, the strategies need not ask each other before every step whether there is one.
    dataset = dataset.apply(tf.data.experimental.assert_cardinality(tf.data.INFINITE_CARDINALITY))
    dataset = dataset.map(pair, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True)
    return dataset.batch(batch_size // pieces, drop_remainder=True).prefetch(4)


def _positions(step: int, batch_size: int, accumulate: int, share: tuple[int, int]) -> Iterator[int]:
    """Yields the positions, counted since the start of training, that one worker makes of a step."""
    index, count = share
    size = batch_size // accumulate  # of a micro-batch
    for start in range(step * batch_size, (step + 1) * batch_size, size):
        yield from range(start + index * size // count, start + (index + 1) * size // count)


def _degrade(task: Task, clean: tf.Tensor, patch_size: int, seed):
    """Returns the branch of a switch that makes (input, target) for one task from one clean crop."""

    def branch():
        side = patch_size * task.scale
        target = tf.ensure_shape(clean, (side, side, 3))
        inputs = task.make_input(target[None], StatelessRandom(tf.stack(seed)))[0]
        return tf.ensure_shape(inputs, (patch_size, patch_size, 3)), tf.identity(clean)

    return branch
