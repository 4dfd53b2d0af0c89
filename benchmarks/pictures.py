"""What is restored: a sample at any size, and photographs that were held out of training."""

from pathlib import Path

from PIL import Image

from ipt_tf import samples
from ipt_tf.data import Photographs

HELD_OUT = 16  # as `ipt train`


def write(path: Path, height: int, width: int) -> Path:
    """Writes the sample, resized, as a file of the path's format, and returns the path."""
    with Image.open(samples.path("chelsea")) as sample:
        sample.convert("RGB").resize((width, height), Image.Resampling.BICUBIC).save(path)
    return path


def held_out(data: Path, count: int = HELD_OUT) -> Photographs:
    """Returns some of the photographs of a folder that `ipt train` does not train on, evenly over their names."""
    _, validation = Photographs.of_folder(data).split(HELD_OUT, seed=0)
    assert validation is not None
    return Photographs(validation.paths[:: max(1, len(validation) // count)][:count])
