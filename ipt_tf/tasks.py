"""The table of tasks: a name, a scale, the degradation that makes its training input, and how it is scored.

The order of a table is the order of a model's heads, tails and task embeddings.
"""

import dataclasses
import re
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from keras import ops

from ipt_tf.degradations import (
    Degradation,
    RandomNumbers,
    Tensor,
    bicubic,
    camera_noise,
    gaussian_noise,
    jpeg_artefacts,
    rain_streaks,
)


class UnknownTaskError(ValueError):
    """A task's name that the table, or a model, does not have; the message lists those it has."""


@dataclass(frozen=True)
class Task:
    """One restoration task.

    Args:
        name: unique in a model; used for its head, tail and task embedding, and on the command line.
        scale: output pixels per input pixel and axis (1 for denoising and deraining).
        degrade: function `(clean, rng) -> degraded` that makes an input from a clean batch
            (see `ipt_tf.degradations`), or None where inputs come as pairs.
        sigma: standard deviation of the Gaussian noise in its inputs, in grey levels; None for other tasks.
        pairs: where a benchmark set has its real inputs: folders (degraded, clean) inside the set, by any of
            the names in use. A task with such folders is scored on them alone, not on clean pictures that it
            degrades itself.
        levels: tasks of one strength each, as which a task of varying strength is scored.
        level_of: of such a level, the name of the task that it belongs to, and that restores it.

    Example:
        >>> Task("denoise_15", degrade=gaussian_noise(15), sigma=15)
    """

    name: str
    scale: int = 1
    degrade: Degradation | None = None
    sigma: float | None = None
    pairs: tuple[tuple[str, str], ...] = ()
    levels: tuple["Task", ...] = ()
    level_of: str | None = None

    def __post_init__(self) -> None:
        if not re.fullmatch(r"[a-z][a-z0-9_]*", self.name):
            raise ValueError(f"a task's name is lower case letters, digits and _, not {self.name!r}")
        if not isinstance(self.scale, int) or self.scale < 1:
            raise ValueError(f"task {self.name}: the scale is a whole number from 1, not {self.scale!r}")

    @property
    def border(self) -> int:
        """Pixels along each edge that scores leave out: the scale for super-resolution, none for other tasks."""
        return self.scale if self.scale > 1 else 0

    @property
    def restorer(self) -> str:
        """Name of the task of a model that restores this one: its own, but for a level."""
        return self.level_of or self.name

    def make_input(self, clean: Tensor, rng: RandomNumbers) -> Tensor:
        """Returns the degraded batch (B, H, W, 3) of a clean one (B, scale H, scale W, 3), 0..255.

        Raises:
            ValueError: the task has no degradation.
        """
        if self.degrade is None:
            raise ValueError(f"task {self.name} has no degradation: it needs pairs")
        return self.degrade(clean, rng)

    def pair(self, photograph: np.ndarray, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
        """Returns a clean photograph's input, in 8 bits as a file would hold it, and what it should be restored to.

        Args:
            photograph: (H, W, 3), RGB, uint8.
            seed: of what is random in the degradation.

        Returns:
            The input (H / scale, W / scale, 3), uint8, and the photograph, without what the scale does not divide at
            the bottom and at the right.

        Raises:
            ValueError: the task has no degradation, or of the photograph nothing is left inside the border.

        Example:
            >>> low, clean = find("sr_x3").pair(samples.load("chelsea"))
            >>> low.shape, clean.shape
            ((100, 150, 3), (300, 450, 3))
        """
        height, width = (length // self.scale * self.scale for length in photograph.shape[:2])
        if min(height, width) <= 2 * self.border:
            size = f"{photograph.shape[1]} x {photograph.shape[0]}"
            raise ValueError(f"{size} pixels are too few to be degraded for {self.name}")
        clean = photograph[:height, :width]
        made = self.make_input(clean[None].astype("float32"), np.random.default_rng(seed))
        return np.rint(ops.convert_to_numpy(made)[0].clip(0, 255)).astype(np.uint8), clean


def _denoise(sigma: int) -> Task:
    return Task(f"denoise_{sigma}", degrade=gaussian_noise(sigma), sigma=sigma)


OFFICIAL_TASKS = (
    Task("sr_x2", scale=2, degrade=bicubic(2)),
    Task("sr_x3", scale=3, degrade=bicubic(3)),
    Task("sr_x4", scale=4, degrade=bicubic(4)),
    Task(
        "derain",
        degrade=rain_streaks(),
        pairs=(("rain", "norain"), ("rainy", "."), ("input", "target")),
    ),
    _denoise(30),
    _denoise(50),
)
"""The six tasks of the paper, in the head order of the official checkpoint."""


def _with_levels(task: Task, *levels: Task) -> Task:
    own = tuple(dataclasses.replace(level, level_of=task.name) for level in levels)
    return dataclasses.replace(task, levels=own)


FURTHER_TASKS = (
    # Noise of unknown strength; scored at the levels of Tables 2 and 4 of the paper.
    _with_levels(Task("denoise", degrade=gaussian_noise((0, 75))), *map(_denoise, (10, 30, 50, 70))),
    _with_levels(
        Task("jpeg", degrade=jpeg_artefacts((10, 90), cropped=True)),
        *(Task(f"jpeg_{quality}", degrade=jpeg_artefacts(quality)) for quality in (10, 20, 40)),
    ),
    Task("camera", degrade=camera_noise(), pairs=(("noisy", "clean"),)),
)
"""Tasks that the paper does not have: a model has them only where they are asked for by name."""

_FAMILIES = {
    r"sr_x(\d+)": lambda number: Task(f"sr_x{number}", scale=number, degrade=bicubic(number)),
    r"denoise_(\d+)": _denoise,
}


def find(name: str) -> Task:
    """Returns the task of a name: an official or a further one, any `sr_x<scale>` or any `denoise_<sigma>`.

    Raises:
        UnknownTaskError: the name is none of these.
    """
    named = (*OFFICIAL_TASKS, *FURTHER_TASKS)
    for task in named:
        if task.name == name:
            return task
    for pattern, family in _FAMILIES.items():
        if match := re.fullmatch(pattern, name):
            return family(int(match[1]))
    known = ", ".join(task.name for task in named)
    raise UnknownTaskError(
        f"unknown task {name!r}; known are {known}, any sr_x<scale> and any denoise_<sigma>"
    )


def pick(name: str, tasks: Iterable[Task]) -> Task:
    """Returns the task called `name` among a model's `tasks`.

    Raises:
        UnknownTaskError: there is none.
    """
    table = {task.name: task for task in tasks}
    if name not in table:
        raise UnknownTaskError(f"this model has no task {name!r}; it has {', '.join(table)}")
    return table[name]
