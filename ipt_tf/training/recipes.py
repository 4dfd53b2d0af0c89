"""Recipes: everything about a training run that is not the network or the photographs, as plain data."""

import dataclasses
import math
from dataclasses import dataclass


@dataclass(frozen=True)
class Recipe:
    """How to train.

    The learning rate rises linearly over `warmup` steps, stays, and falls along a half cosine to
    `final_learning_rate` over the last `decay` of all steps.

    Args:
        batch_size: patches per step.
        learning_rate: Adam's, while it is constant.
        final_learning_rate: at the last step.
        warmup: steps.
        decay: fraction of all steps.
        clip_norm: the gradient's largest global norm.
        ema: decay per step of the moving average of the weights, which is what is saved.
        precision: Keras dtype policy of the network.
        seed: of the weights, the order of photographs, tasks, crops and degradations.

    Raises:
        ValueError: a value outside its range.
    """

    batch_size: int = 16
    learning_rate: float = 1e-3
    final_learning_rate: float = 1e-5
    warmup: int = 200
    decay: float = 0.4
    clip_norm: float = 1.0
    ema: float = 0.999
    precision: str = "mixed_bfloat16"
    seed: int = 0

    def __post_init__(self) -> None:
        if self.batch_size < 1:
            raise ValueError(f"the batch size is a number of patches from 1, not {self.batch_size}")
        if not 0 <= self.decay <= 1:
            raise ValueError(f"decay is a fraction of the steps, from 0 to 1, not {self.decay}")
        if self.precision not in ("float32", "mixed_bfloat16"):
            raise ValueError(f"precision is float32 or mixed_bfloat16, not {self.precision!r}")

    def learning_rate_at(self, step: int, steps: int) -> float:
        """Returns the learning rate of one step of a run of `steps`."""
        rise = min(1.0, (step + 1) / max(self.warmup, 1))
        decaying = max(1, round(self.decay * steps))
        progress = min(1.0, max(0.0, (step - (steps - decaying)) / decaying))
        fall = (1 + math.cos(math.pi * progress)) / 2
        return rise * (self.final_learning_rate + (self.learning_rate - self.final_learning_rate) * fall)

    def as_dict(self) -> dict:
        """Returns the recipe as JSON-ready values."""
        return dataclasses.asdict(self)


RECIPES = {"ours": Recipe()}
"""Recipes by the name that `ipt train --recipe` takes."""


def find(name: str, **changes) -> Recipe:
    """Returns the recipe of that name, with some of its values changed.

    Raises:
        ValueError: there is no such recipe, or a value is outside its range.
    """
    if name not in RECIPES:
        raise ValueError(f"unknown recipe {name!r}; there are {', '.join(RECIPES)}")
    return dataclasses.replace(RECIPES[name], **changes)
