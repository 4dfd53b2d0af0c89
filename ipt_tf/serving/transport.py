"""What a client needs of a server, over whatever protocol."""

import random
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np


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
