"""How weights move, in Keras's operations: pure functions of the weights, what is remembered of them and a gradient."""

from typing import Any, NamedTuple

from keras import ops

from ipt_tf.training import muon
from ipt_tf.training.recipes import BETA_1, BETA_2, EPSILON

Tensor = Any
Tensors = list[Tensor]


class ByAdam(NamedTuple):
    """Weights that Adam moves, their moving average, and what it remembers of them."""

    weights: Tensors
    average: Tensors
    first_moments: Tensors
    second_moments: Tensors
    steps: Tensor


class ByMuon(NamedTuple):
    """Matrices that Muon moves, their moving average and momenta."""

    weights: Tensors
    average: Tensors
    momenta: Tensors


class Body(NamedTuple):
    """What all tasks share."""

    matrices: ByMuon
    others: ByAdam


def clipped(groups: dict[str, Tensors], largest: float | None) -> tuple[dict[str, Tensors], Tensor]:
    """Returns gradients whose global norm is at most the largest, if there is one, and the norm that they had."""
    norm = ops.sqrt(sum(ops.sum(ops.square(each)) for group in groups.values() for each in group))
    if largest is None:
        return groups, norm
    shrink = ops.minimum(1.0, largest / norm)
    return {name: [each * shrink for each in group] for name, group in groups.items()}, norm


def by_adam(group: ByAdam, gradients: Tensors, learning_rate: Tensor) -> ByAdam:
    """Adam (Kingma & Ba 2015), with its epsilon added to the root of the moment as it is."""
    steps = group.steps + 1
    count = ops.cast(steps, "float32")
    rate = learning_rate * ops.sqrt(1 - BETA_2**count) / (1 - BETA_1**count)
    first = [BETA_1 * m + (1 - BETA_1) * g for m, g in zip(group.first_moments, gradients, strict=True)]
    second = [
        BETA_2 * v + (1 - BETA_2) * ops.square(g)
        for v, g in zip(group.second_moments, gradients, strict=True)
    ]
    weights = [
        w - rate * m / (ops.sqrt(v) + EPSILON) for w, m, v in zip(group.weights, first, second, strict=True)
    ]
    return ByAdam(weights, group.average, first, second, steps)


def by_muon(group: ByMuon, gradients: Tensors, learning_rate: Tensor) -> ByMuon:
    """Muon (`ipt_tf.training.muon`), of all matrices of one shape at once."""
    weights, momenta = list(group.weights), list(group.momenta)
    shapes = [tuple(weight.shape) for weight in weights]
    for shape in sorted(set(shapes)):
        same = [i for i, each in enumerate(shapes) if each == shape]
        moved, steps = muon.step(*(ops.stack([each[i] for i in same]) for each in (momenta, gradients)))
        for place, i in enumerate(same):
            momenta[i], weights[i] = moved[place], weights[i] - learning_rate * steps[place]
    return ByMuon(weights, group.average, momenta)


def caught_up(group: ByAdam, late: Tensor | float) -> ByAdam:
    """Moves the average on by steps in which the weights stayed, and its distance from them shrank by `late`."""
    average = [w + (mean - w) * late for mean, w in zip(group.average, group.weights, strict=True)]
    return group._replace(average=average)


def follow(group: Any, ema: Tensor | float) -> Any:
    """Moves the average of a group towards its weights."""
    return group._replace(
        average=[mean + (1 - ema) * (w - mean) for mean, w in zip(group.average, group.weights, strict=True)]
    )
