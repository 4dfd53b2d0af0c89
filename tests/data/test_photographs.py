"""What a folder of photographs gives, whatever else lies in it."""

import numpy as np
import pytest
from PIL import Image

from ipt_tf import tasks
from ipt_tf.data import Photographs
from ipt_tf.data.cache import Cache
from ipt_tf.data.sampling import crops_at, divide, turned


def take(source, positions, side=48, seed=1):
    (clean,) = source.crops(tasks.find("denoise_30"), positions, side, seed)
    return clean


def test_every_epoch_meets_every_photograph_once(photographs):
    source = Photographs.of_folder(photographs, smallest_side=96)
    for epoch in range(3):
        crops = take(source, range(6 * epoch, 6 * epoch + 6), 96, seed=3)
        blues = sorted(round(np.median(crop[..., 2]) / 255 * 6) for crop in crops)
        assert blues == [0, 1, 2, 3, 4, 5]


def test_a_crop_depends_on_seed_and_position_alone(photographs):
    source, again = (Photographs.of_folder(photographs, smallest_side=96) for _ in range(2))
    take(again, [3], 96)
    np.testing.assert_array_equal(take(source, [17], seed=5), take(again, [16, 17], seed=5)[1:])
    assert not np.array_equal(take(source, [17], seed=5), take(source, [17], seed=6))


def test_photographs_beyond_the_memory_limit_are_decoded_again_to_the_same_crops(photographs):
    kept = Photographs.of_folder(photographs, smallest_side=96)
    decoded = Photographs.of_folder(photographs, smallest_side=96, cache=Cache(memory=0))
    np.testing.assert_array_equal(take(kept, range(12)), take(decoded, range(12)))


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
        crops = take(source, range(12), 96)
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
    ways = [turned(patch, way) for way in range(8)]
    np.testing.assert_array_equal(ways[0], patch)
    assert len({way.tobytes() for way in ways}) == 8


def test_crops_are_anywhere_in_a_picture_and_never_outside():
    top, left, way = crops_at(range(2000), [50] * 2000, [45] * 2000, 40, seed=0)
    assert set(top) == set(range(11))
    assert set(left) == set(range(6))
    assert np.bincount(way, minlength=8).min() > 200


def test_a_larger_fraction_has_what_a_smaller_one_has_and_never_what_is_held_out():
    parts = {fraction: divide(100, 20, seed=0, fraction=fraction) for fraction in (0.01, 0.2, 0.6, 1.0)}
    assert [len(train) for train, _ in parts.values()] == [1, 16, 48, 80]
    assert len({tuple(held_out) for _, held_out in parts.values()}) == 1
    smaller: set[int] = set()
    for train, held_out in parts.values():
        assert smaller <= set(train)
        assert not set(train) & set(held_out)
        smaller = set(train)
