"""Seconds until commands are done, against those that TensorFlow needs to be imported."""

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks import pictures
from benchmarks.rows import Row

IMPORT = "import sys, ipt_tf; assert 'tensorflow' not in sys.modules and 'keras' not in sys.modules"


def measure(rounds: int) -> list[Row]:
    """Starts each command once per round, in turns."""
    with tempfile.TemporaryDirectory() as folder:
        source = pictures.write(Path(folder) / "photo.png", 96, 128)
        target = str(source.with_name("restored.png"))
        restore = ["restore", str(source), "--task", "denoise_50", "-o", target, "--overwrite"]
        commands = {
            "python": ["-c", ""],
            "import ipt_tf": ["-c", IMPORT],
            "ipt --help": [*_ipt(), "--help"],
            "import tensorflow": ["-c", "import tensorflow"],
            "import keras": ["-c", "import keras"],
            "ipt restore, 96 x 128": [*_ipt(), *restore],
        }
        seconds: dict[str, list[float]] = {name: [] for name in commands}
        for turn in range(rounds + 1):  # the first reads files that the others find in memory
            for name, arguments in commands.items():
                took = _seconds([sys.executable, *arguments])
                if turn:
                    seconds[name].append(took)
    return [Row("start", {"command": name}, "s", values) for name, values in seconds.items()]


def _ipt() -> list[str]:
    return ["-c", "import sys; from ipt_tf.cli import main; sys.exit(main())"]


def _seconds(command: list[str]) -> float:
    start = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=os.environ)
    return time.perf_counter() - start
