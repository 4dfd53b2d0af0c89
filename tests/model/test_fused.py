"""Attention in one kernel is the attention of its steps."""

import keras
import numpy as np
import pytest
from keras import ops

from ipt_tf.model import fused, layers


def test_no_processor_has_such_a_kernel():
    assert not fused.suits(ops.ones((1, 2, 4, 8), "bfloat16"))


@pytest.mark.parametrize("head_dim", [8, 9])
def test_it_equals_attention_step_by_step(monkeypatch, head_dim):
    attention = layers.Attention(num_heads=2)
    x, memory = (
        ops.convert_to_tensor(np.random.default_rng(seed).normal(size=(2, 5, 2 * head_dim)).astype("float32"))
        for seed in (0, 1)
    )
    attention.build(x.shape)
    expected = attention(x, memory, memory)
    calls = []

    def one_kernel(q, k, v):
        calls.append(q.shape)
        return fused_attention(q, k, v, flash_attention=None)

    fused_attention = fused.attention
    monkeypatch.setattr(fused, "suits", lambda query: True)
    monkeypatch.setattr(fused, "attention", one_kernel)
    found = attention(x, memory, memory)
    assert calls == [(2, 2, 5, head_dim)]
    np.testing.assert_allclose(*map(keras.ops.convert_to_numpy, (found, expected)), rtol=0, atol=1e-6)
    _, scores = attention(x, memory, memory, return_attention_scores=True)
    assert scores.shape == (2, 2, 5, 5)
    assert len(calls) == 1  # which has no scores to show
