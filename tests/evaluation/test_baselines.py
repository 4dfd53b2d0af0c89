"""Baselines against figures that were measured on the benchmark files by the paper's protocol."""

import numpy as np
import pytest

from ipt_tf import tasks
from ipt_tf.evaluation import baselines, metrics
from ipt_tf.evaluation.measure import measure, plan

BICUBIC = {
    ("Set5", 2): 33.68,
    ("Set5", 3): 30.41,
    ("Set5", 4): 28.43,
    ("Set14", 2): 30.33,
    ("Set14", 3): 27.64,
    ("Set14", 4): 26.09,
    ("B100", 2): 29.56,
    ("B100", 3): 27.21,
    ("B100", 4): 25.96,
}
QUICK = ("Set5",)


def means(folder, task, method):
    scores = list(measure(plan(folder, [task]), [method]))
    return [np.mean([getattr(score, name) for score in scores]) for name in ("psnr_y", "ssim_y")]


@pytest.mark.parametrize(
    ("name", "scale"),
    [pytest.param(*key, marks=() if key[0] in QUICK else pytest.mark.slow) for key in BICUBIC],
)
def test_bicubic_enlargement_has_its_known_psnr(shared, name, scale):
    folder = shared / "data" / "bench" / name
    psnr, _ = means(folder, tasks.find(f"sr_x{scale}"), baselines.BICUBIC)
    assert psnr == pytest.approx(BICUBIC[name, scale], abs=0.02)


@pytest.mark.slow
def test_the_rainy_inputs_have_their_known_psnr_and_ssim(shared):
    psnr, ssim = means(shared / "data" / "bench" / "Rain100L", tasks.find("derain"), baselines.INPUT)
    assert psnr == pytest.approx(26.90, abs=0.02)
    assert ssim == pytest.approx(0.838, abs=0.001)


def test_non_local_means_removes_noise():
    task = tasks.find("denoise_30")
    y, x = np.mgrid[:48, :48]
    clean = np.stack([4 * x, 4 * y, 2 * (x + y)], axis=-1).astype("float32")
    noisy = np.asarray(task.make_input(clean[None], np.random.default_rng(0)))[0]
    restored = baselines.NON_LOCAL_MEANS.restore(noisy, task)
    assert metrics.psnr(restored, clean) > metrics.psnr(noisy, clean) + 5


def test_every_task_has_a_baseline_to_be_shown_beside():
    assert baselines.of(tasks.find("sr_x4")).name == "bicubic"
    assert baselines.of(tasks.find("derain")).name == "input"
    assert baselines.of(tasks.Task("jpeg_40", degrade=lambda clean, rng: clean)).name == "input"
    assert not baselines.NON_LOCAL_MEANS.suits(tasks.find("derain"))
