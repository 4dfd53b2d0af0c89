"""One task of a network as a TensorFlow graph: the one module of the model that needs TensorFlow."""

import os
from collections.abc import Callable

import keras
import numpy as np
import tensorflow as tf


def compiled(network: keras.Model, side: int) -> Callable[[np.ndarray], np.ndarray]:
    """Returns a network of one task as a function that is traced once, for any number of tiles.

    Keras's own `predict_on_batch` traces for the first number of tiles and once more for the second, which takes
    longer than to restore a small photograph.

    Args:
        network: maps (B, P, P, 3) to an image tensor, without further arguments.
        side: P, pixels.

    Returns:
        Function of float32 tiles (n, P, P, 3).
    """

    @tf.function(input_signature=[tf.TensorSpec((None, side, side, 3), tf.float32)])
    def graph(tiles):
        return network(tiles, training=False)

    return lambda tiles: graph(tiles).numpy()


def calls_at_once() -> int:
    """Returns how many calls of a compiled network keep this machine busy: one per core, or one on a GPU.

    An operation on a few tiles is too small to be divided: two calls on a core each are faster than one on two.
    """
    return 1 if tf.config.list_physical_devices("GPU") else os.cpu_count() or 1
