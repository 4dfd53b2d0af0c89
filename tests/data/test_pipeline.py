"""Batches for training: registered pairs, the same for the same step."""

import numpy as np
import pytest
from keras import ops

from ipt_tf.data import Photographs, degraded, task_of_step
from ipt_tf.degradations import bicubic
from ipt_tf.tasks import OFFICIAL_TASKS, Task

SR = (Task("sr_x2", scale=2, degrade=bicubic(2)),)


def batches(photographs, tasks, steps, batch_size=4, seed=0):
    source = Photographs.of_folder(photographs, smallest_side=96)
    dataset = degraded(source, tasks, patch_size=24, batch_size=batch_size, seed=seed, steps=steps)
    return list(dataset.as_numpy_iterator())


def test_inputs_are_the_degraded_targets_whatever_the_augmentation(photographs):
    for inputs, targets in batches(photographs, SR, range(4)):
        assert inputs.shape == (4, 24, 24, 3)
        assert targets.shape == (4, 48, 48, 3)
        np.testing.assert_array_equal(inputs, ops.convert_to_numpy(bicubic(2)(targets, None)))


def test_noise_is_added_to_the_very_patch_that_is_the_target(photographs):
    (inputs, targets), *_ = batches(photographs, OFFICIAL_TASKS[4:5], range(1), batch_size=6)
    inner = (targets > 120) & (targets < 135)
    assert abs(np.mean((inputs - targets)[inner])) < 3
    assert 27 < np.std((inputs - targets)[inner]) < 33


def test_a_run_resumed_at_a_step_gets_the_batches_of_that_step(photographs):
    whole = batches(photographs, OFFICIAL_TASKS, range(8))
    resumed = batches(photographs, OFFICIAL_TASKS, range(5, 8))
    for (x, y), (x2, y2) in zip(whole[5:], resumed, strict=True):
        np.testing.assert_array_equal(x, x2)
        np.testing.assert_array_equal(y, y2)


def test_every_step_has_the_shapes_of_the_task_that_the_seed_draws(photographs):
    for step, (inputs, targets) in enumerate(batches(photographs, OFFICIAL_TASKS, range(12), seed=7)):
        scale = OFFICIAL_TASKS[task_of_step(OFFICIAL_TASKS, step, seed=7)].scale
        assert inputs.shape[1] == 24
        assert targets.shape[1] == 24 * scale


def test_tasks_are_drawn_evenly():
    counts = np.bincount([task_of_step(OFFICIAL_TASKS, step, seed=0) for step in range(3000)])
    assert counts.min() > 420
    assert counts.max() < 580


def test_a_task_without_degradation_is_refused_by_name(photographs):
    with pytest.raises(ValueError, match="task derain_own has no degradation"):
        batches(photographs, (Task("derain_own"),), range(1))
