"""Fixtures shared by the whole suite."""

import io
import os
import shutil
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
def file_of():
    """Function of pixels: the bytes of an 8-bit file that holds them."""

    def encode(pixels: np.ndarray, format_: str = "PNG", **options) -> bytes:
        buffer = io.BytesIO()
        Image.fromarray(pixels).save(buffer, format_, **options)
        return buffer.getvalue()

    return encode


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


@pytest.fixture(scope="session")
def browser(tmp_path_factory):
    """Headless Chromium, as a driver of Selenium's, which keeps downloads in its `downloads`."""
    webdriver = pytest.importorskip("selenium.webdriver", reason="selenium is not installed")
    driver, chromium = shutil.which("chromedriver"), shutil.which("chromium")
    if not (driver and chromium):
        pytest.skip("chromium and chromedriver are not installed")
    folder = tmp_path_factory.mktemp("browser")
    options = webdriver.ChromeOptions()
    options.binary_location = chromium
    switches = "headless no-sandbox disable-gpu disable-quic no-first-run disable-background-networking"
    for switch in f"{switches} disable-component-update disable-sync".split():
        options.add_argument(f"--{switch}")
    options.add_argument(f"--user-data-dir={folder / 'profile'}")
    options.add_experimental_option("prefs", {"download.default_directory": str(folder / "downloads")})
    opened = webdriver.Chrome(options, webdriver.ChromeService(driver))
    opened.downloads = folder / "downloads"
    yield opened
    opened.quit()


def _photograph(rng, height=52, width=61):
    """A picture with edges and slopes: a coloured gradient with rectangles on it."""
    y, x = np.mgrid[:height, :width] / width
    pixels = 255 * np.stack([x, y, 0.5 * (x + y)], axis=-1)
    for _ in range(6):
        top, left = rng.integers(0, (height - 12, width - 12))
        pixels[top : top + 12, left : left + 12] = rng.integers(0, 256, 3)
    return pixels.astype(np.uint8)


def _save(pixels, path):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)


@pytest.fixture
def save():
    """Writes pixels into a file, whose folder it makes."""
    return _save


@pytest.fixture
def bench(tmp_path):
    """A folder with Set5 (3 pictures, LR files for x2), CBSD68 (2), Rain100L (2) and a set of one's own, Mine (1)."""
    from ipt_tf.degradations import bicubic

    folder, rng = tmp_path / "bench", np.random.default_rng(0)
    for name in ("a", "b", "c"):
        clean = _photograph(rng)
        _save(clean, folder / "Set5" / "HR" / f"{name}.png")
        low = np.asarray(bicubic(2)(clean[None, :52, :60].astype("float32"), None))[0]
        _save(low.astype(np.uint8), folder / "Set5" / "LR_bicubic" / "X2" / f"{name}x2.png")
    for name in ("d", "e"):
        _save(_photograph(rng), folder / "CBSD68" / "HR" / f"{name}.png")
    for number in ("001", "002"):
        clean = _photograph(rng)
        _save(clean, folder / "Rain100L" / "norain" / f"norain-{number}.png")
        _save(np.minimum(clean, 246) + np.uint8(9), folder / "Rain100L" / "rain" / f"rain-{number}.png")
    _save(_photograph(rng), folder / "Mine" / "f.png")
    return folder
