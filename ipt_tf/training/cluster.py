"""The processes that train together, on one machine or several: what the environment variable TF_CONFIG says."""

import json
import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager

from ipt_tf.training.run_folder import RunError


def is_set() -> bool:
    """Whether the variable is set."""
    return "TF_CONFIG" in os.environ


def workers() -> tuple[list[str], int]:
    """Returns HOST:PORT of every worker, and which of them this process is.

    Raises:
        RunError: The variable is not set, or does not list workers.
    """
    try:
        config = json.loads(os.environ["TF_CONFIG"])
        workers, index = config["cluster"]["worker"], int(config["task"]["index"])
        if config["task"]["type"] != "worker" or not 0 <= index < len(workers):
            raise ValueError
        for address in workers:
            int(address.rpartition(":")[2])
    except (AttributeError, KeyError, TypeError, ValueError):
        raise RunError(
            "training on workers needs the environment variable TF_CONFIG, on each with an index of its own:"
            ' {"cluster": {"worker": ["HOST:PORT", "HOST:PORT"]}, "task": {"type": "worker", "index": 0}}'
        ) from None
    return workers, index


@contextmanager
def gathered(addresses: list[str], index: int, timeout: float) -> Iterator[socket.socket]:
    """Waits until all workers have been started, because frameworks wait without end, or end the process.

    Args:
        addresses: HOST:PORT of every worker.
        index: Which of them this process is.
        timeout: Seconds to wait.

    Yields:
        The socket that tells the others that this worker is there. It has to be closed before something else listens at
        this address, and is closed in the end.

    Raises:
        RunError: A worker is missing, or the address is taken.
    """
    others = [address for i, address in enumerate(addresses) if i != index]
    deadline = time.monotonic() + timeout
    with _listen(addresses[index]) as door:
        while missing := [address for address in others if not _answers(address)]:
            if time.monotonic() > deadline:
                raise RunError(
                    f"not all {len(addresses)} workers have been started within {timeout:.0f} seconds:"
                    f" no answer from {', '.join(missing)}"
                )
            time.sleep(0.2)
        yield door


def _listen(address: str) -> socket.socket:
    try:
        return socket.create_server(("", int(address.rpartition(":")[2])))
    except OSError as error:
        raise RunError(f"this worker cannot listen at {address}: {error.strerror}") from None


def _answers(address: str) -> bool:
    host, _, port = address.rpartition(":")
    try:
        with socket.create_connection((host, int(port)), timeout=3):
            return True
    except OSError:
        return False


def differing(what: str) -> RunError:
    """Returns the error of workers that do not train the same.

    Args:
        what: What differs, for the message.
    """
    return RunError(
        f"the workers differ in {what}: start all of them with the same command, on the same photographs,"
        " with an --out that all of them share"
    )
