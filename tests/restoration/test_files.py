"""Files in, files out: nothing that a picture carries is lost, and no file is harmed."""

import errno
import os

import numpy as np
import pytest
from PIL import Image

from ipt_tf import images
from ipt_tf.images import ImageError, Photograph
from ipt_tf.restoration import files

RGB = np.random.default_rng(0).integers(0, 256, (50, 60, 3), np.uint8)


def twice(tiles):
    return tiles.repeat(2, 1).repeat(2, 2)


def same(tiles):
    return tiles


def save(path, pixels=RGB):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)
    return path


def test_a_picture_is_enlarged_with_its_alpha_profile_and_bit_depth(tmp_path):
    pixels = RGB.astype(np.uint16) * 257
    images.write(Photograph(pixels, pixels[..., 0], icc=b"profile" * 20), tmp_path / "in.png")
    files.restore_file(tmp_path / "in.png", tmp_path / "out.png", twice, scale=2)
    back = images.read(tmp_path / "out.png")
    np.testing.assert_array_equal(back.pixels, pixels.repeat(2, 0).repeat(2, 1))
    assert back.alpha.shape == (100, 120)
    assert back.alpha.dtype == np.uint16
    assert back.icc == b"profile" * 20


def test_alpha_is_untouched_where_the_size_does_not_change(tmp_path):
    images.write(Photograph(RGB, RGB[..., 1]), tmp_path / "in.png")
    files.restore_file(tmp_path / "in.png", tmp_path / "out.png", same, scale=1)
    np.testing.assert_array_equal(images.read(tmp_path / "out.png").alpha, RGB[..., 1])


def test_a_grey_picture_stays_grey(tmp_path):
    save(tmp_path / "in.png", RGB[..., 0])
    files.restore_file(tmp_path / "in.png", tmp_path / "out.png", same, scale=1)
    with Image.open(tmp_path / "out.png") as image:
        assert image.mode == "L"


def test_a_target_that_cannot_be_written_is_refused_before_any_work(tmp_path):
    def never(tiles):
        raise AssertionError("the network was called")

    source = save(tmp_path / "in.png")
    save(tmp_path / "there.png")
    images.write(Photograph(RGB, RGB[..., 0]), tmp_path / "clear.png")
    for path, target, message in (
        (source, tmp_path / "there.png", r"there\.png.* already"),
        (source, tmp_path / "no" / "out.png", "folder .*no"),
        (source, tmp_path / "out.txt", r"\.txt"),
        (tmp_path / "clear.png", tmp_path / "out.jpg", "transparency"),
    ):
        with pytest.raises(ImageError, match=message):
            files.restore_file(path, target, never, scale=1)
    assert not (tmp_path / "out.jpg").exists()


def test_a_size_that_the_format_cannot_hold_is_refused_before_any_work(tmp_path):
    def never(tiles):
        raise AssertionError("the network was called")

    source = save(tmp_path / "in.webp", np.zeros((2, 9000, 3), np.uint8))
    with pytest.raises(ImageError, match="16383"):
        files.restore_file(source, tmp_path / "out.webp", never, scale=2)


def test_enlarged_alpha_stays_within_its_range_and_its_steps_are_of_16_bits():
    alpha = np.full((6, 6), 1000, np.uint16)
    np.testing.assert_array_equal(files.enlarge(alpha, 3), np.full((18, 18), 1000))
    alpha[:, 3:] = 65535  # bicubic overshoots at an edge
    larger = files.enlarge(alpha, 2)
    assert (larger[:, 0] == 1000).all()
    assert larger.max() == 65535
    assert larger.min() < 1000  # not wrapped around


def test_progress_is_told_of_every_tile(tmp_path):
    seen = []
    source = save(tmp_path / "in.png")
    files.restore_file(
        str(source),
        str(tmp_path / "out.png"),
        same,
        1,
        progress=lambda *counts: seen.append(counts),
        batch_size=1,
        overlap=10,
    )
    assert seen == [(1, 4), (2, 4), (3, 4), (4, 4)]


def test_a_folder_keeps_its_tree_and_one_bad_picture_does_not_stop_the_rest(tmp_path):
    save(tmp_path / "in" / "a.png")
    save(tmp_path / "in" / "deep" / "b.jpg")
    save(tmp_path / "in" / "c.gif")
    (tmp_path / "in" / "broken.png").write_text("not a picture")
    summary = files.restore_folder(tmp_path / "in", tmp_path / "out", same, scale=1)
    written = sorted(p.relative_to(tmp_path / "out").as_posix() for p in images.find(tmp_path / "out"))
    assert written == ["a.png", "c.png", "deep/b.jpg"]
    assert (summary.restored, summary.skipped) == (3, 0)
    ((path, message),) = summary.failed
    assert path.name == "broken.png"
    assert "broken.png" in message
    assert "\n" not in message


def test_a_picture_that_the_network_fails_on_does_not_stop_the_rest(tmp_path):
    save(tmp_path / "in" / "a.png", np.zeros((8, 8, 3), np.uint8))
    save(tmp_path / "in" / "b.png")
    summary = files.restore_folder(
        tmp_path / "in",
        tmp_path / "out",
        lambda tiles: tiles if tiles.any() else tiles + np.nan,
        scale=1,
    )
    assert summary.restored == 1
    assert [path.name for path, _ in summary.failed] == ["a.png"]
    assert os.listdir(tmp_path / "out") == ["b.png"]


def test_a_folder_that_may_not_be_read_is_a_failure_and_does_not_stop_the_rest(tmp_path, monkeypatch):
    save(tmp_path / "in" / "a.png")
    save(tmp_path / "in" / "locked" / "b.png")
    refuse(monkeypatch, "scandir", tmp_path / "in" / "locked")
    summary = files.restore_folder(tmp_path / "in", tmp_path / "out", same, scale=1)
    assert summary.restored == 1
    ((_, message),) = summary.failed
    assert message == f"the folder {tmp_path / 'in' / 'locked'} cannot be read: Permission denied"


def refuse(monkeypatch, name, folder):
    """Lets a function of `os` fail for one folder as it does for a user without rights, whoever runs the tests."""
    function = getattr(os, name)

    def refused(path):
        if os.fspath(path) == os.fspath(folder):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), os.fspath(path))
        return function(path)

    monkeypatch.setattr(os, name, refused)


def test_a_read_only_folder_is_refused_before_any_picture(tmp_path, monkeypatch):
    save(tmp_path / "in" / "a.png")
    save(tmp_path / "in" / "b.png")
    monkeypatch.setattr(os, "access", lambda path, mode: mode != os.W_OK)
    with pytest.raises(ImageError, match=r"the folder .*out is read-only"):
        files.restore_folder(tmp_path / "in", tmp_path / "out", same, scale=1)


def test_existing_outputs_are_skipped_unless_they_are_to_be_overwritten(tmp_path):
    save(tmp_path / "in" / "a.png")
    target = tmp_path / "out" / "a.png"
    target.parent.mkdir()
    target.write_bytes(b"precious")
    summary = files.restore_folder(tmp_path / "in", tmp_path / "out", same, scale=1)
    assert (summary.restored, summary.skipped) == (0, 1)
    assert target.read_bytes() == b"precious"
    assert (
        files.restore_folder(tmp_path / "in", tmp_path / "out", same, scale=1, overwrite=True).restored == 1
    )
    np.testing.assert_array_equal(images.read(target).pixels, RGB)


def test_outputs_inside_the_input_folder_are_not_restored_again(tmp_path):
    save(tmp_path / "a.png")
    for _ in range(2):
        files.restore_folder(tmp_path, tmp_path / "restored", same, scale=1, overwrite=True)
    assert os.listdir(tmp_path / "restored") == ["a.png"]


def test_two_inputs_never_share_an_output(tmp_path):
    save(tmp_path / "in" / "a.gif", 255 - RGB)
    save(tmp_path / "in" / "a.png")
    summary = files.restore_folder(tmp_path / "in", tmp_path / "out", same, scale=1)
    assert summary.restored == 1
    ((path, message),) = summary.failed
    assert path.name == "a.gif"
    assert "is taken by" in message
    np.testing.assert_array_equal(images.read(tmp_path / "out" / "a.png").pixels, RGB)


def test_a_folder_may_be_restored_into_the_one_above_it_but_never_over_its_own_files(tmp_path):
    save(tmp_path / "in" / "b.png")
    save(tmp_path / "in" / "in" / "b.png", 255 - RGB)
    summary = files.restore_folder(tmp_path / "in", tmp_path, same, scale=1, overwrite=True)
    assert summary.restored == 1
    assert [path.relative_to(tmp_path).as_posix() for path, _ in summary.failed] == ["in/in/b.png"]
    np.testing.assert_array_equal(images.read(tmp_path / "b.png").pixels, RGB)
    np.testing.assert_array_equal(images.read(tmp_path / "in" / "b.png").pixels, RGB)


def test_a_picture_is_not_restored_onto_itself(tmp_path):
    source = save(tmp_path / "in.png")
    (tmp_path / "link.png").symlink_to(source)
    for target in (source, tmp_path / "link.png", tmp_path / "." / "in.png"):
        with pytest.raises(ImageError, match="cannot be both input and output"):
            files.restore_file(source, target, same, scale=1, overwrite=True)


def test_folders_without_pictures_and_folders_into_themselves_are_refused(tmp_path):
    with pytest.raises(ImageError, match="holds no photographs"):
        files.restore_folder(tmp_path, tmp_path / "out", same, scale=1)
    with pytest.raises(ImageError, match="cannot be both"):
        files.restore_folder(tmp_path, tmp_path, same, scale=1)
    with pytest.raises(ImageError, match="missing"):
        files.restore_folder(tmp_path / "missing", tmp_path / "out", same, scale=1)
    save(tmp_path / "in" / "a.png")
    with pytest.raises(ImageError, match="cannot be made"):
        files.restore_folder(tmp_path / "in", tmp_path / "in" / "a.png" / "out", same, scale=1)
