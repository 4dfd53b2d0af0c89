"""The training loop: one task per step, drawn from (seed, step), on whatever trainer Keras's backend has.

Whatever a run does is a function of its settings and its last checkpoint, so that a killed run, started
again by the same command, ends with the weights of one that was never killed.
"""

import time
import zlib
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import keras
import numpy as np
from keras import ops

from ipt_tf.data import Source, task_of_step
from ipt_tf.model import checkpoints
from ipt_tf.model.ipt import IPT
from ipt_tf.training import run_folder
from ipt_tf.training.progress import Report
from ipt_tf.training.recipes import Recipe
from ipt_tf.training.run_folder import RunError
from ipt_tf.training.validation import Validation

AHEAD = 20
"""Steps that may be under way before the loss of the first is looked at: looking waits for the device."""

WHITE = 255.0
"""An L1 loss beyond this is no picture's: the run has exploded."""


class Trainer(Protocol):
    """A copy of a model and what trains it; `ipt_tf.training.trainers` has one for each backend."""

    model: IPT
    """Whose tasks are trained. Where several processes train, its weights are those that move."""
    is_chief: bool
    """Whether this process writes the run's files."""
    lost: tuple[type[Exception], ...]
    """What its methods raise when another worker is gone."""

    @property
    def average(self) -> IPT:
        """The model of the moving average of the weights."""

    @property
    def step(self) -> int:
        """Steps begun."""

    @property
    def last_checkpoint(self) -> str | None:
        """Path of the last checkpoint, if there is one."""

    def restore(self, path: str) -> None:
        """Goes back to a checkpoint."""

    def save(self) -> None:
        """Writes a checkpoint."""

    def feed(self, log: Callable[[str], None] = print) -> None:
        """Starts to make the batches of the steps that are still to be done."""

    def train(self, task: str, learning_rate: float, ema: float) -> tuple[Any, Any]:
        """Begins one step of a task; returns its loss and the norm of its gradient, for which `float` may wait."""

    def agree(self, number: Callable[[], int], what: str) -> None:
        """Checks that all workers return the same number; raises RunError on all of them if not."""


def choose_strategy(name: str, timeout: float) -> Any:
    """Returns where `train` is to compute; asked first of all, before Keras's backend computes anything.

    Args:
        name: on TensorFlow, a strategy of `ipt_tf.training.trainers.tensorflow.strategies.make`; on JAX, one of
            `ipt_tf.training.trainers.jax.devices`; on PyTorch there is one device, a GPU where it sees one.
        timeout: seconds to wait for other workers.

    Returns:
        A tf.distribute.Strategy, JAX's devices, or None on PyTorch.

    Raises:
        RunError: there is no such strategy on this backend, or it cannot be made.
    """
    backend = keras.backend.backend()
    if backend == "tensorflow":
        from ipt_tf.training.trainers.tensorflow import strategies

        return strategies.make(name, timeout)
    if backend == "jax":
        from ipt_tf.training.trainers import jax

        return jax.devices(name, timeout)
    if backend != "torch":
        raise RunError(f"training runs on Keras's TensorFlow, JAX and PyTorch backends, not on {backend}")
    if name not in ("auto", "one"):
        raise RunError(f"strategy {name} needs TensorFlow; on Keras's PyTorch backend there is one device")
    return None


def train(
    start: IPT,
    source: Source,
    recipe: Recipe,
    out: str | Path,
    *,
    steps: int,
    strategy: Any = None,
    held_out: int = 16,
    validate_on: Source | None = None,
    origin: str = "",
    checkpoint_minutes: float = 3.0,
    validate_every: int = 1000,
    log: Callable[[str], None] = print,
) -> IPT:
    """Trains a copy of a model, or goes on where the run in `out` stopped.

    `out` gets what `ipt_tf.training.run_folder` lists.

    Args:
        start: the model with the weights to start from; it is not changed.
        source: clean photographs, or pairs.
        recipe: how to train.
        out: folder of the run, which all workers share; a run already there is resumed if its settings are these.
        steps: length of the run. A larger number than last time extends it (and its learning-rate decay moves to
            the new end).
        strategy: where to train, from `choose_strategy`; one device by default.
        held_out: pictures kept for validation only, where nothing else is given to validate on.
        validate_on: other pictures to validate on; then all of `source` are trained on.
        origin: where the weights of `start` come from, for the record.
        checkpoint_minutes: at most so much work is lost when the run is killed.
        validate_every: steps between validations, each of which saves the model; the first is before training.
        log: called with each line of progress.

    Returns:
        The model with the moving average of the weights.

    Raises:
        RunError: `out` holds a run with other settings or a longer one; the loss stopped being a number or
            exploded; or a worker was lost.
    """
    run = _Run(start, source, recipe, Path(out), strategy, held_out, validate_on, origin, log)
    try:
        run.go(steps, checkpoint_minutes, validate_every)
    except run.trainer.lost as error:
        raise RunError(
            f"another worker was lost at step {run.trainer.step}; start the same command on all of them again, and"
            f" they go on from {run.last_checkpoint} ({type(error).__name__})"
        ) from None
    return run.trainer.average


def make_trainer(start: IPT, source: Source, recipe: Recipe, folder: Path, strategy: Any = None) -> Trainer:
    """Returns the trainer of Keras's backend; `strategy` is what `choose_strategy` returns."""
    if keras.backend.backend() == "torch":
        from ipt_tf.training.trainers.pytorch import PyTorch

        return PyTorch(start, source, recipe, folder)
    if keras.backend.backend() == "jax":
        from ipt_tf.training.trainers.jax import Jax

        return Jax(start, source, recipe, folder, strategy)
    from ipt_tf.training.trainers.tensorflow.distributed import Distributed

    return Distributed(start, source, recipe, folder, strategy)


class _Begun(NamedTuple):
    """A step that was begun: its loss and the norm of its gradient may still be computed."""

    step: int
    task: str
    learning_rate: float
    loss: Any
    norm: Any


class _Run:
    """One run: its trainer, its files, and where it is."""

    def __init__(
        self,
        start: IPT,
        source: Source,
        recipe: Recipe,
        out: Path,
        strategy: Any,
        held_out: int,
        validate_on: Source | None,
        origin: str,
        log: Callable[[str], None],
    ):
        self._recipe, self._out = recipe, out
        # Whatever the seed, the same: a run that goes on from another's weights must not be judged by photographs
        # that those were trained on.
        held_out = held_out if validate_on is None else 0
        train_on, left = source.split(held_out, 0, recipe.fraction)
        validated = validate_on or left
        self.trainer = make_trainer(start, train_on, recipe, out / "checkpoints", strategy)
        self._log = log if self.trainer.is_chief else lambda line: None
        self._settings = {
            "backend": keras.backend.backend(),
            "model": checkpoints.arguments(start),
            "from": origin,
            "recipe": recipe.as_dict(),
            "held_out": held_out,
            "pictures": source.names,
            "validate_on": None if validate_on is None else validate_on.names,
        }
        self._validation = (
            Validation(validated, start.tasks, start.patch_size)
            if self.trainer.is_chief and validated
            else None
        )

    @property
    def last_checkpoint(self) -> str:
        """Path of the last checkpoint, for a message."""
        return self.trainer.last_checkpoint or "the beginning: there is no checkpoint yet"

    def go(self, steps: int, checkpoint_minutes: float, validate_every: int) -> None:
        """Trains up to `steps`; see `train`."""
        start = self._resume(steps)
        report = (
            Report(self._out, start, steps, self._recipe.batch_size, self._log)
            if self.trainer.is_chief
            else None
        )
        if start in (0, steps):
            self._publish(report, steps)  # what training starts from is what it has to beat
        self.trainer.feed(self._log)
        saved_at = time.monotonic()
        under_way: deque[_Begun] = deque()
        for step in range(start, steps):
            task = self._task_of(step)
            learning_rate = self._recipe.learning_rate_at(step, steps)
            loss, norm = self.trainer.train(task, learning_rate, self._recipe.ema_at(step))
            under_way.append(_Begun(step, task, learning_rate, loss, norm))
            last = step + 1 == steps
            saves = last or time.monotonic() - saved_at > 60 * checkpoint_minutes
            validates = last or (step + 1) % validate_every == 0
            while len(under_way) > (0 if saves or validates else AHEAD):
                self._look_at(under_way.popleft(), report)
            if saves:
                self.trainer.save()
                saved_at = time.monotonic()
            if validates:
                self._publish(report, steps)

    def _resume(self, steps: int) -> int:
        """Takes the folder and restores the last checkpoint; returns the step it was made at."""
        run_folder.claim(self._out, self._settings, steps, write=self.trainer.is_chief)
        if self.trainer.last_checkpoint:
            self.trainer.restore(self.trainer.last_checkpoint)
            self._log(f"resumed at step {self.trainer.step}")
        done = self.trainer.step
        if done > steps:
            raise RunError(f"{self._out} has been trained for {done} steps, more than the {steps} asked for")
        # Workers that train different tasks in one step spoil each other's weights without any error.
        first_tasks = [self._task_of(step) for step in range(done, min(done + 100, steps))]
        same = repr((self._settings, steps, done, first_tasks)).encode()
        self.trainer.agree(lambda: zlib.crc32(same) >> 12, "their settings, pictures or checkpoint")
        return done

    def _task_of(self, step: int) -> str:
        tasks = self.trainer.model.tasks
        return tasks[task_of_step(tasks, step, self._recipe.seed)].name

    def _look_at(self, begun: "_Begun", report: Report | None) -> None:
        """Waits for a step, reports it, and raises RunError if it went wrong."""
        loss, norm = float(begun.loss), float(begun.norm)
        if np.isfinite(loss) and np.isfinite(norm) and loss < WHITE:
            if report:
                report.step(begun.step + 1, begun.task, loss, norm, begun.learning_rate)
            return
        raise RunError(
            f"the loss is {loss:g} at step {begun.step} (task {begun.task}); the last good checkpoint is"
            f" {self.last_checkpoint}. Try a smaller learning rate."
        )

    def _publish(self, report: Report | None, steps: int) -> None:
        """Validates and saves the averaged weights."""
        done, average = self.trainer.step, self.trainer.average
        self.trainer.agree(lambda: _fingerprint(self.trainer.model), f"their weights at step {done}")
        if not report:
            return
        folders = ["model"]
        if self._validation and report.validation(done, self._validation(average)):
            folders.append("best")
        for folder in folders:
            average.save_pretrained(self._out / folder)
            run_folder.write_settings(self._out / folder, self._settings, steps)


def _fingerprint(model: IPT) -> int:
    weights = (ops.convert_to_numpy(weight).tobytes() for weight in model.weights)
    return zlib.crc32(b"".join(weights)) >> 12
