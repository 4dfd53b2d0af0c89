"""Scores of a model on benchmark folders, by the protocol of the paper's code.

Rounded to 8 bits; PSNR-Y and PSNR-RGB; a border of `scale` pixels left out for super-resolution, none else; HR
cropped to a multiple of the scale; noise clamped to 0..255 but not rounded, seeded per picture.
"""

import functools
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from keras import ops

from ipt_tf import images
from ipt_tf.evaluation import metrics
from ipt_tf.tasks import Task

LAYOUTS = """\
  super-resolution   SET/HR/NAME.png and SET/LR_bicubic/X2/NAMEx2.png (without LR files, they are made)
  denoising          SET/HR/NAME.png, or clean pictures right in SET/
  deraining          SET/rain/NAME and SET/norain/NAME, or SET/rainy/rain-N.png and SET/norain-N.png"""


@dataclass(frozen=True)
class Pair:
    """One picture of a benchmark set: the input of a task and what it should become, RGB, 0..255."""

    name: str
    degraded: np.ndarray
    clean: np.ndarray


@dataclass(frozen=True)
class Score:
    """Means over the pictures of one set."""

    set: str
    task: str
    psnr_y: float
    psnr_rgb: float
    ssim_y: float
    n: int


def evaluate_all(model, folder: Path, *, progress: Callable | None = None, **tiling) -> list[Score]:
    """Scores a model on every set in a folder, with every task that suits the set.

    Args:
        model: an `IPT`.
        folder: one set, or a folder of sets.
        progress: makes a progress bar from (title, total), as tqdm's.
        tiling: options of `IPT.restore`: overlap, batch_size, self_ensemble.

    Raises:
        ValueError: no set suits any of the model's tasks.
    """
    sets = [folder, *sorted(path for path in folder.iterdir() if path.is_dir())]
    scores = []
    for place in sets:
        for task in model.tasks:
            if not (paths := pictures(place, task)):
                continue
            bar = progress(f"{place.name} {task.name}", len(paths)) if progress else None
            restore = functools.partial(model.restore, task=task.name, **tiling)
            scores.append(evaluate(restore, task, place, bar.update if bar else None))
            if bar:
                bar.close()
    if not scores:
        raise ValueError(
            f"{folder} has no pictures for {', '.join(model.task_names)}; the layouts are\n{LAYOUTS}"
        )
    return scores


def table(scores: list[Score], overlap: int) -> str:
    """Returns scores as a Markdown table under a line that names the protocol."""
    lines = [
        f"Tiles with overlap {overlap}; rounded to 8 bits; border of `scale` pixels left out for super-resolution;"
        " noise clamped to 0..255, seeded.",
        "",
        "| set | task | PSNR-Y | PSNR-RGB | SSIM-Y | pictures |",
        "|---|---|---|---|---|---|",
    ]
    for score in scores:
        lines.append(
            f"| {score.set} | {score.task} | {score.psnr_y:.2f} | {score.psnr_rgb:.2f} | {score.ssim_y:.4f} |"
            f" {score.n} |"
        )
    return "\n".join(lines)


def evaluate(
    restore: Callable[[np.ndarray], np.ndarray],
    task: Task,
    folder: Path,
    on_picture: Callable[[], object] | None = None,
) -> Score:
    """Scores a restorer on the pictures of one set.

    Args:
        restore: function of an input image (H, W, 3), 0..255, to its restoration (scale H, scale W, 3).
        task: what is restored.
        folder: a set in one of the `LAYOUTS`.
        on_picture: called after each picture.

    Raises:
        ValueError: the folder has no pictures for this task; the message shows the layouts.
    """
    paths = pictures(folder, task)
    if not paths:
        raise ValueError(f"{folder} has no pictures for task {task.name}; the layouts are\n{LAYOUTS}")
    border = task.scale if task.scale > 1 else 0
    rows = []
    for pair in pairs(paths, task):
        restored = restore(pair.degraded)
        rows.append(
            (
                metrics.psnr(restored, pair.clean, channel="y", border=border),
                metrics.psnr(restored, pair.clean, channel="rgb", border=border),
                metrics.ssim(restored, pair.clean, border=border),
            )
        )
        if on_picture:
            on_picture()
    psnr_y, psnr_rgb, ssim_y = np.mean(rows, axis=0).tolist()
    return Score(folder.name, task.name, psnr_y, psnr_rgb, ssim_y, len(rows))


def pictures(folder: Path, task: Task) -> list[tuple[Path | None, Path]]:
    """Returns (degraded file or None, clean file) of every picture of a set that suits a task; [] if none."""
    return list(_derain(folder) if task.name.startswith("derain") else _clean(folder, task))


def _derain(folder: Path) -> Iterator[tuple[Path | None, Path]]:
    if (folder / "rainy").is_dir():  # PReNet's layout
        for rainy in images.find(folder / "rainy"):
            yield rainy, _existing(folder / rainy.name.replace("rain-", "norain-", 1), rainy)
    elif (folder / "rain").is_dir():
        for rainy in images.find(folder / "rain"):
            yield rainy, _existing(folder / "norain" / rainy.name.replace("rain-", "norain-", 1), rainy)


def _existing(clean: Path, rainy: Path) -> Path:
    for candidate in (clean, clean.with_name(rainy.name)):
        if candidate.exists():
            return candidate
    raise ValueError(
        f"{rainy} has no clean picture: neither {clean} nor {clean.with_name(rainy.name)} is there"
    )


def _clean(folder: Path, task: Task) -> Iterator[tuple[Path | None, Path]]:
    if any((folder / name).is_dir() for name in ("rain", "rainy")):
        return
    hr = folder / "HR" if (folder / "HR").is_dir() else folder
    lr = folder / "LR_bicubic" / f"X{task.scale}"
    for clean in sorted(path for path in images.find(hr) if path.parent == hr):
        if task.scale > 1 and lr.is_dir():
            yield _low(lr, clean, task.scale), clean
        else:
            yield None, clean


def _low(lr: Path, clean: Path, scale: int) -> Path:
    path = lr / f"{clean.stem}x{scale}.png"
    if not path.exists():
        raise ValueError(f"{clean} has no low-resolution picture: {path} is missing")
    return path


def pairs(paths: list[tuple[Path | None, Path]], task: Task) -> Iterator[Pair]:
    """Reads the pictures of a set; what has no degraded file is degraded by the task itself."""
    for degraded, path in paths:
        clean = _read(path)
        height, width = (length - length % task.scale for length in clean.shape[:2])
        clean = clean[:height, :width]
        if degraded is not None:
            yield Pair(path.name, _read(degraded), clean)
            continue
        rng = np.random.default_rng(zlib.crc32(path.name.encode()))
        made = ops.convert_to_numpy(task.make_input(clean[None].astype("float32"), rng))[0]
        yield Pair(path.name, made, clean)


def _read(path: Path) -> np.ndarray:
    pixels = images.read(path).pixels
    return pixels if pixels.dtype == np.uint8 else (pixels / 257).astype(np.float32)
