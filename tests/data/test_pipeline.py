"""Batches for training: registered pairs, the same for the same step."""

import numpy as np
import pytest
from keras import ops

from ipt_tf.data import Photographs, album, pipeline, sampling, task_of_step
from ipt_tf.data.draws import words
from ipt_tf.data.examples import examples
from ipt_tf.degradations import bicubic
from ipt_tf.tasks import FURTHER_TASKS, OFFICIAL_TASKS, Task

SR = (Task("sr_x2", scale=2, degrade=bicubic(2)),)


def batches(photographs, tasks, steps, batch_size=4, seed=0, **dealing):
    source = Photographs.of_folder(photographs, smallest_side=96)
    dataset = pipeline.batches(
        source, tasks, patch_size=24, batch_size=batch_size, seed=seed, first_step=steps.start, **dealing
    )
    return list(dataset.take(len(steps)).as_numpy_iterator())


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


@pytest.mark.parametrize("fits", [True, False])
def test_batches_are_the_examples_of_the_crops_of_their_positions(photographs, monkeypatch, fits):
    """Whether all photographs fit into memory or not."""
    if not fits:
        monkeypatch.setattr(album, "LARGEST", 0)
    every = (*OFFICIAL_TASKS, *FURTHER_TASKS)
    source = Photographs.of_folder(photographs, smallest_side=96)
    requests = sampling.micro_batches(every, batch_size=4, seed=0)
    for (inputs, targets), (task, positions) in zip(
        batches(photographs, every, range(20)), requests, strict=False
    ):
        crops = source.crops(every[task], positions, patch_size=24, seed=0)
        degraded, clean = examples(every[task], 0, ops.convert_to_tensor(words(positions)), crops)
        np.testing.assert_array_equal(clean, targets)
        assert np.mean(np.abs(degraded - inputs) > 1e-2) < 1e-3


def test_tasks_are_drawn_evenly():
    counts = np.bincount([task_of_step(OFFICIAL_TASKS, step, seed=0) for step in range(3000)])
    assert counts.min() > 420
    assert counts.max() < 580


def test_a_task_without_degradation_is_refused_by_name(photographs):
    with pytest.raises(ValueError, match="task derain_own has no degradation"):
        batches(photographs, (Task("derain_own"),), range(1))


def test_workers_and_micro_batches_deal_out_the_very_patches_of_a_step(photographs):
    (whole,) = batches(photographs, SR, range(3, 4), batch_size=8)
    dealing = {"batch_size": 8, "accumulate": 2, "replicas": 2}
    shares = [batches(photographs, SR, range(3, 5), share=(i, 2), **dealing) for i in (0, 1)]
    dealt = [shares[0][0], shares[1][0], shares[0][1], shares[1][1]]
    for i in (0, 1):
        np.testing.assert_array_equal(np.concatenate([each[i] for each in dealt]), whole[i])


def test_no_photograph_is_seen_twice_in_an_epoch_by_any_worker(photographs):
    blues = []
    for share in ((0, 3), (1, 3), (2, 3)):
        ((_, targets),) = batches(photographs, SR, range(1), batch_size=6, replicas=3, share=share)
        blues += [round(np.median(target[..., 2]) / 255 * 6) for target in targets]
    assert sorted(blues) == [0, 1, 2, 3, 4, 5]


def test_a_batch_that_cannot_be_dealt_out_is_refused(photographs):
    with pytest.raises(
        ValueError, match="a batch of 4 patches cannot be dealt into 1 micro-batches for 3 replicas"
    ):
        batches(photographs, SR, range(1), replicas=3)
