"""Benchmark folders are found by their layouts, and read as inputs and what they should become."""

import shutil

import numpy as np
import pytest

from ipt_tf import tasks
from ipt_tf.data import sets
from ipt_tf.tasks import Task

GREY = np.full((40, 60, 3), 128, np.uint8)


def names(folder, task):
    return [picture.name for picture in sets.pictures(folder, tasks.find(task))]


def test_sets_are_found_right_in_a_folder_or_are_the_folder(bench):
    assert [path.name for path in sets.find(bench)] == ["CBSD68", "Mine", "Rain100L", "Set5"]
    for path in sets.find(bench):
        assert sets.find(path) == [path]


def test_a_folder_that_fits_no_layout_is_answered_with_those_that_do(tmp_path):
    (tmp_path / "notes").mkdir()
    with pytest.raises(ValueError, match="holds no benchmark set") as error:
        sets.find(tmp_path)
    for layout in ("SET/HR/NAME.png", "SET/rain/NAME", "SET/rainy/rain-N.png", "SET/input/NAME"):
        assert layout in str(error.value)
    with pytest.raises(ValueError, match="nowhere is not a folder"):
        sets.find(tmp_path / "nowhere")


def test_each_task_finds_the_sets_that_suit_it(bench):
    assert (
        names(bench / "Set5", "sr_x2") == names(bench / "Set5", "denoise_50") == ["a.png", "b.png", "c.png"]
    )
    assert names(bench / "Mine", "sr_x3") == ["f.png"]
    assert names(bench / "Rain100L", "derain") == ["norain-001.png", "norain-002.png"]
    assert names(bench / "Set5", "derain") == []
    assert names(bench / "Rain100L", "denoise_50") == []


def test_the_layout_of_prenet_is_found(bench, tmp_path):
    folder = tmp_path / "PReNet"
    shutil.copytree(bench / "Rain100L" / "rain", folder / "rainy")
    shutil.copytree(bench / "Rain100L" / "norain", folder, dirs_exist_ok=True)
    found = sets.pictures(folder, tasks.find("derain"))
    assert [(picture.degraded.name, picture.clean) for picture in found] == [
        ("rain-001.png", folder / "norain-001.png"),
        ("rain-002.png", folder / "norain-002.png"),
    ]
    assert names(folder, "denoise_50") == []


def test_a_task_of_ones_own_says_in_its_table_entry_where_its_pairs_are(tmp_path, save):
    for folder in ("Set/hazy", "Set/clear", "Other/input", "Other/target"):
        save(GREY, tmp_path / folder / "1.png")
    own = Task("dehaze", pairs=(("hazy", "clear"),))
    assert len(sets.pictures(tmp_path / "Set", own)) == 1
    assert len(sets.pictures(tmp_path / "Other", Task("deblur"))) == 1
    assert sets.pictures(tmp_path / "Set", Task("deblur")) == []


def test_a_task_of_ones_own_degrades_clean_pictures(bench):
    task = Task("darken", degrade=lambda clean, rng: clean / 2)
    (picture,) = sets.pictures(bench / "Mine", task)
    pair = sets.read(picture, task)
    np.testing.assert_allclose(pair.degraded, pair.clean / 2)


def test_lr_files_are_read_and_missing_sets_of_them_made(bench):
    task = tasks.find("sr_x2")
    given = sets.pictures(bench / "Set5", task)
    read = [sets.read(picture, task) for picture in given]
    shutil.rmtree(bench / "Set5" / "LR_bicubic")
    made = sets.pictures(bench / "Set5", task)
    assert all(picture.degraded is not None for picture in given)
    assert all(picture.degraded is None for picture in made)
    for pair, picture in zip(read, made, strict=True):
        assert pair.clean.shape == (52, 60, 3)  # the 61st column is no multiple of 2
        np.testing.assert_array_equal(pair.degraded, sets.read(picture, task).degraded)


def test_noise_is_the_same_every_time_and_differs_from_picture_to_picture(tmp_path, save):
    task = tasks.find("denoise_50")
    for name in "ab":
        save(GREY, tmp_path / f"{name}.png")
    a, b = sets.pictures(tmp_path, task)
    np.testing.assert_array_equal(sets.read(a, task).degraded, sets.read(a, task).degraded)
    assert np.abs(sets.read(a, task).degraded - sets.read(b, task).degraded).mean() > 40


@pytest.mark.parametrize(
    ("task", "missing", "message"),
    [
        ("sr_x2", "Set5/LR_bicubic/X2/bx2.png", "b.png has no low-resolution picture: .*bx2.png is missing"),
        (
            "derain",
            "Rain100L/norain/norain-002.png",
            "rain-002.png has no clean picture: neither rain-002.png",
        ),
    ],
)
def test_half_a_pair_is_refused(bench, task, missing, message):
    (bench / missing).unlink()
    with pytest.raises(ValueError, match=message):
        sets.pictures(bench / missing.split("/")[0], tasks.find(task))


def test_pictures_that_do_not_fit_each_other_are_refused(bench, save):
    save(GREY, bench / "Set5" / "LR_bicubic" / "X2" / "ax2.png")
    task = tasks.find("sr_x2")
    with pytest.raises(ValueError, match=r"ax2.png is 40 x 60 pixels; beside .*a.png it should be 26 x 30"):
        sets.read(sets.pictures(bench / "Set5", task)[0], task)


def test_a_digest_changes_with_either_file(bench, save):
    picture = sets.pictures(bench / "Rain100L", tasks.find("derain"))[0]
    before = picture.digest()
    save(GREY, picture.clean)
    between = picture.digest()
    save(GREY, picture.degraded)
    assert len({before, between, picture.digest()}) == 3
