"""Which threads compute what: no picture, however large, keeps tiles and small pictures waiting."""

import os
import time
from collections.abc import Callable, Mapping
from typing import TypeVar

import numpy as np

from ipt_tf.serving.servable import Signature
from ipt_tf.serving.workers import Workers

T = TypeVar("T")

TILE_THREADS = 16
"""They wait for a batch; more requests wait outside, where their deadline can take them out."""

LARGE = 250_000
"""Pixels of a picture that takes about a second per core."""


class Scheduler:
    """Computes the requests of both faces.

    Tiles are joined in batches. Pictures are looked at first, and the large ones then leave a core to the rest.

    Args:
        most: requests for tiles, for pictures and for large pictures, that are computed or wait.
    """

    def __init__(self, most: int) -> None:
        cores = os.cpu_count() or 1
        self._tiles = Workers(TILE_THREADS, most)
        self._pictures = Workers(cores, most)
        self._large = Workers(max(1, cores - 1), most)

    async def answer(
        self,
        signature: Signature,
        *,
        read: Callable[[], Mapping[str, np.ndarray]],
        write: Callable[[dict[str, np.ndarray]], T],
        seconds: float | None,
    ) -> T:
        """Computes a signature, off the event loop.

        Args:
            signature: what to compute.
            read: returns the inputs, by name, whose names and sizes are checked.
            write: makes the answer of the outputs.
            seconds: time until the deadline, or None.

        Raises:
            ServingError: UNAVAILABLE where too many wait, DEADLINE_EXCEEDED, or what is wrong with the request.
        """

        def look() -> tuple[Mapping[str, np.ndarray], int]:
            inputs = read()
            return inputs, signature.look_at(inputs)

        if signature.is_batched:
            return await self._tiles.run(lambda caller: write(signature.run(look()[0], caller)), seconds)
        ends = None if seconds is None else time.monotonic() + seconds
        inputs, pixels = await self._pictures.run(lambda caller: look(), seconds)
        workers = self._large if pixels > LARGE else self._pictures
        left = None if ends is None else ends - time.monotonic()
        return await workers.run(lambda caller: write(signature.run(inputs, caller)), left)

    def close(self) -> None:
        """Waits for what runs."""
        for workers in (self._tiles, self._pictures, self._large):
            workers.close()
