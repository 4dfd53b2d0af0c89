"""Speed of ipt_tf, against the machine's peak and the authors' PyTorch code; writes a table, a JSON and a plot.

    python -m benchmarks [--data PHOTOGRAPHS] [--official CHECKOUT --torch-python .venv-torch/bin/python]

    tile       seconds per tile: eager, tf.function, XLA, a call per core, SavedModel, LiteRT, official PyTorch
    endtoend   seconds per picture, against the official tiles of stride 12
    overlap    PSNR by the overlap of tiles, on photographs held out of training
    size       time per megapixel, and memory
    start      seconds to start

--official is a checkout of https://github.com/huawei-noah/Pretrained-IPT; it runs in a process of the interpreter
--torch-python, which needs `pip install torch einops`. Where it is not given, its rows are left out. Every figure is
the median of rounds in which all have their turn, with the peak of a large matrix product beside each.

A run of some sections or presets (--only, --presets) replaces their rows in the JSON and keeps the others. All of it
needs `pip install 'ipt_tf[train,litert]'`.
"""

import argparse
import json
import sys
from collections.abc import Iterator
from pathlib import Path

from benchmarks import machine
from benchmarks.rows import Row, merged, table
from ipt_tf import console, outputs

SECTIONS = ("tile", "endtoend", "overlap", "size", "start")
PRESETS = ("ipt_tiny", "ipt_small", "ipt_base")


def main(arguments: list[str] | None = None) -> int:
    options = _options(arguments)
    results, picture = options.out / "benchmarks.json", options.out / "benchmarks.png"
    rows = _read(results)
    try:
        outputs.make_folder(options.out)
        console.start_keras()
        for found in measure(options):
            print(table(found), flush=True)
            rows = merged(rows, found)
            content = {"machine": machine.describe(), "rows": [row.as_json() for row in rows]}
            outputs.write(results, json.dumps(content, indent=1) + "\n")
    except (ValueError, RuntimeError) as error:
        print(f"benchmarks: {error}", file=sys.stderr)
        return 1
    rows.sort(key=lambda row: SECTIONS.index(row.section))
    outputs.write(options.out / "benchmarks.md", table(rows))
    from benchmarks import plot

    plot.draw(rows, picture)
    print(f"{results}, {picture}")
    return 0


def measure(options: argparse.Namespace) -> Iterator[list[Row]]:
    """Yields the rows of one section and preset after the other."""
    from benchmarks import endtoend, overlap, size, startup, tile

    against = (options.torch_python, options.official)
    for preset in options.presets:
        if "tile" in options.only:
            yield tile.measure(preset, options.batches, options.rounds, *against)
        if "endtoend" in options.only:
            yield endtoend.measure(preset, options.rounds, *against)
    if "overlap" in options.only and options.data is not None:
        yield overlap.measure("ipt_tiny", options.data, options.tasks, options.photographs)
    elif "overlap" in options.only:
        yield [Row("overlap", {"network": "ipt_tiny"}, note="left out: no --data given")]
    if "size" in options.only:
        for megapixels in options.megapixels:
            yield size.measure("ipt_tiny", megapixels)
    if "start" in options.only:
        yield startup.measure(options.rounds)


def _options(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        "python -m benchmarks", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", nargs="+", choices=SECTIONS, default=SECTIONS, help="sections")
    parser.add_argument("--presets", nargs="+", choices=PRESETS, default=PRESETS)
    parser.add_argument(
        "--batches", nargs="+", type=int, default=[1, 4, 16], help="tiles per call (default: 1 4 16)"
    )
    parser.add_argument("--rounds", type=int, default=5, help="rounds of every figure (default: 5)")
    parser.add_argument("--megapixels", nargs="+", type=float, default=[0.1, 0.3, 1, 3, 12])
    parser.add_argument("--data", type=Path, help="photographs that ipt_tiny was not trained on, for overlap")
    parser.add_argument("--photographs", type=int, default=8, help="how many of the 16 held out (default: 8)")
    parser.add_argument("--tasks", nargs="+", default=["sr_x2", "denoise_50", "derain"], help="of overlap")
    parser.add_argument("--official", type=Path, help="checkout of the authors' code")
    parser.add_argument("--torch-python", type=Path, default=Path(".venv-torch/bin/python"))
    parser.add_argument("--out", type=Path, default=Path("runs/benchmarks"))
    options = parser.parse_args(arguments)
    if options.official and not (options.official / "model" / "ipt.py").is_file():
        parser.error(
            f"--official {options.official} is no checkout of the authors' code: it has no model/ipt.py"
        )
    if options.official and not options.torch_python.exists():
        parser.error(
            f"--torch-python {options.torch_python} does not exist; `make test-backends` makes .venv-torch"
        )
    return options


def _read(path: Path) -> list[Row]:
    return [Row.of_json(row) for row in json.loads(path.read_text())["rows"]] if path.exists() else []


if __name__ == "__main__":
    sys.exit(main())
