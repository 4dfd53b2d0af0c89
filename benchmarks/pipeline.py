"""Patches per second that the data pipeline makes, against those that a network's training step consumes.

python -m benchmarks.pipeline --data PHOTOGRAPHS [--preset ipt_tiny]
"""

import argparse
import itertools
import time
from pathlib import Path

import numpy as np
import tensorflow as tf

from ipt_tf import IPT
from ipt_tf.data import Photographs, degraded
from ipt_tf.model import presets
from ipt_tf.training import loop
from ipt_tf.training.recipes import Recipe


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--preset", default="ipt_tiny")
    parser.add_argument("--batches", type=int, default=300, help="batches to make (default: 300)")
    options = parser.parse_args()

    recipe = Recipe()
    model = IPT(**presets.find(options.preset).config, dtype=recipe.precision)
    photographs = Photographs.of_folder(options.data)
    for title in ("first pass (photographs are decoded)", "from memory"):
        made = pipeline_rate(photographs, model, recipe, options.batches)
        print(f"pipeline, {title}: {made:.0f} patches/s")
    consumed = step_rate(model, recipe)
    print(f"training step of {options.preset}, mean over its tasks: {consumed:.1f} patches/s")
    print(f"ratio: {made / consumed:.1f}")


def pipeline_rate(photographs: Photographs, model: IPT, recipe: Recipe, count: int) -> float:
    """Patches per second of `count` batches over all the model's tasks."""
    batches = degraded(
        photographs,
        model.tasks,
        patch_size=model.patch_size,
        batch_size=recipe.batch_size,
        seed=recipe.seed,
        steps=range(count + 1),
    )
    iterator = iter(batches)
    next(iterator)  # the first waits for the graph to be built
    start = time.perf_counter()
    for _ in iterator:
        pass
    return count * recipe.batch_size / (time.perf_counter() - start)


def step_rate(model: IPT, recipe: Recipe, repeats: int = 8) -> float:
    """Patches per second of training steps on batches that are there already."""
    optimizers = loop.TaskOptimizers(model)
    average = [tf.Variable(weight.value) for weight in model.trainable_variables]
    side = model.patch_size
    steps = []
    for task in model.tasks:
        shapes = [(recipe.batch_size, n, n, 3) for n in (side, side * task.scale)]
        batch = [tf.constant(np.random.default_rng(0).uniform(0, 255, shape), tf.float32) for shape in shapes]
        step = loop.make_step(model, task.name, optimizers, average, recipe)
        arguments = (*batch, tf.constant(1e-4), tf.constant(0.999))
        step(*arguments)  # traces
        steps.append((step, arguments))
    start = time.perf_counter()
    for step, arguments in itertools.chain(*[steps] * repeats):
        float(step(*arguments)[0])
    return len(steps) * repeats * recipe.batch_size / (time.perf_counter() - start)


if __name__ == "__main__":
    main()
