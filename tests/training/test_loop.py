"""A training run as a user meets it: it learns, resumes to the same weights, and refuses to mix runs."""

import csv
import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from ipt_tf import IPT
from ipt_tf.data import Photographs
from ipt_tf.training import loop
from ipt_tf.training.recipes import Recipe

CONFIG = {
    "tasks": [{"name": "sr_x2", "scale": 2}, {"name": "denoise_50", "scale": 1}],
    "num_features": 4,
    "patch_size": 12,
    "num_heads": 2,
    "num_layers": 1,
}
RECIPE = Recipe(batch_size=4, warmup=2, learning_rate=2e-3, precision="float32")


class Killed(Exception):
    """Stands for the end of a process."""


def run(folder, out, steps, recipe=RECIPE, log=lambda line: None, **options):
    source = Photographs.of_folder(folder, smallest_side=96)
    return loop.train(CONFIG, source, recipe, out, steps=steps, held_out=2, log=log, **options)


def weights_of(model):
    return [np.array(weight) for weight in model.trainable_variables]


def test_training_lowers_the_loss_and_saves_a_model_that_loads(photographs, tmp_path):
    model = run(photographs, tmp_path / "run", steps=60, validate_every=20)
    with (tmp_path / "run" / "history.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["step"] for row in rows] == ["20", "40", "60"]
    assert float(rows[-1]["denoise_50"]) > float(rows[0]["denoise_50"])
    loaded = IPT.from_pretrained(tmp_path / "run" / "model")
    for ours, theirs in zip(weights_of(model), weights_of(loaded), strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_a_run_that_stopped_resumes_to_the_weights_of_one_that_did_not(photographs, tmp_path):
    whole = run(photographs, tmp_path / "whole", steps=10)

    def die_at_validation(line):
        if line.startswith("step 6"):
            raise Killed

    with pytest.raises(Killed):
        run(
            photographs,
            tmp_path / "killed",
            10,
            log=die_at_validation,
            checkpoint_minutes=0,
            validate_every=6,
        )
    lines = []
    resumed = run(photographs, tmp_path / "killed", steps=10, log=lines.append)
    assert lines[0] == "resumed at step 6"
    for ours, theirs in zip(weights_of(whole), weights_of(resumed), strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_more_steps_extend_a_run_and_fewer_are_refused(photographs, tmp_path):
    run(photographs, tmp_path / "run", steps=2)
    lines = []
    run(photographs, tmp_path / "run", steps=4, log=lines.append)
    assert lines[0] == "resumed at step 2"
    with pytest.raises(loop.RunError, match="can only be larger, not 3"):
        run(photographs, tmp_path / "run", steps=3)


def test_another_setting_is_refused_by_name_and_nothing_is_touched(photographs, tmp_path):
    run(photographs, tmp_path / "run", steps=2)
    before = (tmp_path / "run" / "run.json").read_text()
    other = Recipe(batch_size=2, warmup=2, learning_rate=2e-3, precision="float32")
    with pytest.raises(loop.RunError, match="batch_size was 4, asked 2"):
        run(photographs, tmp_path / "run", steps=2, recipe=other)
    assert (tmp_path / "run" / "run.json").read_text() == before


def test_a_folder_of_something_else_is_refused(photographs, tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "thesis.txt").write_text("precious")
    with pytest.raises(loop.RunError, match="is not empty and holds no run"):
        run(photographs, tmp_path / "run", steps=2)


def test_a_loss_that_explodes_stops_the_run_with_step_and_task(photographs, tmp_path):
    wild = Recipe(batch_size=4, warmup=0, learning_rate=1e30, precision="float32")
    with pytest.raises(loop.RunError, match=r"the loss is .* at step \d+ \(task "):
        run(photographs, tmp_path / "run", steps=20, recipe=wild)


def test_only_the_parts_of_the_steps_task_move():
    model = IPT(**CONFIG)
    optimizers = loop.TaskOptimizers(model)
    average = [loop.tf.Variable(weight.value) for weight in model.trainable_variables]
    step = loop.make_step(model, "denoise_50", optimizers, average, RECIPE)
    idle = {id(w) for layer in (model.heads[0], model.tails[0], model.embeddings[0]) for w in layer.weights}
    before = weights_of(model)
    tiles = np.random.default_rng(0).uniform(0, 255, (4, 12, 12, 3)).astype("float32")
    for _ in range(3):
        step(tiles, tiles[::-1], loop.tf.constant(1e-3), loop.tf.constant(0.9))
    for weight, old in zip(model.trainable_variables, before, strict=True):
        if id(weight) in idle:
            np.testing.assert_array_equal(np.array(weight), old)
    assert any(not np.array_equal(w, old) for w, old in zip(weights_of(model), before, strict=True))
    assert int(optimizers.tasks["sr_x2"].iterations) == 0
    assert int(optimizers.tasks["denoise_50"].iterations) == int(optimizers.body.iterations) == 3


def test_a_head_used_late_moves_by_no_more_than_the_learning_rate_at_first():
    model = IPT(**CONFIG)
    optimizers = loop.TaskOptimizers(model)
    average = [loop.tf.Variable(weight.value) for weight in model.trainable_variables]
    tiles = np.random.default_rng(0).uniform(0, 255, (4, 12, 12, 3)).astype("float32")
    rate, ema = loop.tf.constant(1e-3), loop.tf.constant(0.9)
    denoise = loop.make_step(model, "denoise_50", optimizers, average, RECIPE)
    for _ in range(20):
        denoise(tiles, tiles[::-1], rate, ema)
    before = [np.array(weight) for weight in model.heads[0].trainable_variables]
    sr = loop.make_step(model, "sr_x2", optimizers, average, RECIPE)
    sr(tiles, np.zeros((4, 24, 24, 3), "float32"), rate, ema)
    moves = [
        np.abs(np.array(w) - old).max()
        for w, old in zip(model.heads[0].trainable_variables, before, strict=True)
    ]
    assert 0.9e-3 < max(moves) < 1.01e-3


@pytest.mark.slow
def test_kill_9_and_the_same_command_again_give_the_weights_of_an_undisturbed_run(photographs, tmp_path):
    def command(out):
        script = (
            "from pathlib import Path; from ipt_tf.data import Photographs; from ipt_tf.training import loop;"
            "from ipt_tf.training.recipes import Recipe; import json, sys; print('ready', flush=True);"
            f"loop.train(json.loads({json.dumps(json.dumps(CONFIG))}),"
            f" Photographs.of_folder({str(photographs)!r}, smallest_side=96),"
            f" Recipe(batch_size=4, precision='float32'),"
            f" Path({str(out)!r}), steps=60, held_out=2, checkpoint_minutes=0.02, validate_every=30,"
            " log=lambda line: print(line, flush=True))"
        )
        return [sys.executable, "-c", script]

    subprocess.run(command(tmp_path / "whole"), check=True, capture_output=True)
    process = subprocess.Popen(command(tmp_path / "killed"), stdout=subprocess.PIPE, text=True)
    while not list((tmp_path / "killed").glob("checkpoints/*.index")):
        assert process.poll() is None
        time.sleep(0.05)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    again = subprocess.run(command(tmp_path / "killed"), check=True, capture_output=True, text=True)
    assert "resumed at step" in again.stdout
    whole, killed = (IPT.from_pretrained(tmp_path / name / "model") for name in ("whole", "killed"))
    for ours, theirs in zip(weights_of(whole), weights_of(killed), strict=True):
        np.testing.assert_array_equal(ours, theirs)
