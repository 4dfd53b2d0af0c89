"""`ipt demo` and `make demo` as a user types them."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from urllib.request import urlopen

import pytest
from PIL import Image

from ipt_tf import IPT, samples
from ipt_tf.cli import main
from ipt_tf.demo import terminal

pytest.importorskip("aiohttp", reason="aiohttp is not installed")

from ipt_tf.demo import server


def test_a_port_that_is_taken_is_told_in_one_line_before_the_network_is_loaded(capsys, monkeypatch):
    monkeypatch.setattr("ipt_tf.cli._load", lambda *_: pytest.fail("the network was loaded"))
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert main(["demo", "--port", str(port)]) == 1
    error = capsys.readouterr().err
    assert error.startswith(f"ipt: cannot listen at 127.0.0.1:{port}: Address already in use; --host and")
    assert error.count("\n") == 1


@pytest.mark.parametrize("place", [("127.0.0.1", 70000), ("nowhere.invalid", 0)])
def test_a_place_that_does_not_exist_is_told(place):
    with pytest.raises(OSError, match=r"cannot listen at .*: .*; --host and --port choose another"):
        server.listen(*place)


@pytest.mark.parametrize(
    ("host", "public", "address"), [("127.0.0.1", False, "127.0.0.1"), ("0.0.0.0", True, "localhost")]
)
def test_only_an_open_door_is_warned_of(capsys, monkeypatch, host, public, address):
    monkeypatch.setattr("ipt_tf.cli._load", lambda *_: (_ for _ in ()).throw(ValueError("enough")))
    assert main(["demo", "--host", host, "--port", "0"]) == 1
    assert ("others on the network can use this page" in capsys.readouterr().err) == public
    with server.listen(host, 0) as listener:
        assert server.address(listener) == f"{address}:{listener.getsockname()[1]}"


def test_a_missing_package_is_named_with_what_installs_it(capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "aiohttp", None)
    monkeypatch.delitem(sys.modules, "ipt_tf.demo.server")
    monkeypatch.delattr("ipt_tf.demo.server")
    assert main(["demo"]) == 1
    assert capsys.readouterr().err == "ipt: aiohttp is not installed: pip install 'ipt_tf[demo]'\n"


def test_no_browser_is_opened_where_there_is_no_screen(monkeypatch):
    monkeypatch.setattr(sys, "platform", "linux")
    for name in ("DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(name, raising=False)
    opened = []
    monkeypatch.setattr("webbrowser.open", opened.append)
    server.open_browser("http://localhost:1/")
    assert opened == []
    monkeypatch.setenv("DISPLAY", ":0")
    server.open_browser("http://localhost:1/")
    assert opened == ["http://localhost:1/"]


@pytest.mark.slow
def test_the_page_is_served_until_ctrl_c_also_during_a_restoration():
    command = [sys.executable, "-m", "ipt_tf.cli", "demo", "--port", "0", "--no-browser"]
    environment = {name: value for name, value in os.environ.items() if name != "TF_CPP_MIN_LOG_LEVEL"}
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
    )
    try:
        url = re.match(r"(http://127\.0\.0\.1:\d+/) restores with ipt_tiny", process.stdout.readline())[1]
        offered = {task["name"] for task in json.load(urlopen(f"{url}about"))["tasks"]}
        assert offered == set(IPT.from_pretrained().task_names)
        answer = urlopen(f"{url}restore?task=denoise_50", samples.path("astronaut").read_bytes())
        assert b"tiles" in answer.readline()
        began = time.monotonic()
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=60)
        assert (process.returncode, errors) == (0, "")
        assert time.monotonic() - began < 30  # the whole picture takes longer on slow machines, this does not
    finally:
        process.kill()


def test_make_demo_writes_pictures_and_prints_psnr(capsys, monkeypatch, tmp_path):
    model = IPT(["sr_x2", "denoise_50"], num_features=4, patch_size=48, num_heads=2, num_layers=1)
    monkeypatch.setattr(IPT, "from_pretrained", lambda task: model.for_task(task))
    monkeypatch.setattr(sys, "argv", ["demo", "--task", "sr_x2", "--out", str(tmp_path)])
    terminal.main()
    *paths, before, after = capsys.readouterr().out.splitlines()
    assert [re.search(r"\w+\.png", path)[0] for path in paths] == [
        "sr_x2_input.png",
        "sr_x2_restored.png",
        "sr_x2_compare.png",
    ]
    with Image.open(tmp_path / "sr_x2_restored.png") as restored:
        assert restored.size == (450, 300)
    assert re.fullmatch(r"input PSNR-Y \d\d\.\d\d dB, RGB \d\d\.\d\d dB", before)
    assert after.startswith("restored PSNR-Y ")
