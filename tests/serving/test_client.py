"""The client, over both protocols, against the server: what it restores, and what it does when things go wrong."""

import contextlib
import io
import shutil
import socket
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


def test_a_file_comes_back_as_png(url, file_of):
    pixels = RNG.integers(0, 256, (60, 50, 3), np.uint8)
    with Client(url, "sr_x2", label="stable") as client:
        result = client.restore_bytes(file_of(pixels))
    np.testing.assert_array_equal(np.asarray(Image.open(io.BytesIO(result))), enlarged(pixels[None])[0])


def test_a_file_that_a_server_could_not_read_among_those_of_others_is_an_error(url, monkeypatch, file_of):
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


MAKE_CERTIFICATES = """
openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=localhost -keyout key.pem -out cert.pem \\
    -addext subjectAltName=DNS:localhost
openssl req -x509 -key key.pem -days 2 -subj /CN=elsewhere -out elsewhere.pem -addext subjectAltName=DNS:elsewhere
openssl pkey -in key.pem -aes256 -passout pass:secret -out locked.pem
openssl req -new -key key.pem -subj /CN=localhost -out request.pem
printf '[ca]\ndefault_ca=d\n[d]\ndatabase=index\nnew_certs_dir=.\nserial=serial\ndefault_md=sha256\npolicy=p\n\
x509_extensions=e\n[p]\ncommonName=supplied\n[e]\nsubjectAltName=DNS:localhost\n' > ca.cnf
: > index; echo 01 > serial
openssl ca -batch -config ca.cnf -selfsign -keyfile key.pem -in request.pem -out expired.pem -notext \\
    -startdate 20200101000000Z -enddate 20200102000000Z
"""


@pytest.fixture(scope="module")
def pem(tmp_path_factory):
    """A folder of certificates of one key."""
    if shutil.which("openssl") is None:
        pytest.skip("there is no openssl to make a certificate with")
    folder = tmp_path_factory.mktemp("certificates")
    subprocess.run(["bash", "-ec", MAKE_CERTIFICATES], cwd=folder, check=True, capture_output=True)
    return folder


@pytest.mark.parametrize(
    ("certificate", "trusted", "reason"),
    [
        ("cert.pem", "cert.pem", None),
        ("cert.pem", None, r"certificate is not trusted: self.signed certificate$"),
        ("cert.pem", "elsewhere.pem", r"certificate is not trusted: self.signed certificate$"),
        ("expired.pem", "expired.pem", r"certificate is not trusted: certificate has expired$"),
        ("elsewhere.pem", "elsewhere.pem", r"certificate is for another host$"),
    ],
)
def test_certificates_are_checked_and_a_bad_one_is_said_at_once(
    serving, folder, pem, certificate, trusted, reason
):
    ca = pem / trusted if trusted else None
    with serving(folder, certificate=(pem / certificate, pem / "key.pem")) as running:
        for url in (running.grpc, running.rest):
            if reason:
                with pytest.raises(ServingError, match=f"{url}, model ipt_sr_x2: the server's {reason}"):
                    Client(url, "sr_x2", ca=ca)
            else:
                with Client(url, "sr_x2", version=1, ca=ca) as client:
                    assert client.restore(np.full((5, 5, 3), 7, np.uint8)).max() == 7


def test_tls_where_there_is_none_is_said_at_once_and_the_other_way_round_in_time(
    serving, server, folder, pem
):
    for url in (server.grpc.replace("grpc", "grpcs"), server.rest.replace("http", "https")):
        with pytest.raises(ServingError, match="speaks no TLS at this port"):
            Client(url, "sr_x2", ca=pem / "cert.pem")
    with serving(folder, certificate=(pem / "cert.pem", pem / "key.pem")) as running:
        for url in (running.grpc.replace("grpcs", "grpc"), running.rest.replace("https", "http")):
            with pytest.raises(ServingError, match=r"not ready after 1 s .*does it speak TLS"):
                Client(url, "sr_x2", ready_within=1)


def test_servers_may_ask_for_certificates_of_clients(serving, folder, pem):
    own = (pem / "cert.pem", pem / "key.pem")
    with serving(folder, certificate=own, client_ca=pem / "cert.pem") as running:
        for url in (running.grpc, running.rest):
            with Client(url, "sr_x2", version=1, ca=own[0], certificate=own) as client:
                assert client.restore(np.full((5, 5, 3), 7, np.uint8)).max() == 7
            with pytest.raises(ServingError):
                Client(url, "sr_x2", ca=own[0], ready_within=1)


@pytest.mark.parametrize(
    ("files", "message"),
    [
        (("cert.pem", "locked.pem"), "locked.pem is encrypted; `openssl pkey -in"),
        (("cert.pem", "request.pem"), "are not a certificate and its key"),
        (("key.pem", "cert.pem"), "are not a certificate and its key"),
    ],
)
def test_a_key_that_cannot_be_used_is_said(serving, folder, server, pem, files, message):
    own = tuple(pem / name for name in files)
    with pytest.raises(ValueError, match=message):
        Client(server.rest, "sr_x2", certificate=own)
    with pytest.raises(ValueError, match=message), serving(folder, certificate=own):
        pass


def test_addresses_of_ipv6_are_served(serving, folder):
    if not has_ipv6():
        pytest.skip("this machine has no IPv6")
    with serving(folder, host="::1") as running:
        for url in (running.grpc, running.rest):
            with Client(url.replace("localhost", "[::1]"), "sr_x2", version=1) as client:
                assert client.restore(np.full((5, 5, 3), 7, np.uint8)).max() == 7


def has_ipv6():
    try:
        with socket.socket(socket.AF_INET6) as here:
            here.bind(("::1", 0))
    except OSError:
        return False
    return True


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


@pytest.mark.slow
def test_the_command_is_as_silent_over_grpc(server, tmp_path):
    Image.fromarray(RNG.integers(0, 256, (60, 70, 3), np.uint8)).save(tmp_path / "photo.png")
    command = [
        sys.executable,
        "-m",
        "ipt_tf",
        "restore",
        "--server",
        server.grpc,
        "--task",
        "sr_x2",
        "photo.png",
    ]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout, done.stderr) == (0, "photo_sr_x2.png\n", "")


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
