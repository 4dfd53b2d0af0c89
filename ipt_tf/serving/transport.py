"""What a client needs of a server, over whatever protocol."""

import random
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np

from ipt_tf.serving import certificates
from ipt_tf.serving.errors import ServingError


@dataclass(frozen=True)
class Model:
    """What is asked for: a model, and at most one of a version and a label; else its newest version."""

    name: str
    version: int | None = None
    label: str | None = None

    def __str__(self) -> str:
        if self.version is not None:
            return f"model {self.name}, version {self.version}"
        return f"model {self.name}" + (f", label {self.label}" if self.label is not None else "")


@dataclass(frozen=True)
class Tls:
    """Files (PEM) that TLS is spoken with.

    Args:
        ca: certificates that are trusted instead of the system's.
        certificate: of the client, for servers that ask for one.
        key: of that certificate, not encrypted.
    """

    ca: Path | None = None
    certificate: Path | None = None
    key: Path | None = None

    def __post_init__(self) -> None:
        if (self.certificate is None) != (self.key is None):
            raise ValueError("a client's certificate and its key go together")
        if self.certificate and self.key:
            certificates.context_of(self.certificate, self.key)  # says what is wrong with them


@dataclass(frozen=True)
class Tensor:
    """An input or output of a signature: its type as in "float32", its sizes, -1 for any."""

    dtype: str
    shape: tuple[int, ...]


@dataclass(frozen=True)
class Signature:
    """What a function of a model takes and returns, by name."""

    inputs: Mapping[str, Tensor]
    outputs: Mapping[str, Tensor]


def best_state(states: Iterable[str]) -> str:
    """The state that says most about whether a model can be asked, of those of its versions."""
    found = set(states)
    return next((state for state in ("AVAILABLE", "LOADING", "START") if state in found), "END")


_NEVER = {
    "Hostname mismatch|IP address mismatch|Hostname Verification": "the server's certificate is for another host",
    r"CERTIFICATE_VERIFY_FAILED(?::|.*failed:) ([^:('\"]*\w)": r"the server's certificate is not trusted: \1",
    "WRONG_VERSION_NUMBER|RECORD_LAYER_FAILURE": "the server speaks no TLS at this port; without it is grpc:// or http://",
}


def why_never(problem: str) -> str | None:
    """Returns why a connection will not come about however long one waits, if that is so."""
    for pattern, reason in _NEVER.items():
        if found := re.search(pattern, problem):
            return found.expand(reason)
    return None


class OutOfTime(ServingError):
    """A call was repeated until its deadline.

    Args:
        where: what was asked.
        seconds: until the deadline.
        problem: why the last attempts failed.
    """

    def __init__(self, where: str, seconds: float, problem: str) -> None:
        if re.search("Socket closed|reset by peer|RemoteDisconnected|closed connection", problem):
            problem += "; does it speak TLS? Then it is grpcs:// or https://"
        super().__init__("DEADLINE_EXCEEDED", f"{where}: the deadline of {seconds:.0f} s passed ({problem})")
        self.problem = problem


def pauses() -> Iterator[float]:
    """Yields seconds to wait before a call is repeated: random, up to half a second, then ever longer, up to 5."""
    longest = 0.5
    while True:
        yield random.uniform(0, longest)
        longest = min(2 * longest, 5.0)


class Transport(Protocol):
    """One model of one server. Every method raises ServingError, within `seconds`."""

    def state(self, seconds: float) -> str:
        """Returns the state of the version asked for, such as "AVAILABLE"; of the best one where none is."""

    def signatures(self, seconds: float) -> dict[str, Signature]:
        """Returns the model's signatures by name."""

    def predict(
        self, signature: str, inputs: Mapping[str, np.ndarray], seconds: float
    ) -> dict[str, np.ndarray]:
        """Returns the outputs of a signature; strings are arrays of bytes objects."""

    def close(self) -> None:
        """Gives the connection back."""
