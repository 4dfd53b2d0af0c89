"""Muon: steps of the size of Adam's, along every direction of a matrix alike."""

import numpy as np
import pytest

from ipt_tf.training import muon

RNG = np.random.default_rng(0)


def matrix(rows, columns):
    """A matrix U S V^T, and U V^T."""
    u, _, v = np.linalg.svd(RNG.normal(size=(rows, columns)), full_matrices=False)
    values = np.geomspace(0.05, 1, len(v))
    return (1e-4 * u * values @ v).astype("float32"), u @ v


@pytest.mark.parametrize("shape", [(24, 24), (24, 72), (96, 24)])
def test_singular_values_come_near_one_and_directions_stay(shape):
    given, orthogonal = matrix(*shape)
    found = np.array(muon.orthogonal(given))
    values = np.linalg.svd(found, compute_uv=False)
    assert values.min() > 0.6
    assert values.max() < 1.3
    np.testing.assert_allclose(found, orthogonal, atol=0.3)


def test_a_step_has_the_size_of_adams():
    still, (gradient, _) = np.zeros((24, 72), "float32"), matrix(24, 72)
    _, step = muon.step(still, gradient)
    assert np.sqrt(np.mean(np.square(step))) == pytest.approx(muon.RMS, rel=0.3)
    _, same = muon.step(still, 1000 * gradient)
    np.testing.assert_allclose(same, step, atol=1e-3)


def test_no_gradient_is_no_step():
    _, step = muon.step(np.zeros((8, 8), "float32"), np.zeros((8, 8), "float32"))
    np.testing.assert_array_equal(step, 0)
