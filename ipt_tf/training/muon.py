"""Muon (Jordan et al. 2024), in Keras's operations: momentum whose matrices are made orthogonal.

Where Adam gives every number of a matrix the same size of step, Muon gives every direction of the matrix the same.
"""

import math

from keras import Variable, ops

from ipt_tf.model.body import Body
from ipt_tf.training.recipes import Recipe

MOMENTUM = 0.95
STEPS = 5
COEFFICIENTS = 3.4445, -4.7750, 2.0315
"""Of a polynomial whose fixed region holds 1: singular values between 0.01 and 1 come to 0.7..1.2 in `STEPS`."""
RMS = 0.2
"""Root mean square of a step in learning rates: about Adam's, so that both take the same learning rate."""


def orthogonal(matrix):
    """Returns nearly U V^T of each matrix U S V^T (.., m, n), by the iteration of Newton and Schulz."""
    wide = matrix.shape[-2] <= matrix.shape[-1]
    x = matrix if wide else ops.swapaxes(matrix, -2, -1)
    x = x / (ops.sqrt(ops.sum(ops.square(x), axis=(-2, -1), keepdims=True)) + 1e-12)
    x = ops.matmul(_whitening(ops.matmul(x, ops.swapaxes(x, -2, -1))), x)
    return x if wide else ops.swapaxes(x, -2, -1)


def _whitening(gram):
    """Returns P, whose product with X is orthogonal, of X X^T (.., m, m).

    Every step is X <- p(X X^T) X with p(G) = a + b G + c G^2. Polynomials of one matrix commute, so that G <- p(G)^2 G
    goes through all steps without X, which may be several times as wide.
    """
    a, b, c = COEFFICIENTS
    identity = ops.eye(gram.shape[-1], dtype=gram.dtype)
    product = identity
    for step in range(STEPS):
        p = a * identity + b * gram + c * ops.matmul(gram, gram)
        product = p if step == 0 else ops.matmul(p, product)
        if step < STEPS - 1:
            gram = ops.matmul(ops.matmul(p, gram), p)
    return product


def step(momentum, gradient):
    """Returns (new momenta, how far to move in learning rates) of matrices' momenta and gradients, each (.., m, n)."""
    momentum = MOMENTUM * momentum + (1 - MOMENTUM) * gradient
    ahead = MOMENTUM * momentum + (1 - MOMENTUM) * gradient  # Nesterov's
    return momentum, RMS * math.sqrt(max(gradient.shape[-2:])) * orthogonal(ahead)


def divided(body: Body, recipe: Recipe) -> tuple[list[Variable], list[Variable]]:
    """Returns the weights of the body that Muon moves by a recipe, and those that Adam moves."""
    matrices, others = body.matrices_and_others
    if recipe.freeze_body:
        return [], []
    return (matrices, others) if recipe.optimizer == "muon" else ([], matrices + others)
