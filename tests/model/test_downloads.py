"""Weights by URL: fetched once, and never another file than the one that was meant."""

import contextlib
import functools
import hashlib
import http.server
import threading

import keras
import numpy as np
import pytest

from ipt_tf import IPT
from ipt_tf.cli import main
from ipt_tf.model.torch_files import CheckpointError


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    """Keras's folder, a temporary one."""
    monkeypatch.setattr(keras.utils, "get_file", functools.partial(keras.utils.get_file, cache_dir=tmp_path))
    return tmp_path / "ipt_tf"


@pytest.fixture
def weights(tmp_path):
    """The file of weights of a small model, without its folder, and its sha256."""
    IPT(
        ["denoise"], num_features=4, patch_size=12, num_heads=2, num_layers=1, start="random"
    ).save_pretrained(tmp_path / "saved", dtype="float16")
    path = tmp_path / "site" / "small.safetensors"
    path.parent.mkdir()
    (tmp_path / "saved" / "model.safetensors").rename(path)
    return path, hashlib.sha256(path.read_bytes()).hexdigest()


@contextlib.contextmanager
def serving(folder):
    """Serves a folder over HTTP; yields its address and the requests that come."""
    requests = []

    class Handler(http.server.SimpleHTTPRequestHandler):
        def log_message(self, _, *arguments):
            requests.append(arguments[0])

    with http.server.HTTPServer(("localhost", 0), functools.partial(Handler, directory=folder)) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://localhost:{server.server_port}", requests
        finally:
            server.shutdown()
            thread.join()


def test_a_file_of_weights_is_a_model_without_its_folder(weights):
    path, _ = weights
    model = IPT.from_pretrained(path)
    assert (model.task_names, model.num_heads, model.start) == (["denoise"], 2, "random")


def test_weights_are_fetched_once(weights, capsys):
    path, sha256 = weights
    with serving(path.parent) as (address, requests):
        for _ in range(2):
            model = IPT.from_pretrained(f"{address}/small.safetensors#sha256={sha256}", task="denoise")
    assert len(requests) == 1
    for ours, theirs in zip(model.weights, IPT.from_pretrained(path).weights, strict=True):
        np.testing.assert_array_equal(np.array(ours), np.array(theirs))
    assert capsys.readouterr().out == ""


def test_another_file_than_the_one_that_was_meant_is_refused(weights, cache):
    path, _ = weights
    url = f"{path.as_uri()}#sha256={'0' * 64}"
    for _ in range(2):  # what was fetched the first time is not taken the second time either
        with pytest.raises(CheckpointError, match="is not the file that was meant: its sha256 is not 000"):
            IPT.from_pretrained(url)


def test_a_url_without_a_hash_is_refused_and_nothing_is_fetched(weights):
    path, _ = weights
    with serving(path.parent) as (address, requests):
        for hash_ in ("", "#sha256=12", "#md5=" + "0" * 32):
            with pytest.raises(CheckpointError, match="a URL needs the sha256 of its file"):
                IPT.from_pretrained(f"{address}/small.safetensors{hash_}")
    assert requests == []


def test_no_network_and_no_such_file_are_said_in_a_line(weights, capsys, free_ports, tmp_path):
    path, sha256 = weights
    with serving(path.parent) as (address, _):
        (port,) = free_ports(1)  # only now: before, the server itself might be given it
        for url, reason in (
            (f"{address}/other.safetensors", "404"),
            (f"http://localhost:{port}/a.pt", "refused"),
        ):
            command = ["convert", f"{url}#sha256={sha256}", str(tmp_path / "out")]
            assert main(command) == 1
            error = capsys.readouterr().err.strip().splitlines()[-1]
            assert error.startswith(f"ipt: {url} cannot be fetched")
            assert reason in error
            assert "a path to the file, fetched by other means, would do too" in error


def test_the_command_takes_a_url(weights, tmp_path, capsys):
    path, sha256 = weights
    assert main(["convert", f"{path.as_uri()}#sha256={sha256}", str(tmp_path / "out")]) == 0
    assert IPT.from_pretrained(tmp_path / "out").task_names == ["denoise"]
