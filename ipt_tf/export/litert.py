"""LiteRT (TFLite) files for phones: `<out>/ipt_<task>_<variant>.tflite`.

Each has one signature, images (1, P, P, 3) float32 -> restored (1, sP, sP, 3), RGB in 0..255, not clipped: tiles are
blended first. Operations are LiteRT's own, so that every runtime has them.

    float32        the weights as they are
    float16        weights in half precision, computed in single
    dynamic_int8   weights of 8 bits; activations are quantised as they come
    int8           weights and activations of 8 bits, in ranges that photographs were seen to need. Input and output
                   are float32 here too: one face for all, and no loss on the way in
"""

import json
import tempfile
import warnings
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf
from tensorflow.lite.tools import flatbuffer_utils

from ipt_tf import images, outputs, samples
from ipt_tf.console import no_stderr
from ipt_tf.export import VARIANTS, single_task
from ipt_tf.model.ipt import IPT
from ipt_tf.restoration import tiling
from ipt_tf.restoration.litert import METADATA

CALIBRATION_TILES = 32


def export_tasks(
    model: IPT,
    out: str | Path,
    tasks: Sequence[str] | None = None,
    *,
    variants: Sequence[str] = VARIANTS,
    photographs: str | Path = samples.FOLDER,
    source: str | Path | None = None,
    log: Callable[[Path], object] | None = None,
) -> list[Path]:
    """Writes LiteRT files, one per task and variant, each beside its place first and then renamed.

    Args:
        model: a model of these tasks.
        out: folder to write into; made if missing.
        tasks: names; all the model has by default.
        variants: which of `VARIANTS`.
        photographs: folder of clean photographs, which are degraded as each task needs them, for the ranges of
            `int8`; of a task's inputs, where the task has no degradation.
        source: the preset, folder or file that the model was loaded from; its sha256 is kept in the files.
        log: called with each path as soon as it is there.

    Returns:
        The files, task by task, in the order of the variants.

    Raises:
        ValueError: no such task or variant, a file that exists already or cannot be written, no photographs.

    Example:
        >>> export_tasks(IPT.from_pretrained(), "phone", ["derain"], variants=["float16"])
        [PosixPath('phone/ipt_derain_float16.tflite')]
    """
    names = [model.task(name).name for name in (model.task_names if tasks is None else tasks)]
    paths = {(name, variant): _path(Path(out), name, variant) for name in names for variant in variants}
    for path in paths.values():
        if path.exists():
            raise ValueError(f"{path} exists already; choose another folder, or remove it first")
    outputs.make_folder(Path(out))
    for name in names:
        view = model.for_task(name)
        note = json.dumps(single_task.origin(view, source)).encode()
        seen = list(_calibration(view, Path(photographs))) if "int8" in variants else []
        with tempfile.TemporaryDirectory() as folder:
            _archive(view).write_out(folder, verbose=False)
            for variant in variants:
                outputs.write(paths[name, variant], _with_note(_convert(folder, variant, seen), note))
                if log is not None:
                    log(paths[name, variant])
    return list(paths.values())


def _path(out: Path, task: str, variant: str) -> Path:
    if variant not in VARIANTS:
        raise ValueError(f"unknown variant {variant!r}; there are {', '.join(VARIANTS)}")
    return out / f"ipt_{task}_{variant}.tflite"


def _archive(view: IPT) -> keras.export.ExportArchive:
    network = single_task.network(view)
    tile = tf.TensorSpec((1, view.patch_size, view.patch_size, 3), tf.float32, name="images")
    archive = keras.export.ExportArchive()
    archive.add_endpoint("serving_default", lambda images: {"restored": network(images)}, [tile])
    return archive


def _convert(folder: str, variant: str, seen: list[np.ndarray]) -> bytes:
    converter = tf.lite.TFLiteConverter.from_saved_model(folder, signature_keys=["serving_default"])
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS]
    if variant != "float32":
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
    if variant == "float16":
        converter.target_spec.supported_types = [tf.float16]
    if variant == "int8":
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
        converter.representative_dataset = lambda: ({"images": tile} for tile in seen)
    with (
        warnings.catch_warnings(),
        no_stderr(),
    ):  # about the interpreter that the converter itself calibrates with
        warnings.simplefilter("ignore")
        return converter.convert()


def _calibration(view: IPT, folder: Path) -> Iterator[np.ndarray]:
    """Yields inputs (1, P, P, 3) of a task: crops of photographs, degraded as it expects them."""
    paths = images.find(folder)
    if not paths:
        raise ValueError(f"{folder} holds no photographs to calibrate with")
    task, rng = view.task(), np.random.default_rng(0)
    scale = 1 if task.degrade is None else task.scale
    side = view.patch_size * scale
    for path in rng.permutation(np.array(paths, object))[np.arange(CALIBRATION_TILES) % len(paths)]:
        photograph = images.read(path)
        pixels = photograph.pixels if photograph.pixels.dtype == np.uint8 else photograph.pixels // 257
        top, left = (int(rng.integers(max(length - side, 0) + 1)) for length in pixels.shape[:2])
        tile = tiling.cut(pixels, top, left, side)[None].astype(np.float32)
        made = tile if task.degrade is None else keras.ops.convert_to_numpy(task.make_input(tile, rng))
        yield made.clip(0, 255).astype(np.float32)


def _with_note(model: bytes, note: bytes) -> bytes:
    """Adds a metadata buffer."""
    contents = flatbuffer_utils.convert_bytearray_to_object(model)
    buffer = flatbuffer_utils.schema_fb.BufferT()
    buffer.data = np.frombuffer(note, np.uint8)
    entry = flatbuffer_utils.schema_fb.MetadataT()
    entry.name, entry.buffer = METADATA, len(contents.buffers)
    contents.buffers.append(buffer)
    contents.metadata = [*(contents.metadata or []), entry]
    return bytes(flatbuffer_utils.convert_object_to_bytearray(contents))
