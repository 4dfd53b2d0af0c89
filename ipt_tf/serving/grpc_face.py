"""TF-Serving's gRPC services: Predict, GetModelMetadata and GetModelStatus."""

import functools
import logging
from collections.abc import Callable, Mapping

import grpc
import numpy as np
import tensorflow as tf
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from tensorflow.core.framework import tensor_pb2
from tensorflow_serving.apis import (
    get_model_metadata_pb2,
    get_model_status_pb2,
    model_pb2,
    model_service_pb2_grpc,
    predict_pb2,
    prediction_service_pb2_grpc,
)

from ipt_tf.serving.errors import ServingError
from ipt_tf.serving.scheduler import Scheduler
from ipt_tf.serving.servable import DEFAULT_SIGNATURE, Servable, Signature
from ipt_tf.serving.store import Store

_log = logging.getLogger(__name__)

HEALTH_NAMES = ("", "ModelService", "PredictionService")
"""What the health service knows: the whole server, and the names that TF-Serving uses."""


def add_services(server: grpc.aio.Server, store: Store, scheduler: Scheduler) -> health.aio.HealthServicer:
    """Adds all services to a gRPC server, and returns the one that says whether it is healthy."""
    prediction_service_pb2_grpc.add_PredictionServiceServicer_to_server(
        PredictionService(store, scheduler), server
    )
    model_service_pb2_grpc.add_ModelServiceServicer_to_server(ModelService(store), server)
    healthy = health.aio.HealthServicer()
    health_pb2_grpc.add_HealthServicer_to_server(healthy, server)
    return healthy


async def say_serving(healthy: health.aio.HealthServicer) -> None:
    """Makes the health service answer SERVING."""
    for name in HEALTH_NAMES:
        await healthy.set(name, health_pb2.HealthCheckResponse.SERVING)


def _answering(method: Callable) -> Callable:
    """Makes every error of a method gRPC's own."""

    @functools.wraps(method)
    async def answering(self, request, context):
        try:
            return await method(self, request, context)
        except ServingError as error:
            await context.abort(grpc.StatusCode[error.code], str(error))
        except Exception as error:
            _log.error("%s: %r", method.__name__, error)
            await context.abort(grpc.StatusCode.INTERNAL, f"an error of the server: {type(error).__name__}")

    return answering


class PredictionService(prediction_service_pb2_grpc.PredictionServiceServicer):
    """Computes.

    Args:
        store: of the models.
        scheduler: who computes.
    """

    def __init__(self, store: Store, scheduler: Scheduler) -> None:
        self._store = store
        self._scheduler = scheduler

    @_answering
    async def Predict(self, request, context):
        servable = find(self._store, request.model_spec)
        signature = servable.signature(request.model_spec.signature_name)
        signature.check_outputs(request.output_filter)
        return await self._scheduler.answer(
            signature,
            read=lambda: _arrays(signature, request.inputs),
            write=lambda outputs: _response(servable, signature, outputs, request.output_filter),
            seconds=context.time_remaining(),
        )

    @_answering
    async def GetModelMetadata(self, request, context):
        if set(request.metadata_field) != {"signature_def"}:
            raise ServingError("INVALID_ARGUMENT", "metadata_field must be signature_def, and nothing else")
        return metadata(find(self._store, request.model_spec))


class ModelService(model_service_pb2_grpc.ModelServiceServicer):
    """Says which versions are there."""

    def __init__(self, store: Store) -> None:
        self._store = store

    @_answering
    async def GetModelStatus(self, request, context):
        number, _ = _version(request.model_spec)
        return status(self._store, request.model_spec.name, number)


def find(store: Store, spec: model_pb2.ModelSpec) -> Servable:
    """Returns the version of a model that a request names."""
    if not spec.name:
        raise ServingError("INVALID_ARGUMENT", "the request names no model: model_spec.name is empty")
    return store.find(spec.name, *_version(spec))


def _version(spec: model_pb2.ModelSpec) -> tuple[int | None, str | None]:
    choice = spec.WhichOneof("version_choice")
    number = spec.version.value if choice == "version" else None
    return number, spec.version_label if choice == "version_label" else None


def metadata(servable: Servable) -> get_model_metadata_pb2.GetModelMetadataResponse:
    """Returns the signatures of a version."""
    response = get_model_metadata_pb2.GetModelMetadataResponse()
    response.model_spec.name = servable.name
    response.model_spec.version.value = servable.version
    signatures = get_model_metadata_pb2.SignatureDefMap()
    for name, definition in servable.definitions.items():
        signatures.signature_def[name].CopyFrom(definition)
    response.metadata["signature_def"].Pack(signatures)
    return response


def status(store: Store, name: str, version: int | None) -> get_model_status_pb2.GetModelStatusResponse:
    """Returns the state of the versions of a model, or of one of them. The server takes no notice of labels here."""
    response = get_model_status_pb2.GetModelStatusResponse()
    for known in store.status(name, version):
        row = response.model_version_status.add(version=known.version)
        row.state = get_model_status_pb2.ModelVersionStatus.State.Value(known.state)
        row.status.error_code = 2 if known.error else 0  # UNKNOWN, OK
        row.status.error_message = known.error
    return response


def _arrays(signature: Signature, protos: Mapping[str, tensor_pb2.TensorProto]) -> dict[str, np.ndarray]:
    signature.check_names(protos)
    return {name: _array(signature, name, proto) for name, proto in protos.items()}


def _array(signature: Signature, name: str, proto: tensor_pb2.TensorProto) -> np.ndarray:
    shape = [dimension.size for dimension in proto.tensor_shape.dim]
    if proto.tensor_shape.unknown_rank:
        raise ServingError("INVALID_ARGUMENT", f"{name} does not say its shape")
    try:
        dtype = tf.as_dtype(proto.dtype)
    except TypeError:
        raise ServingError("INVALID_ARGUMENT", f"{name} has no type that is known: {proto.dtype}") from None
    signature.check_size(name, dtype, shape)
    # A few strings can stand for many, and would be decoded as often.
    if dtype == tf.string and len(proto.string_val) != shape[0]:
        raise ServingError("INVALID_ARGUMENT", f"{name} has {len(proto.string_val)} strings, not {shape[0]}")
    try:
        return tf.make_ndarray(proto)
    except (ValueError, TypeError) as error:
        raise ServingError("INVALID_ARGUMENT", f"{name} does not fit its shape: {error}") from None


def _response(
    servable: Servable, signature: Signature, outputs: Mapping[str, np.ndarray], wanted
) -> predict_pb2.PredictResponse:
    response = predict_pb2.PredictResponse()
    response.model_spec.name = servable.name
    response.model_spec.version.value = servable.version
    response.model_spec.signature_name = signature.name or DEFAULT_SIGNATURE
    for name in wanted or outputs:
        response.outputs[name].CopyFrom(tf.make_tensor_proto(outputs[name]))
    return response
