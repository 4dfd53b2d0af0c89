"""TF-Serving's configuration files, in the text form of protocol buffers."""

import os
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory, text_format, wrappers_pb2


@dataclass(frozen=True)
class Batching:
    """How tiles of concurrent requests are put together.

    Args:
        max_batch_size: most tiles in a batch, and in a request.
        num_batch_threads: batches of one model that are computed at the same time.
        batch_timeout_micros: how long a batch waits for more tiles while a thread is free, in microseconds.
        max_enqueued_batches: batches of one model that may wait; beyond them requests are UNAVAILABLE.
        allowed_batch_sizes: sizes that batches are filled up to; none where empty.
    """

    max_batch_size: int = 16
    num_batch_threads: int = 1
    batch_timeout_micros: int = 0
    max_enqueued_batches: int = 64
    allowed_batch_sizes: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        sizes = self.allowed_batch_sizes
        if sizes and (list(sizes) != sorted(set(sizes)) or sizes[-1] != self.max_batch_size):
            raise ValueError(
                f"allowed_batch_sizes must increase and end with max_batch_size, {self.max_batch_size}: {sizes}"
            )
        if min(self.max_batch_size, self.num_batch_threads, self.max_enqueued_batches) < 1:
            raise ValueError("max_batch_size, num_batch_threads and max_enqueued_batches are numbers from 1")


def read_batching(path: str | os.PathLike) -> Batching:
    """Reads a file of TF-Serving's `--batching_parameters_file`.

    Raises:
        ValueError: the file does not exist, or is no BatchingParameters.

    Example:
        >>> read_batching("serving/batching_parameters.txt").max_batch_size
        16
    """
    message = _read(path, batching_parameters())
    values: dict[str, Any] = {
        field: getattr(message, field).value
        for field in (
            "max_batch_size",
            "num_batch_threads",
            "batch_timeout_micros",
            "max_enqueued_batches",
        )
        if message.HasField(field)
    }
    try:
        return Batching(**values, allowed_batch_sizes=tuple(message.allowed_batch_sizes))
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None


def read_labels(path: str | os.PathLike) -> dict[str, dict[str, int]]:
    """Reads the version labels, by model, from a file of TF-Serving's `--model_config_file`.

    Raises:
        ValueError: the file does not exist, or is no ModelServerConfig.

    Example:
        >>> read_labels("serving/models.config")["ipt_derain"]
        {'stable': 1}
    """
    from tensorflow_serving.config import model_server_config_pb2

    config = _read(path, model_server_config_pb2.ModelServerConfig())
    return {model.name: dict(model.version_labels) for model in config.model_config_list.config}


def _read(path: str | os.PathLike, message):
    try:
        return text_format.Parse(Path(path).read_text(), message)
    except OSError as error:
        raise ValueError(f"{path}: {error.strerror}") from None
    except (text_format.ParseError, UnicodeDecodeError) as error:
        name = message.DESCRIPTOR.name
        raise ValueError(f"{path} is not a {name} of TF-Serving: {error}") from None


def batching_parameters():
    """Returns an empty BatchingParameters, which tensorflow-serving-api leaves out.

    The fields are those of `tensorflow_serving/servables/tensorflow/session_bundle_config.proto`.
    """
    return _batching_parameters_class()()


@cache
def _batching_parameters_class():
    field = descriptor_pb2.FieldDescriptorProto
    file = descriptor_pb2.FileDescriptorProto(
        name="batching_parameters.proto",
        package="tensorflow.serving",
        syntax="proto3",
        dependency=[wrappers_pb2.DESCRIPTOR.name],
    )
    message = file.message_type.add(name="BatchingParameters")
    optional = {"label": field.LABEL_OPTIONAL}
    wrapped = ("max_batch_size", "batch_timeout_micros", "max_enqueued_batches", "num_batch_threads")
    for number, name in enumerate(wrapped, start=1):
        type_name = ".google.protobuf.Int64Value"
        message.field.add(name=name, number=number, type=field.TYPE_MESSAGE, type_name=type_name, **optional)
    type_name = ".google.protobuf.StringValue"
    message.field.add(
        name="thread_pool_name", number=5, type=field.TYPE_MESSAGE, type_name=type_name, **optional
    )
    message.field.add(name="allowed_batch_sizes", number=6, type=field.TYPE_INT64, label=field.LABEL_REPEATED)
    message.field.add(name="pad_variable_length_inputs", number=7, type=field.TYPE_BOOL, **optional)
    # A pool of its own: TF-Serving's definition of the same name may join the default one some day.
    pool = descriptor_pool.DescriptorPool()
    pool.AddSerializedFile(wrappers_pb2.DESCRIPTOR.serialized_pb)
    pool.Add(file)
    return message_factory.GetMessageClass(
        pool.FindMessageTypeByName("tensorflow.serving.BatchingParameters")
    )
