"""PSNR and SSIM against the official code's numbers and scikit-image."""

from pathlib import Path

import numpy as np
import pytest
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from ipt_tf.evaluation import metrics


@pytest.fixture
def official():
    return np.load(Path(__file__).parents[1] / "fixtures" / "aux" / "psnr.npz")


def test_quantize_rounds_half_to_even(official):
    np.testing.assert_array_equal(metrics.quantize(official["quantize_in"]), official["quantize_out"])


@pytest.mark.parametrize("scale", [1, 2, 3, 4])
@pytest.mark.parametrize("channel", ["y", "rgb"])
def test_psnr_is_the_official_one(official, scale, channel):
    restored, clean = (official[name][0].transpose(1, 2, 0) for name in ("sr", "hr"))
    ours = metrics.psnr(restored, clean, channel=channel, border=scale if scale > 1 else 0)
    assert ours == pytest.approx(float(official[f"psnr_{channel}_scale{scale}"]), abs=1e-4)


@pytest.fixture
def images():
    rng = np.random.default_rng(0)
    clean = rng.integers(0, 256, (40, 50, 3)).astype(np.uint8)
    return np.clip(clean + rng.normal(0, 20, clean.shape), 0, 255).round().astype(np.uint8), clean


def test_psnr_on_rgb_is_scikit_images(images):
    assert metrics.psnr(*images, channel="rgb") == pytest.approx(
        peak_signal_noise_ratio(images[1], images[0])
    )


@pytest.mark.parametrize("channel", ["y", "rgb"])
def test_ssim_is_scikit_images_inside_its_border(images, channel):
    axis = None if channel == "y" else -1
    x, y = (metrics.luma(image) if channel == "y" else image.astype(float) for image in images)
    settings = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False, "data_range": 255}
    _, full = structural_similarity(x, y, full=True, channel_axis=axis, **settings)
    assert metrics.ssim(*images, channel=channel) == pytest.approx(full[5:-5, 5:-5].mean(), abs=1e-9)


def test_a_border_is_as_good_as_a_crop(images):
    inner = [image[3:-3, 3:-3] for image in images]
    assert metrics.psnr(*images, border=3) == metrics.psnr(*inner)
    assert metrics.ssim(*images, border=3) == metrics.ssim(*inner)


def test_the_restored_picture_is_clipped_and_rounded_before_it_is_measured(images):
    off = images[0] + np.where(images[0] == 255, 30, 0.4)
    assert metrics.psnr(off, images[1]) == metrics.psnr(*images)
    assert metrics.ssim(off, images[1]) == metrics.ssim(*images)


def test_identical_images_are_infinitely_good(images):
    assert metrics.psnr(images[1], images[1]) == float("inf")
    assert metrics.ssim(images[1], images[1]) == pytest.approx(1)


def test_what_cannot_be_compared_is_refused(images):
    with pytest.raises(ValueError, match="shapes differ"):
        metrics.psnr(images[0][:-1], images[1])
    with pytest.raises(ValueError, match="nothing is left"):
        metrics.psnr(*images, border=20)
    with pytest.raises(ValueError, match="'y' or 'rgb'"):
        metrics.psnr(*images, channel="r")
    with pytest.raises(ValueError, match="needs 11 pixels"):
        metrics.ssim(*images, border=15)
