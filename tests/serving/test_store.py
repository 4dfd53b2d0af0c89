"""Which versions are served: whole ones, from when they are there until they are removed."""

import shutil
from types import SimpleNamespace

import pytest

pytest.importorskip("tensorflow_serving", reason="tensorflow-serving-api is not installed")

from ipt_tf.serving.errors import ServingError
from ipt_tf.serving.store import Store


def load(folder, name, version):
    """Loads a stand-in: a folder is whole if it holds its variables."""
    if not (folder / "variables").is_dir():
        raise ValueError("variables are missing\nand much more")
    return SimpleNamespace(name=name, version=version)


def add(folder, name, version, whole=True):
    path = folder / name / str(version)
    path.mkdir(parents=True)
    (path / "saved_model.pb").write_bytes(b"graph")
    if whole:
        (path / "variables").mkdir()
    return path


def test_all_versions_of_all_models_are_there_and_the_largest_number_is_the_newest(tmp_path):
    for name, version in (("a", 2), ("a", 10), ("b", 1)):
        add(tmp_path, name, version)
    for other in ("a/latest", "a/.3", ".hidden/1", "a/11"):
        (tmp_path / other).mkdir(parents=True)
    store = Store(tmp_path, load, labels={"a": {"stable": 2}})
    store.look()
    store.look()
    assert store.names() == ["a", "b"]
    assert store.find("a").version == 10
    assert store.find("a", 2).version == 2
    assert store.find("a", label="stable").version == 2
    assert [each.version for each in store.status("a")] == [10, 2]


def test_a_version_that_is_being_copied_is_left_alone(tmp_path):
    path = add(tmp_path, "a", 1)
    store = Store(tmp_path, load)
    store.look()
    for size in (10, 20, 30):  # it grows from look to look
        (path / "variables" / "data").write_bytes(bytes(size))
        store.look()
        assert store.names() == []
    store.look()
    assert store.find("a").version == 1


def test_a_version_that_is_not_whole_is_no_version_until_it_is(tmp_path):
    add(tmp_path, "a", 1)
    half = add(tmp_path, "a", 2, whole=False)
    store = Store(tmp_path, load)
    for _ in range(3):
        store.look()
    assert store.find("a").version == 1
    assert store.status("a", 2)[0].state == "END"
    assert store.status("a", 2)[0].error == "variables are missing"
    (half / "variables").mkdir()
    (half / "variables" / "data").write_bytes(b"1")
    for _ in range(2):
        store.look()
    assert store.find("a").version == 2


def test_a_version_that_is_removed_is_not_found_any_more(tmp_path):
    add(tmp_path, "a", 1)
    add(tmp_path, "a", 2)
    store = Store(tmp_path, load)
    store.look()
    store.look()
    shutil.rmtree(tmp_path / "a" / "2")
    store.look()
    assert store.find("a").version == 1
    shutil.rmtree(tmp_path / "a")
    store.look()
    with pytest.raises(ServingError, match="Servable not found") as caught:
        store.find("a")
    assert caught.value.code == "NOT_FOUND"


def test_half_of_a_real_model_is_not_served(tmp_path, saved_model):
    """Cut off where a copy of its variables may be cut off."""
    from ipt_tf.serving import servable
    from ipt_tf.serving.configs import Batching

    shutil.copytree(saved_model, tmp_path / "a" / "1")
    (data,) = (tmp_path / "a" / "1" / "variables").glob("*.data*")
    whole = data.read_bytes()
    data.write_bytes(whole[: len(whole) // 2])
    store = Store(tmp_path, lambda *place: servable.load(*place, Batching(), 1000))
    store.look()
    store.look()
    assert store.names() == []
    data.write_bytes(whole)
    store.look()
    store.look()
    assert store.find("a").version == 1
