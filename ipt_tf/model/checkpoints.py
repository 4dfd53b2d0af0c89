"""Weights on disk: the authors' files, and folders of our own, by one table of names and layouts.

Our own folders use the official names and layouts too, so that PyTorch programs for IPT can read them:
`config.json` (arguments of `IPT`, and the sha256 of the weights) and `model.safetensors`.
"""

import contextlib
import hashlib
import json
import math
import os
import re
import shutil
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import keras
import numpy as np
import safetensors
import safetensors.numpy

from ipt_tf._version import __version__
from ipt_tf.model import downloads, presets, torch_files
from ipt_tf.model.ipt import IPT, MEAN_RGB
from ipt_tf.model.joined import JoinedIPT
from ipt_tf.model.layers import Attention, FeedForward
from ipt_tf.model.torch_files import CheckpointError
from ipt_tf.tasks import OFFICIAL_TASKS, Task, UnknownTaskError, find

Tensors = dict[str, np.ndarray]

CONFIG, WEIGHTS = "config.json", "model.safetensors"
QUERIES = "body.query_embed.weight"

_TASKS_BY_FILE_NAME = {"denoise30": "denoise_30", "denoise50": "denoise_50", "derain": "derain"}


# --- the table: official name -> variable and layout --------------------------------------------------------


class Slot(NamedTuple):
    """Where a tensor of a checkpoint belongs, and how its axes go from one layout to the other."""

    variable: Any
    to_official: Callable[[np.ndarray], np.ndarray]
    to_keras: Callable[[np.ndarray], np.ndarray]


def _vector(variable) -> Slot:
    return Slot(variable, np.asarray, np.asarray)


def _matrix(variable) -> Slot:
    return Slot(variable, np.transpose, np.transpose)


def _kernel(variable) -> Slot:
    return Slot(variable, lambda hwio: hwio.transpose(3, 2, 0, 1), lambda oihw: oihw.transpose(2, 3, 1, 0))


def _row(variable) -> Slot:
    return Slot(variable, np.ravel, lambda row: row.reshape(variable.shape))


def slots(model: IPT) -> dict[str, Slot]:
    """Returns the table of a model: the official name of every tensor, and where it belongs.

    The rows of the official `query_embed` are one entry per task here: `body.query_embed.weight[0]` and so on.
    """
    table: dict[str, Slot] = {}
    for i, (head, tail) in enumerate(zip(model.heads, model.tails, strict=True)):
        table |= _conv(f"head.{i}.0", head.stages[0])
        for j, stage in enumerate(head.stages[1:], start=1):
            if model.formulation == "paper":
                table |= _conv(f"head.{i}.{j}", stage)
            else:
                table |= _conv(f"head.{i}.{j}.body.0", stage.conv1)
                table |= _conv(f"head.{i}.{j}.body.2", stage.conv2)
        for j, upsampler in enumerate(tail.upsamplers):
            table |= _conv(f"tail.{i}.0.{2 * j}", upsampler)
        table |= _conv(f"tail.{i}.1", tail.to_rgb)
    for i, embedding in enumerate(model.embeddings):
        table[f"{QUERIES}[{i}]"] = _row(embedding.embedding)
    return table | _body(model.body)


def _conv(name: str, layer: keras.layers.Conv2D) -> dict[str, Slot]:
    return {f"{name}.weight": _kernel(layer.kernel), f"{name}.bias": _vector(layer.bias)}


def _linear(name: str, layer: keras.layers.Dense) -> dict[str, Slot]:
    return {f"{name}.weight": _matrix(layer.kernel), f"{name}.bias": _vector(layer.bias)}


def _norm(name: str, layer: keras.layers.Layer | None) -> dict[str, Slot]:
    if not isinstance(layer, keras.layers.LayerNormalization):
        return {}
    return {f"{name}.weight": _vector(layer.gamma), f"{name}.bias": _vector(layer.beta)}


def _attention(name: str, layer: Attention) -> dict[str, Slot]:
    table = {
        f"{name}.in_proj_weight": _matrix(layer.input_kernel),
        f"{name}.out_proj.weight": _matrix(layer.output_kernel),
    }
    if layer.output_bias:
        table[f"{name}.out_proj.bias"] = _vector(layer.output_bias_weight)
    return table


def _feed_forward(first: str, second: str, layer: FeedForward) -> dict[str, Slot]:
    return _linear(first, layer.inner) | _linear(second, layer.outer)


def _body(body) -> dict[str, Slot]:
    table: dict[str, Slot] = {}
    if body.mlp_head is not None:
        table |= _linear("body.linear_encoding", body.linear_encoding)
        table |= _feed_forward("body.mlp_head.0", "body.mlp_head.3", body.mlp_head)
    if body.use_pos:
        table["body.position_encoding.pe.weight"] = _vector(body.position)
    for part, layers in (("encoder", body.encoder), ("decoder", body.decoder)):
        for i, layer in enumerate(layers):
            name = f"body.{part}.layers.{i}"
            table |= _attention(f"{name}.self_attn", layer.self_attention)
            table |= _norm(f"{name}.norm1", layer.norm1) | _norm(f"{name}.norm2", layer.norm2)
            table |= _feed_forward(f"{name}.linear1", f"{name}.linear2", layer.feed_forward)
            if part == "decoder":
                table |= _attention(f"{name}.multihead_attn", layer.cross_attention)
                table |= _norm(f"{name}.norm3", layer.norm3)
                table |= _norm(f"{name}.memory_norm", layer.memory_norm)
    return table


def _constants(model: IPT) -> Tensors:
    """What the official files hold although nobody trains it: the mean shift, and the numbers of positions."""
    mean = np.float32(model.rgb_range) * np.array(MEAN_RGB, "float32")
    identity = np.eye(3, dtype="float32").reshape(3, 3, 1, 1)
    constants = {
        "sub_mean.weight": identity,
        "sub_mean.bias": -mean,
        "add_mean.weight": identity,
        "add_mean.bias": mean,
    }
    if model.use_pos:
        count = (model.patch_size // model.patch_dim) ** 2
        constants["body.position_encoding.position_ids"] = np.arange(count)[None]
    return constants


def arguments(model: IPT) -> dict[str, Any]:
    """Returns the arguments of `IPT` that make this network, JSON-ready, without those that say how it computes."""
    config = model.get_config()
    return {key: value for key, value in config.items() if key not in ("name", "trainable", "dtype")}


def copy(model: IPT, precision: str = "float32") -> IPT:
    """Returns a model of the same weights, which computes in the given precision, a policy of Keras."""
    if isinstance(model, JoinedIPT):
        return JoinedIPT([copy(part, precision) for part in model.parts], model.task_names)
    other = type(model)(**{**arguments(model), "tasks": model.tasks}, dtype=precision)
    for weight, value in zip(other.weights, model.weights, strict=True):
        copy_value(value, weight)
    return other


def copy_value(source: keras.Variable, target: keras.Variable) -> None:
    """Gives a variable the value of another in memory of its own.

    On JAX, `target.assign(source)` would share one array, which a call of either network may donate: Keras's
    `predict` and `fit` do, and the other is left without it.
    """
    target.assign(keras.ops.convert_to_numpy(source))


def give(model: IPT, other: IPT) -> None:
    """Gives another network of the same width the weights of a model that both have, and leaves the rest of its own."""
    table = slots(model)
    for name, slot in slots(other).items():
        if name in table:
            copy_value(table[name].variable, slot.variable)


# --- tensors <-> model --------------------------------------------------------------------------------------


def tensors_of(model: IPT) -> Tensors:
    """Returns the weights of a model, by official name and in official layout, float32."""
    arrays = {
        name: np.ascontiguousarray(slot.to_official(keras.ops.convert_to_numpy(slot.variable)))
        for name, slot in slots(model).items()
    }
    rows = [arrays.pop(f"{QUERIES}[{i}]") for i in range(len(model.embeddings))]
    return arrays | ({QUERIES: np.stack(rows)} if rows else {}) | _constants(model)


def assign(model: IPT, tensors: Tensors) -> None:
    """Gives a model the weights of a checkpoint, all of them or none.

    Raises:
        CheckpointError: names or shapes differ, or numbers are not finite; the message lists what.
    """
    table, constants = slots(model), _constants(model)
    found = {name: array for name, array in tensors.items() if name != QUERIES}
    found |= {f"{QUERIES}[{i}]": row for i, row in enumerate(np.atleast_1d(tensors.get(QUERIES, ())))}
    expected = {
        name: slot.to_official(np.empty(slot.variable.shape, "?")).shape for name, slot in table.items()
    }
    expected |= {name: constant.shape for name, constant in constants.items()}
    problems = [f"{name} is missing" for name in expected if name not in found]
    problems += [f"{name} is unknown" for name in found if name not in expected]
    for name in expected.keys() & found.keys():
        if found[name].shape != expected[name]:
            problems.append(f"{name} is {found[name].shape}, expected {expected[name]}")
        elif not np.isfinite(found[name].astype("float32")).all():
            problems.append(f"{name} holds values that are not finite")
        elif name in constants and not np.allclose(found[name], constants[name], rtol=1e-3, atol=1e-6):
            problems.append(f"{name} is not the constant that it is in an IPT")
    if problems:
        raise CheckpointError(_listed("the weights do not fit this network", sorted(problems)))
    for name, slot in table.items():
        slot.variable.assign(slot.to_keras(found[name].astype("float32")))


def _listed(message: str, problems: list[str], most: int = 20) -> str:
    more = [f"and {len(problems) - most} more"] if len(problems) > most else []
    return "\n  ".join([f"{message}:", *problems[:most], *more])


# --- the shape of a network from its tensors ----------------------------------------------------------------


def configuration(tensors: Tensors) -> tuple[dict[str, Any], list[int]]:
    """Returns (arguments of `IPT`, the tasks' scales) of an official checkpoint, from its shapes.

    The number of attention heads and `pos_every` leave no trace in shapes.

    Raises:
        CheckpointError: names that every IPT has are missing, or their shapes belong to no IPT.
    """
    try:
        return _configuration(tensors)
    except KeyError as error:
        raise CheckpointError(f"this is no checkpoint of an IPT: {error} is missing") from None
    except (IndexError, ZeroDivisionError, OverflowError):
        raise CheckpointError("this is no checkpoint of an IPT: its shapes make no network") from None


def _configuration(tensors: Tensors) -> tuple[dict[str, Any], list[int]]:
    first = "body.encoder.layers.0"
    num_features = tensors["head.0.0.weight"].shape[0]
    projection = tensors[f"{first}.self_attn.in_proj_weight"]
    dim = projection.shape[1]
    patch_dim = math.isqrt(dim // num_features)
    if projection.shape[0] != 3 * dim or dim != num_features * patch_dim**2:
        raise CheckpointError(
            f"this is no checkpoint of an IPT: tokens of {dim} values, projected by {projection.shape},"
            f" are no patches of {num_features} features"
        )
    positions = "body.position_encoding.pe.weight"
    count = tensors[positions].shape[0] if positions in tensors else tensors[QUERIES].shape[1] // dim
    config = {
        "num_features": num_features,
        "patch_size": math.isqrt(count) * patch_dim,
        "patch_dim": patch_dim,
        "num_layers": _count(tensors, r"body\.encoder\.layers\.(\d+)\."),
        "rgb_range": float(np.rint(tensors["add_mean.bias"][0] / MEAN_RGB[0])),
        "use_norm": f"{first}.norm1.weight" in tensors,
        "use_mlp": "body.linear_encoding.weight" in tensors,
        "use_pos": positions in tensors,
        "output_bias": f"{first}.self_attn.out_proj.bias" in tensors,
    }
    scales = [_scale(tensors, i, num_features) for i in range(_count(tensors, r"tail\.(\d+)\."))]
    _check_size(tensors, dim, count, config["num_layers"], len(scales))
    return config, scales


def _check_size(tensors: Tensors, dim: int, count: int, num_layers: int, num_tasks: int) -> None:
    """Refuses shapes that promise a network far larger than the file, before any of it is allocated."""
    promised = num_layers * 28 * dim**2 + num_tasks * count * dim
    held = sum(tensor.size for tensor in tensors.values())
    if promised > 4 * held:  # less than that is a file with gaps, and a list of them says more
        raise CheckpointError(
            f"this is no checkpoint of an IPT: it holds {held} numbers, where its shapes promise {promised}"
        )


def _count(tensors: Tensors, pattern: str) -> int:
    return len({match[1] for name in tensors if (match := re.match(pattern, name))})


def _scale(tensors: Tensors, index: int, num_features: int) -> int:
    pattern = rf"tail\.{index}\.0\.\d+\.weight"
    stages = [tensor for name, tensor in tensors.items() if re.fullmatch(pattern, name)]
    return math.prod(math.isqrt(stage.shape[0] // num_features) for stage in stages)


def name_tasks(scales: Sequence[int], names: Sequence[str] | None, path: Path) -> list[Task]:
    """Returns the tasks of an official file from the scales of its tails, and from names where those do not tell.

    Raises:
        ValueError: a scale-1 tail that nothing names, or names that contradict the scales.
    """
    if names is None and tuple(scales) == tuple(task.scale for task in OFFICIAL_TASKS):
        return list(OFFICIAL_TASKS)
    if names is None:
        well_known = next((t for part, t in _TASKS_BY_FILE_NAME.items() if part in _bare(path)), None)
        names = [f"sr_x{s}" if s > 1 else (well_known if len(scales) == 1 else None) or "" for s in scales]
        if "" in names:
            raise ValueError(
                f"{path} restores {len(scales)} task(s) of scales {', '.join(map(str, scales))}, and scale 1 may be"
                " derain, denoise_30, denoise_50 or another: say which, with task= or --task for one,"
                " or tasks=[...] for several"
            )
    tasks = [
        find(name) if _is_known(name) else Task(name, scale)
        for name, scale in zip(names, scales, strict=False)
    ]
    if len(names) != len(scales) or any(
        task.scale != scale for task, scale in zip(tasks, scales, strict=True)
    ):
        raise ValueError(
            f"{path} has tails of scale {', '.join(map(str, scales))}, which is not {', '.join(names)}"
        )
    return tasks


def _bare(path: Path) -> str:
    return path.name.lower().replace("_", "").replace("-", "")


def _is_known(name: str) -> bool:
    try:
        find(name)
    except ValueError:
        return False
    return True


# --- loading and saving -------------------------------------------------------------------------------------


def load(
    source: str | Path,
    *,
    task: str | None = None,
    tasks: Sequence[str] | None = None,
    num_heads: int | None = None,
    pos_every: bool = False,
) -> IPT:
    """Loads a model: a preset, a folder that `save` wrote or the weights in it, or one of the authors' files.

    Args:
        source: a preset's name, a path, or the URL of a file with its hash (`ipt_tf.model.downloads.fetch`). Where a
            folder has better weights for some tasks in folders named after them (joined by +, if they are several),
            these are taken: the model is a `JoinedIPT`.
        task: keep only this task; for a single-task file, what it restores.
        tasks: what the tails of an official file restore, in their order, where it cannot be known.
        num_heads: attention heads of an official file (default: the paper's 12).
        pos_every: whether an official file was trained with that option.

    Raises:
        ValueError: an unknown source or task, or options for a source that brings its own configuration.
        CheckpointError: the file is damaged, or its contents do not fit.
    """
    path = _located(with_task(source, task))
    beside = _beside(path) if task is None else {}
    has_options = tasks is not None or num_heads is not None or pos_every
    if path.is_dir() and has_options:
        raise ValueError(
            f"tasks, num_heads and pos_every are for official files; {source} has its own in {CONFIG}"
        )
    if beside:
        return _join(path, beside)
    if path.is_dir():
        model = _load_folder(path)
    elif not has_options and (config := _config_in(path)):
        model = _build(path, config, _read_file(path))
    else:
        return _load_official(path, task, tasks, num_heads, pos_every)
    return model if task is None else _only(model, task, path)


def _join(folder: Path, beside: dict[str, list[str]]) -> JoinedIPT:
    """Returns the tasks of a folder and of those inside it, each with the weights that are for it alone."""
    with _reading(folder):
        shared = [task["name"] for task in json.loads((folder / CONFIG).read_text())["config"]["tasks"]]
    better = [name for names in beside.values() for name in names]
    rest = [name for name in shared if name not in better]
    parts = [_load_folder(folder).for_tasks(rest)] if rest else []
    parts += [_load_folder(folder / name) for name in beside]
    return JoinedIPT(parts, [*dict.fromkeys([*shared, *better])])


def _only(model: IPT, task: str, folder: Path) -> IPT:
    try:
        return model.for_task(task)
    except UnknownTaskError as error:
        beside = [name for names in _beside(folder).values() for name in names]
        others = ", ".join(name for name in beside if name not in model.task_names)
        raise UnknownTaskError(f"{error}; beside it are weights for {others}" if others else error) from None


def with_task(source: str | Path, task: str | None) -> str | Path:
    """Returns the source that `load` takes weights from: `"ipt_tiny/sr_x2+sr_x3"` where there are these for `"sr_x2"`.

    Args:
        source: a preset's name, or a path.
        task: the only one that is wanted, if any.

    Raises:
        ValueError: an unknown source.
    """
    for folder, tasks in _beside(_located(source)).items():
        if task in tasks:
            return f"{source}/{folder}"
    return source


def by_source(source: str | Path, tasks: Sequence[str]) -> dict[str | Path, list[str]]:
    """Returns the tasks that each source has the weights for, as `with_task` chooses it.

    Raises:
        ValueError: an unknown source.
    """
    grouped: dict[str | Path, list[str]] = {}
    for task in tasks:
        grouped.setdefault(with_task(source, task), []).append(task)
    return grouped


def _beside(folder: Path) -> dict[str, list[str]]:
    """Returns the tasks of the folders of weights inside one, by their names: each is its tasks, joined by +."""
    if not (folder / CONFIG).is_file():  # the folder of a run, say
        return {}
    names = sorted(path.parent.name for path in folder.glob(f"*/{CONFIG}"))
    return {name: name.split("+") for name in names}


def weights_file(source: str | Path) -> Path:
    """Returns the file that holds the weights of a preset, of a saved folder, or that is an official checkpoint.

    Raises:
        ValueError: an unknown source.
    """
    path = _located(source)
    return path / WEIGHTS if path.is_dir() else path


def digest(model: IPT, source: str | Path | None = None) -> str:
    """Returns the sha256 of a model's weights, in hexadecimal: of the file at `source`, else of those in memory.

    Args:
        model: whose weights.
        source: the preset, folder or file that they were loaded from.
    """
    if source is not None:
        return hashlib.sha256(weights_file(source).read_bytes()).hexdigest()
    total = hashlib.sha256()
    for name, tensor in sorted(tensors_of(model).items()):
        total.update(name.encode() + tensor.tobytes())
    return total.hexdigest()


def _located(source: str | Path) -> Path:
    """Returns the file or folder that a source names: the folder of a preset, what a URL was fetched to, or a path."""
    if downloads.is_url(source):
        return downloads.fetch(str(source))
    path = Path(source)
    if path.exists():
        return path
    if str(path.parent) in presets.NAMES and (presets.WEIGHTS / path).exists():
        # ipt_tiny/denoise_50, or ipt_tiny/model.safetensors, the shared weights
        return presets.WEIGHTS / path
    if path.suffix or len(path.parts) > 1:
        raise ValueError(f"{source} does not exist")
    try:
        return presets.find(str(source)).folder
    except ValueError as error:
        raise ValueError(f"{error}; a path to a folder or a checkpoint file would do too") from None


@contextlib.contextmanager
def _reading(folder: Path) -> Iterator[None]:
    """Within it, what a folder lacks says that it is no saved model."""
    try:
        yield
    except (OSError, KeyError, TypeError, ValueError) as error:
        raise CheckpointError(
            f"{folder} is not a saved model: it needs {CONFIG} and {WEIGHTS} ({error})"
        ) from None


def _load_folder(folder: Path) -> IPT:
    with _reading(folder):
        description = json.loads((folder / CONFIG).read_text())
        config, digest = description["config"], description["sha256"]
        data = (folder / WEIGHTS).read_bytes()
    if hashlib.sha256(data).hexdigest() != digest:
        raise CheckpointError(
            f"{folder / WEIGHTS} was changed or damaged: its sha256 is not the one in {CONFIG}"
        )
    return _build(folder, config, safetensors.numpy.load(data))


def _build(path: Path, config: dict[str, Any], tensors: Tensors) -> IPT:
    try:
        model = IPT(**config)
        assign(model, tensors)
    except (TypeError, ValueError) as error:
        raise CheckpointError(f"{path}: {error}") from None
    return model


def _config_in(path: Path) -> dict[str, Any] | None:
    """Returns the configuration that our own files of weights hold, so that they can go without their folder."""
    if path.suffix != ".safetensors":
        return None
    try:
        with safetensors.safe_open(path, "np") as file:
            return json.loads((file.metadata() or {}).get("config", "null"))
    except Exception as error:  # safetensors' own error class is not public
        raise CheckpointError(f"{path} is damaged, or no safetensors file ({error})") from None


def _load_official(
    path: Path, task: str | None, names: Sequence[str] | None, num_heads: int | None, pos_every: bool
) -> IPT:
    tensors = _read_file(path)
    try:
        config, scales = configuration(tensors)
    except CheckpointError as error:
        raise CheckpointError(f"{path}: {error}") from None
    if len(scales) == 1 and task is not None and names is None:
        names = [task]
    tasks = name_tasks(scales, names, path)
    heads = 12 if num_heads is None else num_heads
    dim = config["num_features"] * config["patch_dim"] ** 2
    if dim % heads:
        raise ValueError(
            f"{path} has tokens of {dim} values, which {heads} attention heads do not divide: say how many it has,"
            " with num_heads= or --num-heads"
        )
    model = IPT(tasks, num_heads=heads, pos_every=pos_every, **config)
    try:
        assign(model, tensors)
    except CheckpointError as error:
        raise CheckpointError(f"{path}: {error}") from None
    return model if task is None or len(tasks) == 1 else model.for_task(task)


def _read_file(path: Path) -> Tensors:
    if path.suffix != ".safetensors":
        return torch_files.read(path)
    try:
        return safetensors.numpy.load_file(path)
    except Exception as error:  # its own error class is not public
        raise CheckpointError(f"{path} is damaged, or no safetensors file ({error})") from None


def save(model: IPT, folder: str | Path, dtype: str = "float32") -> None:
    """Writes `config.json` and `model.safetensors`, beside the folder first and then renamed.

    Args:
        model: what to save.
        folder: made if missing; a saved model there is replaced, what else lies beside it (a model card) stays.
        dtype: of the weights on disk: "float32" or "float16".

    Raises:
        ValueError: the folder holds something else, or a weight is not finite or too large for float16.
        CheckpointError: the folder cannot be written; what was there before is there still.
    """
    folder = Path(folder).resolve()
    if folder.exists() and not _may_be_replaced(folder):
        raise ValueError(f"{folder} exists and is not a saved model; choose another folder")
    tensors = {name: _on_disk(name, tensor, dtype) for name, tensor in tensors_of(model).items()}
    config = arguments(model)
    metadata = {"format": "pt", "tasks": " ".join(model.task_names), "num_heads": str(model.num_heads)}
    metadata["config"] = json.dumps(config)
    data = safetensors.numpy.save(tensors, metadata)
    digest = hashlib.sha256(data).hexdigest()
    description = {"ipt_tf": __version__, "sha256": digest, "config": config}
    beside, old = (folder.with_name(f".{folder.name}.{os.getpid()}.{end}") for end in ("part", "old"))
    try:
        beside.mkdir(parents=True)
        if folder.exists():
            shutil.copytree(folder, beside, ignore=_saved_files_of(folder), dirs_exist_ok=True)
        (beside / WEIGHTS).write_bytes(data)
        (beside / CONFIG).write_text(json.dumps(description, indent=1) + "\n")
        if folder.exists():
            folder.rename(old)
        beside.rename(folder)
    except OSError as error:
        reason = error.strerror or "not everything in it can be copied"
        raise CheckpointError(f"{folder} cannot be written: {reason}") from None
    finally:
        if old.exists() and not folder.exists():  # the second rename failed
            old.rename(folder)
        for leftover in (beside, old):
            shutil.rmtree(leftover, ignore_errors=True)


def _may_be_replaced(folder: Path) -> bool:
    """Whether a path is an empty folder or a saved model of this package; others have a config.json too."""
    if not folder.is_dir() or not any(folder.iterdir()):
        return folder.is_dir()
    try:
        return "ipt_tf" in json.loads((folder / CONFIG).read_text())
    except (OSError, TypeError, ValueError):
        return False


def _saved_files_of(folder: Path) -> Callable[[str, list[str]], set[str]]:
    return lambda parent, names: {CONFIG, WEIGHTS} if Path(parent) == folder else set()


def _on_disk(name: str, tensor: np.ndarray, dtype: str) -> np.ndarray:
    if dtype not in ("float32", "float16"):
        raise ValueError(f"weights are saved as float32 or float16, not {dtype!r}")
    if not np.issubdtype(tensor.dtype, np.floating):
        return tensor
    if not np.isfinite(tensor).all():
        raise ValueError(f"{name} holds values that are not finite: such a model is not worth saving")
    if dtype == "float16" and np.abs(tensor).max() > np.finfo("float16").max:
        raise ValueError(f"{name} has values that float16 cannot hold")
    return tensor.astype(dtype)
