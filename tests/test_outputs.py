"""Outputs are whole or not there, and what cannot be written is said early."""

import pytest

from ipt_tf import outputs


def test_a_file_is_replaced_whole(tmp_path):
    path = tmp_path / "scores.json"
    path.write_text("old")
    outputs.check(path)
    outputs.write(path, "new ü")
    assert path.read_text(encoding="utf-8") == "new ü"
    assert list(tmp_path.iterdir()) == [path]


def test_places_that_cannot_be_written_are_refused(tmp_path):
    file = tmp_path / "file"
    file.touch()
    with pytest.raises(ValueError, match="is a folder, not a file"):
        outputs.check(tmp_path)
    with pytest.raises(ValueError, match="missing does not exist"):
        outputs.check(tmp_path / "missing" / "scores.json")
    with pytest.raises(ValueError, match=f"{file} is a file, not a folder"):
        outputs.check_folder(file / "figures")
    with pytest.raises(ValueError, match="cannot be written"):
        outputs.write(tmp_path / "missing" / "scores.json", "text")


def test_a_folder_that_can_be_made_is_accepted(tmp_path):
    outputs.check_folder(tmp_path / "new" / "figures")
    assert not (tmp_path / "new").exists()
