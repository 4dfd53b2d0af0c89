"""Seconds per tile, of every way to run a network, against the peak and against the official code."""

import functools
import tempfile
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import tensorflow as tf

from benchmarks import flop
from benchmarks.machine import has_bfloat16, precisions
from benchmarks.processes import Process, official, single_threaded
from benchmarks.restoring import TASK
from benchmarks.rows import Row
from benchmarks.turns import in_turns, seconds
from ipt_tf import IPT
from ipt_tf.export import litert, saved_model
from ipt_tf.model import presets
from ipt_tf.restoration.litert import Runner

LITERT, BFLOAT16, OFFICIAL = "LiteRT", "tf.function, bfloat16", "official PyTorch"
PER_CORE = "a call per core"
MOST_GFLOP = 500
"""Work of the largest batch: those of a large network that need more are left out."""

Way = Callable[[np.ndarray], object]
"""Tiles in, whatever comes out."""

Contender = Callable[[int], float]
"""A number of tiles per call to seconds per tile."""


def measure(
    preset: str, batches: list[int], rounds: int, torch_python: Path | None, checkout: Path | None
) -> list[Row]:
    """Measures one preset at several batch sizes.

    Args:
        preset: name.
        batches: tiles per call.
        rounds: of each batch size, in which each way has its turn.
        torch_python: interpreter that has PyTorch.
        checkout: of the official code; None leaves it out.
    """
    model = IPT(**presets.find(preset).config, tasks=[TASK], start="random")
    work = flop.per_tile(model, model.patch_size) / 1e9
    rows = []
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        contenders = {
            name: _timed(way, model.patch_size) for name, way in ways(model, folder, batches).items()
        }
        for name, precision in precisions(PER_CORE).items():
            contenders[name] = _asked(stack.enter_context(Process(single_threaded(preset, precision))))
        if checkout:
            contenders[OFFICIAL] = _asked(
                stack.enter_context(Process(official(torch_python, checkout, preset)))
            )
        for batch in batches:
            if batch * work <= MOST_GFLOP:
                rows += _of_batch(preset, batch, work, contenders, rounds)
            else:
                note = f"left out: {batch * work / 1e3:.1f} TFLOP a call"
                rows.append(Row("tile", _at(preset, batch, "all"), note=note))
    return rows + _left_out(preset, checkout)


def ways(model: IPT, folder: Path, batches: list[int]) -> dict[str, Way]:
    """Returns a model of one task as functions of tiles: the ways to run it in this process."""
    exported = folder / "1"
    saved_model.export(model, exported)
    loaded = tf.saved_model.load(str(exported)).signatures["serving_default"]
    compiled = tf.function(functools.partial(model, training=False), jit_compile=True)
    found = {
        "eager": lambda tiles: model(tiles, training=False).numpy(),
        "tf.function": model.network(),
        "tf.function, XLA": lambda tiles: compiled(tf.constant(tiles)).numpy(),
        "SavedModel": lambda tiles: loaded(images=tf.constant(tiles))["restored"].numpy(),
    }
    if 1 in batches:  # LiteRT's files take one tile
        (file,) = litert.export_tasks(model, folder / "litert", variants=["float32"])
        found[LITERT] = Runner(file)
    if has_bfloat16():
        found[BFLOAT16] = IPT(**{**model.get_config(), "dtype": "mixed_bfloat16"}).network()
    return found


def _timed(way: Way, side: int) -> Contender:
    def seconds_per_tile(batch: int) -> float:
        tiles = np.random.default_rng(0).uniform(0, 255, (batch, side, side, 3)).astype(np.float32)
        return seconds(lambda: way(tiles)) / batch

    return seconds_per_tile


def _asked(process: Process) -> Contender:
    return lambda batch: process.ask(do="tiles", batch=batch)


def _of_batch(
    preset: str, batch: int, work: float, contenders: dict[str, Contender], rounds: int
) -> list[Row]:
    calls = {name: functools.partial(call, batch) for name, call in contenders.items()}
    if batch > 1:
        calls.pop(LITERT, None)
    turns = in_turns(calls, rounds)
    theirs = turns[OFFICIAL].values if OFFICIAL in turns else []
    rows = []
    for way, turn in turns.items():
        row = Row(
            "tile", _at(preset, batch, way), "ms a tile", [1e3 * took for took in turn.values], turn.peaks
        )
        row.shares = [work / took / peak for took, peak in zip(turn.values, turn.peaks, strict=True)]
        row.ratios = [slow / took for slow, took in zip(theirs, turn.values, strict=bool(theirs))]
        row.note = f"{work:.3g} GFLOP"
        rows.append(row)
    return rows


def _left_out(preset: str, checkout: Path | None) -> list[Row]:
    rows = []
    if not has_bfloat16():
        note = "left out: this processor has no instructions for it"
        rows.append(Row("tile", _at(preset, 0, BFLOAT16), note=note))
    if checkout is None:
        rows.append(Row("tile", _at(preset, 0, OFFICIAL), note="left out: no --official checkout given"))
    return rows


def _at(preset: str, batch: int, way: str) -> dict:
    return {"network": preset, "batch": batch, "way": way} if batch else {"network": preset, "way": way}
