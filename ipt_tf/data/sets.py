"""Benchmark sets: folders in the usual layouts -> pairs of an input and what it should become."""

import hashlib
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from keras import ops

from ipt_tf import images
from ipt_tf.tasks import FURTHER_TASKS, OFFICIAL_TASKS, Task

LAYOUTS = """\
  super-resolution   SET/HR/NAME.png with SET/LR_bicubic/X2/NAMEx2.png, X3 ... (without LR files, they are made)
  denoising          SET/HR/NAME.png, or clean pictures right in SET/ (noise is added)
  deraining          SET/rain/NAME with SET/norain/NAME, or SET/rainy/rain-N.png with SET/norain-N.png
  camera noise       SET/noisy/NAME with SET/clean/NAME
  other real pairs   SET/input/NAME with SET/target/NAME"""

_REAL_PAIRS = (("input", "target"),)


@dataclass(frozen=True)
class Picture:
    """The files of one picture of a set.

    Args:
        name: file name of the clean picture.
        clean: the clean picture.
        degraded: the input, or None where the task makes it from the clean picture.
    """

    name: str
    clean: Path
    degraded: Path | None = None

    def digest(self) -> str:
        """Returns 16 hexadecimal digits that change with the files' contents."""
        contents = b"".join(path.read_bytes() for path in (self.clean, self.degraded) if path is not None)
        return hashlib.sha256(contents).hexdigest()[:16]


@dataclass(frozen=True)
class Pair:
    """The input of a task and what it should become: (H, W, 3) and (scale H, scale W, 3), RGB, 0..255."""

    degraded: np.ndarray
    clean: np.ndarray


def find(folder: Path) -> list[Path]:
    """Returns the sets at a place: the folder itself where it is one, else those right in it, sorted.

    Raises:
        ValueError: it is no folder, or fits none of the `LAYOUTS`, which the message shows.
    """
    if not folder.is_dir():
        raise ValueError(f"{folder} is not a folder of benchmark sets")
    if _is_set(folder):
        return [folder]
    sets = [path for path in sorted(folder.iterdir()) if path.is_dir() and _is_set(path)]
    if not sets:
        raise ValueError(f"{folder} holds no benchmark set; the layouts are\n{LAYOUTS}")
    return sets


def _is_set(folder: Path) -> bool:
    return (folder / "HR").is_dir() or _has_pairs(folder) or bool(_pictures_in(folder))


def _has_pairs(folder: Path) -> bool:
    tasks = (*OFFICIAL_TASKS, *FURTHER_TASKS)
    known = [*_REAL_PAIRS, *(names for task in tasks for names in task.pairs)]
    return any((folder / degraded).is_dir() for degraded, _ in known)


def _pictures_in(folder: Path) -> list[Path]:
    return sorted(
        path
        for path in folder.iterdir()
        if path.suffix.lower() in images.SUFFIXES and path.is_file() and not path.name.startswith(".")
    )


def pictures(folder: Path, task: Task) -> list[Picture]:
    """Returns the pictures of a set that a task is measured on, sorted by name; none where the set does not suit it.

    Raises:
        ValueError: a picture lacks its other half.
    """
    for degraded, clean in task.pairs or (() if task.degrade else _REAL_PAIRS):
        if (folder / degraded).is_dir():
            return [_partner(rainy, folder / clean) for rainy in _pictures_in(folder / degraded)]
    if task.pairs or task.degrade is None or _has_pairs(folder):
        return []
    high = folder / "HR" if (folder / "HR").is_dir() else folder
    low = folder / "LR_bicubic" / f"X{task.scale}"
    has_low = task.scale > 1 and low.is_dir()
    return [
        Picture(path.name, path, _low(path, low, task.scale) if has_low else None)
        for path in _pictures_in(high)
    ]


def _partner(degraded: Path, folder: Path) -> Picture:
    """The clean picture has the same name, or that with "no" before it, as in rain-001.png and norain-001.png."""
    for name in (degraded.name, f"no{degraded.name}"):
        if (folder / name).is_file():
            return Picture(name, folder / name, degraded)
    raise ValueError(
        f"{degraded} has no clean picture: neither {degraded.name} nor no{degraded.name} is in {folder.resolve()}"
    )


def _low(clean: Path, folder: Path, scale: int) -> Path:
    path = folder / f"{clean.stem}x{scale}.png"
    if not path.is_file():
        raise ValueError(f"{clean} has no low-resolution picture: {path} is missing")
    return path


def read(picture: Picture, task: Task) -> Pair:
    """Reads a picture; an input that has no file is made by the task, always the same for the same file name.

    What the scale does not divide is cut off the clean picture at the bottom and at the right.

    Raises:
        ValueError: a file is no picture, or the two do not fit each other.
    """
    clean = _pixels(picture.clean)
    height, width = (length // task.scale for length in clean.shape[:2])
    clean = clean[: height * task.scale, : width * task.scale]
    if picture.degraded is None:
        rng = np.random.default_rng(zlib.crc32(picture.name.encode()))
        made = task.make_input(clean[None].astype("float32"), rng)
        return Pair(ops.convert_to_numpy(made)[0], clean)
    degraded = _pixels(picture.degraded)
    if degraded.shape[:2] != (height, width):
        raise ValueError(
            f"{picture.degraded} is {degraded.shape[0]} x {degraded.shape[1]} pixels; beside {picture.clean} it"
            f" should be {height} x {width}"
        )
    return Pair(degraded, clean)


def _pixels(path: Path) -> np.ndarray:
    pixels = images.read(path).pixels
    return pixels if pixels.dtype == np.uint8 else (pixels / 257).astype(np.float32)
