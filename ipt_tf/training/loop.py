"""The training loop: one task per step, drawn from (seed, step), on whatever strategy it is given.

Whatever a run does is a function of its settings and its last checkpoint, so that a killed run, started
again by the same command, ends with the weights of one that was never killed.
"""

import time
import zlib
from collections.abc import Callable
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from ipt_tf.data import Source, batches, task_of_step
from ipt_tf.model import checkpoints
from ipt_tf.model.ipt import IPT
from ipt_tf.training import run_folder, strategies
from ipt_tf.training.adam import TaskOptimizers
from ipt_tf.training.progress import Report
from ipt_tf.training.recipes import Recipe
from ipt_tf.training.step import Step
from ipt_tf.training.strategies import RunError
from ipt_tf.training.validation import Validation

WHITE = 255.0
"""An L1 loss beyond this is no picture's: the run has exploded."""


def train(
    start: IPT,
    source: Source,
    recipe: Recipe,
    out: str | Path,
    *,
    steps: int,
    strategy: tf.distribute.Strategy | None = None,
    held_out: int = 16,
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
        strategy: where to train, from `ipt_tf.training.strategies.make`; one device by default.
        held_out: pictures kept for validation only.
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
    strategy = strategy or tf.distribute.get_strategy()
    run = _Run(start, source, recipe, Path(out), strategy, held_out, origin, log)
    try:
        run.go(steps, checkpoint_minutes, validate_every)
    except strategies.LOST as error:
        if strategies.count_workers(strategy) == 1:
            raise
        raise RunError(
            f"another worker was lost at step {run.step}; start the same command on all of them again, and they"
            f" go on from {run.last_checkpoint} ({type(error).__name__})"
        ) from None
    return run.average


class _Run:
    """One run: its networks under its strategy, its files, and where it is."""

    def __init__(
        self,
        start: IPT,
        source: Source,
        recipe: Recipe,
        out: Path,
        strategy: tf.distribute.Strategy,
        held_out: int,
        origin: str,
        log: Callable[[str], None],
    ):
        self._recipe, self._out, self._strategy = recipe, out, strategy
        self._is_chief = strategies.is_chief(strategy)
        self._log = log if self._is_chief else lambda line: None
        # Whatever the seed, the same: a run that goes on from another's weights must not be judged by photographs
        # that those were trained on.
        self._source, self._held_out = source.split(held_out, 0, recipe.fraction)
        self._tasks = start.tasks
        self._settings = {
            "model": checkpoints.arguments(start),
            "from": origin,
            "recipe": recipe.as_dict(),
            "held_out": held_out,
            "pictures": source.names,
        }
        with strategy.scope():
            keras.utils.set_random_seed(recipe.seed)
            self._model = _copy(start, recipe.precision, recipe.rematerialise)
            self.average = _copy(start)
            self._optimizers = TaskOptimizers(self._model)
            self._position = tf.Variable(0, dtype=tf.int64, trainable=False)
            self._steps = {
                task.name: Step(self._model, self.average, task.name, self._optimizers, recipe)
                for task in self._tasks
            }
        self._validation = (
            Validation(self._held_out, self._tasks, start.patch_size, recipe.seed)
            if self._is_chief and self._held_out
            else None
        )
        self._manager = tf.train.CheckpointManager(self._checkpoint(), out / "checkpoints", max_to_keep=2)

    @property
    def step(self) -> int:
        """Steps done."""
        return int(self._position.numpy())

    @property
    def last_checkpoint(self) -> str:
        """Path of the last checkpoint, for a message."""
        return self._manager.latest_checkpoint or "the beginning: there is no checkpoint yet"

    def _checkpoint(self) -> tf.train.Checkpoint:
        optimizers = {"body": self._optimizers.body, **self._optimizers.tasks}
        return tf.train.Checkpoint(
            weights=[weight.value for weight in self._model.trainable_variables],
            average=[weight.value for weight in self.average.trainable_variables],
            moments={
                name: [*adam.first_moments, *adam.second_moments, adam.steps]
                for name, adam in optimizers.items()
            },
            step=self._position,
        )

    def go(self, steps: int, checkpoint_minutes: float, validate_every: int) -> None:
        """Trains up to `steps`; see `train`."""
        start = self._resume(steps)
        report = (
            Report(self._out, start, steps, self._recipe.batch_size, self._log) if self._is_chief else None
        )
        if start in (0, steps):
            self._publish(report, steps)  # what training starts from is what it has to beat
        stream = iter(self._batches(start))
        saved_at = time.monotonic()
        for step in range(start, steps):
            task = self._task_of(step)
            learning_rate = self._recipe.learning_rate_at(step, steps)
            loss, norm = map(float, self._steps[task](stream, learning_rate, self._recipe.ema_at(step)))
            self._check(step, task, loss, norm)
            self._position.assign(step + 1)
            if report:
                report.step(step + 1, task, loss, norm, learning_rate)
            last = step + 1 == steps
            if last or time.monotonic() - saved_at > 60 * checkpoint_minutes:
                self._save()
                saved_at = time.monotonic()
            if last or (step + 1) % validate_every == 0:
                self._publish(report, steps)

    def _resume(self, steps: int) -> int:
        """Takes the folder and restores the last checkpoint; returns the step it was made at."""
        run_folder.claim(self._out, self._settings, steps, write=self._is_chief)
        if self._manager.latest_checkpoint:
            self._manager.checkpoint.restore(
                self._manager.latest_checkpoint
            ).assert_existing_objects_matched()
            self._log(f"resumed at step {self.step}")
        if self.step > steps:
            raise RunError(
                f"{self._out} has been trained for {self.step} steps, more than the {steps} asked for"
            )
        same = repr((self._settings, steps, self.step)).encode()
        strategies.agree(self._strategy, zlib.crc32(same) >> 12, "their settings, pictures or checkpoint")
        return self.step

    def _batches(self, start: int):
        replicas = self._strategy.num_replicas_in_sync

        def of_worker(context: tf.distribute.InputContext) -> tf.data.Dataset:
            return batches(
                self._source,
                self._tasks,
                patch_size=self._model.patch_size,
                batch_size=self._recipe.batch_size,
                seed=self._recipe.seed,
                first_step=start,
                accumulate=self._recipe.accumulate,
                replicas=replicas,
                share=(context.input_pipeline_id, context.num_input_pipelines),
            )

        return self._strategy.distribute_datasets_from_function(of_worker)

    def _task_of(self, step: int) -> str:
        index = task_of_step(self._tasks, step, self._recipe.seed)
        strategies.agree(self._strategy, index, f"the task of step {step}")
        return self._tasks[index].name

    def _check(self, step: int, task: str, loss: float, norm: float) -> None:
        if np.isfinite(loss) and np.isfinite(norm) and loss < WHITE:
            return
        raise RunError(
            f"the loss is {loss:g} at step {step} (task {task}); the last good checkpoint is"
            f" {self.last_checkpoint}. Try a smaller learning rate."
        )

    def _save(self) -> None:
        if self._is_chief:
            self._manager.save()

    def _publish(self, report: Report | None, steps: int) -> None:
        """Validates and saves the averaged weights."""
        checksum = zlib.crc32(b"".join(weight.value.numpy().tobytes() for weight in self._model.weights))
        strategies.agree(self._strategy, checksum >> 12, f"their weights at step {self.step}")
        if not report:
            return
        folders = ["model"]
        if self._validation and report.validation(self.step, self._validation(self.average)):
            folders.append("best")
        for folder in folders:
            self.average.save_pretrained(self._out / folder)
            run_folder.write_settings(self._out / folder, self._settings, steps)


def _copy(model: IPT, precision: str = "float32", rematerialise: bool = False) -> IPT:
    """Returns a model of the same weights, made under the current strategy."""
    copy = type(model)(**{**checkpoints.arguments(model), "tasks": model.tasks}, dtype=precision)
    copy.body.rematerialise = rematerialise
    for weight, value in zip(copy.weights, model.weights, strict=True):
        weight.assign(value)
    return copy
