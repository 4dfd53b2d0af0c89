"""`python -m benchmarks` in miniature: what it writes, not how fast anything is."""

import json

import numpy as np
import pytest
import tensorflow as tf

from benchmarks import endtoend, flop, machine, overlap, tile, turns
from benchmarks.__main__ import main
from benchmarks.rows import Row, merged, table
from ipt_tf import IPT
from ipt_tf.restoration.restore import restore


def test_work_of_a_tile_is_that_of_its_products_and_convolutions():
    network = tf.keras.Sequential([tf.keras.layers.Conv2D(8, 3, padding="same"), tf.keras.layers.Dense(5)])
    assert flop.per_tile(network, 12) == 2 * 144 * (9 * 3 * 8 + 8 * 5)


def test_work_of_attention_is_counted():
    config = {"tasks": ["denoise_50"], "patch_size": 12, "num_features": 4, "num_heads": 2}
    shallow, deep = (flop.per_tile(IPT(**config, num_layers=n), 12) for n in (1, 2))
    tokens, dim = 16, 36
    attention = 4 * tokens * dim * dim + 2 * tokens * tokens * dim
    assert deep - shallow == 2 * (3 * attention + 2 * 2 * tokens * dim * 4 * dim)


def test_tiles_are_counted_as_they_are_computed():
    calls = []
    restore(
        np.zeros((100, 130, 3), np.uint8), lambda tiles: calls.append(len(tiles)) or tiles, 1, batch_size=1
    )
    assert endtoend.our_tiles(100, 130) == sum(calls)


def test_official_tiles_are_those_of_its_code():
    assert endtoend.official_tiles(256, 256) == 397
    assert endtoend.official_tiles(720, 1280) == 6192


def test_every_round_gives_each_its_turn(monkeypatch):
    monkeypatch.setattr(turns, "SIDE", 64)
    order = []
    found = turns.in_turns({name: lambda name=name: order.append(name) or 1.0 for name in "ab"}, rounds=3)
    assert order == ["a", "b"] * 4  # the first round does not count
    assert found["a"].values == [1.0] * 3
    assert all(peak > 0 for peak in found["b"].peaks)


def test_new_rows_replace_those_of_the_same_key():
    old = [Row("tile", {"batch": 1}, "ms", [3.0]), Row("tile", {"batch": 4}, "ms", [2.0])]
    rows = merged(old, [Row("tile", {"batch": 4}, "ms", [1.0])])
    assert [row.values for row in rows] == [[3.0], [1.0]]


def test_the_table_has_medians_and_what_was_left_out():
    row = Row("tile", {"network": "n", "batch": 4}, "ms a tile", [3.0, 1.0, 2.0], shares=[0.5], ratios=[2.0])
    text = table([row, Row("tile", {"way": "bfloat16"}, note="left out: no instructions")])
    assert "| tile | n, batch 4 | 2 ms a tile | 1 to 3 | 50 % | 2.00 |" in text
    assert "| not measured |" in text


def test_some_photographs_of_a_folder_are_taken_evenly_over_their_names(tmp_path, save):
    for i in range(9):
        save(np.zeros((200, 210, 3), np.uint8), tmp_path / f"{i}.png")
    assert [path.stem for path in overlap.held_out(tmp_path, 4).paths] == ["0", "2", "4", "6"]
    assert len(overlap.held_out(tmp_path, 16)) == 9


def test_a_checkout_that_is_none_is_refused(tmp_path, capsys):
    with pytest.raises(SystemExit) as stopped:
        main(["--official", str(tmp_path), "--out", str(tmp_path / "out")])
    assert stopped.value.code == 2
    assert "it has no model/ipt.py" in capsys.readouterr().err


@pytest.mark.slow
def test_a_run_writes_table_json_and_plot_and_keeps_other_sections(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(tile, "has_bfloat16", lambda: True)
    monkeypatch.setattr(machine, "has_bfloat16", lambda: True)
    out = ["--out", str(tmp_path), "--presets", "ipt_tiny", "--rounds", "1"]
    assert main([*out, "--only", "tile", "--batches", "1"]) == 0
    assert main([*out, "--only", "size", "--megapixels", "0.01"]) == 0
    rows = json.loads((tmp_path / "benchmarks.json").read_text())["rows"]
    ways = {row["at"]["way"] for row in rows if row["section"] == "tile" and row["values"]}
    assert {
        "eager",
        "tf.function",
        "tf.function, XLA",
        tile.PER_CORE,
        "a call per core, bfloat16",
        "SavedModel",
        tile.LITERT,
        tile.BFLOAT16,
    } <= ways
    assert all(len(row["values"]) == 1 for row in rows if row["values"])
    assert {row["at"]["of"] for row in rows if row["section"] == "size"} == {"time", "memory"}
    assert "left out: no --official checkout given" in (tmp_path / "benchmarks.md").read_text()
    assert (tmp_path / "benchmarks.png").stat().st_size > 5000
    assert "| tile | ipt_tiny, batch 1, eager |" in capsys.readouterr().out
