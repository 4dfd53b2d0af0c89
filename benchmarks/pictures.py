"""What is restored: a sample at any size, and photographs that were held out of training."""

from pathlib import Path

from PIL import Image

from ipt_tf import samples
from ipt_tf.data import Photographs


def write(path: Path, height: int, width: int) -> Path:
    """Writes the sample, resized, as a file of the path's format, and returns the path."""
    with Image.open(samples.path("chelsea")) as sample:
        sample.convert("RGB").resize((width, height), Image.Resampling.BICUBIC).save(path)
    return path


def held_out(folder: Path, count: int = 16) -> Photographs:
    """Returns some of the photographs of a folder, evenly over their names."""
    paths = Photographs.of_folder(folder).paths
    return Photographs(paths[:: max(1, len(paths) // count)][:count])
