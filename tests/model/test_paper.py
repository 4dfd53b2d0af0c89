"""`formulation="paper"` against equations 1 and 2 of the paper, written out in NumPy."""

import numpy as np
import pytest

from ipt_tf import IPT

HEADS, LAYERS, P, C = 2, 2, 3, 4


@pytest.fixture(scope="module")
def model():
    model = IPT(
        ["sr_x2", "denoise_50"],
        num_features=C,
        patch_size=12,
        patch_dim=P,
        num_heads=HEADS,
        num_layers=LAYERS,
        formulation="paper",
    )
    rng = np.random.default_rng(0)
    for weight in model.weights:
        weight.assign(
            rng.normal(size=weight.shape) / np.sqrt(np.prod(weight.shape[:-1])) + ("gamma" in weight.name)
        )
    return model


def array(variable):
    return np.array(variable, np.float64)


def conv(x, layer):
    kernel, bias = array(layer.kernel), array(layer.bias)
    padded = np.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)))
    height, width = x.shape[1:3]
    return bias + sum(
        padded[:, i : i + height, j : j + width] @ kernel[i, j] for i in range(3) for j in range(3)
    )


def layer_norm(x, layer):
    centred = x - x.mean(-1, keepdims=True)
    scaled = centred / np.sqrt((centred**2).mean(-1, keepdims=True) + 1e-5)
    return scaled * array(layer.gamma) + array(layer.beta)


def msa(q, k, v, layer):
    dim = q.shape[-1]
    q, k, v = (x @ array(layer.input_kernel)[:, i * dim : (i + 1) * dim] for i, x in enumerate((q, k, v)))
    heads = []
    for h in range(HEADS):
        part = slice(h * dim // HEADS, (h + 1) * dim // HEADS)
        scores = q[..., part] @ k[..., part].swapaxes(1, 2) / np.sqrt(dim / HEADS)
        weights = np.exp(scores - scores.max(-1, keepdims=True))
        heads.append(weights / weights.sum(-1, keepdims=True) @ v[..., part])
    return np.concatenate(heads, -1) @ array(layer.output_kernel)


def ffn(x, layer):
    hidden = np.maximum(x @ array(layer.inner.kernel) + array(layer.inner.bias), 0)
    return hidden @ array(layer.outer.kernel) + array(layer.outer.bias)


def transcription(model, x, task):
    """Section 3.1 of the paper: heads, equation 1, equation 2, tails."""
    mean = 255 * np.array([0.4488, 0.4371, 0.4040])
    f = x - mean
    for stage in model.heads[task].stages:
        f = conv(f, stage)
    side = f.shape[1] // P
    patches = [
        f[:, P * i : P * i + P, P * j : P * j + P].transpose(0, 3, 1, 2).reshape(len(x), -1)
        for i in range(side)
        for j in range(side)
    ]
    y = np.stack(patches, axis=1) + array(model.body.position)
    for layer in model.body.encoder:
        q = layer_norm(y, layer.norm1)
        y = msa(q, q, q, layer.self_attention) + y
        y = ffn(layer_norm(y, layer.norm2), layer.feed_forward) + y
    z, z0, e_t = y, y, array(model.embeddings[task].embedding)
    for layer in model.body.decoder:
        q = layer_norm(z, layer.norm1) + e_t
        z = msa(q, q, layer_norm(z, layer.norm1), layer.self_attention) + z
        memory = layer_norm(z0, layer.memory_norm)
        z = msa(layer_norm(z, layer.norm2) + e_t, memory, memory, layer.cross_attention) + z
        z = ffn(layer_norm(z, layer.norm3), layer.feed_forward) + z
    f = np.zeros_like(f)
    for t, token in enumerate(z.swapaxes(0, 1)):
        i, j = divmod(t, side)
        f[:, P * i : P * i + P, P * j : P * j + P] = token.reshape(-1, C, P, P).transpose(0, 2, 3, 1)
    for upsampler in model.tails[task].upsamplers:
        wide = conv(f, upsampler)
        f = np.zeros((len(x), 2 * f.shape[1], 2 * f.shape[2], C))
        for i in range(2):
            for j in range(2):
                f[:, i::2, j::2] = wide[..., 2 * i + j :: 4]
    return conv(f, model.tails[task].to_rgb) + mean


@pytest.mark.parametrize("task", [0, 1])
def test_the_papers_formulation_is_the_papers_equations(model, task):
    x = np.random.default_rng(1).uniform(0, 255, (2, 12, 12, 3))
    expected = transcription(model, x, task)
    ours = model(x.astype("float32"), task=model.task_names[task])
    np.testing.assert_allclose(ours, expected, rtol=0, atol=2e-5 * np.abs(expected).max())


def test_it_has_one_embedding_of_a_tokens_width_per_task_and_none_of_the_official_extras(model):
    assert [tuple(e.embedding.shape) for e in model.embeddings] == [(1, C * P * P)] * 2
    assert model.body.linear_encoding is None
    assert model.body.mlp_head is None
    assert all(stage.kernel.shape[:2] == (3, 3) for stage in model.heads[0].stages)
