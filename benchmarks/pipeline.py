"""Crops per second that TensorFlow's data pipeline makes, on one core and on all, and examples, which are degraded.

python -m benchmarks.pipeline --data PHOTOGRAPHS

The photographs lie in memory. What the training step itself needs is in `benchmarks.train_step`.
"""

import argparse
import os
import subprocess
import sys
import time
from pathlib import Path


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--batches", type=int, default=1000, help="batches of 16 to make (default: 1000)")
    parser.add_argument("--cores", type=int, help="cores of this process; by default one, and then all")
    options = parser.parse_args()
    if options.cores is None:
        for cores in sorted({1, os.cpu_count() or 1}):
            subprocess.run(
                [sys.executable, "-m", "benchmarks.pipeline", *sys.argv[1:], "--cores", str(cores)],
                check=True,
            )
        return
    os.sched_setaffinity(0, set(range(options.cores)))
    crops, examples = rates(options.data, options.batches, options.cores)
    print(f"{options.cores} cores: {crops:.0f} crops/s; degraded, {examples:.0f} examples/s")


def rates(folder: Path, count: int, cores: int, batch_size: int = 16) -> tuple[float, float]:
    """Returns crops and examples per second, over the paper's six tasks for inputs of 48 pixels."""
    import tensorflow as tf

    from ipt_tf.data import Photographs, pipeline
    from ipt_tf.data.feed import Feed
    from ipt_tf.tasks import OFFICIAL_TASKS

    tf.config.threading.set_intra_op_parallelism_threads(cores)
    tf.config.threading.set_inter_op_parallelism_threads(cores)
    threads = tf.data.Options()
    threads.threading.private_threadpool_size = cores
    photographs, found = Photographs.of_folder(folder), []
    feed = Feed(photographs, OFFICIAL_TASKS, patch_size=48, seed=0)
    degraded = pipeline.batches(photographs, OFFICIAL_TASKS, patch_size=48, batch_size=batch_size, seed=0)
    for dataset, batches in (
        (pipeline.crops(feed, batch_size=batch_size), count),
        (degraded, max(1, count // 8)),
    ):
        stream = iter(dataset.with_options(threads))
        for _ in range(batches // 4):  # fills the pipeline
            next(stream)
        start = time.perf_counter()
        for _ in range(batches):
            next(stream)
        found.append(batches * batch_size / (time.perf_counter() - start))
    return found[0], found[1]


if __name__ == "__main__":
    main()
