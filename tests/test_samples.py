"""The sample photographs: small, varied, free, and none that anything is measured on."""

import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

import ipt_tf
from ipt_tf import images, samples


def test_there_are_six_to_ten_of_under_a_megabyte_together():
    assert 6 <= len(samples.names()) <= 10
    assert sum(samples.path(name).stat().st_size for name in samples.names()) < 1_000_000


@pytest.mark.parametrize("name", samples.names())
def test_a_photograph_is_rgb_of_8_bits_and_small(name):
    pixels = samples.load(name)
    assert pixels.dtype == np.uint8
    assert pixels.shape[2] == 3
    assert 172 <= min(pixels.shape[:2]) <= max(pixels.shape[:2]) <= 512


def test_the_readme_says_whose_each_is_and_how_large():
    rows = [
        line.split(" | ") for line in (samples.FOLDER / "README.md").read_text().splitlines() if " x " in line
    ]
    stated = {row[0].removeprefix("| "): row[2] for row in rows}
    assert stated == {name: "{1} x {0}".format(*samples.load(name).shape) for name in samples.names()}
    assert all(row[4] in ("CC0", "public domain") for row in rows)


def test_an_unknown_name_is_refused_with_the_names_there_are():
    with pytest.raises(ValueError, match=r"no sample photograph 'lena'; there are astronaut, .*windmill"):
        samples.load("lena")


def test_they_are_had_without_tensorflow():
    code = (
        "import ipt_tf, sys; ipt_tf.samples.load('coffee'); print({'tensorflow', 'keras'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
    assert "samples" in dir(ipt_tf)


@pytest.mark.slow
def test_none_is_a_picture_of_a_benchmark_set_or_one_that_the_weights_were_trained_on(shared):
    others = [path for path in images.find(shared / "data") if "LR_bicubic" not in path.parts]
    thumbnails = np.stack([_thumbnail(path) for path in others])
    for name in samples.names():
        upright = _thumbnail(samples.path(name)).reshape(32, 32)
        turned = [np.rot90(side, quarter) for side in (upright, upright[:, ::-1]) for quarter in range(4)]
        assert (thumbnails @ np.stack(turned).reshape(8, -1).T).max() < 0.9


def _thumbnail(path):
    """The picture's brightness in 32 x 32 boxes, of mean 0 and length 1: a product of two is their correlation."""
    with Image.open(path) as picture:
        picture.draft("L", (64, 64))
        brightness = np.asarray(picture.convert("L").resize((32, 32), Image.Resampling.BOX), float).ravel()
    brightness -= brightness.mean()
    return brightness / (np.linalg.norm(brightness) + 1e-9)
