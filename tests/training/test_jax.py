"""Training on JAX, without TensorFlow: the same steps, on one device and on two, stop and resume.

`make test-backends` gives these tests two devices, logical ones on the processor.
"""

import sys
from dataclasses import replace

import five_steps
import keras
import numpy as np
import pytest

from ipt_tf import IPT, Task
from ipt_tf.cli import main
from ipt_tf.data import album

pytestmark = [pytest.mark.backends, pytest.mark.usefixtures("_without_tensorflow")]

PLAIN = replace(five_steps.RECIPE, contrastive=0.0, accumulate=1)


class Killed(Exception):
    """Stands for the end of a process."""


@pytest.fixture
def _without_tensorflow():
    if keras.backend.backend() != "jax":
        pytest.skip("about JAX")
    yield
    assert "tensorflow" not in sys.modules


@pytest.fixture
def train(tmp_path):
    """Trains five steps in a folder of its own; returns the weights that are saved, by name."""
    folders = iter(range(100))

    def run(**options):
        folder = tmp_path / str(next(folders))
        folder.mkdir()
        return five_steps.run(folder, **options)

    return run


def assert_same(found, expected, atol):
    assert found.keys() == expected.keys()
    for name, array in found.items():
        np.testing.assert_allclose(array, expected[name], rtol=0, atol=atol, err_msg=name)


def differs(found, expected):
    return any(not np.array_equal(found[name], expected[name]) for name in expected)


def test_five_steps_are_those_of_tensorflow(train, monkeypatch):
    """From the same batches: those that the processor makes, as for photographs that the device does not hold."""
    monkeypatch.setattr(album, "LARGEST", 0)
    found, expected = train(), dict(np.load(five_steps.FIXTURES / "five_steps.npz"))
    assert_same({"history": found.pop("history")}, {"history": expected.pop("history")}, atol=0.0015)
    assert_same(found, expected, atol=2e-6)  # 7e-7 was found


def two_devices():
    from ipt_tf.training.trainers import jax

    found = jax.devices("mirrored")
    assert len(found) == 2
    return found


def test_clipping_and_the_contrastive_loss_count_in_them(train):
    plain = train()
    for change in ({"clip_norm": None}, {"contrastive": 0.0}):
        assert differs(train(recipe=replace(five_steps.RECIPE, **change)), plain), change


def test_two_devices_train_the_weights_of_one_from_photographs_that_they_hold(train):
    recipe = replace(five_steps.RECIPE, accumulate=1)
    assert_same(train(recipe=recipe, strategy=two_devices()), train(recipe=recipe), atol=2e-6)


@pytest.mark.parametrize("change", [{"accumulate": 3}, {"rematerialise": True}])
def test_ways_to_save_memory_train_the_same_weights(train, change):
    assert_same(train(recipe=replace(PLAIN, **change)), train(recipe=PLAIN), atol=2e-6)


def test_a_run_that_was_killed_goes_on_to_the_same_weights(tmp_path):
    def die_at_validation(line):
        if line.startswith("step 3:"):
            raise Killed

    whole, killed = tmp_path / "whole", tmp_path / "killed"
    whole.mkdir()
    killed.mkdir()
    expected = five_steps.run(whole, validate_every=3)
    with pytest.raises(Killed):
        five_steps.run(killed, validate_every=3, log=die_at_validation, checkpoint_minutes=0)
    lines = []
    resumed = five_steps.run(killed, validate_every=3, log=lines.append)
    assert "resumed at step 3" in lines
    assert_same(resumed, expected, atol=0)


def test_another_seed_trains_on_other_crops(train):
    assert differs(train(recipe=replace(PLAIN, seed=40)), train(recipe=PLAIN))


def test_a_frozen_body_stays(train):
    found = train(recipe=replace(five_steps.RECIPE, freeze_body=True))
    before = five_steps.weights_of(model := five_steps.network())
    in_body = {id(weight) for weight in model.body.trainable_variables}
    for (name, weight), variable in zip(before.items(), model.trainable_variables, strict=True):
        assert np.array_equal(found[name], weight) == (id(variable) in in_body), name


def test_mixed_precision_trains_weights_of_full_precision(train):
    found = train(recipe=replace(PLAIN, precision="mixed_bfloat16"))
    history = found.pop("history")
    assert {str(array.dtype) for array in found.values()} == {"float32"}
    np.testing.assert_allclose(history, train(recipe=PLAIN)["history"], atol=0.5)


def test_a_loss_that_explodes_ends_the_run_before_anything_of_it_is_saved(tmp_path):
    from ipt_tf.training.run_folder import RunError

    wild = replace(PLAIN, learning_rate=1e6, warmup=0, clip_norm=None, optimizer="adam")
    with pytest.raises(RunError, match="Try a smaller learning rate"):
        five_steps.run(tmp_path, recipe=wild, steps=60, validate_every=1000)
    assert not list((tmp_path / "run").glob("checkpoints/*"))


def test_a_task_that_degrades_with_numpy_is_fed_by_the_processor(photographs, tmp_path):
    from ipt_tf.data import Photographs
    from ipt_tf.training import loop

    def darker(clean, rng):
        return np.asarray(clean) * 0.5

    model = IPT([Task("darker", degrade=darker)], num_features=4, patch_size=12, num_heads=2, num_layers=1)
    source = Photographs.of_folder(photographs, smallest_side=48)
    recipe = replace(PLAIN, batch_size=2)
    trained = loop.train(model, source, recipe, tmp_path / "run", steps=2, held_out=1, log=lambda line: None)
    assert differs(five_steps.weights_of(trained), five_steps.weights_of(model))


def test_what_needs_tensorflow_is_refused_in_words(photographs, tmp_path, capsys):
    command = ["train", "--tasks", "denoise", "--steps", "1", "--out", str(tmp_path / "run"), "--data"]
    for options, words in (
        ([str(photographs), "--strategy", "cores"], "strategy cores needs TensorFlow"),
        (["tfds:cifar10"], "tfds:cifar10 is read by TensorFlow"),
    ):
        assert main([*command, *options]) == 1
        assert words in capsys.readouterr().err


def test_a_batch_that_cannot_be_dealt_out_is_refused_in_words(train):
    from ipt_tf.training.run_folder import RunError

    with pytest.raises(
        RunError, match="a batch of 3 patches cannot be dealt into 1 micro-batches for 2 devices"
    ):
        train(recipe=replace(PLAIN, batch_size=3), strategy=two_devices())


def test_the_command_trains_and_goes_on(photographs, tmp_path, capsys, monkeypatch):
    from ipt_tf.model import presets

    monkeypatch.setitem(presets.find("ipt_tiny").config, "num_features", 4)
    monkeypatch.setitem(presets.find("ipt_tiny").config, "num_layers", 1)
    out = str(tmp_path / "run")
    command = ["train", "--data", str(photographs), "--tasks", "jpeg", "camera", "--out", out]
    command += ["--batch-size", "2", "--hold-out", "2", "--steps"]
    assert main([*command, "1"]) == 0
    assert main([*command, "2"]) == 0
    printed = capsys.readouterr().out
    assert "resumed at step 1" in printed
    assert IPT.from_pretrained(printed.splitlines()[-1]).task_names == ["jpeg", "camera"]
