"""Training losses, in keras.ops.

The contrastive losses compare the decoder's tokens (B, N, E) of a batch: patches of one image should look
alike, those of different images should not. Of several replicas each passes its own images' tokens as anchors
and everybody's as `everyone`; the mean of the replicas' losses is then the loss of the global batch.
"""

import math
from collections.abc import Callable
from typing import Any

import keras
from keras import ops

from ipt_tf.training.recipes import Recipe

Tensor = Any

LARGEST_CHUNK = 2**24
"""Similarities held at a time (64 MB of float32); the rest is computed again for the gradient."""


def l1(restored: Tensor, clean: Tensor) -> Tensor:
    """Mean absolute error in grey levels (equation 4 of the paper)."""
    return ops.mean(ops.abs(restored - ops.cast(clean, restored.dtype)))


def paper_contrastive(tokens: Tensor, everyone: Tensor | None = None, first: Tensor | int = 0) -> Tensor:
    """The patch-contrastive loss of the paper, equation 5.

    With d the cosine similarity, the mean over images j and patches i1, i2 of

        -log( exp d(f_i1^j, f_i2^j) / sum_{k != j} exp d(f_i1^j, f_i2^k) ).

    The denominator leaves the image itself out, so the loss may be negative.

    Args:
        tokens: (b, N, E), the images that are anchors; b is known.
        everyone: (B, N, E), the images of the global batch, B from 2; by default the anchors are all.
        first: index of the first anchor in `everyone`.

    Returns:
        A scalar.

    Raises:
        ValueError: fewer than two images.
    """
    images = (tokens if everyone is None else everyone).shape[0]
    if images < 2:
        raise ValueError("equation 5 compares a batch's images: it needs at least two, not one")

    def of_images(anchors, everyone, own):  # (c, N, E), (B, N, E), (c, B)
        similarity = ops.einsum("jae,kbe->jakb", anchors, everyone)
        same = ops.einsum("jakb,jk->jab", similarity, own)
        others = ops.where(own[:, None, :, None] > 0, -math.inf, similarity)
        return ops.sum(ops.logsumexp(others, axis=2) - same) / tokens.shape[1] ** 2

    return _mean_over_images(of_images, tokens, everyone, first)


def supervised_contrastive(
    tokens: Tensor, everyone: Tensor | None = None, first: Tensor | int = 0, temperature: float = 0.07
) -> Tensor:
    """The contrastive loss that the authors' training code uses (Khosla et al. 2020).

    With s the cosine similarities over the temperature, and P(a) the other patches of the image of patch a,

        -mean_a mean_{p in P(a)} log( exp s_ap / sum_{b != a} exp s_ab ).

    Args:
        tokens: (b, N, E), the images that are anchors, N from 2; b is known.
        everyone: (B, N, E), the images of the global batch; by default the anchors are all.
        first: index of the first anchor in `everyone`.
        temperature: 0.07 in the authors' code.

    Returns:
        A scalar.
    """
    patches = tokens.shape[1]
    itself = ops.eye(patches)

    def of_images(anchors, everyone, own):
        similarity = ops.einsum("jae,kbe->jakb", anchors, everyone) / temperature
        same = ops.einsum("jakb,jk->jab", similarity, own)
        positives = (ops.sum(same, axis=-1) - ops.einsum("jaa->ja", same)) / (patches - 1)
        # A patch is most similar to itself: its similarity is the largest, and keeps the exponents below 0.
        excess = ops.exp(similarity - 1 / temperature) * (
            1 - own[:, None, :, None] * itself[None, :, None, :]
        )
        # 1e-8 as in the authors' code, where no other patch is alike at all.
        total = ops.log(ops.sum(excess, axis=(2, 3)) + 1e-8) + 1 / temperature
        return ops.sum(total - positives) / patches

    return _mean_over_images(of_images, tokens, everyone, first)


CONTRASTIVE = {"paper": paper_contrastive, "supervised": supervised_contrastive}
"""The contrastive losses by the name that a recipe takes."""


def of_step(
    restored: Tensor,
    targets: Tensor,
    tokens: Tensor,
    recipe: Recipe,
    everyone: Tensor | None = None,
    first: Tensor | int = 0,
) -> Tensor:
    """Returns equation 6 of the paper: the L1 loss, and a share of the contrastive one if the recipe asks for it."""
    loss = l1(restored, targets)
    if recipe.contrastive:
        loss = loss + recipe.contrastive * CONTRASTIVE[recipe.contrastive_form](tokens, everyone, first)
    return loss


def _mean_over_images(
    of_images: Callable[[Tensor, Tensor, Tensor], Tensor],
    tokens: Tensor,
    everyone: Tensor | None,
    first: Tensor | int,
) -> Tensor:
    """Sums `of_images(anchors, everyone, own)` over chunks of images, and divides by their number.

    Tokens arrive there with length 1; `own` marks each anchor's image among everyone's. A chunk's similarities
    are forgotten at once: the gradient computes them again.
    """
    count, patches, _ = tokens.shape
    tokens = ops.normalize(ops.cast(tokens, "float32"), axis=-1)
    everyone = tokens if everyone is None else ops.normalize(ops.cast(everyone, "float32"), axis=-1)
    own = ops.one_hot(first + ops.arange(count), everyone.shape[0], dtype="float32")
    chunks = _chunks(count, LARGEST_CHUNK // (patches * everyone.shape[0] * patches))
    # Passed on: a tensor that a rematerialised function only sees from outside would get no gradient.
    of_chunk = keras.remat(of_images)
    # A loop, because a graph of all chunks side by side would compute, and hold, many of them at a time.
    parts = ops.map(
        lambda chunk: of_chunk(chunk[0], everyone, chunk[1]),
        tuple(ops.reshape(x, (chunks, -1, *x.shape[1:])) for x in (tokens, own)),
    )
    return ops.sum(parts) / count


def _chunks(count: int, largest: int) -> int:
    """Returns the smallest number of equal chunks of images, none of more than `largest`, or of one image each."""
    return next(
        chunks for chunks in range(1, count + 1) if count % chunks == 0 and count // chunks <= max(1, largest)
    )
