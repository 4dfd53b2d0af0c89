"""Attention in one kernel, which never writes the scores to memory, where Keras's backend has such a kernel."""

import functools

import keras
from keras import ops

WIDTH = 8
"""cuDNN's kernel wants heads of a multiple of so many values."""


def suits(query) -> bool:
    """Whether `attention` is faster than its steps one by one for queries like these: half precision, JAX, a GPU."""
    return keras.backend.standardize_dtype(query.dtype) in ("bfloat16", "float16") and _has_kernel()


@functools.cache
def _has_kernel() -> bool:
    if keras.backend.backend() != "jax":
        return False
    import jax

    return jax.default_backend() == "gpu"


def attention(q, k, v, flash_attention: bool | None = True):
    """Returns softmax(q k^T) v of queries, keys and values (B, h, N, d) each.

    Args:
        q, k, v: queries that are scaled already, keys and values.
        flash_attention: as in `keras.ops.dot_product_attention`.
    """
    d = q.shape[-1]
    padding = ((0, 0), (0, 0), (0, 0), (0, -d % WIDTH))
    q, k, v = (ops.pad(ops.transpose(x, (0, 2, 1, 3)), padding) for x in (q, k, v))
    x = ops.dot_product_attention(q, k, v, scale=1.0, flash_attention=flash_attention)
    return ops.transpose(x[..., :d], (0, 2, 1, 3))
