"""`python -m benchmarks.camera` on pairs of a few pixels: what it prints, writes and leaves out."""

import csv
import sys

import pytest

from benchmarks import camera
from ipt_tf import samples, tasks


@pytest.fixture
def folder(tmp_path, save):
    """Two pairs of 64 x 80 pixels."""
    clean = samples.load("chelsea")[100:164, 150:230]
    for name, seed in (("a.png", 0), ("b.png", 3)):
        noisy, _ = tasks.find("camera").pair(clean, seed=seed)
        save(noisy, tmp_path / "pairs" / "noisy" / name)
        save(clean, tmp_path / "pairs" / "clean" / name)
    return tmp_path / "pairs"


def run(folder, methods, capsys, monkeypatch, *options):
    """Returns the cells of each method's row."""
    monkeypatch.setattr(camera, "METHODS", {name: camera.METHODS[name] for name in methods})
    camera.main(["--data", str(folder), *options])
    lines = [line for line in capsys.readouterr().out.splitlines() if line.startswith("| ")]
    return {
        cells[0]: cells[1:] for cells in ([cell.strip() for cell in line.split("|")[1:-1]] for line in lines)
    }


def test_the_weights_are_measured_beside_the_input(folder, tmp_path, capsys, monkeypatch):
    out = tmp_path / "scores.csv"
    rows = run(folder, ("input", "camera", "denoise"), capsys, monkeypatch, "--out", str(out))
    assert rows["input"][3:] == ["+0.00", "+0.00", "0 of 2"]
    assert float(rows["camera"][3]) > 1
    assert float(rows["camera"][3]) > float(rows["denoise"][3])
    with out.open() as file:
        scores = {(score["method"], score["picture"]): score for score in csv.DictReader(file)}
    assert scores.keys() == {
        (method, name) for method in rows.keys() - {"method"} for name in ("a.png", "b.png")
    }
    gains = [float(scores["camera", name]["gain"]) for name in ("a.png", "b.png")]
    assert rows["camera"][3:5] == [f"{sum(gains) / 2:+.2f}", f"{min(gains):+.2f}"]


@pytest.mark.parametrize(("method", "module"), [("non-local means", "pywt"), ("CBM3D", "bm3d")])
def test_methods_that_know_the_noise_remove_some(method, module, folder, capsys, monkeypatch):
    pytest.importorskip(module)
    rows = run(folder, (method, f"{method}, sigma known"), capsys, monkeypatch)
    assert float(rows[f"{method}, sigma known"][3]) > 0


def test_what_is_not_installed_is_left_out_and_says_how_to_install_it(folder, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "bm3d", None)
    rows = run(folder, ("input", "CBM3D"), capsys, monkeypatch)
    assert len(rows["input"]) == 6
    assert rows["CBM3D"] == ["left out: pip install scikit-image PyWavelets bm3d"]


def test_pictures_that_became_worse_are_counted():
    scores = [camera.Score("m", name, 30.0, 31.0, 0.9, gain) for name, gain in (("a", 1.0), ("b", -0.5))]
    assert camera.row(scores) == "| m | 30.00 | 31.00 | 0.9000 | +0.25 | -0.50 | 1 of 2 |"


def test_a_folder_without_pairs_is_refused(tmp_path):
    with pytest.raises(SystemExit, match="noisy/, beside clean/"):
        camera.main(["--data", str(tmp_path)])
