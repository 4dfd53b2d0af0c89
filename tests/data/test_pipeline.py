"""Batches for training: registered pairs, the same for the same step."""

import numpy as np
import pytest
from keras import ops

from ipt_tf import tasks
from ipt_tf.data import Photographs, pipeline, sampling, task_of_step
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


def test_a_batch_that_is_made_without_tensorflow_is_that_of_the_pipeline(photographs):
    every = (*OFFICIAL_TASKS, *FURTHER_TASKS)
    source = Photographs.of_folder(photographs, smallest_side=96)
    requests = sampling.micro_batches(every, batch_size=4, seed=0)
    for (inputs, targets), (task, positions) in zip(
        batches(photographs, every, range(20)), requests, strict=False
    ):
        degraded, clean = source.batch(every[task], positions, patch_size=24, seed=0)
        np.testing.assert_array_equal(clean, targets)
        np.testing.assert_allclose(degraded, inputs, atol=1e-2)


def test_an_example_is_degraded_alike_in_whatever_batch_it_stands(photographs):
    source = Photographs.of_folder(photographs, smallest_side=96)
    for name in ("denoise", "derain", "jpeg"):
        together, _ = source.batch(tasks.find(name), [3, 8], patch_size=24, seed=0)
        alone, _ = source.batch(tasks.find(name), [8], patch_size=24, seed=0)
        np.testing.assert_allclose(together[1], alone[0], atol=1e-3)
        assert np.abs(together[0] - together[1]).max() > 1


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


def test_no_photograph_is_seen_twice_in_an_epoch_by_any_worker(photographs, monkeypatch):
    source = Photographs.of_folder(photographs, smallest_side=96)
    seen = []
    read = Photographs._read
    monkeypatch.setattr(Photographs, "_read", lambda self, i: seen.append(int(i)) or read(self, i))
    for share in ((0, 3), (1, 3), (2, 3)):
        dataset = pipeline.batches(source, SR, patch_size=24, batch_size=6, seed=0, replicas=3, share=share)
        list(dataset.take(1))
        del seen[2 * (share[0] + 1) :]  # what was prefetched
    assert sorted(seen) == list(range(6))


def test_a_batch_that_cannot_be_dealt_out_is_refused(photographs):
    with pytest.raises(
        ValueError, match="a batch of 4 patches cannot be dealt into 1 micro-batches for 3 replicas"
    ):
        batches(photographs, SR, range(1), replicas=3)
