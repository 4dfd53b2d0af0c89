"""Whole pictures of a model that `ipt export` wrote, a batch of tiles at a time.

The signatures in its graph compute the same, but nothing can stop them before they are done, and their loops hold
TensorFlow's threads as long: two large pictures would keep all other requests waiting.
"""

from collections.abc import Callable

import numpy as np
import tensorflow as tf

from ipt_tf.export import pictures
from ipt_tf.restoration.restore import Network, restore
from ipt_tf.serving.workers import Caller


class Pictures:
    """Restores images and files with the tiles of a model.

    Args:
        tiles: the signature `serving_default`: tensor images (n, P, P, 3) to restored (n, sP, sP, 3).
        side: P, pixels.
        scale: s, output pixels per input pixel and axis.
    """

    def __init__(self, tiles: Callable[..., dict[str, tf.Tensor]], side: int, scale: int) -> None:
        self._tiles, self._side, self._scale = tiles, side, scale

    def images(self, images: np.ndarray, caller: Caller) -> np.ndarray:
        """The signature `restore`: float32 (N, H, W, 3) in 0..255 to (N, sH, sW, 3), clipped.

        Raises:
            ServingError: CANCELLED, the caller is gone.
        """
        return restore(images, self._network(caller), self._scale, tile=self._side)

    def files(self, files: np.ndarray, caller: Caller) -> np.ndarray:
        """The signature `restore_bytes`: files of pictures (N,) to PNG files (N,); see `ipt_tf.export.pictures`.

        Raises:
            ServingError: CANCELLED, the caller is gone.
        """
        restored = np.empty(len(files), object)
        restored[:] = [self._file(data, caller) for data in files]
        return restored

    def _file(self, data: bytes, caller: Caller) -> bytes:
        pixels = pictures.decode(data)
        colours = 1 if pixels.shape[-1] < 3 else 3
        restored = restore(pixels[..., :colours].numpy(), self._network(caller), self._scale, tile=self._side)
        alpha = pictures.enlarged(pixels[..., colours:], self._scale)
        return tf.io.encode_png(tf.concat([restored, alpha], axis=-1)).numpy()

    def _network(self, caller: Caller) -> Network:
        def network(tiles: np.ndarray) -> np.ndarray:
            caller.check()
            return self._tiles(images=tf.constant(tiles))["restored"].numpy()

        return network
