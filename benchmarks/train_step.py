"""Speed of a training step: patches per second, the wait for data, and the ratio to plain `Model.fit`.

python -m benchmarks.train_step --data PHOTOGRAPHS [--preset ipt_tiny] [--batch-size 16]

`fit` trains the same network on one task, with the same optimizer and clipping, on a batch that is in memory; the
loop's step is timed on the same batch, in turns with it.
"""

import argparse
import itertools
import time
from collections.abc import Iterator
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from ipt_tf import IPT
from ipt_tf.data import Photographs, batches, task_of_step
from ipt_tf.model import presets
from ipt_tf.training.recipes import Recipe
from ipt_tf.training.trainers.tensorflow.optimizers import TaskOptimizers
from ipt_tf.training.trainers.tensorflow.step import Step

FIT_TASK = "denoise_50"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--preset", default="ipt_tiny")
    parser.add_argument("--batch-size", type=int, default=16)
    parser.add_argument("--steps", type=int, default=60, help="steps on real data (default: 60)")
    options = parser.parse_args()

    print("| variant | patches/s | waiting for data | ratio to fit |\n|---|---|---|---|")
    variants = {
        "float32": {},
        "mixed_bfloat16": {"precision": "mixed_bfloat16"},
        "float32, XLA": {"xla": True},
        "float32, 4 micro-batches": {"accumulate": 4},
        "float32, rematerialised": {"rematerialise": True},
        "float32, contrastive loss": {"contrastive": 0.1},
    }
    photographs = Photographs.of_folder(options.data)
    for title, changes in variants.items():
        recipe = Recipe(batch_size=options.batch_size, **changes)
        model = IPT(**presets.find(options.preset).config, dtype=recipe.precision)
        model.body.rematerialise = recipe.rematerialise
        steps = make_steps(model, recipe)
        rate, waiting = loop_rate(photographs, model, steps, recipe, options.steps)
        ratio = f"{ratio_to_fit(model, steps[FIT_TASK], recipe):.2f}" if title == "float32" else ""
        print(f"| {title} | {rate:.1f} | {100 * waiting:.1f} % | {ratio} |", flush=True)


def make_steps(model: IPT, recipe: Recipe) -> dict[str, Step]:
    """Returns the training step of each of a model's tasks."""
    optimizers, average = TaskOptimizers(model), keras.models.clone_model(model)
    return {name: Step(model, average, name, optimizers, recipe) for name in model.task_names}


def loop_rate(
    photographs: Photographs, model: IPT, steps: dict[str, Step], recipe: Recipe, count: int
) -> tuple[float, float]:
    """Returns (patches per second, fraction of the time that the step waited for data) on photographs."""
    for task in model.tasks:
        steps[task.name](batch(model, task.scale, recipe), 1e-4, 0.999)  # traces
    stream = _Timed(
        iter(
            batches(
                photographs,
                model.tasks,
                patch_size=model.patch_size,
                batch_size=recipe.batch_size,
                seed=0,
                accumulate=recipe.accumulate,
            )
        )
    )
    for step in range(count // 3):  # fills the pipeline and its cache
        _one_step(model, steps, stream, step)
    stream.waited, start = 0.0, time.perf_counter()
    for step in range(count // 3, count // 3 + count):
        _one_step(model, steps, stream, step)
    elapsed = time.perf_counter() - start
    return count * recipe.batch_size / elapsed, stream.waited / elapsed


def _one_step(model: IPT, steps: dict[str, Step], stream: Iterator, step: int) -> None:
    task = model.tasks[task_of_step(model.tasks, step, 0)]
    float(steps[task.name](stream, 1e-4, 0.999)[0])


class _Timed:
    """An iterator that counts the seconds spent waiting for it."""

    def __init__(self, iterator: Iterator):
        self._iterator = iterator
        self.waited = 0.0

    def __iter__(self):
        return self

    def __next__(self):
        start = time.perf_counter()
        item = next(self._iterator)
        self.waited += time.perf_counter() - start
        return item


def batch(model: IPT, scale: int, recipe: Recipe) -> Iterator:
    """Returns the micro-batches of one step, of random pixels."""
    rng = np.random.default_rng(0)
    count, side = recipe.batch_size // recipe.accumulate, model.patch_size
    pair = [tf.constant(rng.uniform(0, 255, (count, n, n, 3)), tf.float32) for n in (side, side * scale)]
    return itertools.repeat(pair, recipe.accumulate)


def step_rate(model: IPT, steps: dict[str, Step], batch_size: int, repeats: int = 8) -> float:
    """Returns patches per second over all tasks, on batches that are in memory."""
    recipe = Recipe(batch_size=batch_size)
    for task in model.tasks:
        steps[task.name](batch(model, task.scale, recipe), 1e-4, 0.999)  # traces
    start = time.perf_counter()
    for task in [*model.tasks] * repeats:
        float(steps[task.name](batch(model, task.scale, recipe), 1e-4, 0.999)[0])
    return len(model.tasks) * repeats * batch_size / (time.perf_counter() - start)


def ratio_to_fit(model: IPT, step: Step, recipe: Recipe, rounds: int = 8, repeats: int = 4) -> float:
    """Returns the loop's speed over that of `Model.fit`: medians over rounds in which each has its turn."""
    ((inputs, targets),) = batch(model, 1, recipe)
    plain = model.for_task(FIT_TASK)
    plain.compile(keras.optimizers.Adam(1e-4, global_clipnorm=1.0), loss="mae", jit_compile=False)
    data = tf.data.Dataset.from_tensors((inputs, targets)).repeat(repeats)
    plain.fit(data, verbose=0)
    times: dict[str, list[float]] = {"fit": [], "loop": []}
    for _ in range(rounds):
        start = time.perf_counter()
        plain.fit(data, verbose=0)
        times["fit"].append(time.perf_counter() - start)
        start = time.perf_counter()
        for _ in range(repeats):
            float(step(iter([(inputs, targets)]), 1e-4, 0.999)[0])
        times["loop"].append(time.perf_counter() - start)
    return float(np.median(times["fit"]) / np.median(times["loop"]))


if __name__ == "__main__":
    main()
