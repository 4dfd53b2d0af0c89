"""Speed of training: patches per second, the work that is done of what the device could do, and the wait for data.

python -m benchmarks.train_step --data PHOTOGRAPHS [--backend jax] [--preset ipt_tiny] [--batch-size 16]

Steps are those of `ipt train`, over the six tasks of the paper in turns. Work is that of products and convolutions,
three times that of restoring a patch (XLA's own count on JAX, which has every operation); the best is a large product
of two matrices, measured in the same run. On TensorFlow `Model.fit` trains the same network in turns with our step, on
one task, with the same optimizer and clipping, on a batch that is in memory.
"""

import argparse
import os
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

VARIANTS = {
    "float32": {},
    "mixed_bfloat16": {"precision": "mixed_bfloat16"},
    "float32, Muon": {"optimizer": "muon"},
    "float32, 4 micro-batches": {"accumulate": 4},
    "float32, rematerialised": {"rematerialise": True},
    "float32, contrastive loss": {"contrastive": 0.1},
    "float32, XLA": {"xla": True},
}


def main() -> None:
    options = _options()
    os.environ["KERAS_BACKEND"] = options.backend
    import keras

    from benchmarks import flop
    from ipt_tf import IPT
    from ipt_tf.data import Photographs
    from ipt_tf.model import presets
    from ipt_tf.training.recipes import Recipe

    peaks = {name: flop.peak(name) for name in ("float32", "bfloat16")}
    for name, peak in peaks.items():
        print(f"product of two matrices, {name}: {peak / 1e12:.2f} TFLOP/s")
    print(
        "\n| variant | patches/s | TFLOP/s | of a product's | waiting for data | first steps |\n|"
        + "---|" * 6
    )
    photographs = Photographs.of_folder(options.data)
    for title in options.variants:
        if title.endswith("XLA") and options.backend != "tensorflow":
            continue  # which compiles everything on JAX, and nothing on PyTorch
        recipe = Recipe(batch_size=options.batch_size, **VARIANTS[title])
        model = IPT(**presets.find(options.preset).config)
        found = measure(model, photographs, recipe, options.steps)
        work = (
            found.rate * 3 * sum(flop.per_patch(model, task) for task in model.task_names) / len(model.tasks)
        )
        share = work / peaks["bfloat16" if "bfloat16" in recipe.precision else "float32"]
        print(
            f"| {title} | {found.rate:.1f} | {work / 1e12:.3f} | {100 * share:.0f} % | {100 * found.waiting:.1f} %"
            f" | {found.start:.1f} s |",
            flush=True,
        )
    if keras.backend.backend() == "tensorflow":
        print(f"\nour step's speed over that of Model.fit: {ratio_to_fit(options):.2f}")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--backend", choices=["tensorflow", "jax", "torch"], default="tensorflow")
    parser.add_argument("--preset", default="ipt_tiny")
    parser.add_argument("--batch-size", type=int, default=16)
    parser.add_argument("--steps", type=int, default=60, help="steps that are timed (default: 60)")
    parser.add_argument("--variants", nargs="+", choices=VARIANTS, default=list(VARIANTS), metavar="VARIANT")
    return parser.parse_args()


@dataclass(frozen=True)
class Measured:
    """Patches per second, the share of the time that was spent waiting for data, and seconds until all tasks ran."""

    rate: float
    waiting: float
    start: float


def measure(model: Any, photographs: Any, recipe: Any, count: int) -> Measured:
    """Trains `count` steps, after those that compile every task."""
    from ipt_tf.data import task_of_step
    from ipt_tf.training.loop import make_trainer

    def steps(first: int, last: int) -> float:
        start = time.perf_counter()
        for step in range(first, last):
            task = model.tasks[task_of_step(model.tasks, step, recipe.seed)].name
            loss, _ = trainer.train(task, 1e-4, 0.999)
        float(loss)
        return time.perf_counter() - start

    tasks_met, compiling = set(), 0
    while len(tasks_met) < len(model.tasks):
        tasks_met.add(task_of_step(model.tasks, compiling, recipe.seed))
        compiling += 1
    with tempfile.TemporaryDirectory() as folder:
        start = time.perf_counter()
        trainer = make_trainer(model, photographs, recipe, Path(folder))
        trainer.feed()
        trainer._stream = stream = Timed(trainer._stream)
        steps(0, compiling)
        started, stream.waited = time.perf_counter() - start, 0.0
        elapsed = steps(compiling, compiling + count)
    return Measured(count * recipe.batch_size / elapsed, stream.waited / elapsed, started)


class Timed:
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


def make_step(model: Any, recipe: Any, task: str) -> Any:
    """Returns TensorFlow's training step of a task."""
    import keras

    from ipt_tf.training.trainers.tensorflow.optimizers import TaskOptimizers
    from ipt_tf.training.trainers.tensorflow.step import Step

    return Step(model, keras.models.clone_model(model), task, TaskOptimizers(model), recipe)


def ratio_to_fit(
    options: argparse.Namespace, task: str = "denoise_50", rounds: int = 8, repeats: int = 4
) -> float:
    """Returns our step's speed over that of `Model.fit`: medians over rounds in which each has its turn."""
    import keras
    import numpy as np
    import tensorflow as tf

    from ipt_tf import IPT
    from ipt_tf.data.draws import words
    from ipt_tf.model import presets
    from ipt_tf.training.recipes import Recipe

    model = IPT(**presets.find(options.preset).config)
    step = make_step(model, Recipe(batch_size=options.batch_size), task)
    pair = np.random.default_rng(0).uniform(
        0, 255, (2, options.batch_size, model.patch_size, model.patch_size, 3)
    )
    inputs, targets = (tf.constant(each, tf.float32) for each in pair)
    plain = model.for_task(task)
    plain.compile(keras.optimizers.Adam(1e-4, global_clipnorm=1.0), loss="mae", jit_compile=False)
    data = tf.data.Dataset.from_tensors((inputs, targets)).repeat(repeats)
    batch = 0, tf.constant(words(range(options.batch_size))), inputs, targets
    times: dict[str, list[float]] = {"fit": [], "step": []}
    for _ in range(rounds + 1):
        start = time.perf_counter()
        plain.fit(data, verbose=0)
        times["fit"].append(time.perf_counter() - start)
        start = time.perf_counter()
        for _ in range(repeats):
            float(step(iter([batch]), 1e-4, 0.999)[0])
        times["step"].append(time.perf_counter() - start)
    return float(np.median(times["fit"][1:]) / np.median(times["step"][1:]))  # the first compile


if __name__ == "__main__":
    main()
