"""A photograph's file -> its restored file, and a folder of them -> the same tree, restored."""

import os
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from PIL import Image
from tqdm import tqdm

from ipt_tf import images
from ipt_tf.images import ImageError, Photograph
from ipt_tf.restoration.restore import Network, Progress, restore


@dataclass
class Summary:
    """What became of the photographs of a folder.

    Args:
        restored: how many were restored and written.
        skipped: how many had an output already.
        failed: the path of each that failed, and why; and of each folder that may not be read.
    """

    restored: int = 0
    skipped: int = 0
    failed: list[tuple[Path, str]] = field(default_factory=list)


def restore_file(
    source: str | os.PathLike,
    target: str | os.PathLike,
    network: Network,
    scale: int,
    *,
    overwrite: bool = False,
    progress: Progress | None = None,
    **options,
) -> None:
    """Restores one photograph, and keeps alpha, bit depth, grey, ICC profile and EXIF.

    Args:
        source: file to read.
        target: file to write; its suffix chooses the format.
        network: see `ipt_tf.restoration.restore.restore`.
        scale: output pixels per input pixel and axis.
        overwrite: replace a target that is there already.
        progress: called as `progress(done, total)` with tiles; by default a bar on the terminal shows them after
            two seconds.
        **options: further options of `restore`: tile, overlap, batch_size, self_ensemble.

    Raises:
        ImageError: the source cannot be read, the target not written, or both are one file; all is asked before
            the network runs.

    Example:
        >>> restore_file("in.jpg", "out.png", model.network("denoise_50"), scale=1, overlap=10)
    """
    if Path(source).resolve() == Path(target).resolve():
        raise ImageError(f"{source} cannot be both input and output")
    images.check_target(target, overwrite=overwrite)
    photograph = images.read(source)
    _check_result(photograph, target, scale)
    hidden = True if progress else None  # None: where stderr is no terminal
    with tqdm(desc=Path(source).name, unit="tile", delay=2, leave=False, disable=hidden) as bar:
        restored = restore_photograph(
            photograph, network, scale, progress=progress or _show_in(bar), **options
        )
    images.write(restored, target, overwrite=overwrite)


def _check_result(photograph: Photograph, target: str | os.PathLike, scale: int) -> None:
    height, width = photograph.pixels.shape[:2]
    images.check_holds(target, height * scale, width * scale, alpha=photograph.alpha is not None)


def _show_in(bar: tqdm) -> Progress:
    def show(done: int, total: int) -> None:
        bar.total = total
        bar.update(done - bar.n)

    return show


def restore_photograph(photograph: Photograph, network: Network, scale: int, **options) -> Photograph:
    """Returns a photograph restored, with everything it carries; options are those of `restore`."""
    pixels = photograph.pixels[..., 0] if photograph.grey else photograph.pixels
    restored = restore(pixels, network, scale, **options)
    return replace(
        photograph,
        pixels=restored[..., None].repeat(3, axis=-1) if photograph.grey else restored,
        alpha=None if photograph.alpha is None else enlarge(photograph.alpha, scale),
    )


def enlarge(channel: np.ndarray, scale: int) -> np.ndarray:
    """Returns one channel (H, W), uint8 or uint16, bicubically enlarged to (H * scale, W * scale)."""
    if scale == 1:
        return channel
    height, width = channel.shape
    # Pillow resizes 8 bits or float32, which holds 16 bits exactly.
    plane = Image.fromarray(channel.astype(np.float32))
    larger = np.asarray(plane.resize((width * scale, height * scale), Image.Resampling.BICUBIC))
    return np.rint(larger.clip(0, np.iinfo(channel.dtype).max)).astype(channel.dtype)


def restore_folder(
    source: str | os.PathLike,
    target: str | os.PathLike,
    network: Network,
    scale: int,
    *,
    overwrite: bool = False,
    **options,
) -> Summary:
    """Restores every photograph in a folder and the folders inside it, into the same tree under `target`.

    Outputs that exist already are skipped, so that a stopped run goes on where it was. One bad photograph does
    not stop the others. Outputs have the names of their inputs; a GIF becomes a PNG.

    Args:
        source: folder of photographs.
        target: folder to write; made if missing. If it lies inside `source`, what it holds is no input.
        network: see `ipt_tf.restoration.restore.restore`.
        scale: output pixels per input pixel and axis.
        overwrite: restore again what exists already.
        **options: further options of `restore`: tile, overlap, batch_size, self_ensemble.

    Returns:
        What was restored, skipped and failed.

    Raises:
        ImageError: the source is no folder, holds no photographs or is the target itself, or the target cannot
            be made or is read-only.

    Example:
        >>> restore_folder("holiday", "restored", model.network("derain"), scale=1)
        Summary(restored=41, skipped=0, failed=[])
    """
    source, target = Path(source), Path(target)
    summary = Summary()
    paths = _inputs(source, target, summary)
    try:
        target.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ImageError(f"{target}: the folder cannot be made ({error.strerror})") from None
    images.check_folder(target)

    claimed = {path.resolve(): path for path in paths}  # no output replaces an input, nor another output
    for path in tqdm(paths, unit="photograph", desc=source.name, delay=2, disable=None):
        output = output_of(target / path.relative_to(source))
        try:
            if (other := claimed.setdefault(output.resolve(), path)) is not path:
                raise ImageError(f"{path}: its output {output} is taken by {other}; rename one of the two")
            if output.is_file() and not overwrite:
                summary.skipped += 1
                continue
            output.parent.mkdir(parents=True, exist_ok=True)
            images.check_target(output, overwrite=overwrite)
            photograph = images.read(path)
            _check_result(photograph, output, scale)
            restored = restore_photograph(photograph, network, scale, **options)
            images.write(restored, output, overwrite=overwrite)
            summary.restored += 1
        except (ValueError, OSError, MemoryError) as error:
            summary.failed.append((path, str(error) or type(error).__name__))
    return summary


def _inputs(source: Path, target: Path, summary: Summary) -> list[Path]:
    """Returns the photographs of `source` without those in a `target` inside it; those that keep their name first."""

    def fail(error: ImageError) -> None:
        summary.failed.append((source, str(error)))

    here, there = source.resolve(), target.resolve()
    if here == there:
        raise ImageError(f"{source} cannot be both input and output")
    paths = images.find(source, unreadable=fail)
    if there.is_relative_to(here):
        paths = [path for path in paths if not path.resolve().is_relative_to(there)]
    if not paths and not summary.failed:
        raise ImageError(f"{source} holds no photographs ({', '.join(images.SUFFIXES)})")
    return sorted(paths, key=lambda path: output_of(path) != path)


def output_beside(source: Path, task: str) -> Path:
    """Returns the path beside a photograph, or a folder of them, that its restored one is written to by default."""
    if source.is_dir():
        if source.name in ("", ".."):
            source = source.resolve()
        return source.with_name(f"{source.name}_{task}")
    target = output_of(source)
    return target.with_name(f"{target.stem}_{task}{target.suffix}")


def output_of(path: Path) -> Path:
    """Returns the path a restored photograph is written to: its own, or .png where that format is not written."""
    return path if path.suffix.lower() in images.WRITTEN_SUFFIXES else path.with_suffix(".png")
