"""One SavedModel per task, as TF-Serving loads it: `<out>/ipt_<task>/<version>/`.

Signatures, all of RGB pixels in 0..255, with tiles of P pixels and a scale of s:

    serving_default   images (N, P, P, 3) float32 -> restored (N, sP, sP, 3); tiles, which are not clipped
    restore           images (N, H, W, 3) float32 -> restored (N, sH, sW, 3), clipped
    restore_bytes     image_bytes (N,) strings    -> restored_bytes (N,) strings, PNG (see `ipt_tf.export.pictures`)

Tiles are clipped after they are blended, as `IPT.restore` does. TF-Serving joins the requests of several clients
along the first axis: every row is restored by itself, and one that is damaged harms no other.
"""

import functools
import json
import os
import secrets
import shutil
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path

import keras
import tensorflow as tf

from ipt_tf.export import folders, pictures, single_task, tiles, warmup
from ipt_tf.model.ipt import IPT


def export_tasks(
    model: IPT,
    out: str | Path,
    tasks: Sequence[str] | None = None,
    *,
    version: int | None = None,
    source: str | Path | None = None,
    log: Callable[[Path], object] | None = None,
) -> list[Path]:
    """Writes one SavedModel per task.

    Args:
        model: a model of these tasks.
        out: folder of all models; made if missing.
        tasks: names; all the model has by default.
        version: number of the version, from 1; by default, for each task the one after its largest.
        source: where the model was loaded from; see `export`.
        log: called with each folder as soon as it is there.

    Returns:
        The folders, `<out>/ipt_<task>/<version>`, in the order of the tasks.

    Raises:
        ValueError: no such task, a version that exists already or is no number of 64 bits, or a folder that cannot
            be written. What was written before stays, whole.

    Example:
        >>> export_tasks(IPT.from_pretrained(), "models", ["derain"])
        [PosixPath('models/ipt_derain/1')]
    """
    names = [model.task(name).name for name in (model.task_names if tasks is None else tasks)]
    folders = [folder_of(Path(out), name, version) for name in names]
    for name, folder in zip(names, folders, strict=True):
        export(model.for_task(name), folder, source=source)
        if log is not None:
            log(folder)
    return folders


def folder_of(out: Path, task: str, version: int | None = None) -> Path:
    """Returns `<out>/ipt_<task>/<version>`, for the version after the largest there where none is given.

    Raises:
        ValueError: the version is there already, under whatever name, or is no number that TF-Serving reads.
    """
    base = out / f"ipt_{task}"
    taken = {folders.version_of(path.name): path for path in base.glob("*")}
    if version is None:
        version = max((number for number in taken if number is not None), default=0) + 1
    if version in taken:
        raise _exists(taken[version])
    if not 1 <= version <= folders.LARGEST_VERSION:
        raise ValueError(f"a version is a number from 1 to {folders.LARGEST_VERSION}, not {version}")
    return base / str(version)


def export(model: IPT, folder: str | Path, *, source: str | Path | None = None) -> None:
    """Writes a model of one task as a SavedModel, beside the folder first and then renamed.

    A server that looks for new versions meanwhile never sees half of one. Warm-up requests are written with it
    where tensorflow-serving-api is installed.

    Args:
        model: a model of one task, such as `for_task` returns.
        folder: must not exist yet; its last part is the version's number, for TF-Serving.
        source: the preset, folder or file that the model was loaded from, whose sha256 is then kept with it.

    Raises:
        ValueError: the model has several tasks, or the folder exists or cannot be written.

    Example:
        >>> export(model.for_task("derain"), "models/ipt_derain/1")
    """
    view = model.for_task(model.task().name)  # without what else a model may hold, such as an optimizer
    folder = Path(folder).absolute()
    if folder.exists():
        raise _exists(folder)
    beside = folder.with_name(f".{folder.name}.{secrets.token_hex(4)}.part")
    try:
        beside.mkdir(parents=True)
        _archive(view).write_out(str(beside), verbose=False)
        _write_extras(view, beside / "assets.extra", source)
        os.rename(beside, folder)
    except OSError as error:
        raise ValueError(f"{folder} cannot be written: {error.strerror}") from None
    except tf.errors.OpError as error:
        raise ValueError(f"{folder} cannot be written: {error.message}") from None
    finally:
        shutil.rmtree(beside, ignore_errors=True)


def _exists(folder: Path) -> ValueError:
    return ValueError(f"{folder} exists already; choose another version, or remove it first")


def _archive(view: IPT) -> keras.export.ExportArchive:
    """Returns the model's signatures, with its own variables and no others."""
    scale, side = view.task().scale, view.patch_size
    tile_batch = tf.TensorSpec((None, side, side, 3), tf.float32, name="images")

    # One function, which all signatures call: its graph is stored once.
    network = tf.function(single_task.network(view), input_signature=[tile_batch])

    def finite(images):
        message = "the image, or what the network made of it, is not finite"
        return tf.debugging.check_numerics(network(images), message)

    restore = functools.partial(tiles.restore, scale=scale, tile=side)

    def restore_tiles(images):
        return {"restored": network(images)}

    def restore_images(images):
        message = "an image has at least 1 pixel along each axis"
        with tf.control_dependencies([tf.debugging.assert_positive(tf.shape(images)[1:], message)]):
            alone = tf.shape(images)[0] == 1

        def checked(images):
            return tf.cond(alone, lambda: finite(images), lambda: network(images))

        def restored(image):
            return restore(image, checked, finish=_clipped, dtype=tf.float32)

        return {"restored": tf.map_fn(restored, images, parallel_iterations=1)}

    def restore_bytes(image_bytes):
        restored = functools.partial(restore, network=finite)
        return {"restored_bytes": pictures.restored_files(image_bytes, restored, scale)}

    # The archive finds the variables that its endpoints use. Tracking the model too would store each of them twice.
    archive = keras.export.ExportArchive()
    archive.add_endpoint("serving_default", restore_tiles, [tile_batch])
    image_batch = tf.TensorSpec((None, None, None, 3), tf.float32, name="images")
    archive.add_endpoint("restore", restore_images, [image_batch])
    files = tf.TensorSpec((None,), tf.string, name="image_bytes")
    archive.add_endpoint("restore_bytes", restore_bytes, [files])
    return archive


def _clipped(rows: tf.Tensor) -> tf.Tensor:
    return tf.clip_by_value(rows, 0, 255)


def _write_extras(view: IPT, folder: Path, source: str | Path | None) -> None:
    folder.mkdir()
    origin = single_task.origin(view, source)
    (folder / folders.ORIGIN).write_text(json.dumps(origin, indent=1) + "\n")
    try:
        warmup.write(folder / warmup.FILE, view.task().name, view.patch_size)
    except ModuleNotFoundError as error:
        if error.name is None or not error.name.startswith("tensorflow_serving"):
            raise
        warnings.warn(
            "the models have no warm-up requests; to write them: pip install 'ipt_tf[serving]'", stacklevel=3
        )
