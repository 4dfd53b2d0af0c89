"""Batches made by the processor, for trainers that do without TensorFlow's pipeline."""

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import keras
import numpy as np

from ipt_tf.data import Pairs, Photographs, Source
from ipt_tf.data.sampling import micro_batches
from ipt_tf.model.ipt import IPT
from ipt_tf.threads import ahead
from ipt_tf.training.recipes import Recipe
from ipt_tf.training.run_folder import RunError

WORKERS = min(8, os.cpu_count() or 1)
"""Threads that make batches."""


def from_folders(source: Source) -> Photographs | Pairs:
    """Returns a source that makes batches without TensorFlow; raises RunError if it is none."""
    if not isinstance(source, Photographs | Pairs):
        raise RunError(
            f"on Keras's {keras.backend.backend()} backend, photographs and pairs are read from folders alone"
        )
    return source


def host_batches(
    source: Photographs | Pairs, model: IPT, recipe: Recipe, first_step: int
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yields (inputs, targets) of every micro-batch from a step on, in order, without end.

    Args:
        source: of the examples.
        model: whose tasks are trained.
        recipe: how to train.
        first_step: where to begin.
    """

    def make(request: tuple[int, range]) -> tuple[np.ndarray, np.ndarray]:
        index, positions = request
        with keras.device("cpu"):  # a GPU has the network to compute
            return source.batch(model.tasks[index], positions, model.patch_size, recipe.seed)

    requests = micro_batches(model.tasks, recipe.batch_size, recipe.seed, first_step, recipe.accumulate)
    with ThreadPoolExecutor(WORKERS) as pool:
        yield from ahead(make, requests, pool, depth=2 * WORKERS)
