"""What a folder of photographs gives, whatever else lies in it."""

import numpy as np
import pytest
from PIL import Image

from ipt_tf.data import Photographs
from ipt_tf.data.cache import Cache
from ipt_tf.data.sampling import augment, divide


def test_every_epoch_meets_every_photograph_once(photographs):
    source = Photographs.of_folder(photographs, smallest_side=96)
    for epoch in range(3):
        crops = [source.crop(6 * epoch + i, 96, seed=3) for i in range(6)]
        blues = sorted(round(np.median(crop[..., 2]) / 255 * 6) for crop in crops)
        assert blues == [0, 1, 2, 3, 4, 5]


def test_a_crop_depends_on_seed_and_position_alone(photographs):
    source, again = (Photographs.of_folder(photographs, smallest_side=96) for _ in range(2))
    again.crop(3, 96, seed=0)
    np.testing.assert_array_equal(source.crop(17, 48, seed=5), again.crop(17, 48, seed=5))
    assert not np.array_equal(source.crop(17, 48, seed=5), source.crop(17, 48, seed=6))


def test_photographs_beyond_the_memory_limit_are_decoded_again_to_the_same_crops(photographs):
    kept = Photographs.of_folder(photographs, smallest_side=96)
    decoded = Photographs.of_folder(photographs, smallest_side=96, cache=Cache(memory=0))
    for position in range(12):
        np.testing.assert_array_equal(kept.crop(position, 48, seed=1), decoded.crop(position, 48, seed=1))


def test_small_and_damaged_files_are_left_out_counted_and_named_once(photographs):
    Image.new("RGB", (40, 400)).save(photographs / "narrow.png")
    (photographs / "text.png").write_text("not a picture")
    with pytest.warns(UserWarning, match="left out") as caught:
        source = Photographs.of_folder(photographs, smallest_side=96)
    assert len(source) == 6
    assert {path.name for path in source.skipped} == {"narrow.png", "text.png"}
    assert sorted("narrow" in str(w.message) for w in caught) == [False, True]


def test_a_file_that_breaks_off_is_replaced_by_the_next_and_named_once(photographs):
    path = photographs / "0.jpg"
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    source = Photographs.of_folder(photographs, smallest_side=96)
    with pytest.warns(UserWarning, match=r"0\.jpg") as caught:
        crops = [source.crop(i, 96, seed=0) for i in range(12)]
    assert len(caught) == 1
    assert len(crops) == 12
    assert list(source.skipped) == [path]


def test_a_folder_without_photographs_says_so(tmp_path):
    with pytest.raises(ValueError, match="no image files"):
        Photographs.of_folder(tmp_path)
    with pytest.raises(ValueError, match="is not a folder"):
        Photographs.of_folder(tmp_path / "missing")


def test_held_out_photographs_are_not_trained_on(photographs):
    source = Photographs.of_folder(photographs, smallest_side=96)
    train, validation = source.split(2, seed=0)
    assert sorted(train.paths + validation.paths) == source.paths
    assert len(validation) == 2
    with pytest.raises(ValueError, match="cannot hold 6 of 6 pictures out"):
        source.split(6, seed=0)


def test_augmentation_gives_the_eight_ways_and_way_0_is_none():
    patch = np.arange(27).reshape(3, 3, 3)
    ways = [augment(patch, way) for way in range(8)]
    np.testing.assert_array_equal(ways[0], patch)
    assert len({way.tobytes() for way in ways}) == 8


def test_a_larger_fraction_has_what_a_smaller_one_has_and_never_what_is_held_out():
    parts = {fraction: divide(100, 20, seed=0, fraction=fraction) for fraction in (0.01, 0.2, 0.6, 1.0)}
    assert [len(train) for train, _ in parts.values()] == [1, 16, 48, 80]
    assert len({tuple(held_out) for _, held_out in parts.values()}) == 1
    smaller: set[int] = set()
    for train, held_out in parts.values():
        assert smaller <= set(train)
        assert not set(train) & set(held_out)
        smaller = set(train)
