"""Small benchmark sets, and models that need no training."""

import numpy as np
import pytest
from PIL import Image

from ipt_tf import IPT
from ipt_tf.degradations import bicubic


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


@pytest.fixture(scope="session")
def identity():
    """An untrained model, which returns its input, bilinearly enlarged."""
    return IPT(["sr_x2", "derain", "denoise_50"], num_features=4, patch_size=24, num_heads=2, num_layers=1)
