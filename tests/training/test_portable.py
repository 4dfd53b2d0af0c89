"""Training on PyTorch, without TensorFlow: the same steps, stop and resume, weights that TensorFlow loads."""

import json
import sys
from dataclasses import replace

import five_steps
import keras
import numpy as np
import pytest

from ipt_tf import IPT
from ipt_tf.cli import main
from ipt_tf.training import loop

on_tensorflow = pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="about TensorFlow")


class Killed(Exception):
    """Stands for the end of a process."""


def assert_same(found, expected, atol):
    assert found.keys() == expected.keys()
    for name, array in found.items():
        np.testing.assert_allclose(array, expected[name], rtol=0, atol=atol, err_msg=name)


def assert_five_steps(found):
    """Weights are up to 1.4 and move by up to 1e-3 a step; float32 has 1e-7 of 1. The backends add in orders of their
    own, so that gradients differ in their last digits, and Adam divides small gradients by themselves: 2e-7 was found.
    """
    expected = dict(np.load(five_steps.FIXTURES / "five_steps.npz"))
    assert_same({"history": found.pop("history")}, {"history": expected.pop("history")}, atol=0.0015)
    assert_same(found, expected, atol=2e-6)


@on_tensorflow
def test_the_five_steps_of_the_fixture_are_those_of_tensorflows_loop(tmp_path):
    assert_five_steps(five_steps.run(tmp_path))


@on_tensorflow
def test_a_model_trained_on_pytorch_restores_alike_on_tensorflow():
    model = IPT.from_pretrained(five_steps.FIXTURES / "on_pytorch")
    expected = dict(np.load(five_steps.FIXTURES / "on_pytorch.npz"))
    assert_same(five_steps.outputs_of(model), expected, atol=1e-4)


@pytest.fixture
def _without_tensorflow():
    assert keras.backend.backend() == "torch"
    yield
    assert "tensorflow" not in sys.modules


def pytorch_only(test):
    return pytest.mark.backends(pytest.mark.usefixtures("_without_tensorflow")(test))


@pytorch_only
def test_five_steps_are_those_of_tensorflow(tmp_path):
    assert_five_steps(five_steps.run(tmp_path))


@pytorch_only
def test_clipping_and_the_contrastive_loss_count_in_them(tmp_path):
    """Else the test above would not be about them."""
    for change in ({"clip_norm": None}, {"contrastive": 0.0}):
        (tmp_path / str(change)).mkdir()
        found = five_steps.run(tmp_path / str(change), recipe=replace(five_steps.RECIPE, **change))
        with pytest.raises(AssertionError):
            assert_five_steps(found)


@pytorch_only
def test_a_run_that_was_killed_goes_on_to_the_same_weights(tmp_path):
    def die_at_validation(line):
        if line.startswith("step 3:"):
            raise Killed

    (tmp_path / "whole").mkdir()
    whole = five_steps.run(tmp_path / "whole", validate_every=3)
    with pytest.raises(Killed):
        five_steps.run(tmp_path, validate_every=3, log=die_at_validation, checkpoint_minutes=0)
    lines = []
    resumed = five_steps.run(tmp_path, validate_every=3, log=lines.append)
    assert "resumed at step 3" in lines
    assert_same(resumed, whole, atol=0)
    assert len(list((tmp_path / "run" / "checkpoints").iterdir())) == 2


@pytorch_only
@pytest.mark.parametrize("change", [{"accumulate": 1}, {"rematerialise": True}])
def test_ways_to_save_memory_train_the_same_weights(tmp_path, change):
    plain, other = tmp_path / "plain", tmp_path / "other"
    recipe = replace(five_steps.RECIPE, contrastive=0.0)  # which sees the images of a micro-batch only
    for folder in (plain, other):
        folder.mkdir()
    expected = five_steps.run(plain, recipe=recipe)
    assert_same(five_steps.run(other, recipe=replace(recipe, **change)), expected, atol=2e-6)


@pytorch_only
def test_a_frozen_body_stays(tmp_path):
    found = five_steps.run(tmp_path, recipe=replace(five_steps.RECIPE, freeze_body=True))
    del found["history"]
    before = five_steps.weights_of(model := five_steps.network())
    in_body = {id(weight) for weight in model.body.trainable_variables}
    for (name, weight), variable in zip(before.items(), model.trainable_variables, strict=True):
        assert np.array_equal(found[name], weight) == (id(variable) in in_body), name


@pytorch_only
def test_mixed_precision_trains_weights_of_full_precision(tmp_path):
    found = five_steps.run(tmp_path, recipe=replace(five_steps.RECIPE, precision="mixed_bfloat16"))
    expected = np.load(five_steps.FIXTURES / "five_steps.npz")
    assert {str(array.dtype) for name, array in found.items() if name != "history"} == {"float32"}
    np.testing.assert_allclose(found["history"], expected["history"], atol=0.5)


@pytorch_only
def test_a_run_of_the_other_backend_is_not_taken_for_ones_own(tmp_path):
    five_steps.run(tmp_path, steps=1)
    settings = json.loads((tmp_path / "run" / "run.json").read_text())
    assert settings.pop("backend") == "torch"
    # Runs of TensorFlow did not always tell.
    (tmp_path / "run" / "run.json").write_text(json.dumps(settings))
    with pytest.raises(loop.RunError, match="backend: was 'tensorflow', asked 'torch'"):
        five_steps.run(tmp_path, steps=2)


@pytorch_only
def test_what_needs_tensorflow_is_refused_in_words(photographs, tmp_path, capsys):
    command = ["train", "--tasks", "denoise", "--steps", "1", "--out", str(tmp_path / "run"), "--data"]
    for options, words in (
        ([str(photographs), "--strategy", "cores"], "strategy cores needs TensorFlow"),
        ([str(photographs), "--set", "xla=true", "--hold-out", "2"], "xla=true compiles TensorFlow's graphs"),
        (["tfds:cifar10"], "tfds:cifar10 is read by TensorFlow"),
    ):
        assert main([*command, *options]) == 1
        assert words in capsys.readouterr().err


@pytorch_only
@pytest.mark.parametrize("format", ["saved_model", "tflite"])
def test_an_export_is_refused_in_words(tmp_path, capsys, format):
    assert main(["export", "--format", format, "--out", str(tmp_path), "--tasks", "derain"]) == 1
    assert "export needs TensorFlow: Keras's backend here is torch" in capsys.readouterr().err


@pytorch_only
def test_the_command_trains_and_goes_on(photographs, tmp_path, capsys, monkeypatch):
    from ipt_tf.model import presets

    monkeypatch.setitem(presets.find("ipt_tiny").config, "num_features", 4)
    monkeypatch.setitem(presets.find("ipt_tiny").config, "num_layers", 1)
    out = str(tmp_path / "run")
    command = ["train", "--data", str(photographs), "--tasks", "jpeg", "denoise", "--out", out]
    command += ["--batch-size", "2", "--hold-out", "2", "--steps"]
    assert main([*command, "1"]) == 0
    assert main([*command, "2"]) == 0
    printed = capsys.readouterr().out
    assert "resumed at step 1" in printed
    assert IPT.from_pretrained(printed.splitlines()[-1]).task_names == ["jpeg", "denoise"]


@pytorch_only
def test_heads_and_tails_train_alone_and_then_grow(photographs, tmp_path):
    command = ["train", "--data", str(photographs), "--tasks", "jpeg", "--batch-size", "2", "--hold-out", "2"]
    ends, grown = str(tmp_path / "ends"), str(tmp_path / "grown")
    assert main([*command, "--layers", "0", "--steps", "2", "--out", ends]) == 0
    more = ["--from", f"{ends}/model", "--layers", "1", "--steps", "2", "--out", grown]
    assert main([*command, *more, "--set", "optimizer=muon"]) == 0
    assert IPT.from_pretrained(f"{grown}/model").num_layers == 1
