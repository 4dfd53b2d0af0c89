"""Which versions are served: whole ones, from when they are there until they are removed."""

import shutil
from types import SimpleNamespace

import pytest

pytest.importorskip("tensorflow_serving", reason="tensorflow-serving-api is not installed")

from ipt_tf.serving.configs import Served
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
    store = Store(tmp_path, load)
    store.look()
    store.look()
    assert store.names() == ["a", "b"]
    assert store.find("a").version == 10
    assert store.find("a", 2).version == 2
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
    add(tmp_path, "b", 1)
    shutil.rmtree(tmp_path / "a" / "2")
    store.look()
    assert store.find("a").version == 1
    shutil.rmtree(tmp_path / "a")
    store.look()
    with pytest.raises(ServingError, match="Servable not found") as caught:
        store.find("a")
    assert caught.value.code == "NOT_FOUND"


def served(store, looks=3):
    """The models and versions there are after some looks."""
    for _ in range(looks):
        store.look()
    return {(name, each.version) for name in store.names() for each in store.status(name) if not each.error}


@pytest.mark.parametrize("hide", ["the folder", "what is in it", "a model", "files of a version"])
def test_what_cannot_be_read_for_a_while_stays_and_is_reported_once(tmp_path, hide, caplog):
    models, away = tmp_path / "models", tmp_path / "away"
    add(models, "a", 1)
    add(models, "b", 1)
    store = Store(models, load)
    everything = served(store)
    assert everything == {("a", 1), ("b", 1)}
    if hide == "files of a version":
        (models / "a/1/saved_model.pb").rename(away)
    elif hide == "a model":  # a link that leads to itself cannot be read, whoever asks
        (models / "a").rename(away)
        (models / "a").symlink_to(models / "a")
    else:
        models.rename(away)
    if hide == "what is in it":
        models.mkdir()
    assert served(store) == everything
    assert len(caplog.messages) == (hide != "files of a version")
    if hide == "files of a version":
        away.rename(models / "a/1/saved_model.pb")
    elif hide == "a model":
        (models / "a").unlink()
        away.rename(models / "a")
    else:
        shutil.rmtree(models, ignore_errors=True)
        away.rename(models)
    shutil.rmtree(models / "b")
    assert served(store) == {("a", 1)}


def test_a_loop_of_links_in_a_version_harms_no_other(tmp_path):
    for version in (1, 2, 3):
        add(tmp_path, "a", version)
    (tmp_path / "a/1/loop").symlink_to("loop")
    (tmp_path / "a/2/saved_model.pb").unlink()
    (tmp_path / "a/2/saved_model.pb").symlink_to("saved_model.pb")
    shutil.rmtree(tmp_path / "a/2/variables")
    (tmp_path / "a/4").symlink_to("4")
    assert served(Store(tmp_path, load)) == {("a", 1), ("a", 3)}


@pytest.mark.parametrize(
    ("options", "versions"),
    [
        ({}, {10}),
        ({"latest": 2}, {3, 10}),
        ({"latest": None}, {2, 3, 10}),
        ({"specific": frozenset({2, 3, 7})}, {2, 3}),
    ],
)
def test_a_configuration_chooses_models_versions_and_labels(tmp_path, options, versions):
    for name, version in (("a", 2), ("a", 3), ("a", 10), ("b", 1)):
        add(tmp_path, name, version)
    store = Store(tmp_path, load, {"m": Served(tmp_path / "a", **options, labels={"stable": 2})})
    assert served(store) == {("m", version) for version in versions}
    if 2 in versions:
        assert store.find("m", label="stable").version == 2


def test_a_version_is_served_until_the_one_that_replaces_it_is(tmp_path):
    add(tmp_path, "a", 1)
    store = Store(tmp_path, load, {"a": Served(tmp_path / "a")})
    assert served(store) == {("a", 1)}
    half = add(tmp_path, "a", 2, whole=False)
    assert served(store) == {("a", 1)}
    (half / "variables").mkdir()
    (half / "variables" / "data").write_bytes(b"1")
    assert served(store) == {("a", 2)}
    shutil.rmtree(half)
    assert served(store) == {("a", 1)}


def test_versions_are_numbers_of_64_bits_however_they_are_written(tmp_path):
    largest = 2**63 - 1
    for name in ("00000123", str(largest), str(largest + 1), "9" * 200, "1_0", "-1", "٣"):
        add(tmp_path, "a", name)
    store = Store(tmp_path, load)
    assert served(store) == {("a", 123), ("a", largest)}
    assert store.find("a", 123).version == 123


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
