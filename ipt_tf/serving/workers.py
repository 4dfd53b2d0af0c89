"""Who computes, how many may wait, and what happens to those who waited for too long."""

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from ipt_tf.serving.errors import ServingError

T = TypeVar("T")


class Workers:
    """Threads that compute for an event loop, with a bounded queue before them.

    Args:
        threads: computations at the same time.
        most: requests that are computed or wait.
    """

    def __init__(self, threads: int, most: int) -> None:
        self._pool = ThreadPoolExecutor(threads)
        self._places = threading.BoundedSemaphore(most)
        self._most = most

    async def run(self, work: Callable[[], T], seconds: float | None) -> T:
        """Returns what `work` returns.

        Args:
            work: called in a thread; not at all if its time is up, or nobody waits for it, when its turn comes.
            seconds: time until its deadline, waiting included, or None.

        Raises:
            ServingError: UNAVAILABLE where too many wait, DEADLINE_EXCEEDED, or what `work` raises.
        """
        if not self._places.acquire(blocking=False):
            raise ServingError("UNAVAILABLE", f"{self._most} requests wait already; try again later")
        given_up = threading.Event()

        def begin() -> T | None:
            try:
                return None if given_up.is_set() else work()
            finally:
                self._places.release()

        future = asyncio.wrap_future(self._pool.submit(begin))
        future.add_done_callback(lambda done: done.cancelled() or done.exception())  # else asyncio complains
        try:
            # Shielded, as a place in the queue is taken until its turn comes, also by who gave up.
            result = await asyncio.wait_for(asyncio.shield(future), seconds)
        except TimeoutError:
            raise ServingError(
                "DEADLINE_EXCEEDED", "the deadline passed before the answer was there"
            ) from None
        finally:
            given_up.set()
        return result  # type: ignore[return-value]

    def close(self) -> None:
        """Waits for what runs."""
        self._pool.shutdown()
