"""Several networks as one model."""

import keras
import numpy as np
import pytest

from ipt_tf import IPT, Task
from ipt_tf.model.joined import JoinedIPT

SMALL = {"num_features": 4, "patch_size": 12, "num_heads": 2, "start": "random"}
TILES = np.random.default_rng(0).uniform(0, 255, (2, 12, 12, 3)).astype("float32")
PICTURE = np.random.default_rng(1).integers(0, 256, (20, 17, 3), np.uint8)


@pytest.fixture
def parts():
    return [IPT(["sr_x2", "derain"], num_layers=1, **SMALL), IPT(["denoise"], num_layers=2, **SMALL)]


@pytest.fixture
def model(parts):
    return JoinedIPT(parts, ["denoise", "sr_x2", "derain"])


def array(tensor):
    return keras.ops.convert_to_numpy(tensor)


def test_each_task_is_restored_by_the_network_that_has_it(model, parts):
    for task, part in (("sr_x2", parts[0]), ("derain", parts[0]), ("denoise", parts[1])):
        np.testing.assert_array_equal(array(model(TILES, task=task)), array(part(TILES, task=task)))
        np.testing.assert_array_equal(model.restore(PICTURE, task), part.restore(PICTURE, task))
        np.testing.assert_array_equal(array(model.for_task(task)(TILES)), array(part(TILES, task=task)))


def test_it_has_all_tasks_in_the_order_asked_for_and_all_weights(model, parts):
    assert model.task_names == ["denoise", "sr_x2", "derain"]
    assert model.count_params() == sum(part.count_params() for part in parts)


def test_tasks_that_share_a_body_are_an_ordinary_model(model, parts):
    assert type(model.for_tasks(["derain", "sr_x2"])) is IPT
    mixed = model.for_tasks(["derain", "denoise"])
    assert isinstance(mixed, JoinedIPT)
    assert mixed.task_names == ["derain", "denoise"]
    np.testing.assert_array_equal(array(mixed(TILES, task="derain")), array(parts[0](TILES, task="derain")))


def test_it_is_saved_and_loaded(model, tmp_path):
    model.save_pretrained(tmp_path / "saved")
    loaded = IPT.from_pretrained(tmp_path / "saved")
    assert set(loaded.task_names) == set(model.task_names)
    for task in model.task_names:
        np.testing.assert_array_equal(loaded.restore(PICTURE, task), model.restore(PICTURE, task))


def test_a_configuration_makes_such_a_model(model):
    again = JoinedIPT.from_config(model.get_config())
    assert again.task_names == model.task_names
    assert [weight.shape for weight in again.weights] == [weight.shape for weight in model.weights]


def test_a_new_task_begins_as_one_that_it_has(model, parts):
    adapted = model.adapt(Task("faint"), like="denoise")
    np.testing.assert_array_equal(array(adapted(TILES)), array(parts[1](TILES)))
    extended = model.extended(["derain", "denoise_10"], like="derain")
    assert extended.task_names == ["derain", "denoise_10"]
    np.testing.assert_array_equal(
        array(extended(TILES, task="denoise_10")), array(parts[0](TILES, task="derain"))
    )


def test_what_is_about_one_body_says_which_tasks_share_one(model):
    message = r"these tasks do not share one body, so choose some that do \(sr_x2 derain; denoise\)"
    for act in (lambda: model.grow(3), model.without_body, lambda: model.extended(["denoise", "sr_x2"])):
        with pytest.raises(ValueError, match="do not share one body"):
            act()
    with pytest.raises(ValueError, match=message):
        model.grow(3)


def test_networks_that_do_not_fit_each_other_are_refused(parts):
    with pytest.raises(ValueError, match="tasks in common"):
        JoinedIPT([parts[0], parts[0].for_task("derain")])
    with pytest.raises(ValueError, match="differ in patch_size"):
        JoinedIPT([parts[0], IPT(["jpeg"], num_layers=1, **{**SMALL, "patch_size": 24})])


def test_an_unknown_task_is_answered_with_those_there_are(model):
    with pytest.raises(ValueError, match="this model has no task 'jpeg'; it has denoise, sr_x2, derain"):
        model.restore(PICTURE, "jpeg")
    with pytest.raises(ValueError, match=r"these weights have no task jpeg: .* of denoise, sr_x2, derain"):
        model.extended(["jpeg"])
