"""Floating-point operations of a network, counted in its graph."""

import math

import keras
import tensorflow as tf


def per_tile(network: keras.Model, side: int) -> float:
    """Returns the operations of all products and convolutions for one tile (side, side, 3), a multiply-add as two."""
    tile = tf.TensorSpec((1, side, side, 3), tf.float32)
    graph = tf.function(lambda tiles: network(tiles, training=False)).get_concrete_function(tile).graph
    return float(sum(_flop(operation) for operation in graph.get_operations()))


def _flop(operation: tf.Operation) -> int:
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
