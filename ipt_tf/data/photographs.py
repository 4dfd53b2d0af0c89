"""A folder of photographs as a source of clean crops, each a pure function of (seed, position)."""

import copy
import os
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Self

import numpy as np
from keras import ops
from PIL import Image

from ipt_tf import images
from ipt_tf.data import album, sampling
from ipt_tf.data.album import Album
from ipt_tf.data.cache import Cache, decode
from ipt_tf.data.examples import check_degradable
from ipt_tf.tasks import Task
from ipt_tf.threads import ahead

WORKERS = os.cpu_count() or 1


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
        >>> (clean,) = photographs.crops(find("sr_x2"), positions=range(16), patch_size=48, seed=0)
        >>> clean.shape
        (16, 96, 96, 3)
    """

    def __init__(self, paths: Sequence[Path], smallest_side: int = 192, cache: Cache | None = None):
        self.smallest_side = smallest_side
        self.skipped: dict[Path, str] = {}
        self._pixels: dict[Path, int] = {}
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

    def split(self, held_out: int, seed: int, fraction: float = 1.0) -> tuple[Self, Self | None]:
        """Returns (a fraction of the photographs to train on, `held_out` others, or None if that is 0).

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
        """Raises ValueError for a task that cannot be trained on photographs: see `check_degradable`."""
        check_degradable(tasks, patch_size)

    def crops(
        self, task: Task, positions: Sequence[int], patch_size: int, seed: int
    ) -> tuple[np.ndarray, ...]:
        """Returns the clean crops of a task at positions: (n, sP, sP, 3) uint8, for the scale s.

        Positions count crops since the start of training: each run of `len(self)` positions is an epoch that
        meets every photograph once, in an order of its own.
        """
        side = patch_size * task.scale
        pictures = [self._read(i) for i in sampling.pictures_at(positions, len(self), seed)]
        heights, widths = ([picture.shape[axis] for picture in pictures] for axis in (0, 1))
        return (sampling.cut(pictures, sampling.crops_at(positions, heights, widths, side, seed), side),)

    def album(self, log: Callable[[str], None] = print) -> Album | None:
        """Returns all photographs, decoded, or None if they are more than `ipt_tf.data.album.LARGEST`.

        Crops from there are those that `crops` returns.

        Args:
            log: called with a line after two seconds, and then every ten.
        """
        total = sum(self._pixels[path] for path in self.paths)
        if total > album.LARGEST:
            return None
        pixels = album.empty(total)
        starts, sizes, end = np.zeros(len(self), np.int64), np.zeros((len(self), 2), np.int64), 0
        for i, picture in enumerate(self._decoded(log)):
            if picture is not None:
                if picture.size != 3 * self._pixels[self.paths[i]]:
                    return None  # the file has a picture of another size than its header says
                starts[i], sizes[i], start, end = end, picture.shape[:2], end, end + picture.size // 3
                pixels[start:end] = picture.reshape(-1, 3)
        kept = [self._first_usable(i) for i in range(len(self))]
        return Album(pixels, starts[kept], *sizes[kept].T)

    def _decoded(self, log: Callable[[str], None]) -> Iterator[np.ndarray | None]:
        """Yields every photograph (H, W, 3), uint8, or None for one that turns out to be damaged."""
        tell_at = time.monotonic() + 2
        with ThreadPoolExecutor(WORKERS) as pool:
            read = ahead(lambda path: self._attempt(decode, path), self.paths, pool, depth=2 * WORKERS)
            for count, picture in enumerate(read, start=1):
                yield picture
                if time.monotonic() > tell_at:
                    log(f"{count} of {len(self)} photographs are decoded")
                    tell_at = time.monotonic() + 10

    def validation_pairs(self, task: Task, patch_size: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
        """Returns the degraded and the clean central crop of each photograph."""
        side = patch_size * task.scale
        clean = np.stack([sampling.middle(self._read(i), side) for i in range(len(self))]).astype(np.float32)
        return ops.convert_to_numpy(task.make_input(clean, np.random.default_rng(seed))), clean

    def _is_usable(self, path: Path) -> bool:
        try:
            with Image.open(path) as image:
                self._pixels[path] = image.width * image.height
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
        """Returns a photograph, or the first after it that is not damaged."""
        for path in (self.paths[(index + i) % len(self)] for i in range(len(self))):
            if (picture := self._attempt(self._cache.read, path)) is not None:
                return picture
        raise ValueError(_ALL_DAMAGED)

    def _first_usable(self, index: int) -> int:
        for i in range(len(self)):
            if self.paths[(index + i) % len(self)] not in self.skipped:
                return (index + i) % len(self)
        raise ValueError(_ALL_DAMAGED)

    def _attempt(self, read: Callable[[Path], np.ndarray], path: Path) -> np.ndarray | None:
        """Returns what reads a photograph, or None if it is damaged."""
        if path in self.skipped:
            return None
        try:
            return read(path)
        except images.ImageError as error:
            self._skip(path, str(error))
            return None


_ALL_DAMAGED = "every photograph turned out to be damaged"
