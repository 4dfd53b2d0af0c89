"""LiteRT variants against TensorFlow: what each costs in PSNR, how large it is, how long a tile takes.

    python -m benchmarks.litert --data PHOTOGRAPHS [--model ipt_tiny] [--tasks sr_x2 ...]

PSNR is on RGB, rounded to 8 bits, over the central 96 x 96 input pixels of photographs that `ipt train` holds out of
training. Times are medians of rounds in which TensorFlow and all variants take turns, one tile a call, on all cores.
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from ipt_tf import IPT, export
from ipt_tf.data import Photographs
from ipt_tf.evaluation import metrics
from ipt_tf.export import litert
from ipt_tf.restoration.litert import Runner
from ipt_tf.restoration.restore import restore

HELD_OUT = 16
SIDE = 96
ROUNDS = 30


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--model", default="ipt_tiny")
    parser.add_argument("--tasks", nargs="+", help="(default: all the model has)")
    options = parser.parse_args()

    model = IPT.from_pretrained(options.model)
    _, held_out = Photographs.of_folder(options.data).split(HELD_OUT, 0)
    print("| task | | PSNR-RGB | lost | largest loss | MB | ms a tile |\n|---|---|---|---|---|---|---|")
    for task in options.tasks or model.task_names:
        with tempfile.TemporaryDirectory() as folder:
            files = litert.export_tasks(model, folder, [task])
            for line in rows(model, task, dict(zip(export.VARIANTS, files, strict=True)), held_out):
                print(line, flush=True)


def rows(model: IPT, task: str, files: dict[str, Path], held_out: Photographs) -> list[str]:
    """Returns the lines of one task: TensorFlow, and each variant."""
    networks: dict[str, Callable] = {"TensorFlow": model.network(task)}
    networks |= {variant: Runner(path) for variant, path in files.items()}
    inputs, clean = held_out.validation_pairs(model.task(task), SIDE, seed=0)
    scores = {name: _scores(network, model, task, inputs, clean) for name, network in networks.items()}
    milliseconds = in_turns(networks, inputs[:1, : model.patch_size, : model.patch_size])
    lines = []
    for name, psnr in scores.items():
        lost = scores["TensorFlow"] - psnr
        size = f"{files[name].stat().st_size / 1e6:.2f}" if name in files else ""
        lines.append(
            f"| {task} | {name} | {psnr.mean():.2f} | {lost.mean():.3f} | {lost.max():.3f} | {size} | "
            f"{milliseconds[name]:.1f} |"
        )
    return lines


def _scores(network: Callable, model: IPT, task: str, inputs: np.ndarray, clean: np.ndarray) -> np.ndarray:
    """PSNR-RGB of each photograph."""
    restored = restore(inputs, network, model.task(task).scale, tile=model.patch_size)
    pairs = zip(metrics.quantize(restored), clean, strict=True)
    return np.array([metrics.psnr(image, truth, channel="rgb") for image, truth in pairs])


def in_turns(networks: dict[str, Callable], tile: np.ndarray) -> dict[str, float]:
    """Milliseconds of one call of each network, the median of rounds in which each has its turn."""
    seconds: dict[str, list[float]] = {name: [] for name in networks}
    for _ in range(ROUNDS + 3):
        for name, network in networks.items():
            start = time.perf_counter()
            network(tile)
            seconds[name].append(time.perf_counter() - start)
    return {name: 1000 * statistics.median(each[3:]) for name, each in seconds.items()}


if __name__ == "__main__":
    main()
