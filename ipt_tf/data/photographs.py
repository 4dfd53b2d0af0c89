"""A folder of photographs as a source of clean crops, each a pure function of (seed, position)."""

import functools
import threading
import warnings
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from ipt_tf import images


class Photographs:
    """Photographs of one or more folders, nested as they may be, in memory as far as they fit.

    Files that are not images, or whose shorter side is below `smallest_side`, are left out; a file that turns
    out to be damaged when it is first read is replaced by the next one. Each is named once in a warning and
    counted in `skipped`.

    Args:
        paths: image files, as `images.find(folder)` lists them.
        smallest_side: pixels that a photograph needs along both sides.
        memory: bytes of decoded pixels to keep; further photographs are decoded again each time.

    Raises:
        ValueError: no photograph is left.

    Example:
        >>> photographs = Photographs.of_folder("photos/", smallest_side=192)
        >>> photographs.crop(position=0, side=96, seed=0).shape
        (96, 96, 3)
    """

    def __init__(self, paths: Sequence[Path], smallest_side: int = 192, memory: int = 3 * 2**30):
        self.smallest_side = smallest_side
        self.skipped: dict[Path, str] = {}
        self.paths = [path for path in paths if self._is_usable(path)]
        if not self.paths:
            found = f"{len(paths)} image files, none of which can be used" if paths else "no image files"
            reasons = "".join(f"\n  {path}: {reason}" for path, reason in list(self.skipped.items())[:5])
            raise ValueError(
                f"found {found}; photographs need at least {smallest_side} pixels a side{reasons}"
            )
        self._memory = memory
        self._kept: dict[Path, np.ndarray] = {}
        self._lock = threading.Lock()

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

    def split(self, held_out: int, seed: int) -> tuple["Photographs", "Photographs | None"]:
        """Returns (photographs to train on, `held_out` others to validate on, or None if that is 0).

        Raises:
            ValueError: nothing would be left to train on.
        """
        if held_out == 0:
            return self, None
        if held_out >= len(self):
            raise ValueError(f"cannot hold {held_out} photographs out of {len(self)} and still train")
        order = np.random.default_rng(seed).permutation(len(self))
        parts = (sorted(order[held_out:]), sorted(order[:held_out]))
        train, validation = (
            Photographs([self.paths[i] for i in part], self.smallest_side, self._memory) for part in parts
        )
        train.skipped = self.skipped
        return train, validation

    def crop(self, position: int, side: int, seed: int) -> np.ndarray:
        """Returns one random crop (side, side, 3) uint8, randomly flipped and turned.

        Positions count crops since the start of training: each run of `len(self)` positions is an epoch that
        meets every photograph once, in an order of its own.
        """
        epoch, place = divmod(position, len(self))
        photograph = self._read(self._order(epoch, seed)[place])
        rng = np.random.default_rng((seed, position))
        top, left = (rng.integers(0, length - side + 1) for length in photograph.shape[:2])
        return augment(photograph[top : top + side, left : left + side], int(rng.integers(8)))

    def middle(self, index: int, side: int) -> np.ndarray:
        """Returns the central crop (side, side, 3) of a photograph, for validation."""
        photograph = self._read(index % len(self))
        top, left = ((length - side) // 2 for length in photograph.shape[:2])
        return photograph[top : top + side, left : left + side]

    @functools.lru_cache(maxsize=4)  # noqa: B019 - a handful of objects live as long as a run
    def _order(self, epoch: int, seed: int) -> np.ndarray:
        return np.random.default_rng((seed, epoch)).permutation(len(self))

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
            if path in self._kept:
                return self._kept[path]
            if path in self.skipped:
                continue
            try:
                pixels = _as_8_bits(images.read(path).pixels)
            except images.ImageError as error:
                self._skip(path, str(error))
                continue
            with self._lock:
                if path not in self._kept and pixels.nbytes <= self._memory:
                    self._memory -= pixels.nbytes
                    self._kept[path] = pixels
            return pixels
        raise ValueError("every photograph turned out to be damaged")


def augment(patch: np.ndarray, way: int) -> np.ndarray:
    """Returns a patch (..., H, W, 3) in one of its 8 flips and quarter turns; way 0 leaves it as it is."""
    turned = np.rot90(patch, way % 4, axes=(-3, -2))
    return np.ascontiguousarray(turned[..., ::-1, :] if way >= 4 else turned)


def _as_8_bits(pixels: np.ndarray) -> np.ndarray:
    return np.rint(pixels / 257).astype(np.uint8) if pixels.dtype == np.uint16 else pixels
