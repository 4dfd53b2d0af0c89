"""Whole pictures of exported models: the same answers, no waiting behind them, and an end when nobody waits."""

import base64
import contextlib
import io
import json
import os
import shutil
import signal
import socket
import struct
import subprocess
import sys
import threading
import time

import grpc
import numpy as np
import pytest
from PIL import Image

pytest.importorskip("tensorflow_serving", reason="tensorflow-serving-api is not installed")

from ipt_tf.serving import Client, ServingError, pictures

SIDE = 1000
BATCHES = 42
"""Calls of the network for a picture of that side, of 26 x 26 tiles."""


@pytest.fixture(scope="module")
def exported(saved_model, tmp_path_factory):
    """A folder of models, with what `ipt export` says about its own."""
    folder = tmp_path_factory.mktemp("models")
    version = shutil.copytree(saved_model, folder / "ipt_sr_x2" / "1")
    (version / "assets.extra").mkdir()
    (version / "assets.extra" / "ipt_tf.json").write_text(json.dumps({"tile": 48, "scale": 2}))
    return folder


def noise(*shape):
    return np.random.default_rng(0).integers(0, 256, shape, np.uint8)


class Counted:
    """Calls of the network for whole pictures, which wait while they are held."""

    def __init__(self, monkeypatch):
        self.calls, self.begun, self.go = 0, threading.Semaphore(0), threading.Event()
        made = pictures.Pictures._network

        def network_of(whole, caller):
            network = made(whole, caller)

            def counted(tiles):
                self.begun.release()
                self.go.wait(60)
                self.calls += 1
                return network(tiles)

            return counted

        monkeypatch.setattr(pictures.Pictures, "_network", network_of)


@pytest.fixture
def counted(monkeypatch):
    return Counted(monkeypatch)


def test_tiles_and_small_pictures_do_not_wait_for_large_ones(serving, exported, counted, file_of):
    large = file_of(noise(SIDE, SIDE, 3))
    with serving(exported) as running, Client(running.grpc, "sr_x2", deadline=60) as client:
        asked = [threading.Thread(target=client.restore_bytes, args=[large]) for _ in range(3)]
        for thread in asked:
            thread.start()
        counted.begun.acquire(timeout=60)
        assert client.network(np.ones((1, 48, 48, 3), np.float32)).shape == (1, 96, 96, 3)
        counted.go.set()
        small = client.restore_bytes(file_of(noise(3, 3, 3)))
        assert Image.open(io.BytesIO(small)).size == (6, 6)
        assert any(thread.is_alive() for thread in asked)
        for thread in asked:
            thread.join(60)


def test_a_large_picture_leaves_a_core_to_small_ones(serving, exported, counted, file_of):
    large = file_of(noise(SIDE, SIDE, 3))
    with serving(exported) as running, Client(running.grpc, "sr_x2", deadline=60) as client:
        asked = [
            threading.Thread(target=client.restore_bytes, args=[large]) for _ in range(os.cpu_count() + 2)
        ]
        for thread in asked:
            thread.start()
        counted.begun.acquire(timeout=60)
        small = threading.Thread(target=client.restore_bytes, args=[file_of(noise(3, 3, 3))])
        small.start()
        for _ in range(max(1, os.cpu_count() - 1)):  # the small one, too, has come as far as the network
            assert counted.begun.acquire(timeout=60)
        counted.go.set()
        for thread in (small, *asked):
            thread.join(60)


def test_work_ends_when_its_deadline_has_passed(serving, exported, counted, file_of):
    with serving(exported) as running, Client(running.grpc, "sr_x2", deadline=0.5) as client:
        with pytest.raises(ServingError) as caught:
            client.restore_bytes(file_of(noise(SIDE, SIDE, 3)))
        assert caught.value.code == "DEADLINE_EXCEEDED"
        counted.go.set()
    assert counted.calls < BATCHES // 2


def failing(client, data):
    """Has a file restored in a thread, which cannot come to an end."""

    def ask():
        with contextlib.suppress(ServingError, grpc.RpcError, ValueError):
            client.restore_bytes(data)

    threading.Thread(target=ask, daemon=True).start()


@pytest.mark.parametrize("face", ["grpc", "rest"])
def test_work_ends_when_its_caller_hangs_up(serving, exported, counted, face, file_of):
    data = file_of(noise(SIDE, SIDE, 3))
    with serving(exported) as running:
        if face == "grpc":
            client = Client(running.grpc, "sr_x2")
            failing(client, data)
            counted.begun.acquire(timeout=60)
            client.close()
        else:
            with socket.create_connection(("localhost", int(running.rest.rpartition(":")[2]))) as connection:
                connection.sendall(rest_request(data))
                counted.begun.acquire(timeout=60)
        wait_until_it_knows(running)
        counted.go.set()
    assert counted.calls < BATCHES // 2


def rest_request(data):
    body = json.dumps(
        {"signature_name": "restore_bytes", "instances": [{"b64": base64.b64encode(data).decode()}]}
    )
    head = f"POST /v1/models/ipt_sr_x2:predict HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(body)}\r\n\r\n"
    return (head + body).encode()


def wait_until_it_knows(running):
    """A request that comes later is answered after the server has seen what came before."""
    for _ in range(3):
        with Client(running.grpc, "sr_x2") as client:
            client.network(np.ones((1, 48, 48, 3), np.float32))


def test_work_that_is_not_done_after_the_grace_is_given_up(serving, exported, counted, file_of):
    with serving(exported, grace=0.2) as running:
        failing(Client(running.grpc, "sr_x2"), file_of(noise(SIDE, SIDE, 3)))
        counted.begun.acquire(timeout=60)
        running.stop()
        running.thread.join(1)
        counted.go.set()
    assert counted.calls < BATCHES // 2


def claiming(data, side):
    """A JPEG whose header claims another size."""
    place = 2
    while data[place + 1] not in (0xC0, 0xC2):
        place += 2 + struct.unpack(">H", data[place + 2 : place + 4])[0]
    return data[: place + 5] + struct.pack(">HH", side, side) + data[place + 9 :]


@pytest.mark.parametrize("options", [{}, {"progressive": True}], ids=["baseline", "progressive"])
def test_a_file_that_cannot_hold_what_it_claims_is_refused(serving, exported, counted, options, file_of):
    small = file_of(noise(16, 16, 3), "JPEG", **options)
    assert len(small) < 1000
    whole = file_of(noise(300, 300, 3), "JPEG", **options)
    with serving(exported) as running, Client(running.rest, "sr_x2") as client:
        counted.go.set()
        for data in (claiming(small, 3900), whole[:907], file_of(noise(300, 300, 3))[:907]):
            with pytest.raises(ServingError, match=r"image_bytes\[0\] is damaged") as caught:
                client.restore_bytes(data)
            assert caught.value.code == "INVALID_ARGUMENT"
        assert counted.calls == 0
        white = file_of(np.full((3000, 3000), 255, np.uint8), "JPEG", quality=1, **options)
        assert Image.open(io.BytesIO(client.restore_bytes(white))).size == (6000, 6000)


STUCK = """
import sys, time
from ipt_tf.serving import pictures, server
made = pictures.Pictures._network
def network_of(whole, caller):
    def network(tiles):
        print("begun", flush=True)
        time.sleep(1000)
    return network
pictures.Pictures._network = network_of
settings = server.Settings(port=0, rest_port=0, poll=0.05, grace=float(sys.argv[2]))
server.run(sys.argv[1], settings, lambda port, rest_port, names: print(port, flush=True))
"""


@pytest.mark.slow
@pytest.mark.parametrize(("grace", "signals"), [(1, 1), (600, 2)], ids=["one signal", "two signals"])
def test_a_process_ends_though_nothing_can_stop_its_work(exported, grace, signals, file_of):
    """After the grace and some seconds, or at once on the second signal."""
    command = [sys.executable, "-c", STUCK, str(exported), str(grace)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        port = int(process.stdout.readline())
        failing(Client(f"grpc://localhost:{port}", "sr_x2"), file_of(noise(100, 100, 3)))
        assert process.stdout.readline() == "begun\n"
        for _ in range(signals):
            process.send_signal(signal.SIGINT)
            time.sleep(0.5)  # else the system would deliver both as one
        assert process.wait(60) == 1
