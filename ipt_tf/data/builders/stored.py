"""How a picture on disk goes into a dataset."""

from pathlib import Path

import numpy as np

from ipt_tf import images


def as_stored(path: Path) -> str | np.ndarray:
    """Returns what TFDS's Image feature takes: the path of a JPEG or PNG, whose bytes it stores; else RGB pixels."""
    if path.suffix.lower() in (".jpg", ".jpeg", ".png"):
        return str(path)
    pixels = images.read(path).pixels
    return pixels if pixels.dtype == np.uint8 else np.rint(pixels / 257).astype(np.uint8)
