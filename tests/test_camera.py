"""Camera noise is coarse, related between colours, of moderate strength, and stored as a file."""

import numpy as np
import pytest
from keras import ops
from PIL import Image
from repeatable import Repeatable

from ipt_tf import samples, tasks
from ipt_tf.data import sets
from ipt_tf.data.draws import Draws, words
from ipt_tf.degradations import camera_noise

BATCH = 192


def noisy(clean, seed=0):
    return ops.convert_to_numpy(camera_noise()(clean, np.random.default_rng(seed)))


@pytest.fixture(scope="module")
def grey():
    return np.full((BATCH, 48, 48, 3), 128.0, "float32")


@pytest.fixture(scope="module")
def noise(grey):
    return noisy(grey) - grey


@pytest.fixture(scope="module")
def photographs():
    names = ("astronaut", "chelsea", "coffee", "moose")
    return np.stack([samples.load(name)[100:148, 150:198] for name in names * 8]).astype("float32")


def strengths(noise):
    return noise.std(axis=(1, 2, 3))


def correlation(noise, distance):
    """Between pixels so far apart in a row, of each picture."""
    left, right = noise[:, :, :-distance], noise[:, :, distance:]
    return (left * right).mean(axis=(1, 2, 3)) / np.square(noise).mean(axis=(1, 2, 3))


def test_camera_noise_is_of_whole_numbers_as_a_file_holds_them(photographs):
    made = noisy(photographs)
    assert made.shape == photographs.shape
    assert made.dtype == np.float32
    np.testing.assert_array_equal(made, made.round())
    assert made.min() >= 0
    assert made.max() <= 255


def test_camera_noise_is_the_same_for_the_same_seed_and_different_for_another(photographs):
    np.testing.assert_array_equal(noisy(photographs), noisy(photographs))
    assert np.abs(noisy(photographs) - noisy(photographs, seed=1)).max() > 10


def test_an_example_is_degraded_alike_in_whatever_batch_it_stands(photographs):
    degrade = camera_noise()
    together = np.asarray(degrade(photographs[:6], Draws(0, words(range(6)))))
    alone = np.asarray(degrade(photographs[4:5], Draws(0, words([4]))))
    assert np.mean(together[4:5] != alone) < 0.01  # sums in another order may round otherwise


def test_camera_noise_is_mostly_of_2_to_12_grey_levels_and_never_far_above_30(noise):
    deviations = strengths(noise)
    assert 2 < np.median(deviations) < 6
    assert np.mean((deviations > 1.5) & (deviations < 12)) > 0.55
    assert 12 < np.percentile(deviations, 97) < 30
    assert deviations.max() < 35


def test_some_pictures_stay_clean_and_most_do_not(noise):
    assert 0.03 < np.mean(strengths(noise) < 0.3) < 0.2


def test_neighbouring_pixels_have_related_noise(noise):
    found = noise[strengths(noise) > 1]
    assert np.mean(correlation(found, 1) > 0.2) > 0.8
    assert np.mean(correlation(found, 3) > 0.2) > 0.1  # coarse
    assert np.mean(np.abs(correlation(found, 12)) < 0.2) > 0.9  # no wider than that


def test_colours_have_related_noise_in_some_pictures_and_not_in_others(noise):
    found = noise[strengths(noise) > 1]
    related = [np.corrcoef(each[..., 0].ravel(), each[..., 1].ravel())[0, 1] for each in found]
    assert np.percentile(related, 20) < 0.35
    assert np.percentile(related, 80) > 0.6


def test_camera_noise_makes_pictures_neither_brighter_nor_darker(noise, photographs):
    assert abs(noise.mean()) < 0.5
    assert np.percentile(np.abs(noise.mean(axis=(1, 2, 3))), 95) < 3
    assert abs((noisy(photographs) - photographs).mean()) < 1


def test_the_strength_depends_on_brightness_otherwise_in_every_picture():
    """Shadows are noisier in some, as a tone curve leaves them, lights in others, as photons do."""
    ramp = np.linspace(16, 240, 96, dtype="float32")[None, None, :, None]
    found = noisy(np.broadcast_to(ramp, (64, 48, 96, 3)).copy()) - ramp
    found = found[strengths(found) > 2]
    dark, light = (part.std(axis=(1, 2, 3)) for part in (found[:, :, 8:40], found[:, :, -40:-8]))
    assert np.percentile(light / dark, 20) < 0.95
    assert np.percentile(light / dark, 80) > 1.05


@pytest.mark.parametrize("level", [0.0, 255.0])
def test_black_and_white_stay_so_but_for_noise(level):
    made = noisy(np.full((16, 32, 32, 3), level, "float32"))
    assert np.median(np.abs(made - level)) < 4


@pytest.mark.parametrize(("height", "width"), [(1, 1), (5, 40), (70, 17)])
def test_pictures_of_any_size_get_camera_noise(height, width):
    made = noisy(np.full((3, height, width, 3), 100.0, "float32"))
    assert made.shape == (3, height, width, 3)
    assert np.isfinite(made).all()


def test_camera_noise_in_a_graph_of_unknown_batch_equals_the_eager_one(photographs):
    import tensorflow as tf

    clean = photographs[:6]

    @tf.function(input_signature=[tf.TensorSpec((None, 48, 48, 3))])
    def in_graph(batch):
        return camera_noise()(batch, Repeatable())

    assert np.mean(np.asarray(in_graph(clean)) != camera_noise()(clean, Repeatable())) < 0.01


def test_camera_noise_refuses_pictures_of_a_size_that_the_graph_does_not_know():
    import tensorflow as tf

    @tf.function(input_signature=[tf.TensorSpec((1, None, None, 3))])
    def in_graph(batch):
        return camera_noise()(batch, Repeatable())

    with pytest.raises(ValueError, match="height and width have to be known"):
        in_graph.get_concrete_function()


def test_the_task_is_trained_on_camera_noise_and_scored_on_pairs():
    task = tasks.find("camera")
    assert task.pairs == (("noisy", "clean"),)
    assert (task.scale, task.sigma, task.levels) == (1, None, ())
    made, clean = task.pair(samples.load("chelsea"))
    assert made.shape == clean.shape
    assert made.dtype == np.uint8


def test_a_folder_of_noisy_and_clean_files_is_a_set_of_the_task_and_of_no_other(tmp_path):
    for folder in ("noisy", "clean"):
        (tmp_path / "phone" / folder).mkdir(parents=True)
        Image.fromarray(samples.load("chelsea")).save(tmp_path / "phone" / folder / "cat.jpg")
    assert sets.find(tmp_path) == sets.find(tmp_path / "phone") == [tmp_path / "phone"]
    (picture,) = sets.pictures(tmp_path / "phone", tasks.find("camera"))
    assert picture.clean == tmp_path / "phone" / "clean" / "cat.jpg"
    assert picture.degraded == tmp_path / "phone" / "noisy" / "cat.jpg"
    assert sets.pictures(tmp_path / "phone", tasks.find("denoise_30")) == []
