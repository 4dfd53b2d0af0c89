"""Exported `.tflite` files as networks, run by LiteRT: neither TensorFlow nor Keras is needed."""

import json
import os
from pathlib import Path

import numpy as np

METADATA = "ipt_tf"
"""Name of the metadata buffer of an exported file: JSON with its task, scale and tile, and what weights these are."""


class Runner:
    """A `.tflite` file that `ipt export` wrote, as the network of `ipt_tf.restoration.restore.restore`.

    Args:
        path: the file.

    Attributes:
        origin: what the file says about itself: version of ipt_tf, sha256 of the weights, configuration.
        task: name of the file's task.
        scale: output pixels per input pixel and axis.
        tile: side of its tiles, in pixels.

    Raises:
        ValueError: ai-edge-litert is not installed, or the file is missing, damaged or not of `ipt export`.

    Example:
        >>> runner = Runner("phone/ipt_sr_x2_float16.tflite")
        >>> large = restore(photograph, runner, runner.scale, tile=runner.tile)
    """

    def __init__(self, path: str | os.PathLike):
        try:
            from ai_edge_litert.interpreter import Interpreter
        except ModuleNotFoundError:
            raise ValueError(f"{path}: running it needs LiteRT: pip install 'ipt_tf[litert]'") from None
        data = _read(Path(path))
        try:
            self._interpreter = Interpreter(model_content=data, num_threads=os.cpu_count())
            origin = _origin(data)
        except Exception as error:  # the parsers raise whatever they like on damaged files
            raise ValueError(f"{path} is damaged, or no LiteRT file ({error})") from None
        if origin is None:
            raise ValueError(f"{path} is a LiteRT file, but none that `ipt export` wrote")
        self.origin = origin
        self.task: str = origin["task"]
        self.scale: int = origin["scale"]
        self.tile: int = origin["tile"]
        self._run = self._interpreter.get_signature_runner()

    def __call__(self, tiles: np.ndarray) -> np.ndarray:
        """Restores tiles (n, P, P, 3), float32 in 0..255, to (n, scale P, scale P, 3), not clipped."""
        return np.concatenate([self._run(images=tile[None])["restored"] for tile in tiles])


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        raise ValueError(f"{path} does not exist") from None
    except OSError as error:
        raise ValueError(f"{path} cannot be read: {error.strerror}") from None


def _origin(data: bytes) -> dict | None:
    from ai_edge_litert.schema_py_generated import Model

    model = Model.GetRootAs(data)
    for entry in (model.Metadata(i) for i in range(model.MetadataLength())):
        if entry.Name() == METADATA.encode():
            return json.loads(model.Buffers(entry.Buffer()).DataAsNumpy().tobytes())
    return None
