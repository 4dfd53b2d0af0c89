"""Decoded pictures, kept in memory as far as they fit."""

import threading
from pathlib import Path

import numpy as np

from ipt_tf import images


def decode(path: Path) -> np.ndarray:
    """Returns a picture's pixels as 8-bit RGB (H, W, 3).

    Raises:
        ImageError: the file cannot be read.
    """
    pixels = images.read(path).pixels
    return np.rint(pixels / 257).astype(np.uint8) if pixels.dtype == np.uint16 else pixels


class Cache:
    """Reads pictures, and keeps what fits.

    Args:
        memory: bytes of pixels to keep; further pictures are decoded again each time.
    """

    def __init__(self, memory: int = 3 * 2**30):
        self.memory = memory
        self._kept: dict[Path, np.ndarray] = {}
        self._lock = threading.Lock()

    def read(self, path: Path) -> np.ndarray:
        """Returns what `decode` returns."""
        if path in self._kept:
            return self._kept[path]
        pixels = decode(path)
        with self._lock:
            if path not in self._kept and pixels.nbytes <= self.memory:
                self.memory -= pixels.nbytes
                self._kept[path] = pixels
        return pixels
