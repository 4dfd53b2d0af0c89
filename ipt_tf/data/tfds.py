"""Datasets of TensorFlow Datasets as sources: any by name, read at random places, decoded only where a crop needs it.

Records lie in ArrayRecord files, where any can be read at once. So the order is a shuffle of the whole dataset, each
worker reads its own positions only, and a run resumes where it stopped without reading what came before.
"""

import copy
import warnings
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np
import tensorflow as tf

from ipt_tf import images
from ipt_tf.data import sampling
from ipt_tf.data.examples import check_degradable
from ipt_tf.tasks import Task

PREFIX = "tfds:"

Records = Sequence[Mapping[str, bytes]]
"""Encoded pictures by feature name, by index."""

Size = tuple[int, int]
"""(height, width), pixels."""


_KINDS = ("PNG", "JPEG", "GIF", "BMP")
"""What TensorFlow decodes, by Pillow's names."""

_JPEG = b"\xff\xd8\xff"
"""What JPEG files begin with."""


def open_dataset(
    reference: str, scale: int, data_dir: str | Path | None = None
) -> "StoredPhotographs | StoredPairs":
    """Returns the dataset that `tfds:NAME[/CONFIG][:VERSION][@SPLIT][#FEATURE]` refers to; prepares it if need be.

    Args:
        reference: SPLIT is TFDS's own notation ("train[:20%]"), "train" by default. FEATURE is the clean picture;
            `#DEGRADED,CLEAN` makes pairs. It may be left out where a dataset has one picture only.
        scale: of pairs: how many times larger the clean pictures are.
        data_dir: where TFDS keeps datasets; default: its own choice.

    Raises:
        ValueError: no such dataset, split or feature, or one that is not stored as ArrayRecord.

    Example:
        >>> open_dataset("tfds:div2k/bicubic_x2#lr,hr", scale=2)
    """
    name, _, chosen = reference.removeprefix(PREFIX).partition("#")
    name, _, split = name.partition("@")
    builder = _prepared(name, data_dir)
    pictures = [name for name, feature in builder.info.features.items() if _is_picture(feature)]
    features = _features(reference, pictures, chosen)
    records = _records(reference, builder, split or "train", pictures)
    label = f"{PREFIX}{builder.info.full_name}@{split or 'train'}#{','.join(features)}"
    if len(features) == 2:
        return StoredPairs(records, label, features[0], features[1], scale)
    return StoredPhotographs(records, label, features[0])


def _prepared(name: str, data_dir: str | Path | None):
    try:
        import tensorflow_datasets as tfds
    except ImportError:
        raise ValueError(f"{PREFIX}{name} needs TensorFlow Datasets: pip install 'ipt_tf[tfds]'") from None
    import ipt_tf.data.builders  # noqa: F401  whose datasets are then known by name

    try:
        builder = tfds.builder(name, data_dir=data_dir)
        if not builder.info.splits:
            builder = tfds.builder(name, data_dir=data_dir, file_format="array_record")
            builder.download_and_prepare()
    except (tfds.core.DatasetNotFoundError, AssertionError) as error:
        raise ValueError(f"{PREFIX}{name}: {error}") from None
    return builder


def _is_picture(feature: Any) -> bool:
    import tensorflow_datasets as tfds

    return isinstance(feature, tfds.features.Image)


def _features(reference: str, pictures: Sequence[str], chosen: str) -> list[str]:
    names = chosen.split(",") if chosen else list(pictures)
    if len(names) not in (1, 2) or not set(names) <= set(pictures) or (len(names) == 2 and not chosen):
        raise ValueError(
            f"{reference}: its pictures are {', '.join(pictures) or 'none'}; end with #CLEAN, or with #DEGRADED,CLEAN"
        )
    return names


def _records(reference: str, builder, split: str, pictures: Sequence[str]) -> Records:
    import tensorflow_datasets as tfds

    encoded = {name: tfds.decode.SkipDecoding() for name in pictures}
    try:
        return builder.as_data_source(split, decoders=encoded)
    except NotImplementedError:
        raise ValueError(
            f"{reference} is stored in {builder.data_dir} as {builder.info.file_format.value}, which cannot be read at"
            f" random; convert it: tfds convert_format --dataset_version_dir={builder.data_dir}"
            " --out_file_format=array_record"
        ) from None
    except (ValueError, KeyError) as error:
        raise ValueError(f"{reference}: {error}; its splits are {', '.join(builder.info.splits)}") from None


class _Stored(ABC):
    """What photographs and pairs have in common: records, some of which are this source's."""

    def __init__(self, records: Records, label: str):
        self._records, self._label = records, label
        self._indices: Sequence[int] = range(len(records))
        self._told: set[int] = set()
        if not len(records):
            raise ValueError(f"{label} is empty")

    def __len__(self) -> int:
        return len(self._indices)

    @property
    def names(self) -> list[str]:
        """The dataset and its number of pictures, for the record of a run."""
        return [self._label, str(len(self._records))]

    def split(self, held_out: int, seed: int, fraction: float = 1.0) -> tuple[Self, Self | None]:
        """Returns (a fraction of the pictures to train on, `held_out` others to validate on, or None if that is 0)."""
        train, validation = sampling.divide(len(self), held_out, seed, fraction)
        return self._part(train), self._part(validation) if validation else None

    def _part(self, places: Sequence[int]) -> Self:
        part = copy.copy(self)
        part._indices, part._told = [self._indices[place] for place in places], set()
        return part

    def _usable(self, place: int, side: int) -> tuple[Mapping[str, bytes], Size]:
        """Returns the record at a place, or the first one after it from which crops of `side` can be cut.

        With it comes the size of the picture that crops are placed in.
        """
        for offset in range(len(self)):
            index = int(self._indices[(place + offset) % len(self)])
            record = self._records[index]
            try:
                return record, self._checked_size(record, side)
            except images.ImageError as error:
                if index not in self._told:
                    self._told.add(index)
                    warnings.warn(f"left out record {index} of {self._label}: {error}", stacklevel=2)
        raise ValueError(f"{self._label} has no picture from which {side} x {side} pixels can be cut")

    def album(self, log: Callable[[str], None] = print) -> None:
        """Records are read from their files."""
        return None

    def _crops(self, positions: Sequence[int], side: int, seed: int) -> Iterator[tuple]:
        """Yields the record of each position, and the box (top, left, side, side) and way of its crop."""
        places = sampling.pictures_at(positions, len(self), seed)
        records, sizes = zip(*(self._usable(int(place), side) for place in places), strict=True)
        heights, widths = zip(*sizes, strict=True)
        top, left, way = sampling.crops_at(positions, heights, widths, side, seed)
        for record, *corner, turn in zip(records, top, left, way, strict=True):
            yield record, np.array([*corner, side, side], np.int32), turn

    @abstractmethod
    def _checked_size(self, record: Mapping[str, bytes], side: int) -> Size:
        """Returns the size of the picture that crops are placed in.

        Raises:
            ImageError: a picture of the record cannot be read, or is smaller than a crop.
        """


class StoredPhotographs(_Stored):
    """Clean photographs of a dataset, degraded on the fly. A `ipt_tf.data.Source`.

    A photograph that is damaged or too small for a crop is replaced by the next one, with a warning.

    Args:
        records: of the dataset.
        label: its name, for messages and for the record of a run.
        clean: name of the feature.
    """

    def __init__(self, records: Records, label: str, clean: str):
        super().__init__(records, label)
        self._clean = clean

    def check(self, tasks: Sequence[Task], patch_size: int) -> None:
        """Raises ValueError for a task that cannot be trained on photographs: see `check_degradable`."""
        check_degradable(tasks, patch_size)

    def crops(
        self, task: Task, positions: Sequence[int], patch_size: int, seed: int
    ) -> tuple[np.ndarray, ...]:
        """Returns the clean crops of a task at positions: (n, sP, sP, 3) uint8, for the scale s."""
        clean = [
            sampling.turned(decode(record[self._clean], box), way)
            for record, box, way in self._crops(positions, patch_size * task.scale, seed)
        ]
        return (np.stack(clean),)

    def validation_pairs(self, task: Task, patch_size: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
        """Returns the degraded and the clean central crop of each photograph."""
        side = patch_size * task.scale
        usable = (self._usable(place, side) for place in range(len(self)))
        clean = np.stack(
            [decode(record[self._clean], _middle(size, side)) for record, size in usable]
        ).astype(np.float32)
        return np.asarray(task.make_input(clean, np.random.default_rng(seed))), clean

    def _checked_size(self, record: Mapping[str, bytes], side: int) -> Size:
        return _large_enough(images.claimed_size(record[self._clean], _KINDS), side)


class StoredPairs(_Stored):
    """Pairs of a degraded and a clean picture of a dataset, for one task. A `ipt_tf.data.Source`.

    Args:
        records: of the dataset.
        label: its name, for messages and for the record of a run.
        degraded: name of a feature.
        clean: name of the other, whose pictures are `scale` times as high and wide.
        scale: of the task.
    """

    def __init__(self, records: Records, label: str, degraded: str, clean: str, scale: int = 1):
        super().__init__(records, label)
        self._degraded, self._clean, self._scale = degraded, clean, scale

    def check(self, tasks: Sequence[Task], patch_size: int) -> None:
        """Raises ValueError for several tasks, or one of another scale than these pairs."""
        if len(tasks) != 1 or tasks[0].scale != self._scale:
            names = ", ".join(f"{task.name} (scale {task.scale})" for task in tasks)
            raise ValueError(f"{self._label}: these pairs train one task of scale {self._scale}, not {names}")

    def crops(
        self, task: Task, positions: Sequence[int], patch_size: int, seed: int
    ) -> tuple[np.ndarray, ...]:
        """Returns the degraded and the clean crops at positions: (n, P, P, 3) and (n, sP, sP, 3), uint8."""
        low, high = [], []
        for record, box, way in self._crops(positions, patch_size, seed):
            low.append(sampling.turned(decode(record[self._degraded], box), way))
            high.append(sampling.turned(decode(record[self._clean], box * self._scale), way))
        return np.stack(low), np.stack(high)

    def validation_pairs(self, task: Task, patch_size: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
        """Returns the central crops of each pair."""
        self.check([task], patch_size)
        low, high = [], []
        for place in range(len(self)):
            record, size = self._usable(place, patch_size)
            box = _middle(size, patch_size)
            low.append(decode(record[self._degraded], box))
            high.append(decode(record[self._clean], box * self._scale))
        return np.stack(low).astype(np.float32), np.stack(high).astype(np.float32)

    def _checked_size(self, record: Mapping[str, bytes], side: int) -> Size:
        (height, width), clean = (
            images.claimed_size(record[name], _KINDS) for name in (self._degraded, self._clean)
        )
        _large_enough((height, width), side)
        if clean != (height * self._scale, width * self._scale):
            raise ValueError(
                f"{self._label}: a degraded picture is {width} x {height}, its clean one {clean[1]} x {clean[0]};"
                f" at scale {self._scale} that cannot be"
            )
        return height, width


def _large_enough(size: Size, side: int) -> Size:
    height, width = size
    if min(size) < side:
        raise images.ImageError(f"{width} x {height} pixels, too small")
    return size


def decode(encoded: bytes, box: np.ndarray) -> np.ndarray:
    """Returns the part `box` = (top, left, height, width) of an encoded picture, uint8 (height, width, 3).

    Of a JPEG only that part is decoded.
    """
    if encoded.startswith(_JPEG):
        cropped = tf.image.decode_and_crop_jpeg(encoded, box, channels=3, dct_method="INTEGER_ACCURATE")
        return cropped.numpy()
    top, left, height, width = box
    pixels = tf.io.decode_image(encoded, channels=3, expand_animations=False).numpy()
    return pixels[top : top + height, left : left + width]


def _middle(size: Size, side: int) -> np.ndarray:
    height, width = size
    return np.array([(height - side) // 2, (width - side) // 2, side, side], np.int32)
