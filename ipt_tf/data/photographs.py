"""A folder of photographs as a source of clean crops, each a pure function of (seed, position)."""

import os
import warnings
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from PIL import Image

from ipt_tf import images
from ipt_tf.data import sampling
from ipt_tf.data.cache import Cache
from ipt_tf.data.draws import Draws
from ipt_tf.tasks import Task
from ipt_tf.threads import ahead


class Photographs:
    """Clean photographs of one or more folders, nested as they may be, degraded on the fly.

    Files that are not images, or whose shorter side is below `smallest_side`, are left out; a file that turns
    out to be damaged when it is first read is replaced by the next one. Each is named once in a warning and
    counted in `skipped`. A `ipt_tf.data.Source`.

    Args:
        paths: image files, as `images.find(folder)` lists them.
        smallest_side: pixels that a photograph needs along both sides.
        cache: of decoded pixels.

    Raises:
        ValueError: no photograph is left.

    Example:
        >>> photographs = Photographs.of_folder("photos/", smallest_side=192)
        >>> photographs.crop(position=0, side=96, seed=0).shape
        (96, 96, 3)
    """

    def __init__(self, paths: Sequence[Path], smallest_side: int = 192, cache: Cache | None = None):
        self.smallest_side = smallest_side
        self.skipped: dict[Path, str] = {}
        self.paths = [path for path in paths if self._is_usable(path)]
        if not self.paths:
            found = f"{len(paths)} image files, none of which can be used" if paths else "no image files"
            reasons = "".join(f"\n  {path}: {reason}" for path, reason in list(self.skipped.items())[:5])
            raise ValueError(
                f"found {found}; photographs need at least {smallest_side} pixels a side{reasons}"
            )
        self._cache = cache or Cache()

    @classmethod
    def of_folder(cls, folder: str | Path, **options) -> "Photographs":
        """Returns the photographs in a folder and the folders inside it.

        Raises:
            ValueError: the folder is missing, or holds no usable photograph.
        """
        folder = Path(folder)
        if not folder.is_dir():
            raise ValueError(f"{folder} is not a folder of photographs")
        try:
            return cls(images.find(folder), **options)
        except ValueError as error:
            raise ValueError(f"{folder}: {error}") from None

    def __len__(self) -> int:
        return len(self.paths)

    @property
    def names(self) -> list[str]:
        """The files' names, for the record of a run."""
        return [path.name for path in self.paths]

    def split(
        self, held_out: int, seed: int, fraction: float = 1.0
    ) -> tuple["Photographs", "Photographs | None"]:
        """Returns (a fraction of the photographs to train on, `held_out` others, or None if that is 0).

        Raises:
            ValueError: nothing would be left to train on.
        """
        parts = sampling.divide(len(self), held_out, seed, fraction)
        train, validation = (
            Photographs([self.paths[i] for i in part], self.smallest_side, self._cache) if part else None
            for part in parts
        )
        assert train is not None  # `divide` leaves some
        train.skipped = self.skipped
        return train, validation

    def crop(self, position: int, side: int, seed: int) -> np.ndarray:
        """Returns one random crop (side, side, 3) uint8, randomly flipped and turned.

        Positions count crops since the start of training: each run of `len(self)` positions is an epoch that
        meets every photograph once, in an order of its own.
        """
        photograph = self._read(sampling.picture_at(position, len(self), seed))
        at = sampling.crop_at(position, photograph.shape[:2], side, seed)
        return sampling.augment(photograph[at.top : at.top + side, at.left : at.left + side], at.way)

    def pictures(self) -> Iterator[np.ndarray]:
        """Yields every photograph (H, W, 3), uint8, without those that turn out to be damaged."""
        workers = os.cpu_count() or 1
        with ThreadPoolExecutor(workers) as pool:
            for picture in ahead(self._read_or_skip, self.paths, pool, depth=2 * workers):
                if picture is not None:
                    yield picture

    def middle(self, index: int, side: int) -> np.ndarray:
        """Returns the central crop (side, side, 3) of a photograph, for validation."""
        return sampling.middle(self._read(index % len(self)), side)

    def examples(self, requests, tasks: Sequence[Task], patch_size: int, seed: int):
        """Turns a tf.data.Dataset of (index of a task, position) into one of (degraded, clean) crops.

        Raises:
            ValueError: a task has no degradation.
        """
        import tensorflow as tf

        from ipt_tf.data.degrading import check_degradable, degrade

        check_degradable(tasks)

        def crop(task, position):
            side = patch_size * tasks[int(task)].scale
            return self.crop(int(position), side, seed).astype(np.float32)

        def example(task, position):
            clean = tf.numpy_function(crop, [task, position], tf.float32)
            return degrade(clean, task, tasks, patch_size, seed, position)

        return requests.map(example, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True)

    def batch(
        self, task: Task, positions: Sequence[int], patch_size: int, seed: int
    ) -> tuple[np.ndarray, np.ndarray]:
        """Returns the (degraded, clean) crops that `examples` makes of a task at these positions.

        Raises:
            ValueError: the task has no degradation.
        """
        from keras import ops

        side = patch_size * task.scale
        clean = np.stack([self.crop(position, side, seed) for position in positions]).astype(np.float32)
        return ops.convert_to_numpy(task.make_input(clean, Draws(seed, positions))), clean

    def validation_pairs(self, task: Task, patch_size: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
        """Returns the degraded and the clean central crop of each photograph."""
        from keras import ops

        side = patch_size * task.scale
        clean = np.stack([self.middle(i, side) for i in range(len(self))]).astype(np.float32)
        return ops.convert_to_numpy(task.make_input(clean, np.random.default_rng(seed))), clean

    def _is_usable(self, path: Path) -> bool:
        try:
            with Image.open(path) as image:
                if min(image.size) >= self.smallest_side:
                    return True
                self._skip(path, f"{image.width} x {image.height} pixels, too small")
        except (OSError, Image.DecompressionBombError) as error:
            self._skip(path, str(error))
        return False

    def _skip(self, path: Path, reason: str) -> None:
        self.skipped[path] = reason
        warnings.warn(f"left out {path}: {reason}", stacklevel=2)

    def _read(self, index: int) -> np.ndarray:
        for path in (*self.paths[index:], *self.paths[:index]):
            if (picture := self._read_or_skip(path)) is not None:
                return picture
        raise ValueError("every photograph turned out to be damaged")

    def _read_or_skip(self, path: Path) -> np.ndarray | None:
        if path in self.skipped:
            return None
        try:
            return self._cache.read(path)
        except images.ImageError as error:
            self._skip(path, str(error))
            return None
