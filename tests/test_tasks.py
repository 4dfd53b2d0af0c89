"""A task is one value: a name, a scale and a degradation; their order is the order of a model's heads."""

import dataclasses

import numpy as np
import pytest

from ipt_tf import tasks
from ipt_tf.degradations import gaussian_noise
from ipt_tf.tasks import OFFICIAL_TASKS, Task

PHOTOGRAPHS = np.random.default_rng(0).integers(0, 256, (2, 48, 96, 3)).astype("float32")


def test_the_official_tasks_stand_in_the_head_order_of_the_official_checkpoint():
    assert [task.name for task in OFFICIAL_TASKS] == [
        "sr_x2",
        "sr_x3",
        "sr_x4",
        "derain",
        "denoise_30",
        "denoise_50",
    ]
    assert [task.scale for task in OFFICIAL_TASKS] == [2, 3, 4, 1, 1, 1]


@pytest.mark.parametrize("task", OFFICIAL_TASKS, ids=lambda task: task.name)
def test_an_official_task_makes_inputs_that_are_smaller_by_its_scale(task):
    degraded = np.asarray(task.make_input(PHOTOGRAPHS, np.random.default_rng(0)))
    assert degraded.shape == (2, 48 // task.scale, 96 // task.scale, 3)
    assert degraded.min() >= 0
    assert degraded.max() <= 255


def test_a_photographs_pair_is_what_a_file_would_hold_and_what_it_should_become():
    photograph = np.random.default_rng(1).integers(0, 256, (50, 61, 3), np.uint8)
    low, clean = tasks.find("sr_x3").pair(photograph)
    assert (low.shape, low.dtype) == ((16, 20, 3), np.uint8)
    np.testing.assert_array_equal(clean, photograph[:48, :60])
    noise = tasks.find("denoise_50")
    np.testing.assert_array_equal(noise.pair(photograph, seed=3)[0], noise.pair(photograph, seed=3)[0])
    assert np.any(noise.pair(photograph, seed=3)[0] != noise.pair(photograph, seed=4)[0])


def test_a_task_that_needs_pairs_makes_none():
    with pytest.raises(ValueError, match="task mine has no degradation: it needs pairs"):
        Task("mine").pair(np.zeros((48, 48, 3), np.uint8))


@pytest.mark.parametrize(("name", "sigma"), [("denoise_30", 30), ("denoise_50", 50), ("denoise_70", 70)])
def test_a_denoising_task_makes_the_noise_of_its_name(name, sigma):
    grey = np.full((4, 96, 96, 3), 128.0)
    noisy = np.asarray(tasks.find(name).make_input(grey, np.random.default_rng(0)))
    # Quartiles, because the clipping at 0 and 255 narrows the standard deviation.
    low, high = np.percentile(noisy, [25, 75])
    assert (high - low) / 1.349 == pytest.approx(sigma, rel=0.02)


def test_a_task_is_found_by_its_name():
    assert all(tasks.find(task.name) is task for task in OFFICIAL_TASKS)


def test_any_scale_of_super_resolution_is_found_by_its_name():
    task = tasks.find("sr_x8")
    assert (task.name, task.scale) == ("sr_x8", 8)
    assert task.make_input(PHOTOGRAPHS, None).shape == (2, 6, 12, 3)


@pytest.mark.parametrize("name", ["denoise_", "sr_x", "DERAIN", "denoise_50 ", "sr_x2.5", ""])
def test_an_unknown_name_is_answered_with_the_known_ones(name):
    with pytest.raises(ValueError, match=r"known are sr_x2, sr_x3, .*denoise_50, denoise, jpeg") as error:
        tasks.find(name)
    assert repr(name) in str(error.value)


def test_further_tasks_are_found_by_name_and_are_in_no_model_that_does_not_ask_for_them():
    for name in ("denoise", "jpeg", "camera"):
        task = tasks.find(name)
        assert (task.name, task.scale, task.sigma) == (name, 1, None)
        assert task not in OFFICIAL_TASKS


def test_denoising_without_a_level_is_trained_on_every_level_up_to_75():
    grey = np.full((300, 16, 16, 3), 128.0, "float32")
    noisy = np.asarray(tasks.find("denoise").make_input(grey, np.random.default_rng(0)))
    low, high = np.percentile(noisy, [25, 75], axis=(1, 2, 3))  # which no clipping reaches
    sigmas = np.sort((high - low) / 1.349)
    np.testing.assert_allclose(np.percentile(sigmas, [0, 25, 50, 75, 100]), [0, 19, 37, 56, 75], atol=6)


def test_a_task_of_varying_strength_has_levels_at_which_it_is_scored():
    levels = {task.name: [level.name for level in task.levels] for task in tasks.FURTHER_TASKS if task.levels}
    assert levels == {
        "denoise": ["denoise_10", "denoise_30", "denoise_50", "denoise_70"],
        "jpeg": ["jpeg_10", "jpeg_20", "jpeg_40"],
    }
    assert [level.sigma for level in tasks.find("denoise").levels] == [10, 30, 50, 70]
    assert {level.restorer for level in tasks.find("jpeg").levels} == {"jpeg"}
    assert tasks.find("denoise_30").restorer == "denoise_30"


def test_super_resolution_by_nothing_is_refused():
    with pytest.raises(ValueError, match="scale is a whole number from 1, not 0"):
        tasks.find("sr_x0")


def test_a_model_without_the_task_answers_with_those_it_has():
    with pytest.raises(ValueError, match="no task 'derain'; it has sr_x2, denoise_50"):
        tasks.pick("derain", [tasks.find("sr_x2"), tasks.find("denoise_50")])


def test_a_model_picks_its_own_task_even_where_an_official_one_has_its_name():
    own = Task("derain", degrade=gaussian_noise(10))
    assert tasks.pick("derain", [tasks.find("sr_x2"), own]) is own


def test_a_user_defines_a_task_with_a_degradation_of_their_own():
    task = Task("brighten", degrade=lambda clean, rng: clean / 2)
    np.testing.assert_array_equal(task.make_input(PHOTOGRAPHS, None), PHOTOGRAPHS / 2)


def test_a_task_without_a_degradation_asks_for_pairs():
    with pytest.raises(ValueError, match="task deblur has no degradation: it needs pairs"):
        Task("deblur").make_input(PHOTOGRAPHS, np.random.default_rng(0))


@pytest.mark.parametrize("name", ["", "Derain", "2x", "my task", "a/b", "_x", "derain\n"])
def test_a_name_that_could_not_name_a_file_or_a_layer_is_refused(name):
    with pytest.raises(ValueError, match="lower case letters, digits and _"):
        Task(name)


@pytest.mark.parametrize("scale", [0, -2, 1.5, "2"])
def test_a_scale_that_is_no_whole_number_from_1_is_refused(scale):
    with pytest.raises(ValueError, match="task shrink: the scale is a whole number from 1"):
        Task("shrink", scale=scale)


def test_a_task_cannot_be_changed():
    with pytest.raises(dataclasses.FrozenInstanceError):
        OFFICIAL_TASKS[0].scale = 4
