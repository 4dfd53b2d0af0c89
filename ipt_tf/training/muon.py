"""Muon (Jordan et al. 2024), in Keras's operations: momentum whose matrices are made orthogonal.

Where Adam gives every number of a matrix the same size of step, Muon gives every direction of the matrix the same.
"""

import math

from keras import ops

MOMENTUM = 0.95
STEPS = 5
COEFFICIENTS = 3.4445, -4.7750, 2.0315
"""Of a polynomial whose fixed region holds 1: singular values between 0.01 and 1 come to 0.7..1.2 in `STEPS`."""
RMS = 0.2
"""Root mean square of a step in learning rates: about Adam's, so that both take the same learning rate."""


def orthogonal(matrix):
    """Returns nearly U V^T of a matrix U S V^T (m, n), by the iteration of Newton and Schulz."""
    wide = matrix.shape[0] <= matrix.shape[1]
    x = matrix if wide else ops.transpose(matrix)
    x = x / (ops.norm(x) + 1e-12)
    a, b, c = COEFFICIENTS
    for _ in range(STEPS):
        gram = ops.matmul(x, ops.transpose(x))
        x = a * x + ops.matmul(b * gram + c * ops.matmul(gram, gram), x)
    return x if wide else ops.transpose(x)


def step(momentum, gradient):
    """Returns (the new momentum, how far to move in learning rates) of a matrix (m, n) with a gradient (m, n)."""
    momentum = MOMENTUM * momentum + (1 - MOMENTUM) * gradient
    ahead = MOMENTUM * momentum + (1 - MOMENTUM) * gradient  # Nesterov's
    return momentum, RMS * math.sqrt(max(gradient.shape)) * orthogonal(ahead)
