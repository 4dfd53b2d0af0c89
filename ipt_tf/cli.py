"""The `ipt` command: argument parsing, and nothing that the library does not do.

Exit codes: 0 all went well, 1 something failed, 2 the command was not understood, 130 stopped by Ctrl-C.
"""

import argparse
import contextlib
import dataclasses
import io
import json
import sys
import warnings
from pathlib import Path

from ipt_tf._version import __version__
from ipt_tf.console import start_keras


class UsageError(ValueError):
    """A command that asks for something that does not exist; exit code 2."""


def main(arguments: list[str] | None = None) -> int:
    """Runs one `ipt` command and returns its exit code."""
    parser = _parser()
    arguments = sys.argv[1:] if arguments is None else arguments
    if not arguments:
        parser.exit(2, parser.format_help())
    options = parser.parse_args(arguments)
    if isinstance(sys.stdout, io.TextIOWrapper) and sys.stdout.errors == "strict":
        sys.stdout.reconfigure(errors="backslashreplace")  # a file's name need not be text of this terminal
    with warnings.catch_warnings():
        warnings.showwarning = lambda message, *_: _say(message)
        try:
            return options.run(options)
        except UsageError as error:
            _say(error)
            return 2
        except (ValueError, OSError, MemoryError) as error:
            _say(_explained(error))
            return 1
        except KeyboardInterrupt:
            _say("stopped")
            return 130


def _say(message: object) -> None:
    print(f"ipt: {message}", file=sys.stderr)


def _explained(error: Exception) -> str:
    if isinstance(error, MemoryError):
        return "the memory of this machine does not suffice; a smaller picture or --batch-size may do"
    if isinstance(error, OSError) and error.filename is not None:
        return f"{error.filename}: {error.strerror}"
    return str(error)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="ipt", description="Restore photographs with the Image Processing Transformer."
    )
    parser.add_argument("--version", action="version", version=f"ipt_tf {__version__}")
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")
    _add_restore(commands)
    _add_evaluate(commands)
    _add_train(commands)
    _add_convert(commands)
    return parser


def _count(text: str) -> int:
    """A number from 1, as argparse converts it."""
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{number} is not a number from 1")
    return number


def _add_model(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--model",
        default="ipt_tiny",
        help="a preset, a saved folder or a checkpoint file (default: ipt_tiny)",
    )
    parser.add_argument(
        "--num-heads", type=_count, metavar="N", help="attention heads of a checkpoint file (default: 12)"
    )


def _add_tiling(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--tile-overlap", type=int, default=10, metavar="PIXELS", help="overlap of tiles (default: 10)"
    )
    parser.add_argument(
        "--batch-size", type=_count, default=16, metavar="N", help="tiles at a time (default: 16)"
    )
    parser.add_argument(
        "--self-ensemble", action="store_true", help="average over 8 flips and turns: 8 times slower"
    )


def _tiling(options: argparse.Namespace) -> dict:
    return {
        "overlap": options.tile_overlap,
        "batch_size": options.batch_size,
        "self_ensemble": options.self_ensemble,
    }


def _load(options: argparse.Namespace):
    start_keras()
    from ipt_tf.model.ipt import IPT

    heads = {} if options.num_heads is None else {"num_heads": options.num_heads}
    with _tasks_by_name():
        return IPT.from_pretrained(options.model, task=options.task, **heads)


@contextlib.contextmanager
def _tasks_by_name():
    """Within it, a task that does not exist is bad usage, other than a file that fails."""
    from ipt_tf.tasks import UnknownTaskError

    try:
        yield
    except UnknownTaskError as error:
        raise UsageError(error) from None


def _add_restore(commands) -> None:
    parser = commands.add_parser(
        "restore",
        help="restore a photograph, or a folder of them",
        description="Restore a photograph or a folder of them. Alpha, 16 bit, ICC profile and EXIF are kept.",
    )
    parser.add_argument("input", type=Path, metavar="INPUT", help="a picture or a folder of pictures")
    parser.add_argument(
        "-o", "--output", type=Path, metavar="OUT", help="file or folder to write (default: INPUT_<task>)"
    )
    parser.add_argument("--task", required=True, help="sr_x2, sr_x3, sr_x4, derain, denoise_30 or denoise_50")
    parser.add_argument("--overwrite", action="store_true", help="replace outputs that exist already")
    _add_model(parser)
    _add_tiling(parser)
    parser.set_defaults(run=_restore)


def _restore(options: argparse.Namespace) -> int:
    from ipt_tf import images

    source: Path = options.input
    if not source.exists():
        raise images.ImageError(f"{source} does not exist")
    model = _load(options)
    task = model.task(options.task)
    from ipt_tf.restoration import files

    settings = {**_tiling(options), "tile": model.patch_size, "overwrite": options.overwrite}
    network = model.network(task.name)
    target = options.output or files.output_beside(source, task.name)
    if not source.is_dir():
        if options.output and target.is_dir():
            target = files.output_of(target / source.name)
        files.restore_file(source, target, network, task.scale, **settings)
        print(target)
        return 0
    summary = files.restore_folder(source, target, network, task.scale, **settings)
    for path, message in summary.failed:
        _say(message if str(path) in message else f"{path}: {message}")
    print(f"{summary.restored} restored, {summary.skipped} skipped, {len(summary.failed)} failed: {target}")
    return 1 if summary.failed else 0


def _add_evaluate(commands) -> None:
    parser = commands.add_parser(
        "evaluate",
        help="measure PSNR and SSIM on benchmark folders",
        description="Measure PSNR on Y and on RGB, and SSIM on Y, by the protocol of the paper's code.",
    )
    parser.add_argument("--data", type=Path, required=True, help="one set, or a folder of sets")
    parser.add_argument("--task", help="only this task (default: all the model has)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the scores to a file")
    _add_model(parser)
    _add_tiling(parser)
    parser.set_defaults(run=_evaluate)


def _evaluate(options: argparse.Namespace) -> int:
    if not options.data.is_dir():
        raise ValueError(f"{options.data} is not a folder of benchmark pictures")
    model = _load(options)
    from ipt_tf.evaluation import benchmarks

    scores = benchmarks.evaluate_all(model, options.data, progress=_progress, **_tiling(options))
    print(benchmarks.table(scores, overlap=options.tile_overlap))
    if options.json:
        options.json.write_text(json.dumps([dataclasses.asdict(score) for score in scores], indent=1) + "\n")
    return 0


def _progress(title: str, total: int):
    from tqdm import tqdm

    return tqdm(total=total, desc=title, unit="picture", leave=False, delay=2, disable=None)


def _add_train(commands) -> None:
    parser = commands.add_parser(
        "train",
        help="train a network on a folder of photographs",
        description=(
            "Train a network on a folder of photographs, which are degraded on the fly. The same command on an"
            " existing --out goes on where it stopped; a larger --steps extends the run."
        ),
    )
    parser.add_argument("--data", type=Path, required=True, help="folder of clean photographs")
    parser.add_argument("--preset", default="ipt_tiny", help="network (default: ipt_tiny)")
    parser.add_argument("--steps", type=int, required=True, help="length of the run")
    parser.add_argument("--out", type=Path, required=True, help="folder of the run")
    parser.add_argument("--tasks", nargs="+", metavar="T", help="tasks (default: the paper's six)")
    parser.add_argument("--recipe", default="ours", help="how to train (default: ours)")
    parser.add_argument(
        "--batch-size", type=int, metavar="N", help="patches per step (default: the recipe's)"
    )
    parser.add_argument("--learning-rate", type=float, metavar="RATE", help="(default: the recipe's)")
    parser.add_argument("--seed", type=int, help="of everything random (default: the recipe's, 0)")
    parser.add_argument(
        "--hold-out", type=int, default=16, metavar="N", help="photographs for validation only (default: 16)"
    )
    parser.set_defaults(run=_train)


def _train(options: argparse.Namespace) -> int:
    start_keras()
    from ipt_tf.data import Photographs
    from ipt_tf.model import presets
    from ipt_tf.tasks import OFFICIAL_TASKS, find
    from ipt_tf.training import loop, recipes

    changes = {name: getattr(options, name) for name in ("batch_size", "learning_rate", "seed")}
    recipe = recipes.find(options.recipe, **{k: v for k, v in changes.items() if v is not None})
    config = dict(presets.find(options.preset).config)
    with _tasks_by_name():
        tasks = [find(name) for name in options.tasks] if options.tasks else OFFICIAL_TASKS
    config["tasks"] = [{"name": task.name, "scale": task.scale} for task in tasks]
    smallest = config.get("patch_size", 48) * max(task.scale for task in tasks)
    photographs = Photographs.of_folder(options.data, smallest_side=smallest)
    print(f"{len(photographs)} photographs, {len(photographs.skipped)} left out", flush=True)
    loop.train(
        config,
        photographs,
        recipe,
        options.out,
        steps=options.steps,
        held_out=options.hold_out,
        log=lambda line: print(line, flush=True),
    )
    print(options.out / "model")
    return 0


def _add_convert(commands) -> None:
    parser = commands.add_parser(
        "convert",
        help="turn an official checkpoint into a saved folder",
        description="Turn one of the authors' checkpoint files into a folder that --model takes.",
    )
    parser.add_argument("model", metavar="OFFICIAL", help="IPT_pretrain.pt, IPT_sr2.pt ... or a .safetensors")
    parser.add_argument("output", type=Path, metavar="OUT", help="folder to write")
    parser.add_argument("--task", help="what a scale-1 file restores, where its name does not say")
    parser.add_argument("--num-heads", type=_count, metavar="N", help="attention heads (default: 12)")
    parser.set_defaults(run=_convert)


def _convert(options: argparse.Namespace) -> int:
    _load(options).save_pretrained(options.output)
    print(options.output)
    return 0


if __name__ == "__main__":
    sys.exit(main())
