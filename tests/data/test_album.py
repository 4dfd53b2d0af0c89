"""Photographs in one array, and crops of them."""

from pathlib import Path

import keras
import numpy as np
import pytest
from PIL import Image

from ipt_tf import tasks
from ipt_tf.data import Photographs, album

DENOISE = tasks.find("denoise_30")


def from_album(source, positions, side):
    pixels = source.album(log=str)
    walks = pixels.walks(positions, side, seed=3)
    return keras.ops.convert_to_numpy(album.crops(pixels.pixels, walks, side))


def test_crops_of_an_album_are_those_of_the_files_in_all_eight_ways(photographs):
    source = Photographs.of_folder(photographs, smallest_side=96)
    (expected,) = source.crops(DENOISE, range(60), 40, seed=3)
    np.testing.assert_array_equal(from_album(source, range(60), 40), expected)


def test_a_damaged_photograph_is_replaced_by_the_next_in_both(photographs):
    for name in ("4.jpg", "0.jpg"):
        path = photographs / name
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    source = Photographs.of_folder(photographs, smallest_side=96)
    with pytest.warns(UserWarning, match=r"left out .*\.jpg"):
        found = from_album(source, range(30), 40)
    assert {path.name for path in source.skipped} == {"4.jpg", "0.jpg"}
    np.testing.assert_array_equal(found, source.crops(DENOISE, range(30), 40, seed=3)[0])


def test_upright_photographs_are_stored_as_they_are_shown(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (50, 90, 3), np.uint8)
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by a quarter
    Image.fromarray(pixels).save(tmp_path / "turned.png", exif=exif)
    source = Photographs.of_folder(tmp_path, smallest_side=40)
    assert (source.album().heights, source.album().widths) == (90, 50)
    np.testing.assert_array_equal(
        from_album(source, range(9), 45), source.crops(DENOISE, range(9), 45, seed=3)[0]
    )


def test_pictures_that_do_not_fit_are_no_album(photographs: Path, monkeypatch):
    source = Photographs.of_folder(photographs, smallest_side=96)
    monkeypatch.setattr(album, "LARGEST", 6 * 120 * 150)
    assert source.album() is not None
    monkeypatch.setattr(album, "LARGEST", 6 * 120 * 150 - 1)
    assert source.album() is None
