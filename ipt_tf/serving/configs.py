"""TF-Serving's configuration files, in the text form of protocol buffers."""

import os
from collections.abc import Iterable, Mapping, Set
from dataclasses import dataclass, field
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


@dataclass(frozen=True)
class Served:
    """What TF-Serving's configuration says of a model.

    Args:
        folder: of its versions.
        latest: how many versions are served, the largest ones; None for all.
        specific: the versions that are served instead, if any are named.
        labels: label -> version.
    """

    folder: Path
    latest: int | None = 1
    specific: frozenset[int] = frozenset()
    labels: Mapping[str, int] = field(default_factory=dict)

    def chosen(self, versions: Iterable[int]) -> Set[int]:
        """Returns those of the versions that are there that are to be served."""
        there = sorted(versions)
        if self.specific:
            return self.specific & set(there)
        return set(there if self.latest is None else there[-self.latest :])


def read_models(path: str | os.PathLike, models: Path) -> dict[str, Served]:
    """Reads a file of TF-Serving's `--model_config_file`.

    Args:
        path: of the file.
        models: folder of the models, which TF-Serving's containers have at /models.

    Returns:
        What is to be served, by name.

    Raises:
        ValueError: the file does not exist, is no ModelServerConfig, or names what is not in `models`.

    Example:
        >>> read_models("serving/models.config", Path("models"))["ipt_derain"].labels
        {'stable': 1}
    """
    from tensorflow_serving.config import model_server_config_pb2

    config = _read(path, model_server_config_pb2.ModelServerConfig())
    found: dict[str, Served] = {}
    for model in config.model_config_list.config:
        base = Path(model.base_path)
        if base.parent not in (Path("/models"), models, models.absolute()):
            raise ValueError(
                f"{path}: base_path {model.base_path} of {model.name} is neither in {models} nor in /models, which"
                " stands for it"
            )
        if model.model_platform != "tensorflow":
            raise ValueError(f'{path}: model_platform of {model.name} is "tensorflow" here')
        if model.name in found:
            raise ValueError(f"{path}: {model.name} is there twice")
        policy = model.model_version_policy
        found[model.name] = Served(
            models / base.name,
            None if policy.WhichOneof("policy_choice") == "all" else max(policy.latest.num_versions, 1),
            frozenset(policy.specific.versions),
            dict(model.version_labels),
        )
    return found


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
    kinds = descriptor_pb2.FieldDescriptorProto
    file = descriptor_pb2.FileDescriptorProto(
        name="batching_parameters.proto",
        package="tensorflow.serving",
        syntax="proto3",
        dependency=[wrappers_pb2.DESCRIPTOR.name],
    )
    message = file.message_type.add(name="BatchingParameters")
    optional = {"label": kinds.LABEL_OPTIONAL}
    wrapped = ("max_batch_size", "batch_timeout_micros", "max_enqueued_batches", "num_batch_threads")
    for number, name in enumerate(wrapped, start=1):
        type_name = ".google.protobuf.Int64Value"
        message.field.add(name=name, number=number, type=kinds.TYPE_MESSAGE, type_name=type_name, **optional)
    type_name = ".google.protobuf.StringValue"
    message.field.add(
        name="thread_pool_name", number=5, type=kinds.TYPE_MESSAGE, type_name=type_name, **optional
    )
    message.field.add(name="allowed_batch_sizes", number=6, type=kinds.TYPE_INT64, label=kinds.LABEL_REPEATED)
    message.field.add(name="pad_variable_length_inputs", number=7, type=kinds.TYPE_BOOL, **optional)
    # A pool of its own: TF-Serving's definition of the same name may join the default one some day.
    pool = descriptor_pool.DescriptorPool()
    pool.AddSerializedFile(wrappers_pb2.DESCRIPTOR.serialized_pb)
    pool.Add(file)
    return message_factory.GetMessageClass(
        pool.FindMessageTypeByName("tensorflow.serving.BatchingParameters")
    )
