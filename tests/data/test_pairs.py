"""A user's own pairs."""

import numpy as np
import pytest
from PIL import Image

from ipt_tf.data import Pairs, paired, pipeline
from ipt_tf.tasks import Task


@pytest.fixture
def folders(tmp_path):
    """Three pairs in which the clean picture is the degraded one, twice as large, plus 10."""
    rng = np.random.default_rng(0)
    (tmp_path / "low").mkdir()
    (tmp_path / "high").mkdir()
    for i in range(3):
        low = rng.integers(0, 240, (60, 70, 3), np.uint8)
        Image.fromarray(low).save(tmp_path / "low" / f"{i}.png")
        Image.fromarray(low.repeat(2, 0).repeat(2, 1) + np.uint8(10)).save(tmp_path / "high" / f"{i}.bmp")
    return tmp_path / "low", tmp_path / "high"


def test_crops_stay_registered_through_flips_and_turns(folders):
    for inputs, targets in paired(*folders, scale=2, batch_size=6).as_numpy_iterator():
        np.testing.assert_array_equal(inputs.repeat(2, 1).repeat(2, 2) + 10, targets)


def test_one_pass_is_one_epoch_and_the_next_draws_other_crops(folders):
    dataset = paired(*folders, scale=2, batch_size=6, crops=16)
    first, second = (np.concatenate([x for x, _ in dataset.as_numpy_iterator()]) for _ in range(2))
    assert first.shape == second.shape == (48, 48, 48, 3)
    assert len(dataset) == 8
    assert not np.array_equal(first, second)


def test_a_picture_without_partner_is_named(folders):
    (folders[1] / "1.bmp").unlink()
    with pytest.raises(ValueError, match=r"low/1\.png"):
        paired(*folders, scale=2)


def test_sizes_that_do_not_fit_are_said(folders):
    with pytest.raises(ValueError, match="at scale 1 that cannot be"):
        paired(*folders)


def test_pairs_train_step_by_step_as_photographs_do(folders):
    pairs = Pairs.of_folders(*folders, scale=2)
    tasks = [Task("sr_own", scale=2)]
    dataset = pipeline.batches(pairs, tasks, patch_size=48, batch_size=3, seed=0, first_step=5)
    inputs, targets = next(iter(dataset))
    np.testing.assert_array_equal(np.repeat(np.repeat(inputs, 2, 1), 2, 2) + 10, targets)
    again = pipeline.batches(pairs, tasks, patch_size=48, batch_size=3, seed=0, first_step=4)
    np.testing.assert_array_equal(list(again.take(2))[1][0], inputs)
    for made, expected in zip(
        pairs.crops(tasks[0], range(15, 18), 48, seed=0), (inputs, targets), strict=True
    ):
        np.testing.assert_array_equal(made, expected)


def test_held_out_pairs_are_validated_at_their_centres(folders):
    train, held_out = Pairs.of_folders(*folders, scale=2).split(1, seed=0)
    assert set(train.paths).isdisjoint(held_out.paths)
    low, high = held_out.validation_pairs(Task("sr_own", scale=2), 48, seed=0)
    assert low.shape == (1, 48, 48, 3)
    np.testing.assert_array_equal(low.repeat(2, 1).repeat(2, 2) + 10, high)


def test_pairs_of_another_scale_than_the_task_are_refused(folders):
    with pytest.raises(ValueError, match=r"one task of scale 2 .* not denoise_own \(scale 1\)"):
        Pairs.of_folders(*folders, scale=2).validation_pairs(Task("denoise_own"), 48, seed=0)
