"""Examples -> the batches of training steps, each a function of (seed, step) alone.

So a run that resumes at step N needs no saved state of the pipeline: it asks for the batches from N on.
"""

from collections.abc import Iterator, Sequence

from ipt_tf.data.sampling import micro_batches
from ipt_tf.data.source import Source
from ipt_tf.tasks import Task


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
):
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
        tf.data.Dataset without end of (inputs (b, P, P, 3), targets (b, sP, sP, 3)), float32, 0..255, with
        b = batch_size / (accumulate * replicas). Its task at each step is
        `sampling.task_of_step`.

    Raises:
        ValueError: a batch that cannot be dealt out equally, or tasks that the source cannot train.
    """
    import tensorflow as tf

    pieces = accumulate * replicas
    if batch_size % pieces:
        raise ValueError(
            f"a batch of {batch_size} patches cannot be dealt into {accumulate} micro-batches for {replicas} replicas"
        )

    def requests() -> Iterator[tuple[int, int]]:
        for task, positions in micro_batches(tasks, batch_size, seed, first_step, accumulate, share):
            for position in positions:
                yield task, position

    signature = (tf.TensorSpec((), tf.int32), tf.TensorSpec((), tf.int64))
    dataset = tf.data.Dataset.from_generator(requests, output_signature=signature)
    # Said here, the strategies need not ask each other before every step whether there is one.
    dataset = dataset.apply(tf.data.experimental.assert_cardinality(tf.data.INFINITE_CARDINALITY))
    examples = source.examples(dataset, tasks, patch_size, seed)
    return examples.batch(batch_size // pieces, drop_remainder=True).prefetch(4)
