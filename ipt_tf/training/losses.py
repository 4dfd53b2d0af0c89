"""Training losses, in keras.ops."""

from keras import ops


def l1(restored, clean):
    """Mean absolute error in grey levels (equation 4 of the paper)."""
    return ops.mean(ops.abs(restored - ops.cast(clean, restored.dtype)))
