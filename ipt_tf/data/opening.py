"""What a user names as data -> a source of examples: a folder, two folders of pairs, or a dataset of TFDS."""

from collections.abc import Callable, Sequence
from pathlib import Path

import keras

from ipt_tf.data.pairs import Pairs
from ipt_tf.data.photographs import Photographs
from ipt_tf.data.source import Source
from ipt_tf.tasks import Task

Data = str | Path | tuple[str | Path, str | Path]
"""A folder of photographs, a dataset `tfds:NAME`, or two folders of pairs, degraded and clean."""


def open_source(
    data: Data,
    tasks: Sequence[Task],
    patch_size: int,
    data_dir: str | Path | None = None,
    log: Callable[[str], None] = print,
) -> Source:
    """Returns the source of examples for a model's tasks.

    Args:
        data: see `Data`; for `tfds:` see `ipt_tf.data.tfds.open_dataset`.
        tasks: of the model; pairs serve one.
        patch_size: side of an input, pixels.
        data_dir: where TFDS keeps its datasets.
        log: called with a line that says what was found.

    Raises:
        ValueError: no such data, or data that do not suit the tasks or Keras's backend.
    """
    scale = max(task.scale for task in tasks)
    source: Source
    if isinstance(data, tuple):
        source = Pairs.of_folders(*data, scale=scale, patch_size=patch_size)
        log(f"{len(source)} pairs")
    elif str(data).startswith("tfds:"):
        if keras.backend.backend() != "tensorflow":
            raise ValueError(
                f"{data} is read by TensorFlow; on Keras's {keras.backend.backend()} backend, data are folders"
            )
        from ipt_tf.data import tfds

        source = tfds.open_dataset(str(data), scale, data_dir)
        log(f"{len(source)} pictures of {source.names[0]}")
    else:
        source = photographs = Photographs.of_folder(data, smallest_side=patch_size * scale)
        log(f"{len(photographs)} photographs, {len(photographs.skipped)} left out")
    return source


def open_sources(
    data: Data,
    validate: Data | None,
    tasks: Sequence[Task],
    patch_size: int,
    data_dir: str | Path | None = None,
    log: Callable[[str], None] = print,
) -> tuple[Source, Source | None]:
    """Returns the sources of what is trained on and, if there is other data for that, of what is validated on.

    Args:
        data: to train on.
        validate: to validate on, or None.
        tasks, patch_size, data_dir, log: see `open_source`.

    Raises:
        ValueError: as `open_source`.
    """
    source = open_source(data, tasks, patch_size, data_dir, log)
    return source, None if validate is None else open_source(validate, tasks, patch_size, data_dir, log)
