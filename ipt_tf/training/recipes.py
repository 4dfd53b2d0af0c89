"""Recipes: everything about a training run that is not the network or the photographs, as plain data."""

import dataclasses
import math
import typing
from dataclasses import dataclass

PRECISIONS = ("float32", "mixed_bfloat16")
SCHEDULES = ("cosine", "step")
OPTIMIZERS = ("adam", "muon")
CONTRASTIVE_FORMS = ("paper", "supervised")
BETA_1, BETA_2, EPSILON = 0.9, 0.999, 1e-8  # Adam's, whatever the recipe


@dataclass(frozen=True)
class Recipe:
    """How to train.

    The learning rate rises linearly over `warmup` steps, stays, and changes to `final_learning_rate` over the
    last `decay` of all steps: along a half cosine, or in one step.

    Args:
        batch_size: patches per step, over all replicas.
        optimizer: of the transformer layers' matrices: `"adam"`, or `"muon"` (`ipt_tf.training.muon`), which learns
            more from each patch; Adam moves all other weights.
        learning_rate: of either optimizer, while it is constant.
        final_learning_rate: at the last step.
        warmup: steps.
        schedule: `"cosine"` or `"step"`.
        decay: fraction of all steps.
        contrastive: weight lambda of the contrastive loss (equation 6 of the paper); 0 leaves it out.
        contrastive_form: `"paper"` (equation 5) or `"supervised"` (what the authors' code trains with).
        clip_norm: the gradient's largest global norm, or None.
        ema: decay per step of the moving average of the weights, which is what is saved; 0 saves the weights.
        accumulate: micro-batches that a step is dealt into, for batches that memory does not hold at once.
        freeze_body: train heads, tails and embeddings alone, over a body that stays as it is.
        rematerialise: compute the transformer layers' activations again for the gradient, instead of keeping
            them: less memory, about a third more time.
        precision: `"float32"`, or `"mixed_bfloat16"`, which is faster where the processor has it.
        xla: compile the network with XLA.
        fraction: of the pictures, to train on (Figure 6 of the paper); a larger one has all that a smaller one has.
        seed: of the weights, the order of photographs, tasks, crops and degradations.

    Raises:
        ValueError: a value outside its range.

    Example:
        >>> find("paper", batch_size=64, accumulate=4)
    """

    batch_size: int = 16
    optimizer: str = "adam"
    learning_rate: float = 1e-3
    final_learning_rate: float = 1e-5
    warmup: int = 200
    schedule: str = "cosine"
    decay: float = 0.4
    contrastive: float = 0.0
    contrastive_form: str = "paper"
    clip_norm: float | None = 1.0
    ema: float = 0.999
    accumulate: int = 1
    freeze_body: bool = False
    rematerialise: bool = False
    precision: str = "float32"
    xla: bool = False
    fraction: float = 1.0
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("batch_size", "accumulate"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is a whole number from 1, not {getattr(self, name)}")
        if self.batch_size % self.accumulate:
            raise ValueError(
                f"accumulate {self.accumulate}: a batch of {self.batch_size} is not dealt into so many equal parts"
            )
        if self.contrastive and self.contrastive_form == "paper" and self.batch_size == self.accumulate:
            raise ValueError(
                "equation 5 compares the images of a micro-batch: a batch of"
                f" {self.batch_size} with accumulate {self.accumulate} has one in each"
            )
        for name in ("decay", "ema"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name} is a fraction from 0 to 1, not {getattr(self, name)}")
        if not 0 < self.fraction <= 1:
            raise ValueError(f"fraction is above 0 and at most 1, not {self.fraction}")
        for name, choices in (
            ("optimizer", OPTIMIZERS),
            ("schedule", SCHEDULES),
            ("precision", PRECISIONS),
            ("contrastive_form", CONTRASTIVE_FORMS),
        ):
            if getattr(self, name) not in choices:
                raise ValueError(f"{name} is {' or '.join(choices)}, not {getattr(self, name)!r}")

    def learning_rate_at(self, step: int, steps: int) -> float:
        """Returns the learning rate of one step of a run of `steps`."""
        rise = min(1.0, (step + 1) / max(self.warmup, 1))
        decaying = max(1, round(self.decay * steps))
        progress = min(1.0, max(0.0, (step - (steps - decaying)) / decaying))
        if self.schedule == "step":
            fall = 1.0 if step < steps - decaying else 0.0
        else:
            fall = (1 + math.cos(math.pi * progress)) / 2
        return rise * (self.final_learning_rate + (self.learning_rate - self.final_learning_rate) * fall)

    def ema_at(self, step: int) -> float:
        """Returns the moving average's decay at one step: at first it follows the weights more closely."""
        return min(self.ema, (1 + step) / (10 + step))

    def as_dict(self) -> dict:
        """Returns the recipe as JSON-ready values."""
        return dataclasses.asdict(self)


RECIPES = {
    "ours": Recipe(),
    # Section 4 of the paper: batch 256, Adam (0.9, 0.999), 5e-5, then 2e-5 for the last third, lambda 0.1.
    "paper": Recipe(
        batch_size=256,
        learning_rate=5e-5,
        final_learning_rate=2e-5,
        warmup=0,
        schedule="step",
        decay=1 / 3,
        contrastive=0.1,
        clip_norm=None,
        ema=0.0,
    ),
    # Section 4 again: one task, 2e-5 throughout.
    "finetune": Recipe(learning_rate=2e-5, final_learning_rate=2e-5, warmup=0, clip_norm=None, ema=0.999),
}
"""Recipes by the name that `--recipe` takes."""


def find(name: str, **changes) -> Recipe:
    """Returns the recipe of that name, with some of its values changed.

    Raises:
        ValueError: there is no such recipe or value, or a value is outside its range.
    """
    if name not in RECIPES:
        raise ValueError(f"unknown recipe {name!r}; there are {', '.join(RECIPES)}")
    return dataclasses.replace(RECIPES[name], **changes)


def parse(assignments: list[str]) -> dict:
    """Returns {"batch_size": 64} for ["batch_size=64"]: changes for `find`, in the types of the fields.

    Raises:
        ValueError: not NAME=VALUE, no such name, or a value of another type; the message says what there is.
    """
    fields = typing.get_type_hints(Recipe)
    changes = {}
    for assignment in assignments:
        name, equals, text = assignment.partition("=")
        if not equals or name not in fields:
            raise ValueError(f"{assignment!r} is not NAME=VALUE with a name of {', '.join(fields)}")
        changes[name] = _value(name, text, fields[name])
    return changes


def _value(name: str, text: str, type_: typing.Any) -> object:
    if type_ is bool:
        if text not in ("true", "false"):
            raise ValueError(f"{name} is true or false, not {text!r}")
        return text == "true"
    if type_ == float | None:
        type_ = float
        if text == "none":
            return None
    try:
        return type_(text)
    except ValueError:
        raise ValueError(f"{name} is a number ({type_.__name__}), not {text!r}") from None
