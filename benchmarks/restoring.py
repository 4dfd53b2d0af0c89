"""A process that restores as the `ipt` command does: one thread per operation, a call of the network per core.

    python -m benchmarks.restoring PRESET PRECISION

reads one request per line, a JSON object, and answers with one:

    {"do": "tiles", "batch": 4}                          -> seconds per tile
    {"do": "file", "source": ..., "target": ...}         -> seconds to read, to restore and to write, and memory
"""

import json
import resource
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from ipt_tf import console

TASK = "denoise_50"


def main() -> None:
    console.start_keras(threads_per_operation=1)
    from ipt_tf import IPT
    from ipt_tf.model import presets

    preset, precision = presets.find(sys.argv[1]), sys.argv[2]
    model = IPT(**preset.config, tasks=[TASK], start="random", dtype=precision)
    answers = {"tiles": tiles, "file": file}
    print(json.dumps("ready"), flush=True)
    for line in sys.stdin:
        request = json.loads(line)
        print(json.dumps(answers[request.pop("do")](model, **request)), flush=True)


def tiles(model, batch: int) -> float:
    """Returns seconds per tile where every core has calls of `batch` tiles, one after the other."""
    from benchmarks.turns import seconds

    side, network = model.patch_size, model.network(TASK)
    inputs = np.random.default_rng(0).uniform(0, 255, (batch, side, side, 3)).astype(np.float32)
    with ThreadPoolExecutor(model.threads) as pool:
        calls = pool.map(lambda _: seconds(lambda: network(inputs)), range(model.threads))
    return 1 / sum(batch / took for took in calls)


def file(model, source: str, target: str) -> dict[str, float]:
    """Restores a file at the default overlap, and returns how long each part took and the memory it needed."""
    from ipt_tf import images
    from ipt_tf.restoration import files

    network = model.network(TASK)
    network(np.zeros((1, model.patch_size, model.patch_size, 3), np.float32))
    before = _most_megabytes()
    moments = [time.perf_counter()]
    photograph = images.read(source)
    moments.append(time.perf_counter())
    restored = files.restore_photograph(photograph, network, 1, tile=model.patch_size, threads=model.threads)
    moments.append(time.perf_counter())
    images.write(restored, target, overwrite=True)
    moments.append(time.perf_counter())
    seconds = dict(zip(("read", "restore", "write"), np.diff(moments).tolist(), strict=True))
    return {**seconds, "megabytes": _most_megabytes(), "megabytes_before": before}


def _most_megabytes() -> float:
    """Returns the most memory that this process ever had, in MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6


if __name__ == "__main__":
    main()
