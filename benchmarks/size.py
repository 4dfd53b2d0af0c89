"""Time per megapixel and memory of `ipt_tf.restoration`, by the size of the picture; a process for each size."""

import tempfile
from pathlib import Path

from benchmarks import pictures
from benchmarks.endtoend import our_tiles
from benchmarks.processes import Process, single_threaded
from benchmarks.rows import Row
from benchmarks.turns import peak


def measure(preset: str, megapixels: float) -> list[Row]:
    """Restores a picture of that size, 4 : 3, from file to file."""
    height, width = (round((megapixels * 1e6 * ratio) ** 0.5) for ratio in (3 / 4, 4 / 3))
    with tempfile.TemporaryDirectory() as folder, Process(single_threaded(preset)) as process:
        source = pictures.write(Path(folder) / "photo.jpg", height, width)
        before = peak()
        answer = process.ask(do="file", source=str(source), target=str(Path(folder) / "restored.png"))
        around = (before + peak()) / 2
    per_megapixel = sum(answer[part] for part in ("read", "restore", "write")) / megapixels
    at = {"network": preset, "megapixels": megapixels}
    tiles = f"{our_tiles(height, width)} tiles, {height} x {width}"
    already = f"{answer['megabytes_before']:.0f} MB before"
    return [
        Row("size", {**at, "of": "time"}, "s per megapixel", [per_megapixel], [around], note=tiles),
        Row("size", {**at, "of": "memory"}, "MB", [answer["megabytes"]], note=already),
    ]
