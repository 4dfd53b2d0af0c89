"""Processes that measure on request: a line of JSON in, a line of JSON out."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]


class Process:
    """A process that answers.

    Args:
        command: what to run; it prints one line when it is ready, then one for every line it reads.

    Example:
        >>> with Process(single_threaded("ipt_tiny")) as process:
        ...     process.ask(do="tiles", batch=4)
    """

    def __init__(self, command: list[str]):
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT
        )
        self._answer()

    def ask(self, **request: Any) -> Any:
        """Sends a request and returns the answer."""
        self._process.stdin.write(json.dumps(request) + "\n")
        self._process.stdin.flush()
        return self._answer()

    def _answer(self) -> Any:
        line = self._process.stdout.readline()
        if not line:
            command, code = " ".join(self._process.args), self._process.wait()
            raise RuntimeError(
                f"this process ended with exit code {code}, for reasons that it gives above: {command}"
            )
        return json.loads(line)

    def __enter__(self) -> "Process":
        return self

    def __exit__(self, *_: object) -> None:
        self._process.communicate()  # it ends with its input


def single_threaded(preset: str, precision: str = "float32") -> list[str]:
    """Returns the command of a process that runs a preset as the `ipt` command does; see `benchmarks.restoring`."""
    return [sys.executable, "-m", "benchmarks.restoring", preset, precision]


def official(python: Path, checkout: Path, preset: str) -> list[str]:
    """Returns the command of a process that runs the official PyTorch code; see `official_code.py`."""
    from ipt_tf.model import presets

    config = presets.find(preset).config
    script = Path(__file__).with_name("official_code.py")
    numbers = [config["num_features"], config["num_heads"], config["num_layers"]]
    return [str(python.absolute()), str(script), str(checkout.absolute()), *map(str, numbers)]
