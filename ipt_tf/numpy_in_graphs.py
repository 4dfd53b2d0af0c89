"""NumPy inside TensorFlow's graphs; imported only where TensorFlow is the backend."""

from collections.abc import Callable

import numpy as np
import tensorflow as tf


def call(function: Callable[..., np.ndarray], images: tf.Tensor, drawn: tf.Tensor) -> tf.Tensor:
    """Calls a function of images and random numbers, which gives images of the same shape, float32."""
    return tf.ensure_shape(tf.numpy_function(function, [images, drawn], tf.float32), images.shape)
