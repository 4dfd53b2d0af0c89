"""Who computes, how many may wait, and what happens to those who waited for too long."""

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from ipt_tf.serving.errors import ServingError

T = TypeVar("T")


class Caller:
    """Who waits for an answer, until the time is up or the connection is lost."""

    def __init__(self) -> None:
        self._gone = threading.Event()

    def go(self) -> None:
        """Waits no longer."""
        self._gone.set()

    @property
    def is_gone(self) -> bool:
        """Whether nobody waits any more."""
        return self._gone.is_set()

    def check(self) -> None:
        """Raises ServingError where nobody waits any more; for work that can stop."""
        if self.is_gone:
            raise ServingError("CANCELLED", "nobody waits for the answer any more")


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

    async def run(self, work: Callable[[Caller], T], seconds: float | None) -> T:
        """Returns what `work` returns.

        Args:
            work: called in a thread; not at all if its time is up, or nobody waits for it, when its turn comes. It may
                look at who waits meanwhile.
            seconds: time until its deadline, waiting included, or None.

        Raises:
            ServingError: UNAVAILABLE where too many wait, DEADLINE_EXCEEDED, or what `work` raises.
        """
        if not self._places.acquire(blocking=False):
            raise ServingError("UNAVAILABLE", f"{self._most} requests wait already; try again later")
        caller = Caller()

        def begin() -> T | None:
            try:
                return None if caller.is_gone else work(caller)
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
            caller.go()
        return result  # type: ignore[return-value]

    def close(self) -> None:
        """Waits for what runs."""
        self._pool.shutdown()
