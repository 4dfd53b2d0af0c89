"""One device, two replicas and two workers train the same weights; lost workers are noticed and made good."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import safetensors.numpy

from ipt_tf.training.trainers.tensorflow import strategies

WORKER = Path(__file__).with_name("worker.py")
STEPS = 8


def start(photographs, out, steps=STEPS, devices=1, strategy="one", minutes=3, **environment):
    command = [sys.executable, WORKER, photographs, out, steps, devices, strategy, minutes]
    return subprocess.Popen(
        list(map(str, command)),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "2", **environment},
    )


def finish(process):
    output, _ = process.communicate(timeout=240)
    assert process.returncode == 0, output
    return output


def start_workers(photographs, out, ports, **options):
    addresses = [f"localhost:{port}" for port in ports]
    tasks = ({"type": "worker", "index": i} for i in range(len(ports)))
    configs = [json.dumps({"cluster": {"worker": addresses}, "task": task}) for task in tasks]
    return [start(photographs, out, strategy="workers", TF_CONFIG=config, **options) for config in configs]


def weights_in(out):
    return safetensors.numpy.load_file(out / "model" / "model.safetensors")


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    from PIL import Image

    folder = tmp_path_factory.mktemp("photographs")
    y, x = np.mgrid[:120, :150] / 150
    for i in range(6):
        pixels = 255 * np.stack([x, y, np.full_like(x, i / 6)], axis=-1)
        Image.fromarray(pixels.astype(np.uint8)).save(folder / f"{i}.png")
    return folder


@pytest.fixture(scope="module")
def on_one_device(source, tmp_path_factory):
    out = tmp_path_factory.mktemp("one") / "run"
    finish(start(source, out))
    return weights_in(out)


def assert_same_weights(found, expected, atol):
    for name, weight in expected.items():
        np.testing.assert_allclose(found[name], weight, rtol=0, atol=atol, err_msg=name)


@pytest.mark.skipif(
    4 % (os.cpu_count() or 1), reason="a batch of 4 cannot be dealt out to this machine's cores"
)
def test_a_replica_on_each_core_trains_the_weights_of_one_device(source, on_one_device, tmp_path):
    finish(start(source, tmp_path / "run", strategy="cores"))
    # Operations on one thread add in another order; Adam divides what is left of small gradients by themselves.
    assert_same_weights(weights_in(tmp_path / "run"), on_one_device, atol=1e-5)


def test_two_replicas_train_the_weights_of_one_device(source, on_one_device, tmp_path):
    finish(start(source, tmp_path / "run", devices=2, strategy="mirrored"))
    # Muon enlarges what is small in a gradient up to five hundred times, and rounding with it: 1.1e-6 was found.
    assert_same_weights(weights_in(tmp_path / "run"), on_one_device, atol=3e-6)


def test_two_workers_train_the_weights_of_one_device(source, on_one_device, tmp_path, free_ports):
    workers = start_workers(source, tmp_path / "run", free_ports(2))
    outputs = [finish(worker) for worker in workers]
    assert_same_weights(weights_in(tmp_path / "run"), on_one_device, atol=3e-6)
    assert "validation PSNR" in outputs[0]  # the chief's
    assert not [line for line in outputs[1].splitlines() if line.startswith("step")]


def test_a_killed_worker_stops_the_others_and_the_same_command_goes_on(source, tmp_path, free_ports):
    undisturbed = start_workers(source, tmp_path / "whole", free_ports(2), steps=14)
    for worker in undisturbed:
        finish(worker)
    chief, other = start_workers(source, tmp_path / "run", free_ports(2), steps=14, minutes=0)
    checkpoints = tmp_path / "run" / "checkpoints"
    deadline = time.monotonic() + 200
    while not list(checkpoints.glob("ckpt-[3-9].index")):
        assert chief.poll() is None, chief.communicate()[0]
        assert time.monotonic() < deadline
        time.sleep(0.02)
    other.kill()
    output, _ = chief.communicate(timeout=60)
    assert chief.returncode == 1
    assert "another worker was lost at step" in output
    assert "start the same command on all of them again" in output
    again = [
        finish(worker)
        for worker in start_workers(source, tmp_path / "run", free_ports(2), steps=14, minutes=0)
    ]
    assert "resumed at step" in again[0]
    assert_same_weights(weights_in(tmp_path / "run"), weights_in(tmp_path / "whole"), atol=0)


def test_a_worker_that_never_starts_is_named_after_the_timeout(source, tmp_path, free_ports):
    port, missing = free_ports(2)
    config = {"cluster": {"worker": [f"localhost:{port}", f"localhost:{missing}"]}}
    config["task"] = {"type": "worker", "index": 0}
    worker = start(
        source, tmp_path / "run", strategy="workers", TF_CONFIG=json.dumps(config), START_TIMEOUT="3"
    )
    output, _ = worker.communicate(timeout=120)
    assert worker.returncode == 1
    assert f"no answer from localhost:{missing}" in output


def test_workers_that_differ_all_stop_with_the_reason(source, tmp_path, free_ports):
    addresses = [f"localhost:{port}" for port in free_ports(2)]
    workers = []
    for index, steps in enumerate((8, 9)):
        task = {"type": "worker", "index": index}
        config = json.dumps({"cluster": {"worker": addresses}, "task": task})
        workers.append(start(source, tmp_path / str(index), steps, strategy="workers", TF_CONFIG=config))
    for worker in workers:
        output, _ = worker.communicate(timeout=120)
        assert worker.returncode == 1
        assert "the workers differ in their settings, pictures or checkpoint" in output


@pytest.mark.parametrize(
    "config",
    [
        None,
        "{",
        '{"cluster": {}}',
        '{"cluster": {"worker": ["a:1"]}, "task": {"type": "worker", "index": 1}}',
    ],
)
def test_a_tf_config_that_makes_no_sense_is_refused_with_an_example(config, monkeypatch):
    monkeypatch.delenv("TF_CONFIG", raising=False)
    if config is not None:
        monkeypatch.setenv("TF_CONFIG", config)
    with pytest.raises(strategies.RunError, match="HOST:PORT"):
        strategies.make("workers")


def test_an_unknown_strategy_is_refused_with_the_known_ones():
    with pytest.raises(strategies.RunError, match="auto, one, cores, mirrored, workers"):
        strategies.make("several")
