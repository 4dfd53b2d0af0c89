"""LiteRT variants against TensorFlow: what each costs in PSNR, how large it is, how long a tile takes.

    python -m benchmarks.litert --data PHOTOGRAPHS [--model ipt_tiny] [--tasks sr_x2 ...]

PSNR is on RGB, rounded to 8 bits, over the central 96 x 96 input pixels of 16 of these photographs, which should be
none that the weights were trained on. Times are medians of rounds in which TensorFlow and all variants have their turn,
a tile a call, on all cores.
"""

import argparse
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from statistics import median

import numpy as np

from benchmarks.pictures import held_out
from benchmarks.turns import in_turns, seconds
from ipt_tf import IPT, export
from ipt_tf.data import Photographs
from ipt_tf.evaluation import metrics
from ipt_tf.export import litert
from ipt_tf.restoration.litert import Runner
from ipt_tf.restoration.restore import restore

SIDE = 96
ROUNDS = 5


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--model", default="ipt_tiny")
    parser.add_argument("--tasks", nargs="+", help="(default: all the model has)")
    options = parser.parse_args()

    tasks = options.tasks or IPT.from_pretrained(options.model).task_names
    photographs = held_out(options.data)
    print("| task | | PSNR-RGB | lost | largest loss | MB | ms a tile |\n|---|---|---|---|---|---|---|")
    for task in tasks:
        model = IPT.from_pretrained(options.model, task=task)
        with tempfile.TemporaryDirectory() as folder:
            files = litert.export_tasks(model, folder, [task])
            for line in rows(model, task, dict(zip(export.VARIANTS, files, strict=True)), photographs):
                print(line, flush=True)


def rows(model: IPT, task: str, files: dict[str, Path], photographs: Photographs) -> list[str]:
    """Returns the lines of one task: TensorFlow, and each variant."""
    networks: dict[str, Callable] = {"TensorFlow": model.network(task)}
    networks |= {variant: Runner(path) for variant, path in files.items()}
    inputs, clean = photographs.validation_pairs(model.task(task), SIDE, seed=0)
    scores = {name: _scores(network, model, task, inputs, clean) for name, network in networks.items()}
    tile = inputs[:1, : model.patch_size, : model.patch_size]
    calls = {name: partial(seconds, partial(network, tile)) for name, network in networks.items()}
    took = in_turns(calls, ROUNDS)
    lines = []
    for name, psnr in scores.items():
        lost = scores["TensorFlow"] - psnr
        size = f"{files[name].stat().st_size / 1e6:.2f}" if name in files else ""
        lines.append(
            f"| {task} | {name} | {psnr.mean():.2f} | {lost.mean():.3f} | {lost.max():.3f} | {size} | "
            f"{1000 * median(took[name].values):.1f} |"
        )
    return lines


def _scores(network: Callable, model: IPT, task: str, inputs: np.ndarray, clean: np.ndarray) -> np.ndarray:
    """PSNR-RGB of each photograph."""
    restored = restore(inputs, network, model.task(task).scale, tile=model.patch_size)
    pairs = zip(metrics.quantize(restored), clean, strict=True)
    return np.array([metrics.psnr(image, truth, channel="rgb") for image, truth in pairs])


if __name__ == "__main__":
    main()
