"""The Keras metrics are the functions on arrays, averaged over images."""

import keras
import numpy as np
import pytest

from ipt_tf.evaluation import metrics
from ipt_tf.evaluation.keras_metrics import PSNR, SSIM

FUNCTIONS = {PSNR: metrics.psnr, SSIM: metrics.ssim}


@pytest.fixture
def batch():
    rng = np.random.default_rng(0)
    clean = rng.integers(0, 256, (3, 40, 50, 3)).astype("float32")
    return clean, (clean + rng.normal(0, 20, clean.shape)).astype("float32")


@pytest.mark.parametrize("channel", ["y", "rgb"])
@pytest.mark.parametrize("border", [0, 3])
@pytest.mark.parametrize("kind", [PSNR, SSIM])
def test_a_metric_is_the_mean_of_the_function_over_all_batches(batch, kind, channel, border):
    metric = kind(channel=channel, border=border)
    clean, restored = batch
    metric.update_state(clean[:2], restored[:2])
    metric.update_state(clean[2:], restored[2:])
    each = [
        FUNCTIONS[kind](r, c, channel=channel, border=border) for r, c in zip(restored, clean, strict=True)
    ]
    assert float(metric.result()) == pytest.approx(np.mean(each), abs=1e-9)


def test_identical_images_are_infinitely_good(batch):
    clean, _ = batch
    psnr, ssim = PSNR(), SSIM()
    psnr.update_state(clean, clean)
    ssim.update_state(clean, clean)
    assert float(psnr.result()) == float("inf")
    assert float(ssim.result()) == pytest.approx(1)


def test_metrics_work_in_compile_and_evaluate(batch):
    clean, restored = batch
    model = keras.Sequential([keras.layers.Input((None, None, 3)), keras.layers.Identity()])
    model.compile(loss="mae", metrics=[PSNR("rgb", border=2), SSIM()])
    found = model.evaluate(restored, clean, batch_size=2, verbose=0, return_dict=True)
    each = [metrics.psnr(r, c, channel="rgb", border=2) for r, c in zip(restored, clean, strict=True)]
    assert found["psnr"] == pytest.approx(np.mean(each), abs=1e-4)


@pytest.mark.parametrize("kind", [PSNR, SSIM])
def test_a_metric_is_rebuilt_from_its_configuration(kind):
    metric = keras.saving.deserialize_keras_object(
        keras.saving.serialize_keras_object(kind("rgb", border=4, name="mine"))
    )
    assert (type(metric), metric.channel, metric.border, metric.name) == (kind, "rgb", 4, "mine")


def test_an_unknown_channel_is_refused():
    with pytest.raises(ValueError, match="channel is 'y' or 'rgb', not 'cb'"):
        PSNR("cb")
