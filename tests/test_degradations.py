"""Bicubic downsampling is MATLAB's, noise is Gaussian, rain is like Rain100L's, JPEG is libjpeg's."""

import sys
from pathlib import Path

import numpy as np
import pytest
from keras import ops
from PIL import Image
from repeatable import Repeatable

from ipt_tf.degradations import bicubic, gaussian_noise, jpeg_artefacts, rain_streaks

# --- bicubic ---


def pixels(path: Path) -> np.ndarray:
    image = np.asarray(Image.open(path))
    return image if image.ndim == 3 else image[:, :, None]


def differing_files(benchmark: Path, every: int = 1) -> list[str]:
    """Names of the LR files of a benchmark that bicubic does not reproduce exactly."""
    photographs = sorted((benchmark / "HR").glob("*.png"))[::every]
    assert photographs
    differing = []
    for path in photographs:
        hr = pixels(path)
        for scale in (2, 3, 4):
            lr = pixels(benchmark / "LR_bicubic" / f"X{scale}" / f"{path.stem}x{scale}.png")
            height, width = (side // scale * scale for side in hr.shape[:2])
            made = np.asarray(bicubic(scale)(hr[None, :height, :width]))[0]
            if not np.array_equal(made, lr):
                differing.append(f"{path.stem}x{scale}")
    return differing


@pytest.mark.parametrize("benchmark", ["Set5", "Set14", "B100"])
def test_bicubic_equals_every_matlab_file_bit_for_bit(shared, benchmark):
    assert differing_files(shared / "data" / "bench" / benchmark) == []


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_bicubic_rounded_once_equals_the_official_training_data(shared, scale):
    data = np.load(shared / "fixtures" / "aux" / "bicubic_mindspore.npz")
    hr, lr = (data[f"{kind}_x{scale}"].transpose(0, 2, 3, 1) for kind in ("hr", "lr"))
    np.testing.assert_array_equal(bicubic(scale, round_between=False)(hr), lr)


@pytest.mark.parametrize("scale", [1, 2, 3, 4, 5, 8])
def test_bicubic_keeps_an_even_surface_up_to_its_border(scale):
    even = np.full((2, 6 * scale, 4 * scale, 3), 77.0)
    np.testing.assert_array_equal(bicubic(scale)(even), np.full((2, 6, 4, 3), 77.0))


def test_bicubic_works_on_images_smaller_than_its_kernel():
    assert bicubic(4)(np.zeros((1, 4, 8, 3))).shape == (1, 1, 2, 3)


def test_bicubic_refuses_a_size_that_is_no_multiple_of_the_scale():
    with pytest.raises(ValueError, match=r"multiples of 3, not 48 x 50: crop"):
        bicubic(3)(np.zeros((1, 48, 50, 3)))


# --- noise ---

GREY = np.full((4, 96, 96, 3), 128.0, "float32")


def test_noise_has_the_standard_deviation_asked_for_and_no_offset():
    noise = np.asarray(gaussian_noise(30)(GREY, np.random.default_rng(0))) - GREY
    assert noise.std() == pytest.approx(30, rel=0.01)
    assert noise.mean() == pytest.approx(0, abs=0.3)


def test_noise_is_clipped_only_when_clamped():
    dark = np.zeros_like(GREY)
    assert np.asarray(gaussian_noise(50)(dark, np.random.default_rng(0))).min() == 0
    assert np.asarray(gaussian_noise(50, clamp=False)(dark, np.random.default_rng(0))).min() < -100


def test_noise_is_not_rounded():
    noisy = np.asarray(gaussian_noise(30)(GREY, np.random.default_rng(0)))
    assert np.mean(noisy == np.rint(noisy)) < 0.01


def test_a_range_of_sigma_gives_each_image_its_own():
    clean = np.full((32, 48, 48, 3), 128.0, "float32")
    noisy = np.asarray(gaussian_noise((5, 25))(clean, np.random.default_rng(0)))
    levels = (noisy - clean).std(axis=(1, 2, 3))
    assert 4.8 < levels.min() < 9
    assert 21 < levels.max() < 25.5


@pytest.mark.parametrize("sigma", [-1, (20, 10), (-5, 5)])
def test_noise_refuses_an_impossible_sigma(sigma):
    with pytest.raises(ValueError, match="sigma is a number from 0 or a range"):
        gaussian_noise(sigma)


# --- rain ---


def rain_on(value: float, batch: int = 4, size: int = 96, seed: int = 0, **ranges) -> np.ndarray:
    clean = np.full((batch, size, size, 3), value, "float32")
    return np.asarray(rain_streaks(**ranges)(clean, np.random.default_rng(seed)))


def test_rain_adds_the_same_streaks_to_any_picture():
    np.testing.assert_allclose(rain_on(50), np.minimum(rain_on(0) + 50, 255), atol=1e-3)


def test_rain_is_grey_and_never_darkens():
    streaks = rain_on(0)
    np.testing.assert_array_equal(streaks[..., :1].repeat(3, axis=-1), streaks)
    assert rain_on(100).min() >= 100


def test_rain_saturates_at_white():
    assert rain_on(240).max() == 255


def test_rain_leaves_most_of_the_picture_dry():
    assert 0.05 < np.mean(rain_on(0, batch=16) > 10) < 0.4


def test_rain_is_the_same_for_the_same_seed_and_different_for_another():
    np.testing.assert_array_equal(rain_on(0, seed=1), rain_on(0, seed=1))
    assert np.abs(rain_on(0, seed=1) - rain_on(0, seed=2)).max() > 10


def test_every_image_of_a_batch_has_rain_of_its_own():
    first, second, *_ = rain_on(0)
    assert np.corrcoef(first.ravel(), second.ravel())[0, 1] < 0.3


def test_rain_is_about_as_strong_as_that_of_rain100l():
    streaks = rain_on(0, batch=48)
    assert 2.7 < np.median(streaks.mean(axis=(1, 2, 3))) < 9
    # 26.9 dB on Y, whose weights sum to 0.86
    psnr = 10 * np.log10(255**2 / np.mean((0.86 * streaks) ** 2, axis=(1, 2, 3)))
    assert 26 < np.median(psnr) < 29
    assert 20 < np.percentile(psnr, 5) < 25


def test_rain_is_of_a_moderate_strength_on_average():
    assert 2 < rain_on(0, batch=96, size=64).mean() < 12


@pytest.mark.parametrize(("height", "width"), [(1, 1), (5, 40), (130, 17)])
def test_rain_falls_on_pictures_of_any_size_and_shape(height, width):
    clean = np.zeros((3, height, width, 3), "float32")
    rainy = np.asarray(rain_streaks()(clean, np.random.default_rng(0)))
    assert rainy.shape == clean.shape
    assert np.isfinite(rainy).all()


def test_rain_falls_alike_on_a_wide_picture_and_on_a_tall_one():
    heavy = rain_streaks(crowding=(1, 1), brightness=(20, 20))
    wide, tall = (
        np.mean(heavy(np.zeros((24, *size, 3)), np.random.default_rng(0))) for size in ((40, 160), (160, 40))
    )
    assert wide == pytest.approx(tall, rel=0.2)


@pytest.mark.parametrize("angle", [-30, 0, 20])
def test_streaks_lie_at_the_angle_asked_for(angle):
    # Wide streaks, because differences of pixels misjudge the slope of thin ones.
    streaks = rain_on(0, batch=8, angle=(angle, angle), width=(6, 6))[..., 0]
    dy, dx = np.gradient(streaks, axis=(1, 2))
    # Brightness changes most across the streaks: the first axis of the structure tensor.
    across = 0.5 * np.arctan2(2 * np.sum(dx * dy), np.sum(dx * dx) - np.sum(dy * dy))
    assert -np.degrees(across) == pytest.approx(angle, abs=3)


def test_as_much_rain_falls_at_the_border_as_in_the_middle():
    streaks = rain_on(0, batch=64).mean(axis=(0, 3))
    border = np.concatenate([streaks[:8].ravel(), streaks[-8:].ravel(), streaks[:, :8].ravel()])
    assert border.mean() == pytest.approx(streaks[24:-24, 24:-24].mean(), rel=0.25)


def test_rain_refuses_a_range_in_the_wrong_order():
    with pytest.raises(ValueError, match=r"rain_streaks: length is a range \(lowest, highest\) above 0"):
        rain_streaks(length=(40, 20))


# --- JPEG ---


def textured(seed=0, size=(2, 64, 80, 3)):
    return np.random.default_rng(seed).normal(128, 30, size).clip(0, 255).round().astype("float32")


def jpeg(clean, *arguments, seed=0, **options):
    return ops.convert_to_numpy(jpeg_artefacts(*arguments, **options)(clean, np.random.default_rng(seed)))


def test_jpeg_is_what_a_file_of_that_quality_holds(tmp_path):
    clean = textured()
    for image, degraded in zip(clean, jpeg(clean, 20), strict=True):
        Image.fromarray(image.astype(np.uint8)).save(tmp_path / "a.jpg", quality=20)
        np.testing.assert_array_equal(degraded, np.asarray(Image.open(tmp_path / "a.jpg")))


def test_a_better_quality_damages_less():
    errors = [np.square(jpeg(textured(), quality) - textured()).mean() for quality in (10, 20, 40, 90)]
    assert errors == sorted(errors, reverse=True)


def test_a_range_of_quality_gives_each_image_its_own():
    one = textured(size=(1, 64, 80, 3))
    batch = jpeg(np.repeat(one, 8, axis=0), (10, 90))
    errors = np.square(batch - one).mean(axis=(1, 2, 3))
    assert len(set(errors.tolist())) > 5


def test_the_blocks_of_crops_begin_anywhere():
    """Where a block ends the picture jumps: at every 8th column for whole pictures, at any for crops."""
    y, x = np.mgrid[:96, :96]
    smooth = np.broadcast_to((x + y)[..., None], (32, 96, 96, 3)).astype("float32")
    for cropped, columns in ((False, 1), (True, 4)):
        degraded = jpeg(smooth, 10, cropped=cropped)
        jumps = np.abs(np.diff(degraded, axis=2)).mean(axis=(1, 3))
        assert len(set((jumps.argmax(axis=1) % 8).tolist())) >= columns
    assert set((np.abs(np.diff(jpeg(smooth, 10), axis=2)).mean(axis=(1, 3)).argmax(axis=1) % 8).tolist()) == {
        7
    }


@pytest.mark.parametrize("quality", [0, 101, (20, 10), (0, 50)])
def test_jpeg_refuses_a_quality_that_libjpeg_does_not_have(quality):
    with pytest.raises(ValueError, match="quality is a number from 1 to 100"):
        jpeg_artefacts(quality)


# --- where it runs ---


@pytest.mark.parametrize(
    "degrade", [bicubic(2), gaussian_noise((10, 50)), rain_streaks(), jpeg_artefacts((10, 90))]
)
def test_a_degradation_in_a_graph_of_unknown_batch_equals_the_eager_one(degrade):
    import tensorflow as tf

    clean = np.random.default_rng(1).uniform(0, 255, (3, 48, 48, 3)).astype("float32").round()

    @tf.function(input_signature=[tf.TensorSpec((None, 48, 48, 3))])
    def in_graph(batch):
        return degrade(batch, Repeatable())

    np.testing.assert_allclose(in_graph(clean), degrade(clean, Repeatable()), atol=1e-2)


@pytest.mark.parametrize(
    "degrade", [bicubic(2), gaussian_noise((10, 50)), rain_streaks(), jpeg_artefacts((10, 90))]
)
def test_a_degradation_maps_a_dataset_whose_last_batch_is_smaller(degrade):
    import tensorflow as tf

    clean = np.random.default_rng(1).uniform(0, 255, (3, 48, 48, 3)).astype("float32").round()
    batches = tf.data.Dataset.from_tensor_slices(clean).batch(2).map(lambda x: degrade(x, Repeatable()))
    two, one = batches.as_numpy_iterator()
    np.testing.assert_allclose(two, degrade(clean[:2], Repeatable()), atol=1e-2)
    np.testing.assert_allclose(one, degrade(clean[2:], Repeatable()), atol=1e-2)


SEEDED = {
    "bicubic": (bicubic(2), [[128.96, 123.14], [130.4, 131.58]]),
    "noise": (gaussian_noise((10, 50)), [[126.16, 131.8, 119.25, 123.46], [126.94, 127.08, 126.61, 120.58]]),
    "rain": (rain_streaks(), [[131.56, 135.41, 132.23, 122.84], [133.32, 129.73, 131.0, 124.43]]),
}


@pytest.mark.parametrize("name", SEEDED)
def test_a_seed_gives_the_same_degradation_on_every_backend(name):
    degrade, expected = SEEDED[name]
    clean = np.random.default_rng(1).integers(0, 256, (2, 48, 48, 3)).astype("float32")
    # Means of some columns: each tells its part of the picture, and none is free of rain.
    degraded = ops.convert_to_numpy(degrade(clean, np.random.default_rng(0)))
    np.testing.assert_allclose(degraded.mean(axis=(1, 3))[:, ::12], expected, atol=0.02)


@pytest.mark.backends
@pytest.mark.parametrize("name", SEEDED)
def test_other_backends_degrade_without_tensorflow(name):
    test_a_seed_gives_the_same_degradation_on_every_backend(name)
    assert "tensorflow" not in sys.modules
