"""Seconds for a picture: ours at the default overlap, from file to file, against the official `forward_chop`.

What would take longer than LONGEST_SECONDS is not run but estimated: the number of tiles times the seconds per tile,
measured in the same round.
"""

import inspect
import tempfile
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from statistics import median

from benchmarks import pictures
from benchmarks.machine import precisions
from benchmarks.processes import Process, official, single_threaded
from benchmarks.rows import Row
from benchmarks.tile import OFFICIAL
from benchmarks.turns import in_turns
from ipt_tf.restoration import tiling
from ipt_tf.restoration.restore import restore

SIZES = ((256, 256), (720, 1280))
LONGEST_SECONDS = 35
TILE, STRIDE = 48, 12
BATCH = 4
"""Tiles per call where a time is estimated."""

OVERLAP = inspect.signature(restore).parameters["overlap"].default


def measure(preset: str, rounds: int, torch_python: Path | None, checkout: Path | None) -> list[Row]:
    """Measures one preset on pictures of all SIZES; arguments as in `benchmarks.tile.measure`."""
    rows = []
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        ours = {
            name: stack.enter_context(Process(single_threaded(preset, precision)))
            for name, precision in precisions("ours").items()
        }
        authors = checkout and stack.enter_context(Process(official(torch_python, checkout, preset)))
        for height, width in SIZES:
            source = pictures.write(folder / f"{height}.jpg", height, width)
            tiles = our_tiles(height, width)
            contenders = {name: _ours(process, source, tiles) for name, process in ours.items()}
            if authors:
                contenders[OFFICIAL] = _official(authors, height, width)
            rows += _rows(preset, f"{height} x {width}", contenders, rounds)
    return rows


class _Contender:
    """One implementation on one picture: run, or estimated where it would take too long.

    Args:
        run: returns the seconds for the picture, by parts.
        per_tile: returns the seconds per tile.
        tiles: of the picture.
    """

    def __init__(self, run: Callable[[], dict[str, float]], per_tile: Callable[[], float], tiles: int):
        self._run, self._per_tile, self.tiles = run, per_tile, tiles
        per_tile()  # traces
        self.estimated = tiles * per_tile() > LONGEST_SECONDS
        self.parts: list[dict[str, float]] = []

    def __call__(self) -> float:
        if self.estimated:
            return self.tiles * self._per_tile()
        self.parts.append(self._run())
        return sum(self.parts[-1].values())

    @property
    def note(self) -> str:
        """How many tiles there are, and what part of the time each step has."""
        words = [f"{self.tiles} tiles" + (" x seconds per tile" if self.estimated else "")]
        for part in self.parts[0] if self.parts else ():
            share = median(parts[part] / sum(parts.values()) for parts in self.parts)
            words.append(f"{part} {100 * share:.1f} %")
        return ", ".join(words)


def _ours(process: Process, source: Path, tiles: int) -> _Contender:
    def run() -> dict[str, float]:
        answer = process.ask(do="file", source=str(source), target=str(source.with_suffix(".png")))
        return {part: answer[part] for part in ("read", "restore", "write")}

    return _Contender(run, lambda: process.ask(do="tiles", batch=BATCH), tiles)


def _official(process: Process, height: int, width: int) -> _Contender:
    def run() -> dict[str, float]:
        return {"forward_chop": process.ask(do="chop", height=height, width=width)}

    tiles = official_tiles(height, width)
    return _Contender(run, lambda: process.ask(do="tiles", batch=BATCH), tiles)


def _rows(preset: str, picture: str, contenders: dict[str, _Contender], rounds: int) -> list[Row]:
    turns = in_turns(contenders, rounds)
    rows = []
    for name, contender in contenders.items():
        values = turns[name].values
        theirs = turns[OFFICIAL].values if OFFICIAL in turns else []
        ratios = [slow / fast for slow, fast in zip(theirs, values, strict=bool(theirs))]
        at = {"network": preset, "picture": picture, "by": name}
        rows.append(Row("endtoend", at, "s", values, turns[name].peaks, ratios=ratios, note=contender.note))
    return rows


def our_tiles(height: int, width: int, overlap: int = OVERLAP) -> int:
    """Returns how many tiles `restore` computes for a picture."""
    rows, columns = (len(tiling.starts(length, TILE, overlap)) for length in (height, width))
    return rows * columns


def official_tiles(height: int, width: int) -> int:
    """Returns how many tiles `forward_chop` computes: the grid, all four edges once more, and the last corner."""
    rows, columns = ((length - TILE) // STRIDE + 1 for length in (height, width))
    return rows * columns + 2 * rows + 2 * columns + 1
