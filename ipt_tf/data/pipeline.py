"""The batches of training steps as a tf.data.Dataset, each a function of (seed, step) alone.

So a run that resumes at step N needs no saved state of the pipeline: it asks for the batches from N on.
"""

import functools
from collections.abc import Callable, Sequence

import numpy as np
import tensorflow as tf

from ipt_tf.data import album
from ipt_tf.data.examples import examples
from ipt_tf.data.feed import Feed
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
) -> tf.data.Dataset:
    """Returns the batches of all training steps from one on, in order, one task per step.

    A step's patches are dealt into `accumulate` micro-batches, each of those to the workers, and a worker's to its
    replicas: whatever their numbers, a step trains the same patches.

    Args:
        source: Where examples come from: photographs, or pairs.
        tasks: The model's tasks.
        patch_size: Side P of an input, in pixels; targets have patch_size * scale.
        batch_size: Patches per step, on all replicas of all workers together.
        seed: Seed of everything random.
        first_step: Step to begin with.
        accumulate: Micro-batches per step.
        replicas: Number of replicas of all workers together.
        share: Index of this worker and number of workers: which part of every micro-batch is made here.

    Returns:
        tf.data.Dataset without end of (inputs (b, P, P, 3), targets (b, sP, sP, 3)), float32, 0..255, with
        b = batch_size / (accumulate * replicas). Its task at each step is `task_of_step`.

    Raises:
        ValueError: A batch cannot be dealt out equally, or the source cannot train these tasks.
    """
    feed = Feed(source, tasks, patch_size, seed)
    made = crops(
        feed,
        batch_size=batch_size,
        first_step=first_step,
        accumulate=accumulate,
        replicas=replicas,
        share=share,
    )

    def of_any_task(task, positions, *parts):
        branches = [functools.partial(of_task, each, patch_size, seed, positions, parts) for each in tasks]
        return tf.switch_case(task, branches)

    return made.map(of_any_task, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True).prefetch(4)


def of_task(
    task: Task, patch_size: int, seed: int, positions: tf.Tensor, parts: Sequence[tf.Tensor]
) -> tuple[tf.Tensor, tf.Tensor]:
    """Returns the (inputs, targets) of what `crops` has of one task."""
    sides = (patch_size * task.scale,) if len(parts) == 1 else (patch_size, patch_size * task.scale)
    sized = [tf.ensure_shape(part, (None, side, side, 3)) for part, side in zip(parts, sides, strict=True)]
    return examples(task, seed, positions, sized)


def crops(
    feed: Feed,
    *,
    batch_size: int,
    first_step: int = 0,
    accumulate: int = 1,
    replicas: int = 1,
    share: tuple[int, int] = (0, 1),
) -> tf.data.Dataset:
    """Returns what `batches` are made of: the crops of a feed, dealt as `batches` deals them.

    Returns:
        tf.data.Dataset without end of the index of a task, the words of the positions (b, 2), and the clean crops,
        after degraded ones if the source has them (`Feed.of_one`).

    Raises:
        ValueError: A batch cannot be dealt out equally.
    """
    pieces = accumulate * replicas
    if batch_size % pieces:
        raise ValueError(
            f"a batch of {batch_size} patches cannot be dealt into {accumulate} micro-batches for {replicas} replicas"
        )
    of_replica = batch_size // pieces

    def requests():
        for task, positions in micro_batches(
            feed.tasks, batch_size, feed.seed, first_step, accumulate, share
        ):
            for start in range(0, len(positions), of_replica):
                yield task, positions[start : start + of_replica]

    made = _from_threads if feed.album is None else _from_album
    # Said here, the strategies need not ask each other before every step whether there is one.
    endless = tf.data.experimental.assert_cardinality(tf.data.INFINITE_CARDINALITY)
    return made(feed, requests, of_replica).apply(endless).prefetch(4)


def _from_album(feed: Feed, requests: Callable, size: int) -> tf.data.Dataset:
    pixels, sides = _variable(feed.give_pixels()), tf.constant(feed.sides, tf.int32)

    def cut(task, positions, walks):
        places = album.places(walks, tf.range(sides[task]))
        return task, positions, tf.gather_nd(pixels, places[..., None])  # half as long as tf.gather

    signature = tuple(tf.TensorSpec((None, *shape), tf.int32) for shape in ((), (size, 2), (size, 3)))
    places = tf.data.Dataset.from_generator(lambda: feed.walks(requests()), output_signature=signature)
    return places.unbatch().map(cut, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True)


def _variable(array: np.ndarray) -> tf.Variable:
    """Returns a variable of an array's values: one copy, where TensorFlow makes three if it is not aligned."""
    if array.ctypes.data % album.ALIGNMENT == 0:
        return tf.Variable(tf.experimental.dlpack.from_dlpack(array.__dlpack__()), trainable=False)
    return tf.Variable(array, trainable=False)


def _from_threads(feed: Feed, requests: Callable, size: int) -> tf.data.Dataset:
    _, _, *crops = feed.of_one(next(requests()))
    signature = (
        tf.TensorSpec((), tf.int32),
        tf.TensorSpec((size, 2), tf.int32),
        *(tf.TensorSpec((size, None, None, 3), each.dtype) for each in crops),
    )
    return tf.data.Dataset.from_generator(lambda: feed.stream(requests()), output_signature=signature)
