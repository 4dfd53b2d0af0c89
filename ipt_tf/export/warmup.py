"""Warm-up requests: what TF-Serving runs through a new version before it answers with it."""

import io
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import tensorflow as tf
from PIL import Image

FILE = "tf_serving_warmup_requests"

BATCH_SIZES = (1, 2, 4, 8, 16)
"""The sizes of batches that servers are configured for: `allowed_batch_sizes` in TF-Serving."""


def write(path: Path, task: str, tile: int) -> None:
    """Writes one request per signature and allowed batch size, as TFRecords of PredictionLog.

    Args:
        path: file to write.
        task: task of the model.
        tile: side of its tiles, in pixels.

    Raises:
        ModuleNotFoundError: tensorflow-serving-api is not installed.
    """
    from tensorflow_serving.apis import prediction_log_pb2

    with tf.io.TFRecordWriter(str(path)) as file:
        for signature, inputs in _requests(tile):
            log = prediction_log_pb2.PredictionLog()
            request = log.predict_log.request
            request.model_spec.name = f"ipt_{task}"
            request.model_spec.signature_name = signature
            for name, value in inputs.items():
                request.inputs[name].CopyFrom(tf.make_tensor_proto(value))
            file.write(log.SerializeToString())


def _requests(tile: int) -> Iterator[tuple[str, dict]]:
    grey = np.full((tile, tile, 3), 128, np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(grey).save(buffer, "PNG")
    larger = np.full((tile + 1, tile + 1, 3), 128, np.float32)  # more than one tile along each axis
    for size in BATCH_SIZES:
        yield "serving_default", {"images": np.repeat(grey[None].astype(np.float32), size, axis=0)}
        yield "restore", {"images": np.repeat(larger[None], size, axis=0)}
        yield "restore_bytes", {"image_bytes": np.array([buffer.getvalue()] * size, object)}
