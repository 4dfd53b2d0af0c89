"""Patches per second that the data pipeline makes, against those that a network's training step consumes.

python -m benchmarks.pipeline --data PHOTOGRAPHS [--preset ipt_tiny]
"""

import argparse
import time
from pathlib import Path

from benchmarks.train_step import make_steps, step_rate
from ipt_tf import IPT
from ipt_tf.data import Photographs, batches
from ipt_tf.model import presets
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
    model = IPT(**presets.find(options.preset).config)
    photographs = Photographs.of_folder(options.data)
    for title in ("first pass (photographs are decoded)", "from memory"):
        made = pipeline_rate(photographs, model, recipe, options.batches)
        print(f"pipeline, {title}: {made:.0f} patches/s")
    consumed = step_rate(model, make_steps(model, recipe), recipe.batch_size)
    print(f"training step of {options.preset}, mean over its tasks: {consumed:.1f} patches/s")
    print(f"ratio: {made / consumed:.1f}")


def pipeline_rate(photographs: Photographs, model: IPT, recipe: Recipe, count: int) -> float:
    """Patches per second of `count` batches over all the model's tasks."""
    stream = iter(
        batches(
            photographs,
            model.tasks,
            patch_size=model.patch_size,
            batch_size=recipe.batch_size,
            seed=recipe.seed,
        )
    )
    next(stream)  # the first waits for the graph to be built
    start = time.perf_counter()
    for _ in range(count):
        next(stream)
    return count * recipe.batch_size / (time.perf_counter() - start)


if __name__ == "__main__":
    main()
