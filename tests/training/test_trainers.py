"""Training on each backend: the same steps, stop and resume, weights that any backend loads.

`make test-backends` runs these tests without TensorFlow, and gives JAX two devices, logical ones on the processor.
"""

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import five_steps
import keras
import numpy as np
import pytest
from keras import ops

from ipt_tf import IPT, Task
from ipt_tf.cli import main
from ipt_tf.data import Photographs, album
from ipt_tf.training import loop
from ipt_tf.training.run_folder import RunError

WORKER = Path(__file__).with_name("jax_worker.py")
PLAIN = replace(five_steps.RECIPE, contrastive=0.0, accumulate=1)
TENSORFLOW = keras.backend.backend() == "tensorflow"


class Killed(Exception):
    """Stands for the end of a process."""


on_backends = pytest.mark.backends
"""Of tests that the TensorFlow suite has elsewhere, or that are about the others."""


@pytest.fixture(autouse=True)
def _without_tensorflow():
    yield
    assert TENSORFLOW or "tensorflow" not in sys.modules


@pytest.fixture
def jax():
    """JAX's trainer; other backends skip the test."""
    if keras.backend.backend() != "jax":
        pytest.skip("about JAX")
    from ipt_tf.training.trainers import jax

    return jax


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


def assert_five_steps(found):
    """Weights are up to 1.4 and move by up to 1e-3 a step; float32 has 1e-7 of 1. The backends add in orders of their
    own, so that gradients differ in their last digits, and Adam divides small gradients by themselves: 5e-7 was found.
    """
    expected = dict(np.load(five_steps.FIXTURES / "five_steps.npz"))
    assert_same({"history": found.pop("history")}, {"history": expected.pop("history")}, atol=0.0015)
    assert_same(found, expected, atol=2e-6)


@pytest.mark.everywhere
def test_five_steps_are_those_of_the_fixture_that_tensorflow_wrote(train):
    assert_five_steps(train())


@pytest.mark.skipif(not TENSORFLOW, reason="about TensorFlow")
def test_a_model_trained_on_pytorch_restores_alike_on_tensorflow():
    model = IPT.from_pretrained(five_steps.FIXTURES / "on_pytorch")
    expected = dict(np.load(five_steps.FIXTURES / "on_pytorch.npz"))
    assert_same(five_steps.outputs_of(model), expected, atol=1e-4)


@on_backends
def test_photographs_that_do_not_fit_into_memory_train_the_same_weights(train, monkeypatch):
    monkeypatch.setattr(album, "LARGEST", 0)
    assert_five_steps(train())


@on_backends
def test_clipping_and_the_contrastive_loss_count_in_them(train):
    """Else the test above would not be about them."""
    plain = train()
    for change in ({"clip_norm": None}, {"contrastive": 0.0}):
        assert differs(train(recipe=replace(five_steps.RECIPE, **change)), plain), change


@on_backends
def test_two_devices_train_the_weights_of_one(jax, train):
    two, recipe = jax.devices("mirrored"), replace(five_steps.RECIPE, accumulate=1)
    assert len(two) == 2
    assert_same(train(recipe=recipe, strategy=two), train(recipe=recipe), atol=2e-6)


def start_workers(folder, ports, steps=(5, 5), outs=("run", "run")):
    """Starts two processes that train together, on the photographs in a folder."""
    addresses = [f"localhost:{port}" for port in ports]
    started = []
    for index, count in enumerate(steps):
        config = {"cluster": {"worker": addresses}, "task": {"type": "worker", "index": index}}
        command = [sys.executable, WORKER, folder / "photographs", folder / outs[index], count]
        environment = {**os.environ, "XLA_FLAGS": "", "TF_CONFIG": json.dumps(config)}
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
        started.append(subprocess.Popen(list(map(str, command)), env=environment, **pipes))
    return started


@on_backends
@pytest.mark.usefixtures("jax")
def test_two_processes_train_the_weights_of_one(train, tmp_path, free_ports):
    expected = train(recipe=replace(five_steps.RECIPE, accumulate=1))
    (tmp_path / "photographs").mkdir()
    five_steps.photographs(tmp_path / "photographs")
    for process in start_workers(tmp_path, free_ports(2)):
        printed, _ = process.communicate(timeout=240)
        assert process.returncode == 0, printed
    found = five_steps.weights_of(IPT.from_pretrained(tmp_path / "run" / "model"))
    del expected["history"]
    assert_same(found, expected, atol=2e-6)


@on_backends
@pytest.mark.usefixtures("jax")
def test_a_killed_process_stops_the_other_and_the_same_command_goes_on(tmp_path, free_ports):
    (tmp_path / "photographs").mkdir()
    five_steps.photographs(tmp_path / "photographs")
    chief, other = start_workers(tmp_path, free_ports(2), (10000, 10000))
    for line in chief.stdout:
        if line.startswith("step 5:"):
            break
    other.kill()
    printed, _ = chief.communicate(timeout=240)
    assert "another worker was lost" in printed
    assert chief.returncode == 1
    chief, other = start_workers(tmp_path, free_ports(2), (10000, 10000))
    assert any(line.startswith("resumed at step") for line in chief.stdout)
    chief.kill()
    other.kill()


@on_backends
@pytest.mark.usefixtures("jax")
def test_processes_that_differ_stop_with_the_reason(tmp_path, free_ports):
    (tmp_path / "photographs").mkdir()
    five_steps.photographs(tmp_path / "photographs")
    for process in start_workers(tmp_path, free_ports(2), (5, 6), ("run", "another")):
        printed, _ = process.communicate(timeout=240)
        assert process.returncode == 1
        assert "the workers differ in their settings, pictures or checkpoint" in printed


@on_backends
@pytest.mark.parametrize("change", [{"accumulate": 3}, {"rematerialise": True}])
def test_ways_to_save_memory_train_the_same_weights(train, change):
    assert_same(train(recipe=replace(PLAIN, **change)), train(recipe=PLAIN), atol=2e-6)


@on_backends
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
    assert len(list((killed / "run" / "checkpoints").iterdir())) == 2


@on_backends
def test_another_seed_trains_on_other_crops(train):
    assert differs(train(recipe=replace(PLAIN, seed=40)), train(recipe=PLAIN))


@on_backends
def test_a_frozen_body_stays(train):
    found = train(recipe=replace(five_steps.RECIPE, freeze_body=True))
    before = five_steps.weights_of(model := five_steps.network())
    in_body = {id(weight) for weight in model.body.trainable_variables}
    for (name, weight), variable in zip(before.items(), model.trainable_variables, strict=True):
        assert np.array_equal(found[name], weight) == (id(variable) in in_body), name


@on_backends
def test_mixed_precision_trains_weights_of_full_precision(train):
    found = train(recipe=replace(PLAIN, precision="mixed_bfloat16"))
    history = found.pop("history")
    assert {str(array.dtype) for array in found.values()} == {"float32"}
    np.testing.assert_allclose(history, train(recipe=PLAIN)["history"], atol=0.5)


@on_backends
def test_a_loss_that_explodes_ends_the_run_before_anything_of_it_is_saved(tmp_path):
    wild = replace(PLAIN, learning_rate=1e6, warmup=0, clip_norm=None, optimizer="adam")
    with pytest.raises(RunError, match="Try a smaller learning rate"):
        five_steps.run(tmp_path, recipe=wild, steps=60, validate_every=1000)
    assert not list((tmp_path / "run").glob("checkpoints/*"))


def darker(clean, rng):
    return np.asarray(clean) * np.float32(0.5)


def noisy(clean, rng):
    return ops.cast(clean, "float32") + np.random.normal(0, 30, clean.shape).astype("float32")


def frozen(clean, rng):
    return ops.cast(clean, "float32") + np.random.default_rng(0).normal(0, 30, clean.shape).astype("float32")


def train_on(degrade, photographs, folder):
    """Trains a task of a degradation for two steps; returns the weights before and after."""
    task = Task("own", degrade=degrade)
    model = IPT([task], num_features=4, patch_size=12, patch_dim=2, num_heads=2, num_layers=1)
    source = Photographs.of_folder(photographs, smallest_side=48)
    trained = loop.train(
        model,
        source,
        replace(PLAIN, batch_size=2),
        folder / "run",
        steps=2,
        held_out=1,
        log=lambda line: None,
    )
    return five_steps.weights_of(model), five_steps.weights_of(trained)


@pytest.mark.everywhere
def test_a_task_that_degrades_with_numpy_is_fed_by_the_processor(photographs, tmp_path):
    before, after = train_on(darker, photographs, tmp_path)
    assert differs(after, before)


@pytest.mark.everywhere
@pytest.mark.parametrize("degrade", [noisy, frozen])
def test_a_degradation_with_random_numbers_of_its_own_is_refused_by_name(photographs, tmp_path, degrade):
    with pytest.raises(ValueError, match="the degradation of task own draws random numbers of its own"):
        train_on(degrade, photographs, tmp_path)
    assert not (tmp_path / "run" / "checkpoints").exists()


@on_backends
def test_a_run_of_another_backend_is_not_taken_for_ones_own(tmp_path):
    five_steps.run(tmp_path, steps=1)
    settings = json.loads((tmp_path / "run" / "run.json").read_text())
    backend = keras.backend.backend()
    assert settings.pop("backend") == backend
    # Runs of TensorFlow did not always tell.
    (tmp_path / "run" / "run.json").write_text(json.dumps(settings))
    with pytest.raises(RunError, match=f"backend: was 'tensorflow', asked '{backend}'"):
        five_steps.run(tmp_path, steps=2)


@on_backends
def test_what_needs_tensorflow_is_refused_in_words(photographs, tmp_path, capsys):
    command = ["train", "--tasks", "denoise", "--steps", "1", "--out", str(tmp_path / "run"), "--data"]
    for options, words in (
        ([str(photographs), "--strategy", "cores"], "strategy cores needs TensorFlow"),
        (["tfds:cifar10"], "tfds:cifar10 is read by TensorFlow"),
    ):
        assert main([*command, *options]) == 1
        assert words in capsys.readouterr().err


@on_backends
def test_a_batch_that_cannot_be_dealt_out_is_refused_in_words(jax, train):
    with pytest.raises(
        RunError, match="a batch of 3 patches cannot be dealt into 1 micro-batches for 2 devices"
    ):
        train(recipe=replace(PLAIN, batch_size=3), strategy=jax.devices("mirrored"))


@on_backends
@pytest.mark.parametrize("format", ["saved_model", "tflite"])
def test_an_export_is_refused_in_words(tmp_path, capsys, format):
    assert main(["export", "--format", format, "--out", str(tmp_path), "--tasks", "derain"]) == 1
    expected = f"export needs TensorFlow: Keras's backend here is {keras.backend.backend()}"
    assert expected in capsys.readouterr().err


@pytest.fixture
def _small_ipt_tiny(monkeypatch):
    from ipt_tf.model import presets

    monkeypatch.setitem(presets.find("ipt_tiny").config, "num_features", 4)
    monkeypatch.setitem(presets.find("ipt_tiny").config, "num_layers", 1)


@on_backends
@pytest.mark.usefixtures("_small_ipt_tiny")
def test_the_command_trains_and_goes_on(photographs, tmp_path, capsys):
    out = str(tmp_path / "run")
    command = ["train", "--data", str(photographs), "--tasks", "jpeg", "camera", "--out", out]
    command += ["--batch-size", "2", "--hold-out", "2", "--steps"]
    assert main([*command, "1"]) == 0
    assert main([*command, "2"]) == 0
    printed = capsys.readouterr().out
    assert "resumed at step 1" in printed
    assert IPT.from_pretrained(printed.splitlines()[-1]).task_names == ["jpeg", "camera"]


@on_backends
@pytest.mark.usefixtures("_small_ipt_tiny")
def test_heads_and_tails_train_alone_and_then_grow(photographs, tmp_path):
    command = [
        "train",
        "--data",
        str(photographs),
        "--tasks",
        "denoise",
        "--batch-size",
        "2",
        "--hold-out",
        "2",
    ]
    ends, grown = str(tmp_path / "ends"), str(tmp_path / "grown")
    assert main([*command, "--layers", "0", "--steps", "2", "--out", ends]) == 0
    more = ["--from", f"{ends}/model", "--layers", "1", "--steps", "2", "--out", grown]
    assert main([*command, *more, "--set", "optimizer=muon"]) == 0
    assert IPT.from_pretrained(f"{grown}/model").num_layers == 1
