"""The losses against values and gradients of the official code (SupCon) and of equation 5, in float64."""

import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
from keras import ops

from ipt_tf.training import losses

VALUES = np.load(Path(__file__).parents[1] / "fixtures" / "aux" / "contrastive.npz")
FORMS = {"supervised": "supcon_mindspore_T0.07", "paper": "paper_eq5"}
GRADIENTS = {"supervised": "grad_supcon", "paper": "grad_paper_eq5"}


def gradient(loss, tokens):
    tf = pytest.importorskip("tensorflow")
    tokens = tf.convert_to_tensor(tokens)
    with tf.GradientTape() as tape:
        tape.watch(tokens)
        value = loss(tokens)
    return np.asarray(tape.gradient(value, tokens))


@pytest.mark.parametrize(
    ("form", "case"),
    [
        ("supervised", "small"),
        ("supervised", "n256"),
        ("supervised", "b1"),
        ("paper", "small"),
        ("paper", "n256"),
    ],
)
def test_contrastive_losses_have_the_official_values(form, case):
    value = losses.CONTRASTIVE[form](ops.convert_to_tensor(VALUES[f"{case}/features"]))
    np.testing.assert_allclose(ops.convert_to_numpy(value), VALUES[f"{case}/{FORMS[form]}"], rtol=2e-6)


@pytest.mark.parametrize(
    ("form", "case"), [("supervised", "small"), ("supervised", "b1"), ("paper", "small"), ("paper", "n256")]
)
def test_contrastive_losses_have_the_official_gradients(form, case):
    found = gradient(losses.CONTRASTIVE[form], VALUES[f"{case}/features"])
    expected = VALUES[f"{case}/{GRADIENTS[form]}"]
    np.testing.assert_allclose(found, expected, atol=2e-6 * np.abs(expected).max() + 1e-9)


@pytest.mark.parametrize("form", ["supervised", "paper"])
def test_chunks_change_neither_value_nor_gradient(form, monkeypatch):
    tokens = np.random.default_rng(0).standard_normal((6, 9, 8)).astype("float32")
    loss = losses.CONTRASTIVE[form]
    whole, whole_gradient = float(loss(ops.convert_to_tensor(tokens))), gradient(loss, tokens)
    monkeypatch.setattr(losses, "LARGEST_CHUNK", 2 * 6 * 81)
    assert float(loss(ops.convert_to_tensor(tokens))) == pytest.approx(whole, rel=1e-6)
    np.testing.assert_allclose(gradient(loss, tokens), whole_gradient, atol=1e-7)


PEAK_OF_GRADIENT = """
import resource, sys
import numpy as np, tensorflow as tf
from ipt_tf.training import losses

def gradient(tokens):
    with tf.GradientTape() as tape:
        tape.watch(tokens)
        loss = losses.CONTRASTIVE[sys.argv[1]](tokens)
    return tape.gradient(loss, tokens)

gradient(tf.random.normal((4, 16, 32)))
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
assert np.isfinite(tf.function(gradient)(tf.random.normal((64, 256, 32)))).all()
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""


@pytest.mark.slow
@pytest.mark.parametrize("form", ["supervised", "paper"])
def test_the_gradient_of_16384_tokens_needs_less_memory_than_their_similarities(form):
    run = subprocess.run(
        [sys.executable, "-c", PEAK_OF_GRADIENT, form], capture_output=True, text=True, check=True
    )
    assert int(run.stdout) < 16384**2 * 4 / 1024  # kB of one matrix of similarities, which is 1 GiB


@pytest.mark.parametrize("form", ["supervised", "paper"])
def test_the_mean_over_replicas_is_the_loss_of_the_global_batch(form):
    tokens = ops.convert_to_tensor(np.random.default_rng(0).standard_normal((6, 9, 8)).astype("float32"))
    loss = losses.CONTRASTIVE[form]
    replicas = [float(loss(tokens[i : i + 2], tokens, i)) for i in (0, 2, 4)]
    assert np.mean(replicas) == pytest.approx(float(loss(tokens)), rel=1e-6)


def test_equation_5_cannot_be_had_from_one_image():
    with pytest.raises(ValueError, match="at least two"):
        losses.paper_contrastive(ops.convert_to_tensor(VALUES["b1/features"]))


def test_l1_is_in_grey_levels():
    assert float(losses.l1(keras.ops.full((1, 2, 2, 3), 10.0), keras.ops.full((1, 2, 2, 3), 12.0))) == 2.0
