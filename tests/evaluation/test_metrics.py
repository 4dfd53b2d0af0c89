"""PSNR and SSIM against the official code's numbers and scikit-image."""

import numpy as np
import pytest
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from ipt_tf.evaluation import metrics


@pytest.fixture
def official(shared):
    return np.load(shared / "fixtures" / "aux" / "psnr.npz")


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


def test_ssim_is_scikit_images_inside_its_border(images):
    y, y_clean = (metrics.luma(image) for image in images)
    _, full = structural_similarity(
        y, y_clean, gaussian_weights=True, sigma=1.5, use_sample_covariance=False, data_range=255, full=True
    )
    assert metrics.ssim(*images) == pytest.approx(full[5:-5, 5:-5].mean(), abs=1e-9)


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
