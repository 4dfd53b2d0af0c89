"""A photograph's file -> its restored file, and a folder of them -> the same tree, restored."""

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from PIL import Image
from tqdm import tqdm

from ipt_tf import images
from ipt_tf.images import ImageError, Photograph
from ipt_tf.restoration.restore import Network, restore


@dataclass
class Summary:
    """What became of the pictures of a folder: how many were restored or skipped, and which failed and why."""

    restored: int = 0
    skipped: int = 0
    failed: list[tuple[Path, str]] = field(default_factory=list)


def restore_file(
    source: Path, target: Path, network: Network, scale: int, *, overwrite: bool = False, **tiling
) -> None:
    """Restores one picture, with a progress bar over its tiles where that takes longer than two seconds.

    Alpha, bit depth, grey, ICC profile and EXIF are kept; alpha is enlarged bicubically with the picture.

    Args:
        source: picture to read.
        target: picture to write; its suffix chooses the format.
        network: see `ipt_tf.restoration.restore.restore`, as the further options in `tiling`.
        scale: output pixels per input pixel and axis.
        overwrite: replace a target that is there already.

    Raises:
        ImageError: the source cannot be read or the target not written. No work is done before both are checked.
    """
    images.check_target(target, overwrite=overwrite)
    photograph = images.read(source)
    if photograph.alpha is not None and not images.holds_alpha(target):
        raise ImageError(f"{target}: this format cannot hold the transparency of {source}; choose .png")
    with _Bar(source.name) as bar:
        restored = restore_photograph(photograph, network, scale, progress=bar.show, **tiling)
    images.write(restored, target, overwrite=overwrite)


def restore_photograph(photograph: Photograph, network: Network, scale: int, **options) -> Photograph:
    """Returns a photograph restored, with everything it carries; options are those of `restore`."""
    pixels = photograph.pixels[..., 0] if photograph.grey else photograph.pixels
    restored = restore(pixels, network, scale, **options)
    rgb = restored[..., None].repeat(3, axis=-1) if photograph.grey else restored
    alpha = None if photograph.alpha is None else enlarge(photograph.alpha, scale)
    return Photograph(rgb, alpha, photograph.grey, photograph.icc, photograph.exif)


def enlarge(alpha: np.ndarray, scale: int) -> np.ndarray:
    """Returns an alpha channel (H, W), uint8 or uint16, bicubically enlarged."""
    if scale == 1:
        return alpha
    height, width = alpha.shape
    plane = Image.fromarray(alpha.astype(np.float32))
    larger = np.asarray(plane.resize((width * scale, height * scale), Image.Resampling.BICUBIC))
    return np.rint(np.clip(larger, 0, np.iinfo(alpha.dtype).max)).astype(alpha.dtype)


def restore_folder(
    source: Path, target: Path, network: Network, scale: int, *, overwrite: bool = False, **tiling
) -> Summary:
    """Restores every picture in a folder and the folders inside it, into the same tree under `target`.

    Outputs that exist already are skipped, so that a stopped run goes on where it was. One bad picture does
    not stop the others. Outputs have the names of their inputs; a GIF becomes a PNG.

    Args:
        source: folder of pictures.
        target: folder to write; made if missing. If it lies inside `source`, what it holds is no input.
        network: see `ipt_tf.restoration.restore.restore`, as the further options in `tiling`.
        scale: output pixels per input pixel and axis.
        overwrite: restore again what exists already.

    Raises:
        ImageError: the source holds no pictures, or is the target itself.
    """
    if source.resolve() == target.resolve():
        raise ImageError(f"{source} cannot be both input and output")
    paths = [path for path in images.find(source) if not path.resolve().is_relative_to(target.resolve())]
    if not paths:
        raise ImageError(f"{source} holds no pictures ({', '.join(images.SUFFIXES)})")
    summary = Summary()
    taken: dict[Path, Path] = {}
    for path in tqdm(paths, unit="picture", desc=source.name, delay=2):
        goal = output_of(target / path.relative_to(source))
        try:
            if goal in taken:
                raise ImageError(f"{path}: its output {goal} is that of {taken[goal]} already")
            taken[goal] = path
            if goal.exists() and not overwrite:
                summary.skipped += 1
                continue
            goal.parent.mkdir(parents=True, exist_ok=True)
            images.check_target(goal, overwrite=overwrite)
            restored = restore_photograph(images.read(path), network, scale, **tiling)
            images.write(restored, goal, overwrite=overwrite)
            summary.restored += 1
        except (ValueError, OSError, MemoryError) as error:
            summary.failed.append((path, str(error)))
    return summary


def output_of(path: Path) -> Path:
    """Returns the path a restored picture is written to: its own, where that format can be written."""
    return path.with_suffix(".png") if path.suffix.lower() == ".gif" else path


class _Bar:
    """A progress bar over tiles for `restore(progress=bar.show)`."""

    def __init__(self, title: str):
        self._bar = tqdm(desc=title, unit="tile", delay=2, leave=False)

    def show(self, done: int, total: int) -> None:
        self._bar.total = total
        self._bar.update(done - self._bar.n)

    def __enter__(self) -> "_Bar":
        return self

    def __exit__(self, *exception) -> None:
        self._bar.close()
