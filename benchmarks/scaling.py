"""Scaling efficiency of workers on this machine: patches per second of N single-threaded workers over N times one's.

python -m benchmarks.scaling --data PHOTOGRAPHS [--preset ipt_tiny] [--workers 2] [--batch-size 8]

Every worker gets a core of its own and the same number of patches per step; the steps are the loop's, on photographs,
with gradients summed over the workers.
"""

import argparse
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

from benchmarks.ports import free_ports


def main() -> None:
    options = _options()
    if "TF_CONFIG" in os.environ:
        print(json.dumps(worker_rate(options)))
        return
    alone = rate_of(1, options)
    print(f"1 worker: {alone:.2f} patches/s", flush=True)
    together = rate_of(options.workers, options)
    print(f"{options.workers} workers: {together:.2f} patches/s")
    print(f"scaling efficiency: {together / (options.workers * alone):.2f}")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--preset", default="ipt_tiny")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--batch-size", type=int, default=8, help="patches per worker and step (default: 8)")
    parser.add_argument("--steps", type=int, default=30, help="steps that are timed (default: 30)")
    return parser.parse_args()


def rate_of(count: int, options: argparse.Namespace) -> float:
    """Returns patches per second of `count` workers together."""
    addresses = [f"localhost:{port}" for port in free_ports(count)]
    command = [sys.executable, "-m", "benchmarks.scaling", *sys.argv[1:]]
    processes = []
    for index in range(count):
        task = {"type": "worker", "index": index}
        environment = {
            "TF_CONFIG": json.dumps({"cluster": {"worker": addresses}, "task": task}),
            "TF_NUM_INTRAOP_THREADS": "1",
            "OMP_NUM_THREADS": "1",
        }
        processes.append(
            subprocess.Popen(command, env={**os.environ, **environment}, stdout=subprocess.PIPE, text=True)
        )
        os.sched_setaffinity(processes[-1].pid, {index % (os.cpu_count() or 1)})
    rates = [json.loads(process.communicate()[0]) for process in processes]
    return sum(rates)


def worker_rate(options: argparse.Namespace) -> float:
    """Returns this worker's patches per second, of the median step."""
    from ipt_tf.training.trainers.tensorflow import strategies

    strategy = strategies.make("workers", timeout=120)
    import keras

    from benchmarks.train_step import make_step
    from ipt_tf import IPT
    from ipt_tf.data import Photographs, pipeline
    from ipt_tf.data.feed import Feed
    from ipt_tf.model import presets
    from ipt_tf.training.recipes import Recipe

    recipe = Recipe(batch_size=options.batch_size * strategy.num_replicas_in_sync)
    config = {**presets.find(options.preset).config, "tasks": ["denoise_50"]}
    photographs = Photographs.of_folder(options.data)
    with strategy.scope():
        keras.utils.set_random_seed(0)
        model = IPT(**config)
        step = make_step(model, recipe, "denoise_50")

    def share(context):
        return pipeline.crops(
            Feed(photographs, model.tasks, model.patch_size, seed=0),
            batch_size=recipe.batch_size,
            replicas=strategy.num_replicas_in_sync,
            share=(context.input_pipeline_id, context.num_input_pipelines),
        )

    stream = iter(strategy.distribute_datasets_from_function(share))
    times = []
    for _ in range(options.steps + 5):  # the first steps trace, and fill the pipeline
        start = time.perf_counter()
        float(step(stream, 1e-4, 0.999)[0])
        times.append(time.perf_counter() - start)
    return options.batch_size / float(np.median(times[5:]))


if __name__ == "__main__":
    main()
