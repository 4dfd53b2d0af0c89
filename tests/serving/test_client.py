"""The client, over both protocols, against the server: what it restores, and what it does when things go wrong."""

import contextlib
import io
import shutil
import subprocess
import sys
import threading

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("tensorflow_serving", reason="tensorflow-serving-api is not installed")

from ipt_tf.restoration.restore import restore
from ipt_tf.serving import Client, ServingError, servable
from ipt_tf.serving.configs import Batching, Served

RNG = np.random.default_rng(0)


def enlarged(tiles):
    return tiles.repeat(2, 1).repeat(2, 2)


def file_of(pixels):
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


@pytest.fixture(scope="module")
def folder(saved_model, brighter_model, tmp_path_factory):
    folder = tmp_path_factory.mktemp("models")
    shutil.copytree(saved_model, folder / "ipt_sr_x2" / "1")
    shutil.copytree(brighter_model, folder / "ipt_sr_x2" / "2")
    return folder


@pytest.fixture(scope="module")
def server(serving, folder):
    models = {"ipt_sr_x2": Served(folder / "ipt_sr_x2", latest=None, labels={"stable": 1})}
    with serving(folder, batching=Batching(max_batch_size=64), models=models) as running:
        yield running


@pytest.fixture(params=["grpc", "rest"])
def url(request, server):
    return getattr(server, request.param)


@pytest.mark.parametrize(
    "image",
    [
        RNG.integers(0, 256, (70, 101, 3), np.uint8),
        RNG.integers(0, 65536, (50, 49), np.uint16),
        RNG.uniform(-5, 260, (1, 1, 3)).astype(np.float32),
    ],
    ids=["uint8 RGB", "uint16 grey", "float, a single pixel"],
)
def test_an_image_comes_back_as_from_the_model_here(url, image):
    done = []
    with Client(url, "sr_x2", version=1) as client:
        assert (client.tile, client.scale) == (48, 2)
        result = client.restore(image, batch_size=2, progress=lambda *counts: done.append(counts))
    expected = restore(image, enlarged, 2)
    assert result.dtype == expected.dtype
    np.testing.assert_array_equal(result, expected)
    assert done[-1][0] == done[-1][1]


def test_a_file_comes_back_as_png(url):
    pixels = RNG.integers(0, 256, (60, 50, 3), np.uint8)
    with Client(url, "sr_x2", label="stable") as client:
        result = client.restore_bytes(file_of(pixels))
    np.testing.assert_array_equal(np.asarray(Image.open(io.BytesIO(result))), enlarged(pixels[None])[0])


def test_a_file_that_a_server_could_not_read_among_those_of_others_is_an_error(url, monkeypatch):
    empty = {"restored_bytes": np.array([b""], object)}
    monkeypatch.setattr(servable.Signature, "run", lambda *_: empty)
    with (
        Client(url, "sr_x2") as client,
        pytest.raises(ServingError, match="no picture, or is damaged") as found,
    ):
        client.restore_bytes(file_of(np.zeros((3, 3, 3), np.uint8)))
    assert found.value.code == "INVALID_ARGUMENT"


def test_answers_may_be_larger_than_four_megabytes(server):
    image = RNG.integers(0, 256, (320, 330, 3), np.uint8)
    with Client(server.grpc, "sr_x2", version=1) as client:
        np.testing.assert_array_equal(client.restore(image, batch_size=64), enlarged(image[None])[0])


def test_what_cannot_be_asked_for_is_said_at_once(url):
    with pytest.raises(ServingError, match=r"model ipt_denoise_50: .*models here are ipt_sr_x2") as caught:
        Client(url, "denoise_50")
    assert caught.value.code == "NOT_FOUND"
    with pytest.raises(ServingError, match="model ipt_sr_x2, version 9"):
        Client(url, "sr_x2", version=9)
    with pytest.raises(ServingError, match="label nightly: Unrecognized"):
        Client(url, "sr_x2", label="nightly")
    with pytest.raises(ValueError, match="not both"):
        Client(url, "sr_x2", label="stable", version=1)


@pytest.mark.parametrize("url", ["localhost:8500", "ftp://localhost", "grpc://localhost", "http://"])
def test_a_url_of_another_kind_is_refused(url):
    with pytest.raises(ValueError, match="a server is grpc://HOST:PORT"):
        Client(url, "sr_x2")


def test_a_model_that_restores_no_tiles_is_refused(serving, saved_model, tmp_path, url, monkeypatch):
    load = servable.load

    def other(*place, **settings):
        loaded = load(*place, **settings)
        loaded.definitions["serving_default"].outputs["restored"].tensor_shape.dim[1].size = -1
        return loaded

    monkeypatch.setattr(servable, "load", other)
    shutil.copytree(saved_model, tmp_path / "ipt_sr_x2" / "1")
    with serving(tmp_path) as running:
        own = running.grpc if url.startswith("grpc") else running.rest
        with pytest.raises(ServingError, match=r"serving_default should be images \(-1, P, P, 3\)") as caught:
            Client(own, "sr_x2")
    assert caught.value.code == "FAILED_PRECONDITION"


@pytest.fixture
def failing(monkeypatch):
    """Function of a list: the next requests fail with these codes; it returns the list of what was asked."""

    def fail(codes):
        run, asked = servable.Signature.run, []

        def run_or_fail(signature, inputs, caller):
            asked.append(inputs)
            if len(asked) <= len(codes):
                raise ServingError(codes[len(asked) - 1], "as the test wants it")
            return run(signature, inputs, caller)

        monkeypatch.setattr(servable.Signature, "run", run_or_fail)
        return asked

    return fail


@pytest.mark.parametrize(("shape", "calls"), [((5, 5, 3), 1), ((162, 124, 3), 4)], ids=["1 tile", "12 tiles"])
def test_a_server_without_time_is_asked_again(url, failing, shape, calls):
    with Client(url, "sr_x2", version=1) as client:
        asked = failing(["UNAVAILABLE", "UNAVAILABLE"])
        assert client.restore(np.full(shape, 7, np.uint8)).max() == 7
    assert len(asked) == calls + 2


@pytest.mark.parametrize("code", ["INVALID_ARGUMENT", "INTERNAL", "DEADLINE_EXCEEDED"])
def test_other_failures_are_not_asked_for_again(url, failing, code):
    with Client(url, "sr_x2", version=1) as client:
        asked = failing([code])
        with pytest.raises(ServingError, match="model ipt_sr_x2, version 1: as the test wants it") as caught:
            client.restore(np.zeros((5, 5, 3), np.uint8))
    assert caught.value.code == code
    assert len(asked) == 1


def test_no_call_takes_longer_than_its_deadline(url, monkeypatch):
    let_go = threading.Event()
    with Client(url, "sr_x2", version=1, deadline=0.3) as client, monkeypatch.context() as patch:
        patch.setattr(servable.Signature, "run", lambda *_: let_go.wait(60))
        with pytest.raises(ServingError) as caught:
            client.restore(np.zeros((5, 5, 3), np.uint8))
        let_go.set()
    assert caught.value.code == "DEADLINE_EXCEEDED"


def test_a_server_that_is_not_there_is_waited_for_no_longer_than_asked(free_ports):
    (port,) = free_ports(1)
    for url in (f"grpc://localhost:{port}", f"http://localhost:{port}"):
        with pytest.raises(ServingError, match=rf"{url}, model ipt_sr_x2: not ready after 0 s"):
            Client(url, "sr_x2", ready_within=0.4)


@pytest.mark.parametrize("protocol", ["grpc", "rest"])
def test_a_server_that_was_away_is_found_again(serving, folder, free_ports, protocol):
    """Also one that starts after its clients."""
    port, rest_port = free_ports(2)
    url = f"grpc://localhost:{port}" if protocol == "grpc" else f"http://localhost:{rest_port}"
    image, results, connected = np.full((60, 5, 3), 7, np.uint8), [], threading.Event()
    gone = threading.Event()

    def ask():
        with Client(url, "sr_x2", version=1) as client:
            results.append(client.restore(image))
            connected.set()
            assert gone.wait(60)
            results.append(client.restore(image))

    asking = threading.Thread(target=ask)
    asking.start()
    with serving(folder, port=port, rest_port=rest_port):
        assert connected.wait(60)
    gone.set()
    with serving(folder, port=port, rest_port=rest_port):
        asking.join(60)
    assert [each.max() for each in results] == [7, 7]


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    """A certificate for localhost, and its key."""
    if shutil.which("openssl") is None:
        pytest.skip("there is no openssl to make a certificate with")
    folder = tmp_path_factory.mktemp("certificate")
    command = (
        "openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=localhost -keyout key.pem -out cert.pem"
    )
    command = [*command.split(), "-addext", "subjectAltName=DNS:localhost"]
    subprocess.run(command, cwd=folder, check=True, capture_output=True)
    return folder / "cert.pem", folder / "key.pem"


def test_tls_is_spoken_and_certificates_are_checked(serving, folder, certificate):
    image = np.full((5, 5, 3), 7, np.uint8)
    with serving(folder, certificate=certificate) as running:
        for url in (running.grpc, running.rest):
            with Client(url, "sr_x2", version=1, ca=certificate[0]) as client:
                assert client.restore(image).max() == 7
            with pytest.raises(ServingError):
                Client(url, "sr_x2", ready_within=1)


WITHOUT_TENSORFLOW = """
import sys
for name in ("tensorflow", "keras", "grpc", "tensorflow_serving"):
    sys.modules[name] = None
"""


def without_tensorflow(code):
    return subprocess.run(
        [sys.executable, "-c", WITHOUT_TENSORFLOW + code], capture_output=True, text=True, timeout=60
    )


def test_rest_needs_no_tensorflow(server):
    done = without_tensorflow(
        f"""
import numpy as np
from ipt_tf.serving import Client
with Client({server.rest!r}, "sr_x2", version=1) as client:
    print(client.restore(np.full((60, 5), 7, np.uint8)).sum())
"""
    )
    assert (done.stdout, done.stderr) == (f"{60 * 5 * 4 * 7}\n", "")


def test_the_command_restores_at_a_server(server, tmp_path):
    photograph = tmp_path / "photo.png"
    pixels = RNG.integers(0, 236, (60, 70, 4), np.uint8)
    Image.fromarray(pixels).save(photograph)
    command = f"from ipt_tf.cli import main; sys.exit(main(['restore', '--server', {server.rest!r}, "
    done = without_tensorflow(command + f"{str(photograph)!r}, '--task', 'sr_x2']))")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == f"{tmp_path / 'photo_sr_x2.png'}\n"
    result = np.asarray(Image.open(tmp_path / "photo_sr_x2.png"))
    np.testing.assert_array_equal(result[..., :3], enlarged(pixels[None, ..., :3])[0] + 10)
    done = without_tensorflow(command + f"{str(photograph)!r}, '--task', 'derain']))")
    assert done.returncode == 1
    assert done.stderr.startswith(f"ipt: {server.rest}, model ipt_derain: Could not find any versions")
    assert done.stderr.count("\n") == 1


def test_grpc_says_what_it_needs(server):
    done = without_tensorflow(
        f"from ipt_tf.cli import main; sys.exit(main(['restore', '--server', {server.grpc!r}, '--task', 'sr_x2', "
        "sys.executable]))"
    )
    assert done.returncode == 1
    assert "gRPC needs" in done.stderr
    assert "ipt_tf[serving]" in done.stderr


def test_calls_are_in_flight_at_the_same_time(server):
    together = threading.Barrier(3, timeout=30)
    with Client(server.grpc, "sr_x2", version=1) as client:

        def network(tiles):
            with contextlib.suppress(threading.BrokenBarrierError):
                together.wait()
            return client.network(tiles)

        image = RNG.integers(0, 256, (48, 48 + 38 * 5, 3), np.uint8)
        result = restore(image, network, 2, batch_size=1, threads=3)
    assert not together.broken
    np.testing.assert_array_equal(result, enlarged(image[None])[0])
