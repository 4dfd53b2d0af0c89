"""A training run as a user meets it: it learns, resumes to the same weights, and refuses to mix runs."""

import csv
import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace

import keras
import numpy as np
import pytest

from ipt_tf import IPT
from ipt_tf.data import Photographs
from ipt_tf.data.draws import words
from ipt_tf.training import loop
from ipt_tf.training.losses import paper_contrastive
from ipt_tf.training.recipes import Recipe
from ipt_tf.training.trainers.tensorflow.optimizers import TaskOptimizers
from ipt_tf.training.trainers.tensorflow.step import Step

CONFIG = {
    "tasks": ["sr_x2", "denoise_50"],
    "num_features": 4,
    "patch_size": 12,
    "num_heads": 2,
    "num_layers": 1,
}
RECIPE = Recipe(batch_size=4, optimizer="muon", warmup=2, learning_rate=2e-3)


class Killed(Exception):
    """Stands for the end of a process."""


def run(folder, out, steps, recipe=RECIPE, log=lambda line: None, **options):
    source = Photographs.of_folder(folder, smallest_side=96)
    keras.utils.set_random_seed(0)
    return loop.train(IPT(**CONFIG), source, recipe, out, steps=steps, held_out=2, log=log, **options)


def weights_of(model):
    return [np.array(weight) for weight in model.trainable_variables]


def test_training_lowers_the_loss_and_saves_a_model_that_loads(photographs, tmp_path):
    model = run(photographs, tmp_path / "run", steps=60, validate_every=20)
    with (tmp_path / "run" / "history.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["step"] for row in rows] == ["0", "20", "40", "60"]
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
    other = Recipe(batch_size=2, warmup=2, learning_rate=2e-3)
    with pytest.raises(loop.RunError, match="batch_size was 4, asked 2"):
        run(photographs, tmp_path / "run", steps=2, recipe=other)
    assert (tmp_path / "run" / "run.json").read_text() == before


def test_a_folder_of_something_else_is_refused(photographs, tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "thesis.txt").write_text("precious")
    with pytest.raises(loop.RunError, match="is not empty and holds no run"):
        run(photographs, tmp_path / "run", steps=2)


def test_a_loss_that_explodes_stops_the_run_with_step_and_task(photographs, tmp_path):
    wild = Recipe(batch_size=4, warmup=0, learning_rate=1e30)
    with pytest.raises(loop.RunError, match=r"the loss is .* at step \d+ \(task "):
        run(photographs, tmp_path / "run", steps=20, recipe=wild)


def make_steps(recipe=RECIPE, **config):
    model, average = IPT(**CONFIG, **config), IPT(**CONFIG, **config)
    optimizers = TaskOptimizers(model)
    return model, {name: Step(model, average, name, optimizers, recipe) for name in model.task_names}


def batch(scale=1, seed=0):
    rng = np.random.default_rng(seed)
    pair = [rng.uniform(0, 255, (4, 12 * s, 12 * s, 3)).astype("float32") for s in (1, scale)]
    return 0, words(range(4)), *pair


def test_only_the_parts_of_the_steps_task_move():
    model, steps = make_steps()
    idle = {id(w) for layer in (model.heads[0], model.tails[0], model.embeddings[0]) for w in layer.weights}
    before = weights_of(model)
    for _ in range(3):
        steps["denoise_50"](iter([batch()]), 1e-3, 0.9)
    for weight, old in zip(model.trainable_variables, before, strict=True):
        if id(weight) in idle:
            np.testing.assert_array_equal(np.array(weight), old)
    assert any(not np.array_equal(w, old) for w, old in zip(weights_of(model), before, strict=True))


def test_a_head_used_late_moves_by_no_more_than_the_learning_rate_at_first():
    model, steps = make_steps()
    for _ in range(20):
        steps["denoise_50"](iter([batch()]), 1e-3, 0.9)
    before = [np.array(weight) for weight in model.heads[0].trainable_variables]
    steps["sr_x2"](iter([batch(scale=2)]), 1e-3, 0.9)
    after = [np.array(weight) for weight in model.heads[0].trainable_variables]
    largest = max(np.abs(new - old).max() for new, old in zip(after, before, strict=True))
    assert 0.9e-3 < largest < 1.01e-3


def test_the_l1_loss_alone_reaches_the_body():
    """The authors' training code feeds the tail the head's output, so that L1 never trains the transformer."""
    model, steps = make_steps(start="random")
    weights = dict(zip((w.path for w in model.body.trainable_variables), weights_of(model.body), strict=True))
    steps["denoise_50"](iter([batch()]), 1e-3, 0.9)
    for weight in model.body.trainable_variables:
        assert not np.array_equal(np.array(weight), weights[weight.path]), weight.path


def test_the_contrastive_loss_is_added_with_its_weight():
    _, _, inputs, _ = batch()
    losses = {}
    for weight in (0.0, 0.1):
        keras.utils.set_random_seed(0)
        model, steps = make_steps(replace(RECIPE, contrastive=weight), start="random")
        tokens = model.restore_with_tokens(inputs, "denoise_50")[1]
        losses[weight] = float(steps["denoise_50"](iter([batch()]), 1e-3, 0.9)[0])
    assert losses[0.1] - losses[0.0] == pytest.approx(0.1 * float(paper_contrastive(tokens)), rel=1e-3)


@pytest.mark.parametrize("change", [{"accumulate": 2}, {"rematerialise": True}, {"xla": True}])
def test_ways_to_save_memory_and_time_train_the_same_weights(photographs, tmp_path, change):
    plain = run(photographs, tmp_path / "plain", steps=4)
    other = run(photographs, tmp_path / "other", steps=4, recipe=replace(RECIPE, **change))
    for ours, theirs in zip(weights_of(plain), weights_of(other), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=0, atol=3e-6)


def test_a_frozen_body_stays_while_heads_and_tails_learn(photographs, tmp_path):
    keras.utils.set_random_seed(0)
    before = IPT(**CONFIG)
    after = run(photographs, tmp_path / "run", steps=10, recipe=replace(RECIPE, freeze_body=True, ema=0.0))
    for old, new in zip(before.body.weights, after.body.weights, strict=True):
        np.testing.assert_array_equal(old, new)
    for name in ("sr_x2", "denoise_50"):
        assert not all(
            np.array_equal(old, new)
            for old, new in zip(before.own_weights(name), after.own_weights(name), strict=True)
        )


def test_a_run_goes_on_from_other_weights(photographs, tmp_path):
    first = run(photographs, tmp_path / "first", steps=4)
    gentle = replace(RECIPE, learning_rate=1e-9, final_learning_rate=1e-9)
    source = Photographs.of_folder(photographs, smallest_side=96)
    second = loop.train(first, source, gentle, tmp_path / "second", steps=2, held_out=2, origin="first")
    for ours, theirs in zip(weights_of(first), weights_of(second), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-7)
    assert json.loads((tmp_path / "second" / "model" / "run.json").read_text())["from"] == "first"


def test_the_same_photographs_are_held_out_whatever_the_seed(photographs, tmp_path, monkeypatch):
    held_out = []
    monkeypatch.setattr(
        loop, "Validation", lambda kept, *rest: held_out.append([path.name for path in kept.paths])
    )
    for seed in (0, 1):
        recipe = replace(RECIPE, seed=seed)
        keras.utils.set_random_seed(0)
        source = Photographs.of_folder(photographs, smallest_side=96)
        loop._Run(IPT(**CONFIG), source, recipe, tmp_path, None, 2, None, "", print)
    assert held_out[0] == held_out[1]


def test_validation_is_the_same_whatever_the_seed(photographs, tmp_path):
    """So that runs compare: rain of another seed is up to 2 dB easier."""
    before_training = []
    for seed in (0, 1):
        run(photographs, tmp_path / str(seed), steps=1, recipe=replace(RECIPE, seed=seed))
        before_training.append((tmp_path / str(seed) / "history.csv").read_text().splitlines()[1])
    assert before_training[0] == before_training[1]


@pytest.mark.slow
def test_kill_9_and_the_same_command_again_give_the_weights_of_an_undisturbed_run(photographs, tmp_path):
    def command(out):
        script = (
            "from ipt_tf import IPT; from ipt_tf.data import Photographs; from ipt_tf.training import loop;"
            "from ipt_tf.training.recipes import Recipe; import keras; keras.utils.set_random_seed(0);"
            f"loop.train(IPT(**{CONFIG!r}),"
            f" Photographs.of_folder({str(photographs)!r}, smallest_side=96),"
            f" Recipe(batch_size=4, precision='float32'),"
            f" {str(out)!r}, steps=60, held_out=2, checkpoint_minutes=0.02, validate_every=30,"
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
