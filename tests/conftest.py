"""Fixtures shared by the whole suite."""

import os
import socket
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

REFERENCE = Path(__file__).resolve().parents[2] / "shared"


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of benchmark images, photographs and official fixtures beside the checkout."""
    if not REFERENCE.is_dir():
        pytest.skip(f"reference data are not at {REFERENCE}")
    return REFERENCE


@pytest.fixture
def photographs(tmp_path) -> Path:
    """A folder of six small synthetic photographs, nested, each with a colour gradient of its own."""
    folder = tmp_path / "photographs"
    (folder / "nested").mkdir(parents=True)
    y, x = np.mgrid[:120, :150] / 150
    for i in range(6):
        pixels = 255 * np.stack([x, y, np.full_like(x, i / 6)], axis=-1)
        name = f"nested/{i}.png" if i % 2 else f"{i}.jpg"
        Image.fromarray(pixels.astype(np.uint8)).save(folder / name)
    return folder


@pytest.fixture(scope="session")
def free_ports():
    """Function of a count: so many ports of this machine that nobody listens at."""

    def find(count: int) -> list[int]:
        sockets = [socket.create_server(("localhost", 0)) for _ in range(count)]
        ports = [each.getsockname()[1] for each in sockets]
        for each in sockets:
            each.close()
        return ports

    return find
