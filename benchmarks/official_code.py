"""A process that runs the authors' PyTorch code from a checkout of it, on the CPU.

    TORCH_PYTHON benchmarks/official_code.py CHECKOUT FEATURES HEADS LAYERS

It is started by `python -m benchmarks` with the interpreter that has PyTorch and einops, and needs nothing of
ipt_tf. Requests and answers are lines of JSON, as in `restoring.py`:

    {"do": "tiles", "batch": 4}                      -> seconds per tile
    {"do": "chop", "height": 256, "width": 256}      -> seconds for a picture, by its `forward_chop`
"""

import json
import os
import sys
import time
from types import SimpleNamespace

LEAST_SECONDS = 0.3


def main() -> None:
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # the authors' code prints
    checkout, features, heads, layers = sys.argv[1:]
    sys.path.insert(0, checkout)
    sys.argv = (
        f"main.py --cpu --scale 1 --n_feats {features} --num_heads {heads} --num_layers {layers}".split()
    )

    import torch

    # It moves tiles to a GPU and gathers them again whatever --cpu says; without one, both do nothing.
    torch.Tensor.cuda = lambda self, *_, **__: self
    torch.nn.parallel.data_parallel = lambda module, inputs, *_, **__: module(inputs)
    import model as authors
    from option import args

    print(json.dumps("ready"), file=answers, flush=True)
    with open(os.devnull, "w") as log, torch.no_grad():
        network = authors.Model(args, SimpleNamespace(get_path=str, log_file=log)).eval()
        functions = {"tiles": tiles, "chop": chop}
        for line in sys.stdin:
            request = json.loads(line)
            print(json.dumps(functions[request.pop("do")](network, **request)), file=answers, flush=True)


def tiles(network, batch: int) -> float:
    """Returns seconds per tile of the network alone, in calls of `batch` tiles."""
    import torch

    inputs = 255 * torch.rand((batch, 3, 48, 48))
    start, calls = time.perf_counter(), 0
    while time.perf_counter() - start < LEAST_SECONDS:
        network.model(inputs)
        calls += 1
    return (time.perf_counter() - start) / (calls * batch)


def chop(network, height: int, width: int) -> float:
    """Returns seconds to restore a picture, without reading and writing it."""
    import torch

    picture = 255 * torch.rand((1, 3, height, width))
    start = time.perf_counter()
    network(picture, 0)
    return time.perf_counter() - start


if __name__ == "__main__":
    main()
