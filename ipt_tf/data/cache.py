"""Decoded pictures, kept in memory as far as they fit."""

import threading
from pathlib import Path

import numpy as np

from ipt_tf import images


class Cache:
    """Reads pictures as 8-bit RGB (H, W, 3), and keeps what fits.

    Args:
        memory: bytes of pixels to keep; further pictures are decoded again each time.
    """

    def __init__(self, memory: int = 3 * 2**30):
        self.memory = memory
        self._kept: dict[Path, np.ndarray] = {}
        self._lock = threading.Lock()

    def read(self, path: Path) -> np.ndarray:
        """Returns a picture's pixels.

        Raises:
            ImageError: the file cannot be read.
        """
        if path in self._kept:
            return self._kept[path]
        pixels = images.read(path).pixels
        if pixels.dtype == np.uint16:
            pixels = np.rint(pixels / 257).astype(np.uint8)
        with self._lock:
            if path not in self._kept and pixels.nbytes <= self.memory:
                self.memory -= pixels.nbytes
                self._kept[path] = pixels
        return pixels
