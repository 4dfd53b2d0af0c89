"""The network on Keras's PyTorch and JAX backends, where TensorFlow is not installed (`make test-backends`)."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest
from keras import backend, ops

import ipt_tf
from ipt_tf.model import checkpoints
from ipt_tf.tasks import FURTHER_TASKS, OFFICIAL_TASKS
from ipt_tf.training import losses

pytestmark = pytest.mark.backends

FIXTURES = Path(__file__).parents[1] / "fixtures"


@pytest.fixture(autouse=True)
def _without_tensorflow():
    assert backend.backend() in ("torch", "jax")
    yield
    assert "tensorflow" not in sys.modules


@pytest.fixture(scope="module")
def tiny24():
    return ipt_tf.IPT.from_pretrained(FIXTURES / "tiny24" / "state_dict.safetensors", num_heads=4)


def test_outputs_are_the_official_ones(tiny24):
    io = np.load(FIXTURES / "tiny24" / "io.npz")
    x = np.moveaxis(io["x_natural"], 1, -1)
    for i, task in enumerate(tiny24.task_names):
        name = next(key for key in io.files if key.startswith(f"y_natural_{i}_"))
        y = np.moveaxis(ops.convert_to_numpy(tiny24(x, task=task)), -1, 1)
        np.testing.assert_allclose(y, io[name], rtol=0, atol=2e-3)


def test_options_and_pt_files_too():
    io = np.load(FIXTURES / "micro" / "io.npz")
    for name in ("pos_every", "no_mlp", "outproj_bias"):
        config = json.loads((FIXTURES / "micro" / f"{name}.json").read_text())
        model = ipt_tf.IPT.from_pretrained(
            FIXTURES / "micro" / f"{name}.pt",
            tasks=["sr_x2", "denoise_30"],
            num_heads=2,
            pos_every=config["pos_every"],
        )
        y = ops.convert_to_numpy(model(np.moveaxis(io["x"], 1, -1), task="sr_x2"))
        np.testing.assert_allclose(np.moveaxis(y, -1, 1), io[f"{name}/y0"], rtol=0, atol=5e-6)


def test_whole_images_are_restored_and_models_saved(tmp_path):
    config = {"num_features": 4, "patch_size": 24, "num_heads": 2, "num_layers": 1}
    model = ipt_tf.IPT(["sr_x2", "denoise_30"], **config)
    image = np.random.default_rng(0).integers(0, 256, (37, 50, 3), np.uint8)
    np.testing.assert_array_equal(model.restore(image, task="denoise_30"), image)  # the identity start
    model.save_pretrained(tmp_path / "saved")
    loaded = ipt_tf.IPT.from_pretrained(tmp_path / "saved")
    np.testing.assert_array_equal(loaded.restore(image, "sr_x2"), model.restore(image, "sr_x2"))


@pytest.mark.parametrize(
    "derive",
    [
        checkpoints.copy,
        lambda model: model.extended(["denoise_30", "camera"], like="denoise_30"),
        lambda model: model.grow(num_layers=2),
        lambda model: model.without_body(),
    ],
    ids=["copied", "extended", "deeper", "without a body"],
)
def test_a_model_restores_after_one_that_was_made_from_it(derive):
    """Keras on JAX donates what a network holds to each call: no two networks may hold the same array."""
    model = ipt_tf.IPT(["sr_x2", "denoise_30"], num_features=4, patch_size=24, num_heads=2, num_layers=1)
    image = np.random.default_rng(0).integers(0, 256, (30, 30, 3), np.uint8)
    derive(model).restore(image, task="denoise_30")
    np.testing.assert_array_equal(model.restore(image, task="denoise_30"), image)


def test_every_degradation_runs():
    clean = np.random.default_rng(0).uniform(0, 255, (2, 48, 48, 3)).astype("float32")
    for task in (*OFFICIAL_TASKS, *FURTHER_TASKS):
        made = ops.convert_to_numpy(task.make_input(clean, np.random.default_rng(1)))
        assert made.shape == (2, 48 // task.scale, 48 // task.scale, 3)
        assert np.isfinite(made).all()


def test_contrastive_losses_have_the_official_values():
    values = np.load(FIXTURES / "aux" / "contrastive.npz")
    tokens = ops.convert_to_tensor(values["n256/features"])
    supervised, paper = losses.supervised_contrastive(tokens), losses.paper_contrastive(tokens)
    assert float(supervised) == pytest.approx(float(values["n256/supcon_mindspore_T0.07"]), rel=2e-6)
    assert float(paper) == pytest.approx(float(values["n256/paper_eq5"]), rel=2e-6)
