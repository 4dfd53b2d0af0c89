"""Pairs of a degraded and a clean picture on disk, as a user who has such pairs keeps them."""

import copy
import itertools
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Self

import numpy as np
from PIL import Image

from ipt_tf import images
from ipt_tf.data import sampling
from ipt_tf.data.cache import Cache
from ipt_tf.tasks import Task

PathPair = tuple[Path, Path]


class Pairs:
    """Pairs of pictures, for one task. A `ipt_tf.data.Source`.

    Args:
        paths: (degraded, clean) files; a clean one is `scale` times as high and wide.
        scale: of the task.
        patch_size: side of an input crop, pixels.
        cache: of decoded pixels.

    Raises:
        ValueError: a pair's sizes do not fit, or are below `patch_size`.

    Example:
        >>> pairs = Pairs.of_folders("rainy/", "clean/")
        >>> degraded, clean = pairs.crops(find("derain"), positions=range(16), patch_size=48, seed=0)
    """

    def __init__(
        self, paths: Sequence[PathPair], scale: int = 1, patch_size: int = 48, cache: Cache | None = None
    ):
        self.paths = list(paths)
        self.scale = scale
        self.patch_size = patch_size
        self._cache = cache or Cache()
        for degraded, clean in self.paths:
            _check_sizes(degraded, clean, scale, patch_size)

    @classmethod
    def of_folders(cls, degraded: str | Path, clean: str | Path, **options) -> "Pairs":
        """Returns the pairs of two folders: a degraded picture belongs to the clean one of the same name.

        Suffixes may differ.

        Raises:
            ValueError: a folder is missing, a picture has no partner, or sizes do not fit.
        """
        return cls(match(Path(degraded), Path(clean)), **options)

    def __len__(self) -> int:
        return len(self.paths)

    @property
    def names(self) -> list[str]:
        """The degraded files' names, for the record of a run."""
        return [degraded.name for degraded, _ in self.paths]

    def split(self, held_out: int, seed: int, fraction: float = 1.0) -> tuple[Self, Self | None]:
        """Returns (a fraction of the pairs to train on, `held_out` others to validate on, or None if that is 0).

        Raises:
            ValueError: nothing would be left to train on.
        """
        train, validation = sampling.divide(len(self), held_out, seed, fraction)
        return self._part(train), self._part(validation) if validation else None

    def _part(self, indices: Sequence[int]) -> Self:
        part = copy.copy(self)
        part.paths = [self.paths[i] for i in indices]
        return part

    def check(self, tasks: Sequence[Task], patch_size: int) -> None:
        """Raises ValueError for several tasks, or one of another scale or patch size than these pairs."""
        if len(tasks) != 1 or tasks[0].scale != self.scale or patch_size != self.patch_size:
            names = ", ".join(f"{task.name} (scale {task.scale})" for task in tasks)
            raise ValueError(
                f"these pairs train one task of scale {self.scale} with inputs of {self.patch_size} pixels,"
                f" not {names} with {patch_size}"
            )

    def crops(
        self, task: Task, positions: Sequence[int], patch_size: int, seed: int
    ) -> tuple[np.ndarray, ...]:
        """Returns the degraded and the clean crops at positions: (n, P, P, 3) and (n, sP, sP, 3), uint8."""
        chosen = sampling.pictures_at(positions, len(self), seed)
        low, high = zip(*(self._read(i) for i in chosen), strict=True)
        heights, widths = ([picture.shape[axis] for picture in low] for axis in (0, 1))
        places = sampling.crops_at(positions, heights, widths, patch_size, seed)
        side = patch_size * self.scale
        return sampling.cut(low, places, patch_size), sampling.cut(high, places, side, self.scale)

    def album(self, log: Callable[[str], None] = print) -> None:
        """Pairs are read from their files."""

    def validation_pairs(self, task: Task, patch_size: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
        """Returns the central crops of each pair."""
        self.check([task], patch_size)
        low, high = [], []
        for i in range(len(self)):
            degraded, clean = self._read(i)
            top, left = ((length - patch_size) // 2 for length in degraded.shape[:2])
            low.append(degraded[top : top + patch_size, left : left + patch_size])
            y, x, side = top * self.scale, left * self.scale, patch_size * self.scale
            high.append(clean[y : y + side, x : x + side])
        return np.stack(low).astype(np.float32), np.stack(high).astype(np.float32)

    def _read(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        degraded, clean = self.paths[index]
        return self._cache.read(degraded), self._cache.read(clean)


def match(degraded: Path, clean: Path) -> list[PathPair]:
    """Returns the pairs of two folders: pictures of the same name, whatever their suffixes.

    Raises:
        ValueError: a folder is missing, or a picture has no partner.
    """
    for folder in (degraded, clean):
        if not folder.is_dir():
            raise ValueError(f"{folder} is not a folder of pictures")
    by_name = {path.relative_to(clean).with_suffix(""): path for path in images.find(clean)}
    inputs = {path.relative_to(degraded).with_suffix(""): path for path in images.find(degraded)}
    missing = [str(path) for name, path in inputs.items() if name not in by_name]
    if missing or not inputs:
        raise ValueError(
            f"every picture in {degraded} needs a clean one of the same name in {clean};"
            f" without one: {', '.join(missing[:5]) or 'there are no pictures at all'}"
        )
    return [(path, by_name[name]) for name, path in inputs.items()]


def _check_sizes(degraded: Path, clean: Path, scale: int, patch_size: int) -> None:
    (width, height), size = _size(degraded), _size(clean)
    if size != (width * scale, height * scale):
        raise ValueError(
            f"{degraded} is {width} x {height}, {clean} is {size[0]} x {size[1]}: at scale {scale} that cannot be"
        )
    if min(height, width) < patch_size:
        raise ValueError(f"{degraded} is {width} x {height}; crops need {patch_size} pixels a side")


def _size(path: Path) -> tuple[int, int]:
    """Returns (width, height) of an upright picture, from its header."""
    try:
        with Image.open(path) as image:
            turned = image.getexif().get(0x0112, 1) >= 5  # orientations that swap the sides
            return image.size[::-1] if turned else image.size
    except (OSError, Image.DecompressionBombError) as error:
        raise ValueError(f"{path} is no picture: {error}") from None


def paired(
    degraded: str | Path,
    clean: str | Path,
    *,
    scale: int = 1,
    patch_size: int = 48,
    batch_size: int = 16,
    crops: int = 16,
    seed: int = 0,
):
    """Returns batches of random crops from pairs of pictures, for `model.for_task(...).fit`.

    A degraded picture belongs to the clean one of the same name (apart from the suffix) in the other folder.

    Args:
        degraded: folder of degraded pictures.
        clean: folder of clean pictures, `scale` times as high and wide.
        scale: of the task.
        patch_size: side of an input crop, pixels.
        batch_size: crops per batch; a last smaller batch is left out.
        crops: crops per pair and epoch.
        seed: of the order, the crops and their flips; every epoch draws anew.

    Returns:
        tf.data.Dataset of (inputs (B, P, P, 3), targets (B, sP, sP, 3)), float32, 0..255; one pass is one epoch.

    Raises:
        ValueError: a folder is missing, no names match, or sizes do not fit; all that differ are listed.

    Example:
        >>> derain.fit(paired("rainy/", "clean/"), epochs=10)
    """
    import tensorflow as tf

    pairs = Pairs.of_folders(degraded, clean, scale=scale, patch_size=patch_size)
    batches = len(pairs) * crops // batch_size
    if not batches:
        raise ValueError(f"{len(pairs)} pairs of {crops} crops do not fill one batch of {batch_size}")
    task, starts = Task("pairs", scale=scale), itertools.count(0, batch_size)

    def epoch():
        for start in itertools.islice(starts, batches):
            both = pairs.crops(task, range(start, start + batch_size), patch_size, seed)
            yield tuple(crop.astype(np.float32) for crop in both)

    sides = patch_size, patch_size * scale
    signature = tuple(tf.TensorSpec((batch_size, side, side, 3)) for side in sides)
    dataset = tf.data.Dataset.from_generator(epoch, output_signature=signature)
    return dataset.apply(tf.data.experimental.assert_cardinality(batches)).prefetch(2)
