"""What every training step's crops are made of, ahead of the steps: the processor's part of the work."""

import itertools
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager

import keras
import numpy as np
from keras import ops

from ipt_tf.data.draws import words
from ipt_tf.data.examples import examples, runs_on_devices
from ipt_tf.data.source import Source
from ipt_tf.tasks import Task
from ipt_tf.threads import ahead

Request = tuple[int, Sequence[int]]
"""The index of a task, and the positions of the examples of one batch."""

WORKERS = min(8, os.cpu_count() or 1)
"""Threads that make crops."""

TOGETHER = 64
"""Batches whose places in the album are drawn at once."""


class Feed:
    """Crops for batches of training, or where to find them.

    If all pictures fit into memory there is an `album`, and the crops are taken from it where they are needed.
    Otherwise threads read and cut the pictures.

    Args:
        source: Where the pictures come from.
        tasks: Tasks that are trained.
        patch_size: Side P of an input, in pixels.
        seed: Seed of the run.
        log: Called with lines of progress while pictures are decoded.

    Raises:
        ValueError: The source cannot train these tasks.
    """

    def __init__(
        self,
        source: Source,
        tasks: Sequence[Task],
        patch_size: int,
        seed: int,
        log: Callable[[str], None] = print,
    ):
        source.check(tasks, patch_size)
        self.tasks, self.seed = tasks, seed
        self.sides = patch_size * np.array([task.scale for task in tasks])  # of clean crops
        self._source, self._patch_size = source, patch_size
        self._on_processor = not all(runs_on_devices(task, patch_size) for task in tasks if task.degrade)
        self.album = None if self._on_processor else source.album(log)

    def give_pixels(self) -> np.ndarray:
        """Returns the pixels of the album, and keeps them no longer: they go to the device."""
        assert self.album is not None
        assert self.album.pixels is not None
        pixels, self.album = self.album.pixels, self.album._replace(pixels=None)
        return pixels

    def stream(self, requests: Iterator[Request]) -> Iterator[tuple]:
        """Yields what `of_one` returns, of every batch in turn."""
        if self.album is None:
            with ThreadPoolExecutor(WORKERS) as pool:
                yield from ahead(self._crops, requests, pool, depth=2 * WORKERS)
        else:
            for several in self.walks(requests):
                yield from zip(*several, strict=True)

    def of_one(self, request: Request) -> tuple:
        """Returns the index of the task, the words of the positions (n, 2), and what the crops of a batch are made of.

        With an album that is where they lie in it, (n, 3): see `ipt_tf.data.album.Album.walks`. Without one, they are
        the crops of the source (`Source.crops`). If a degradation cannot run on devices, clean crops are degraded
        here: their inputs stand before them, as those of pairs do.
        """
        return self._crops(request) if self.album is None else next(self.stream(iter([request])))

    def walks(self, requests: Iterator[Request]) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
        """Yields tasks (c,), words of the positions (c, n, 2) and walks (c, n, 3), int32, of c batches at once."""
        assert self.album is not None
        while chunk := list(itertools.islice(requests, TOGETHER)):
            tasks, positions = (
                np.array([task for task, _ in chunk], np.int32),
                np.array([at for _, at in chunk]),
            )
            count = positions.shape[1]
            walks = self.album.walks(positions.ravel(), self.sides[tasks].repeat(count), self.seed)
            yield tasks, words(positions).reshape(-1, count, 2), walks.reshape(-1, count, 3)

    def _crops(self, request: Request) -> tuple:
        index, positions = request
        task, at = self.tasks[index], words(positions)
        crops = self._source.crops(task, positions, self._patch_size, self.seed)
        if self._on_processor and len(crops) == 1:
            with on_processor():
                inputs, _ = examples(task, self.seed, ops.convert_to_tensor(at), crops)
                crops = ops.convert_to_numpy(inputs), *crops
        return index, at, *crops


def on_processor() -> AbstractContextManager:
    """Lets Keras compute on the processor of this machine: on JAX `keras.device("cpu")` is the first worker's."""
    if keras.backend.backend() != "jax":
        return keras.device("cpu")
    import jax

    return jax.default_device(jax.local_devices(backend="cpu")[0])
