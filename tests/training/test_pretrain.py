"""`ipt train`: what it starts from, and what it validates on."""

import json

import numpy as np
import pytest

from ipt_tf import IPT
from ipt_tf.cli import main
from ipt_tf.model.joined import JoinedIPT

SMALL = {"num_features": 4, "patch_size": 12, "num_heads": 2, "num_layers": 1}


@pytest.fixture
def weights(tmp_path):
    """A saved network of two tasks."""
    folder = tmp_path / "weights"
    IPT(["derain", "denoise"], **SMALL).save_pretrained(folder)
    return folder


@pytest.fixture
def train(photographs, tmp_path):
    def run(*options):
        out = tmp_path / "run"
        command = [
            "train",
            "--data",
            str(photographs),
            "--out",
            str(out),
            "--steps",
            "1",
            "--batch-size",
            "2",
        ]
        return main([*command, *map(str, options)]), out

    return run


def settings(out):
    return json.loads((out / "run.json").read_text())


def test_other_photographs_are_validated_on_and_none_is_held_out(train, photographs, weights, save):
    rng = np.random.default_rng(0)
    for name in ("a.png", "b.png"):
        save(rng.integers(0, 256, (60, 70, 3), np.uint8), photographs.parent / "others" / name)
    code, out = train("--from", weights, "--validate", photographs.parent / "others")
    assert code == 0
    assert settings(out)["validate_on"] == ["a.png", "b.png"]
    assert settings(out)["held_out"] == 0
    assert (out / "history.csv").read_text().startswith("step,patches,derain,denoise")


def test_a_run_that_is_validated_on_other_photographs_is_another_run(train, weights, photographs, capsys):
    assert train("--from", weights, "--hold-out", 2)[0] == 0
    assert train("--from", weights, "--validate", photographs)[0] == 1
    assert "validate_on" in capsys.readouterr().err


def test_a_task_new_to_the_weights_begins_as_one_of_theirs(train, weights):
    code, out = train("--from", weights, "--tasks", "denoise", "camera", "--like", "denoise", "--hold-out", 2)
    assert code == 0
    assert IPT.from_pretrained(out / "model").task_names == ["denoise", "camera"]


def test_without_one_to_begin_as_a_new_task_is_refused(train, weights, capsys):
    assert train("--from", weights, "--tasks", "denoise", "camera")[0] == 1
    assert "these weights have no task camera: name one to start from" in capsys.readouterr().err


def test_tasks_of_different_networks_are_not_trained_together(train, tmp_path, capsys):
    joined = tmp_path / "joined"
    JoinedIPT([IPT(["derain"], **SMALL), IPT(["sr_x2"], **SMALL)]).save_pretrained(joined)
    assert train("--from", joined)[0] == 1
    assert "choose some that do (" in capsys.readouterr().err
    assert train("--from", joined, "--tasks", "sr_x2", "--hold-out", 2)[0] == 0
