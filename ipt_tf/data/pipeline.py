"""Examples -> the batches of training steps, each a function of (seed, step) alone.

So a run that resumes at step N needs no saved state of the pipeline: it asks for the batches from N on.
"""

import itertools
from collections.abc import Iterator, Sequence

import numpy as np
import tensorflow as tf

from ipt_tf.data.source import Source
from ipt_tf.tasks import Task


def task_of_step(tasks: Sequence[Task], step: int, seed: int) -> int:
    """Returns the index of the task that a step trains: uniform over the tasks, a function of (seed, step)."""
    return int(np.random.default_rng((seed, step)).integers(len(tasks)))


def batches(
    source: Source,
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
        source: where examples come from: photographs, or pairs.
        tasks: the model's tasks.
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
        ValueError: a batch that cannot be dealt out equally, or tasks that the source cannot train.
    """
    pieces = accumulate * replicas
    if batch_size % pieces:
        raise ValueError(
            f"a batch of {batch_size} patches cannot be dealt into {accumulate} micro-batches for {replicas} replicas"
        )

    def requests() -> Iterator[tuple[int, int]]:
        for step in itertools.count(first_step):
            task = task_of_step(tasks, step, seed)
            for position in _positions(step, batch_size, accumulate, share):
                yield task, position

    signature = (tf.TensorSpec((), tf.int32), tf.TensorSpec((), tf.int64))
    dataset = tf.data.Dataset.from_generator(requests, output_signature=signature)
    # Said here, the strategies need not ask each other before every step whether there is one.
    dataset = dataset.apply(tf.data.experimental.assert_cardinality(tf.data.INFINITE_CARDINALITY))
    examples = source.examples(dataset, tasks, patch_size, seed)
    return examples.batch(batch_size // pieces, drop_remainder=True).prefetch(4)


def _positions(step: int, batch_size: int, accumulate: int, share: tuple[int, int]) -> Iterator[int]:
    """Yields the positions, counted since the start of training, that one worker makes of a step."""
    index, count = share
    size = batch_size // accumulate  # of a micro-batch
    for start in range(step * batch_size, (step + 1) * batch_size, size):
        yield from range(start + index * size // count, start + (index + 1) * size // count)
