"""The training loop: one task per step, drawn from (seed, step), on whatever strategy is current.

Whatever a run does is a function of its settings and its last checkpoint, so that a killed run, started
again by the same command, ends with the weights of one that was never killed.
"""

import csv
import json
import os
import time
from collections.abc import Callable
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from ipt_tf.data import Photographs, degraded, task_of_step
from ipt_tf.model.ipt import IPT
from ipt_tf.training import losses
from ipt_tf.training.recipes import Recipe
from ipt_tf.training.validation import Validation


class RunError(ValueError):
    """A run that cannot go on as asked: its folder belongs to another run, or its loss exploded."""


class TaskOptimizers:
    """Adam for the body, and an Adam of their own for each task's head, tail and embedding.

    Adam's bias correction counts the updates a weight has had. Keras counts per optimizer, so one optimizer for
    all would let a head first used at step 1000 jump by 2.5 learning rates.
    """

    def __init__(self, model: IPT):
        self.body_weights = model.body.trainable_variables
        self.task_weights = {}
        for name in model.task_names:
            view = model.for_task(name)
            parts: list[keras.layers.Layer] = [*view.heads, *view.tails, *view.embeddings]
            self.task_weights[name] = [weight for part in parts for weight in part.trainable_variables]
        self.body = _adam(self.body_weights)
        self.tasks = {name: _adam(weights) for name, weights in self.task_weights.items()}

    def weights(self, task: str) -> list:
        """Returns the weights that a step of this task moves."""
        return self.body_weights + self.task_weights[task]

    def apply(self, task: str, gradients: list, learning_rate) -> None:
        """Moves the body and the task's own parts by gradients in the order of `weights`."""
        count = len(self.body_weights)
        for optimizer, part, weights in (
            (self.body, gradients[:count], self.body_weights),
            (self.tasks[task], gradients[count:], self.task_weights[task]),
        ):
            optimizer.learning_rate.assign(learning_rate)
            optimizer.apply_gradients(zip(part, weights, strict=True))


def _adam(weights: list) -> keras.optimizers.Adam:
    optimizer = keras.optimizers.Adam(beta_1=0.9, beta_2=0.999, epsilon=1e-8)
    optimizer.build(weights)
    return optimizer


def make_step(model: IPT, task: str, optimizers: TaskOptimizers, average: list, recipe: Recipe) -> Callable:
    """Returns the traced step of one task: (inputs, targets, learning rate, ema) -> (loss, gradient norm).

    The gradient is that of the mean over the global batch, clipped after it was summed over the replicas.
    """
    strategy = tf.distribute.get_strategy()
    replicas = strategy.num_replicas_in_sync
    scale, side = model.task(task).scale, model.patch_size

    def replica_step(inputs, targets, learning_rate, ema):
        inputs = tf.ensure_shape(inputs, (None, side, side, 3))
        targets = tf.ensure_shape(targets, (None, side * scale, side * scale, 3))
        weights = optimizers.weights(task)
        with tf.GradientTape() as tape:
            loss = losses.l1(model(inputs, task=task, training=True), targets) / replicas
        gradients = tape.gradient(loss, weights)
        gradients = tf.distribute.get_replica_context().all_reduce("SUM", gradients)
        gradients, norm = tf.clip_by_global_norm(gradients, recipe.clip_norm)
        # apply_gradients sums over the replicas once more.
        optimizers.apply(task, [gradient / replicas for gradient in gradients], learning_rate)
        for mean, weight in zip(average, model.trainable_variables, strict=True):
            mean.assign_add((1 - ema) * (weight.value - mean))
        return loss, norm

    @tf.function
    def step(inputs, targets, learning_rate, ema):
        loss, norm = strategy.run(replica_step, args=(inputs, targets, learning_rate, ema))
        return strategy.reduce("SUM", loss, axis=None), strategy.reduce("MEAN", norm, axis=None)

    return step


def train(
    config: dict,
    photographs: Photographs,
    recipe: Recipe,
    out: Path,
    *,
    steps: int,
    held_out: int = 16,
    checkpoint_minutes: float = 3.0,
    validate_every: int = 1000,
    log: Callable[[str], None] = print,
) -> IPT:
    """Trains a network from its start, or goes on where the run in `out` stopped.

    `out` gets `run.json` (every setting), `history.csv` (validation PSNR), `checkpoints/` and, at each
    validation and at the end, `model/`: the moving average of the weights, for
    `IPT.from_pretrained(out / "model")`.

    Args:
        config: arguments of `IPT`.
        photographs: clean photographs.
        recipe: how to train.
        out: folder of the run; a run already there is resumed if its settings are these.
        steps: length of the run. A larger number than last time extends it (and its learning-rate decay moves to
            the new end).
        held_out: photographs kept for validation only.
        checkpoint_minutes: at most so much work is lost when the run is killed.
        validate_every: steps between validations.
        log: called with each line of progress.

    Returns:
        The model with the averaged weights.

    Raises:
        RunError: `out` holds a run with other settings or a longer one, or the loss stopped being a number.
    """
    settings = {
        "model": config,
        "recipe": recipe.as_dict(),
        "held_out": held_out,
        "photographs": [path.name for path in photographs.paths],
    }
    keras.utils.set_random_seed(recipe.seed)
    model = IPT(**config, dtype=recipe.precision)
    optimizers = TaskOptimizers(model)
    average = [tf.Variable(weight.value, trainable=False) for weight in model.trainable_variables]
    position = tf.Variable(0, dtype=tf.int64, trainable=False)
    checkpoint = tf.train.Checkpoint(
        weights=[weight.value for weight in model.trainable_variables],
        average=average,
        body=optimizers.body,
        tasks=optimizers.tasks,
        step=position,
    )
    manager = tf.train.CheckpointManager(checkpoint, out / "checkpoints", max_to_keep=2)
    _claim(out, settings, steps)
    if manager.latest_checkpoint:
        checkpoint.restore(manager.latest_checkpoint).assert_existing_objects_matched()
        log(f"resumed at step {int(position)}")
    start = int(position)
    if start > steps:
        raise RunError(f"{out} has already been trained for {start} steps, more than the {steps} asked for")

    training, validating = photographs.split(held_out, recipe.seed)
    validation = Validation(validating, model.tasks, model.patch_size, recipe.seed) if validating else None
    averaged = IPT(**config)
    history = _History(out / "history.csv", start)
    step_of = {name: make_step(model, name, optimizers, average, recipe) for name in model.task_names}
    progress = _Progress(start, steps, recipe.batch_size, log)
    saved_at = time.monotonic()
    batches = degraded(
        training,
        model.tasks,
        patch_size=model.patch_size,
        batch_size=recipe.batch_size,
        seed=recipe.seed,
        steps=range(start, steps),
    )

    def publish(step: int) -> None:
        for weight, mean in zip(averaged.trainable_variables, average, strict=True):
            weight.assign(mean)
        if validation:
            psnr = validation.psnr(averaged)
            history.append(step, step * recipe.batch_size, psnr)
            log(f"step {step}: validation PSNR " + ", ".join(f"{k} {v:.2f}" for k, v in psnr.items()))
        averaged.save_pretrained(out / "model")

    for step, (inputs, targets) in zip(range(start, steps), batches, strict=True):
        task = model.task_names[task_of_step(model.tasks, step, recipe.seed)]
        learning_rate = recipe.learning_rate_at(step, steps)
        ema = min(recipe.ema, (1 + step) / (10 + step))
        loss, norm = step_of[task](inputs, targets, tf.constant(learning_rate), tf.constant(ema))
        if not np.isfinite(float(loss)) or not np.isfinite(float(norm)):
            raise RunError(
                f"the loss is {float(loss)} at step {step} (task {task}); the last good checkpoint is"
                f" {manager.latest_checkpoint or 'none yet'}. Try a smaller learning rate."
            )
        position.assign(step + 1)
        progress.update(step + 1, task, float(loss), learning_rate)
        if step + 1 == steps or time.monotonic() - saved_at > 60 * checkpoint_minutes:
            manager.save()
            saved_at = time.monotonic()
        if step + 1 == steps or (step + 1) % validate_every == 0:
            publish(step + 1)
    if start == steps:
        publish(steps)
    return averaged


def _claim(out: Path, settings: dict, steps: int) -> None:
    """Writes the run's settings, or checks that the run already in `out` has the same."""
    path = out / "run.json"
    if path.exists():
        before = json.loads(path.read_text())
        asked = json.loads(json.dumps(settings))
        differing = [key for key in settings if before.get(key) != asked[key]]
        if differing:
            details = "".join(f"\n  {key}: {_difference(before.get(key), asked[key])}" for key in differing)
            raise RunError(f"{out} holds a run with other settings; choose another --out.{details}")
        if before["steps"] > steps:
            raise RunError(
                f"{out} holds a run of {before['steps']} steps; --steps can only be larger, not {steps}"
            )
    elif out.is_dir() and any(out.iterdir()):
        raise RunError(f"{out} is not empty and holds no run; choose another --out")
    out.mkdir(parents=True, exist_ok=True)
    beside = path.with_suffix(".tmp")
    beside.write_text(json.dumps({**settings, "steps": steps}, indent=1))
    os.replace(beside, path)


def _difference(before, asked) -> str:
    """Says what differs between two settings, item by item where they are tables."""
    if isinstance(before, dict) and isinstance(asked, dict):
        keys = [key for key in {**before, **asked} if before.get(key) != asked.get(key)]
        return ", ".join(f"{key} was {before.get(key)!r}, asked {asked.get(key)!r}" for key in keys)
    if isinstance(before, list) and isinstance(asked, list):
        return f"{len(set(before) - set(asked))} are gone and {len(set(asked) - set(before))} are new"
    return f"was {before!r}, asked {asked!r}"


class _History:
    """`history.csv`: one row of validation PSNR per publication, without those of steps that will be run again."""

    def __init__(self, path: Path, start: int):
        self._path = path
        if path.exists():
            rows = path.read_text().splitlines()
            path.write_text(
                "\n".join(rows[:1] + [row for row in rows[1:] if int(row.split(",")[0]) <= start]) + "\n"
            )

    def append(self, step: int, patches: int, psnr: dict[str, float]) -> None:
        new = not self._path.exists()
        with self._path.open("a", newline="") as file:
            writer = csv.writer(file)
            if new:
                writer.writerow(["step", "patches", *psnr])
            writer.writerow([step, patches, *(f"{value:.3f}" for value in psnr.values())])


class _Progress:
    """A line every half minute: loss per task (a running mean), learning rate, patches per second, time left."""

    def __init__(self, start: int, steps: int, batch_size: int, log: Callable[[str], None]):
        self._steps, self._batch_size, self._log = steps, batch_size, log
        self._losses: dict[str, float] = {}
        self._last_step, self._last_time = start, time.monotonic()

    def update(self, step: int, task: str, loss: float, learning_rate: float) -> None:
        before = self._losses.get(task, loss)
        self._losses[task] = before + 0.05 * (loss - before)
        now = time.monotonic()
        if now - self._last_time < 30 and step < self._steps:
            return
        rate = (step - self._last_step) / max(now - self._last_time, 1e-9)
        left = time.strftime("%H:%M:%S", time.gmtime((self._steps - step) / rate))
        losses_now = "  ".join(f"{name} {value:.2f}" for name, value in sorted(self._losses.items()))
        self._log(
            f"step {step}/{self._steps}  loss {losses_now}  lr {learning_rate:.2e}"
            f"  {rate * self._batch_size:.1f} patches/s  {left} left"
        )
        self._last_step, self._last_time = step, now
