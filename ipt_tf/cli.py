"""The `ipt` command: argument parsing, and nothing that the library does not do.

Exit codes: 0 all went well, 1 something failed, 2 the command was not understood, 130 stopped by Ctrl-C.
"""

import argparse
import contextlib
import functools
import io
import os
import sys
import warnings
from collections.abc import Sequence
from pathlib import Path

from ipt_tf._version import __version__
from ipt_tf.addresses import bracketed
from ipt_tf.console import start_keras, start_tensorflow
from ipt_tf.export import VARIANTS


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
            code = options.run(options)
            sys.stdout.flush()
            return code
        except UsageError as error:
            _say(error)
            return 2
        except BrokenPipeError:  # who reads the output has seen enough; nothing more can be said to them
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return 1
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
    _add_finetune(commands)
    _add_recipes(commands)
    _add_convert(commands)
    _add_export(commands)
    _add_serve(commands)
    _add_demo(commands)
    return parser


def _count(text: str) -> int:
    """A number from 1, as argparse converts it."""
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{number} is not a number from 1")
    return number


def _port(text: str) -> int:
    """A number of a port, as argparse converts it."""
    number = int(text)
    if not 0 <= number <= 65535:
        raise argparse.ArgumentTypeError(f"{number} is not a number from 0 to 65535")
    return number


def _add_model(parser: argparse.ArgumentParser):
    """Adds the options of a model, and returns the group of what can be given instead of --model."""
    source = parser.add_mutually_exclusive_group()
    source.add_argument(
        "--model",
        default="ipt_tiny",
        help="a preset, a saved folder, a checkpoint file, or its URL#sha256=HASH (default: ipt_tiny)",
    )
    parser.add_argument(
        "--num-heads", type=_count, metavar="N", help="attention heads of a checkpoint file (default: 12)"
    )
    return source


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
    parser.add_argument(
        "--precision",
        choices=("float32", "mixed_bfloat16"),
        default="float32",
        help="of the network's body: mixed_bfloat16 is faster where the processor has it (default: float32)",
    )


def _tiling(options: argparse.Namespace) -> dict:
    return {
        "overlap": options.tile_overlap,
        "batch_size": options.batch_size,
        "self_ensemble": options.self_ensemble,
    }


def _load(
    options: argparse.Namespace,
    task: str | None,
    precision: str = "float32",
):
    start_keras(threads_per_operation=1)  # restoring calls the network from several threads
    from ipt_tf.model.ipt import IPT

    heads = {} if options.num_heads is None else {"num_heads": options.num_heads}
    with _tasks_by_name():
        return IPT.from_pretrained(options.model, task=task, dtype=precision, **heads)


def _load_each(options: argparse.Namespace, tasks: Sequence[str] | None, precision: str = "float32") -> dict:
    """Returns networks by the source of their weights, each of the tasks that these are best for."""
    model = _load(options, tasks[0] if tasks and len(tasks) == 1 else None, precision)
    from ipt_tf.model import checkpoints

    with _tasks_by_name():
        sources = checkpoints.by_source(options.model, tasks or model.task_names)
        return {source: model.for_tasks(names) for source, names in sources.items()}


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
    parser.add_argument(
        "--task",
        help="sr_x2, sr_x3, sr_x4, derain, denoise_30, denoise_50, or another that the model has; a .tflite file has"
        " its own",
    )
    parser.add_argument("--overwrite", action="store_true", help="replace outputs that exist already")
    parser.add_argument(
        "--ca",
        type=Path,
        metavar="FILE",
        help="certificates (PEM) to trust a TLS server by (default: the system's)",
    )
    parser.add_argument(
        "--client-certificate",
        type=Path,
        nargs=2,
        metavar=("CERTIFICATE", "KEY"),
        help="files (PEM) for a TLS server that asks for them",
    )
    _add_model(parser).add_argument(
        "--server",
        metavar="URL",
        help="restore there: grpc://HOST:8500 or http://HOST:8501 (grpcs, https: TLS)",
    )
    _add_tiling(parser)
    parser.set_defaults(run=_restore, usage_error=parser.error)


def _restore(options: argparse.Namespace) -> int:
    from ipt_tf import images

    source: Path = options.input
    if options.task is None and not _is_litert(options.model):
        options.usage_error("--task is needed, unless --model is a .tflite file")
    if not source.exists():
        raise images.ImageError(f"{source} does not exist")
    if options.precision != "float32" and (options.server or _is_litert(options.model)):
        options.usage_error("--precision is of a model: servers and .tflite files have their own")
    if options.server:
        return _restore_at_server(source, options)
    network, task, settings = _network(options)
    return _restore_with(source, task, options, network=network, **settings)


def _restore_at_server(source: Path, options: argparse.Namespace) -> int:
    from ipt_tf.serving.client import Client

    if options.server.startswith("grpc"):
        with contextlib.suppress(ModuleNotFoundError):  # the client says what it needs
            start_tensorflow()
    try:
        client = Client(
            options.server,
            options.task,
            ca=options.ca,
            certificate=options.client_certificate,
            ready_within=20,
        )
    except ModuleNotFoundError as error:
        raise OSError(str(error)) from None
    with client:
        settings = {"network": client.network, "scale": client.scale, "tile": client.tile, "threads": 4}
        return _restore_with(source, options.task, options, **settings)


def _restore_with(source: Path, task: str, options: argparse.Namespace, **settings) -> int:
    from ipt_tf.restoration import files

    settings |= {**_tiling(options), "overwrite": options.overwrite}
    target = options.output or files.output_beside(source, task)
    if not source.is_dir():
        if options.output and target.is_dir():
            target = files.output_of(target / source.name)
        files.restore_file(source, target, **settings)
        print(target)
        return 0
    summary = files.restore_folder(source, target, **settings)
    for path, message in summary.failed:
        _say(message if str(path) in message else f"{path}: {message}")
    print(f"{summary.restored} restored, {summary.skipped} skipped, {len(summary.failed)} failed: {target}")
    return 1 if summary.failed else 0


def _is_litert(model: str) -> bool:
    return Path(model).suffix.lower() == ".tflite"


def _network(options: argparse.Namespace):
    """Returns what `restoration` needs of --model: a callable, the task's name, and settings that go with it."""
    if not _is_litert(options.model):
        model = _load(options, options.task, options.precision)
        task = model.task(options.task)
        settings = {"scale": task.scale, "tile": model.patch_size, "threads": model.threads}
        return model.network(task.name), task.name, settings
    from ipt_tf.restoration.litert import Runner

    runner = Runner(options.model)
    if options.task not in (None, runner.task):
        raise UsageError(f"{options.model} restores {runner.task}, not {options.task}")
    return runner, runner.task, {"scale": runner.scale, "tile": runner.tile}


def _add_evaluate(commands) -> None:
    parser = commands.add_parser(
        "evaluate",
        help="measure PSNR and SSIM on benchmark folders, beside the published figures",
        description=(
            "Measure PSNR on Y and on RGB, and SSIM on Y, by the protocol of the paper's code, and print the paper's"
            " tables. Scores are kept in ./ipt-evaluate-*.partial.jsonl until all is done, so that the same command"
            " goes on after a stop."
        ),
    )
    parser.add_argument(
        "--data",
        type=Path,
        required=True,
        help="one set, measured on all it suits; or a folder of sets, measured as in the paper",
    )
    parser.add_argument(
        "--task",
        help="only this task (default: all the model has); denoise is measured at sigma 10, 30, 50 and 70, jpeg at"
        " quality 10, 20 and 40",
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the model's scores")
    parser.add_argument("--csv", type=Path, metavar="FILE", help="write everything in the tables")
    parser.add_argument(
        "--per-image", action="store_true", help="print (and write) every picture's scores too"
    )
    parser.add_argument(
        "--figures",
        type=Path,
        metavar="DIR",
        help="write pictures side by side, and report.html with sliders",
    )
    parser.add_argument(
        "--expect", choices=["paper"], help="compare with what the paper prints, for the authors' weights"
    )
    parser.add_argument(
        "--non-local-means", action="store_true", help="one more baseline for denoising (needs scikit-image)"
    )
    parser.add_argument(
        "--unclamped-noise",
        action="store_true",
        help="do not clip noisy inputs to 0..255, which the paper does",
    )
    parser.add_argument(
        "--official-tiling", action="store_true", help="the tiles of the authors' code: about 8 times slower"
    )
    _add_model(parser)
    _add_tiling(parser)
    parser.set_defaults(run=_evaluate)


def _evaluate(options: argparse.Namespace) -> int:
    from ipt_tf import outputs

    for path in (options.json, options.csv):
        if path:
            outputs.check(path)
    if options.figures:
        outputs.check_folder(options.figures)
    models = _load_each(options, [options.task] if options.task else None, options.precision)
    from ipt_tf.evaluation import benchmarks, formats, report, tables

    evaluation = benchmarks.evaluate(
        models,
        options.data,
        source=options.model,
        official_tiling=options.official_tiling,
        clamp_noise=not options.unclamped_noise,
        non_local_means=options.non_local_means,
        keep=True,
        log=lambda line: print(f"ipt: {line}", file=sys.stderr),
        **_tiling(options),
    )
    sections = tables.sections(evaluation, per_image=options.per_image)
    if options.expect:
        sections.append(tables.comparison(evaluation))
    print(formats.markdown(tables.protocol(evaluation), sections))
    if options.json:
        outputs.write(options.json, formats.as_json(evaluation))
    if options.csv:
        outputs.write(options.csv, formats.as_csv(evaluation, per_image=options.per_image))
    if options.figures:
        report.write_report(evaluation, options.figures)
        print(f"\n{options.figures / 'report.html'}")
    evaluation.forget()
    return 0


def _add_train(commands) -> None:
    parser = commands.add_parser(
        "train",
        help="train a network on a folder of photographs",
        description=(
            "Train a network on a folder of photographs, which are degraded on the fly. The same command on an"
            " existing --out goes on where it stopped; a larger --steps extends the run."
        ),
    )
    network = parser.add_mutually_exclusive_group()
    network.add_argument("--preset", default="ipt_tiny", help="network (default: ipt_tiny)")
    network.add_argument(
        "--from",
        dest="start",
        metavar="M",
        help="go on from the weights of a preset, folder or checkpoint file",
    )
    parser.add_argument(
        "--layers",
        type=int,
        metavar="N",
        help="encoder and decoder layers: 0 trains heads and tails alone, more than --from has make it grow"
        " (default: those of the preset, or of --from)",
    )
    parser.add_argument(
        "--tasks", nargs="+", metavar="T", help="tasks (default: all of --from, or the paper's six)"
    )
    parser.add_argument("--like", metavar="T", help="a task of --from that tasks new to it start from")
    parser.add_argument(
        "--data", required=True, help="folder of clean photographs, or tfds:NAME of TensorFlow Datasets"
    )
    _add_run(parser, recipe="ours")
    parser.set_defaults(run=_train)


def _add_run(parser: argparse.ArgumentParser, recipe: str) -> None:
    """Adds what training and fine-tuning have in common."""
    parser.add_argument(
        "--data-dir", type=Path, metavar="DIR", help="where TensorFlow Datasets keeps its datasets"
    )
    parser.add_argument("--steps", type=_count, required=True, help="length of the run")
    parser.add_argument("--out", type=Path, required=True, help="folder of the run")
    parser.add_argument(
        "--recipe", default=recipe, help=f"how to train (default: {recipe}); `ipt recipes` shows all"
    )
    parser.add_argument(
        "--set", nargs="+", default=[], metavar="NAME=VALUE", help="change values of the recipe"
    )
    parser.add_argument("--batch-size", type=_count, metavar="N", help="patches per step, over all devices")
    parser.add_argument(
        "--hold-out", type=int, default=16, metavar="N", help="photographs for validation only (default: 16)"
    )
    parser.add_argument(
        "--validate",
        nargs="+",
        metavar="DIR",
        help="other photographs to validate on (or two folders of pairs), instead of holding some out",
    )
    parser.add_argument("--validate-every", type=int, default=1000, metavar="STEPS", help="(default: 1000)")
    parser.add_argument(
        "--strategy",
        default="auto",
        help="one, cores (a replica on each), mirrored (all devices) or workers (TF_CONFIG)"
        " (default: what the machine and TF_CONFIG suggest)",
    )
    parser.add_argument(
        "--start-timeout", type=float, default=300, metavar="SECONDS", help="wait for workers (default: 300)"
    )


def _data(option: str, folders: list[str]) -> str | tuple[str, str]:
    if len(folders) > 2:
        raise UsageError(f"{option} takes one folder of photographs, or two of pairs: degraded and clean")
    return folders[0] if len(folders) == 1 else (folders[0], folders[1])


def _recipe(options: argparse.Namespace):
    from ipt_tf.training import recipes

    try:
        changes = recipes.parse(options.set)
        if options.batch_size is not None:
            changes["batch_size"] = options.batch_size
        return recipes.find(options.recipe, **changes)
    except ValueError as error:
        raise UsageError(error) from None


def _train(options: argparse.Namespace) -> int:
    recipe = _recipe(options)
    start_keras()
    from ipt_tf.training import pretrain

    choices = {
        "preset": options.preset,
        "start": options.start,
        "layers": options.layers,
        "tasks": options.tasks,
        "like": options.like,
    }
    with _tasks_by_name():
        pretrain.pretrain(options.data, recipe, options.out, **choices, **_run(options))
    print(options.out / "model")
    return 0


def _run(options: argparse.Namespace) -> dict:
    return {
        "steps": options.steps,
        "held_out": options.hold_out,
        "validate": _data("--validate", options.validate) if options.validate else None,
        "validate_every": options.validate_every,
        "data_dir": options.data_dir,
        "strategy": options.strategy,
        "start_timeout": options.start_timeout,
        "log": functools.partial(print, flush=True),
    }


def _add_finetune(commands) -> None:
    parser = commands.add_parser(
        "finetune",
        help="train one task further, or a new one, from trained weights",
        description=(
            "Train one task from weights that know several, on photographs that are degraded on the fly or on pairs"
            " of pictures. The same command on an existing --out goes on where it stopped."
        ),
    )
    parser.add_argument(
        "--data",
        nargs="+",
        required=True,
        metavar="DIR",
        help="folder of clean photographs, two folders of pairs (degraded and clean), or tfds:NAME",
    )
    parser.add_argument(
        "--task", required=True, metavar="T", help="a task's name, or FILE.py:NAME of a Task that you defined"
    )
    parser.add_argument(
        "--from", dest="start", required=True, metavar="M", help="a preset, folder or checkpoint file"
    )
    parser.add_argument("--like", metavar="T", help="a task of M that a task new to it starts from")
    _add_run(parser, recipe="finetune")
    parser.set_defaults(run=_finetune)


def _finetune(options: argparse.Namespace) -> int:
    recipe = _recipe(options)
    data = _data("--data", options.data)
    start_keras()
    from ipt_tf.training import finetune

    task = finetune.task_in_file(options.task) if ".py:" in options.task else options.task
    with _tasks_by_name():
        finetune.finetune(data, task, options.start, recipe, options.out, like=options.like, **_run(options))
    print(options.out / "model")
    return 0


def _add_recipes(commands) -> None:
    parser = commands.add_parser("recipes", help="show the recipes of train and finetune")
    parser.set_defaults(run=_recipes)


def _recipes(options: argparse.Namespace) -> int:
    from ipt_tf.training.recipes import RECIPES

    for name, recipe in RECIPES.items():
        print(name, *(f"  {key}={value}" for key, value in recipe.as_dict().items()), sep="\n")
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
    _load(options, options.task).save_pretrained(options.output)
    print(options.output)
    return 0


def _add_export(commands) -> None:
    parser = commands.add_parser(
        "export",
        help="write models for TF-Serving and for phones",
        description=(
            "Write models that need neither this package nor Keras: per task a SavedModel DIR/ipt_<task>/<version>"
            " for TF-Serving and `ipt serve`, or LiteRT files DIR/ipt_<task>_<variant>.tflite for phones, which"
            " `ipt restore --model` takes too."
        ),
    )
    parser.add_argument("--format", choices=["saved_model", "tflite"], required=True, help="what to write")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder to write into")
    parser.add_argument(
        "--tasks", nargs="+", default=["all"], metavar="T", help="tasks (default: all the model has)"
    )
    parser.add_argument(
        "--version", type=_count, metavar="N", help="of saved models (default: the next free number)"
    )
    parser.add_argument(
        "--variants", nargs="+", choices=VARIANTS, metavar="V", help=f"{', '.join(VARIANTS)} (default: all)"
    )
    parser.add_argument(
        "--calibrate",
        dest="photographs",
        type=Path,
        metavar="PHOTOGRAPHS",
        help="folder of clean photographs like those that int8 is to restore (default: the samples that ship)",
    )
    _add_model(parser)
    parser.set_defaults(run=_export)


def _export(options: argparse.Namespace) -> int:
    from ipt_tf import images, outputs

    if options.format == "saved_model" and (options.variants or options.photographs):
        raise UsageError("--variants and --calibrate are for --format tflite")
    if options.format == "tflite" and options.version:
        raise UsageError("--version is for --format saved_model")
    outputs.check_folder(options.out)
    if options.photographs:
        images.find(options.photographs)
    tasks = None if options.tasks == ["all"] else options.tasks
    models = _load_each(options, tasks)
    import keras

    if keras.backend.backend() != "tensorflow":
        raise OSError(
            f"export needs TensorFlow: Keras's backend here is {keras.backend.backend()} (KERAS_BACKEND)"
        )
    from ipt_tf.export import litert, saved_model

    export = (saved_model if options.format == "saved_model" else litert).export_tasks
    given = {name: getattr(options, name) for name in ("version", "variants", "photographs")}
    settings = {name: value for name, value in given.items() if value is not None}
    log = functools.partial(print, flush=True)
    for source, model in models.items():
        export(model, options.out, source=source, log=log, **settings)
    return 0


def _add_host(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--host", default="127.0.0.1", help="address to listen at (default: 127.0.0.1, this machine only)"
    )


def _add_serve(commands) -> None:
    parser = commands.add_parser(
        "serve",
        help="serve exported models to this machine, as TF-Serving does",
        description=(
            "Serve the models in a folder, as `ipt export` writes them, over TF-Serving's gRPC and REST, for laptops"
            " and tests. New versions are picked up. SIGTERM or Ctrl-C stops it when the requests at hand are answered."
        ),
    )
    parser.add_argument(
        "--models", type=Path, required=True, metavar="DIR", help="folder of NAME/VERSION/saved_model.pb"
    )
    _add_host(parser)
    parser.add_argument("--port", type=_port, default=8500, help="of gRPC (default: 8500)")
    parser.add_argument("--rest-port", type=_port, default=8501, help="of REST (default: 8501)")
    parser.add_argument(
        "--model-config-file",
        type=Path,
        metavar="FILE",
        help=(
            "TF-Serving's models.config: which models and versions are served, and their labels (default: all versions"
            " of all models). /models in it is DIR here"
        ),
    )
    parser.add_argument(
        "--batching-parameters-file",
        type=Path,
        metavar="FILE",
        help="TF-Serving's, for the tiles of requests",
    )
    parser.add_argument(
        "--max-requests", type=_count, default=64, metavar="N", help="that are computed or wait (default: 64)"
    )
    parser.add_argument(
        "--max-megabytes", type=_count, default=64, metavar="N", help="of a request (default: 64)"
    )
    parser.add_argument(
        "--max-megapixels",
        type=_count,
        default=16,
        metavar="N",
        help="of pictures in a request (default: 16)",
    )
    parser.add_argument(
        "--tls", type=Path, nargs=2, metavar=("CERTIFICATE", "KEY"), help="files (PEM) to serve with TLS"
    )
    parser.add_argument(
        "--client-ca",
        type=Path,
        metavar="FILE",
        help="with --tls: only clients whose certificates are signed by one of these (PEM) are answered",
    )
    parser.set_defaults(run=_serve)


def _serve(options: argparse.Namespace) -> int:
    if options.client_ca and not options.tls:
        raise UsageError("--client-ca is for --tls")
    start_tensorflow()
    from ipt_tf.serving import configs, server

    def started(port: int, rest_port: int, names: list[str]) -> None:
        tls, host = "s" if options.tls else "", bracketed(options.host)
        print(
            f"grpc{tls}://{host}:{port} and http{tls}://{host}:{rest_port} serve",
            *names,
            flush=True,
        )

    batching, models = options.batching_parameters_file, options.model_config_file
    settings = server.Settings(
        host=options.host,
        port=options.port,
        rest_port=options.rest_port,
        batching=configs.read_batching(batching) if batching else configs.Batching(),
        models=configs.read_models(models, options.models) if models else None,
        max_requests=options.max_requests,
        max_bytes=options.max_megabytes * 2**20,
        max_pixels=options.max_megapixels * 1_000_000,
        certificate=tuple(options.tls) if options.tls else None,
        client_ca=options.client_ca,
    )
    server.run(options.models, settings, started)
    return 0


def _add_demo(commands) -> None:
    parser = commands.add_parser(
        "demo",
        help="restore photographs on a page in the browser",
        description=(
            "Show a page in the browser that restores photographs, with a slider between before and after. It answers"
            " this machine only, unless --host says otherwise, asks no other host for anything and keeps nothing."
            " Ctrl-C stops it."
        ),
    )
    _add_model(parser)
    _add_host(parser)
    parser.add_argument("--port", type=_port, default=7860, help="(default: 7860; 0 takes a free one)")
    parser.add_argument(
        "--max-megapixels", type=_count, default=16, metavar="N", help="of a result (default: 16)"
    )
    parser.add_argument("--no-browser", action="store_true", help="only print the page's address")
    parser.set_defaults(run=_demo)


def _demo(options: argparse.Namespace) -> int:
    try:
        from ipt_tf.demo import server
    except ModuleNotFoundError as error:
        raise OSError(f"{error.name} is not installed: pip install 'ipt_tf[demo]'") from None
    with server.listen(options.host, options.port) as listener:
        if server.is_public(listener):
            _say(f"others on the network can use this page and this machine: it listens at {options.host}")
        models = {name: model for model in _load_each(options, None).values() for name in model.task_names}
        from ipt_tf.demo.application import application

        app = application(models, Path(options.model).name, options.max_megapixels * 1_000_000)
        url = f"http://{server.address(listener)}/"

        def started() -> None:
            print(f"{url} restores with {options.model}; Ctrl-C stops it", flush=True)
            if not options.no_browser:
                server.open_browser(url)

        server.run(listener, app, started)
    return 0


if __name__ == "__main__":
    sys.exit(main())
