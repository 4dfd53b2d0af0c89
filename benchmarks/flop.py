"""Floating-point operations of a network, counted by whatever Keras's backend has for it, and what a device can do."""

import math
import time
from typing import Any

import keras
import numpy as np
from keras import ops


def per_patch(model: Any, task: str) -> float:
    """Returns the operations of restoring one patch of an IPT, a multiply-add as two."""
    side = model.patch_size
    if keras.backend.backend() == "tensorflow":
        return per_tile(model.for_task(task), side)
    patch = ops.zeros((1, side, side, 3))
    if keras.backend.backend() == "jax":
        import jax

        counted = jax.jit(lambda patch: model(patch, task=task)).lower(patch).cost_analysis()
        return float(counted["flops"])
    from torch.utils.flop_counter import FlopCounterMode

    with FlopCounterMode(display=False) as counter:
        model(patch, task=task)
    return float(counter.get_total_flops())


def per_tile(network: keras.Model, side: int) -> float:
    """Returns the operations of all products and convolutions for one tile (side, side, 3), in TensorFlow's graph."""
    import tensorflow as tf

    tile = tf.TensorSpec((1, side, side, 3), tf.float32)
    graph = tf.function(lambda tiles: network(tiles, training=False)).get_concrete_function(tile).graph
    return float(sum(_flop(operation) for operation in graph.get_operations()))


def _flop(operation: Any) -> int:
    if operation.type not in ("MatMul", "BatchMatMulV2", "Conv2D"):
        return 0
    left, right = (tensor.shape for tensor in operation.inputs[:2])
    if operation.type == "Conv2D":
        summed = math.prod(right[:-1])
    elif operation.type == "MatMul":
        summed = left[-2 if operation.get_attr("transpose_a") else -1]
    else:
        summed = left[-2 if operation.get_attr("adj_x") else -1]
    return 2 * summed * math.prod(operation.outputs[0].shape)


def peak(dtype: str) -> float:
    """Returns the operations per second of a product of two matrices: of 2048 x 2048, on an accelerator 8192 x 8192."""
    side = 2048
    elapsed = _product(side, dtype)
    if elapsed < 2e-3:
        side, elapsed = 8192, _product(8192, dtype)
    return 2 * side**3 / elapsed


def _product(side: int, dtype: str, repeats: int = 5) -> float:
    """Returns the seconds of one product, of the fastest of some."""
    matrix = ops.cast(np.random.default_rng(0).normal(size=(side, side)), dtype)
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        product = ops.matmul(matrix, matrix)
        float(ops.cast(product[0, 0], "float32"))  # waits for it
        times.append(time.perf_counter() - start)
    return min(times)
