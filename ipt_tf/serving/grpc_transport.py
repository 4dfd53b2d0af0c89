"""The client's gRPC: needs tensorflow-serving-api, and with it TensorFlow."""

import json
import time
from collections.abc import Mapping
from pathlib import Path

import grpc
import numpy as np
import tensorflow as tf
from tensorflow_serving.apis import (
    get_model_metadata_pb2,
    get_model_status_pb2,
    model_pb2,
    model_service_pb2_grpc,
    predict_pb2,
    prediction_service_pb2_grpc,
)

from ipt_tf.serving.errors import ServingError
from ipt_tf.serving.transport import Model, OutOfTime, Signature, Tensor, Tls, best_state, pauses, why_never

_SERVICE_CONFIG: dict = {
    "loadBalancingConfig": [{"round_robin": {}}]
}  # over all addresses that the server's name has

_OPTIONS = [
    ("grpc.service_config", json.dumps(_SERVICE_CONFIG)),
    ("grpc.max_receive_message_length", -1),  # 4 MB otherwise, which nine enlarged tiles exceed
    ("grpc.max_send_message_length", -1),
    ("grpc.enable_retries", 0),  # gRPC's own do not repeat a call that was under way when its server died
    ("grpc.initial_reconnect_backoff_ms", 500),
    ("grpc.max_reconnect_backoff_ms", 5000),  # two minutes otherwise, once a server was away
]


class GrpcTransport:
    """One model of one server over gRPC.

    Args:
        address: host:port.
        model: what is asked for.
        tls: what TLS is spoken with; None speaks none.
    """

    def __init__(self, address: str, model: Model, *, tls: Tls | None) -> None:
        self._model = model
        self._where = f"grpc{'s' if tls else ''}://{address}, {model}"
        if tls:
            credentials = grpc.ssl_channel_credentials(*map(_content, (tls.ca, tls.key, tls.certificate)))
            self._channel = grpc.secure_channel(address, credentials, _OPTIONS)
        else:
            self._channel = grpc.insecure_channel(address, _OPTIONS)
        self._predictions = prediction_service_pb2_grpc.PredictionServiceStub(self._channel)
        self._models = model_service_pb2_grpc.ModelServiceStub(self._channel)

    def state(self, seconds: float) -> str:
        request = get_model_status_pb2.GetModelStatusRequest(model_spec=self._spec())
        response = self._call(self._models.GetModelStatus, request, seconds)
        return best_state(
            get_model_status_pb2.ModelVersionStatus.State.Name(each.state)
            for each in response.model_version_status
        )

    def signatures(self, seconds: float) -> dict[str, Signature]:
        request = get_model_metadata_pb2.GetModelMetadataRequest(
            model_spec=self._spec(), metadata_field=["signature_def"]
        )
        response = self._call(self._predictions.GetModelMetadata, request, seconds)
        found = get_model_metadata_pb2.SignatureDefMap()
        response.metadata["signature_def"].Unpack(found)
        return {
            name: Signature(_tensors(each.inputs), _tensors(each.outputs))
            for name, each in found.signature_def.items()
        }

    def predict(
        self, signature: str, inputs: Mapping[str, np.ndarray], seconds: float
    ) -> dict[str, np.ndarray]:
        request = predict_pb2.PredictRequest(model_spec=self._spec(signature))
        for name, value in inputs.items():
            request.inputs[name].CopyFrom(tf.make_tensor_proto(value))
        response = self._call(self._predictions.Predict, request, seconds)
        return {name: tf.make_ndarray(value) for name, value in response.outputs.items()}

    def close(self) -> None:
        self._channel.close()

    def _spec(self, signature: str = "") -> model_pb2.ModelSpec:
        spec = model_pb2.ModelSpec(name=self._model.name, signature_name=signature)
        if self._model.version is not None:
            spec.version.value = self._model.version
        if self._model.label is not None:
            spec.version_label = self._model.label
        return spec

    def _call(self, method, request, seconds: float):
        """Calls, again while the server is UNAVAILABLE and time is left: all that is asked here can be asked twice."""
        deadline, problem = time.monotonic() + seconds, ""
        for pause in pauses():
            if (left := deadline - time.monotonic()) <= 0:
                break
            try:
                return method(request, timeout=left)
            except grpc.RpcError as error:
                if error.code() is grpc.StatusCode.DEADLINE_EXCEEDED and problem:
                    break
                if error.code() is not grpc.StatusCode.UNAVAILABLE:
                    raise ServingError(error.code().name, f"{self._where}: {error.details()}") from None
                last = error.details().rpartition("last error: ")[2]
                # A name has several addresses, such as one of IPv6, at which nobody listens.
                problem = problem if problem and "refused" in last else last
                if reason := why_never(problem):
                    raise ServingError("UNAVAILABLE", f"{self._where}: {reason}") from None
            time.sleep(max(0.0, min(pause, deadline - time.monotonic())))
        raise OutOfTime(self._where, seconds, problem)


def _content(file: Path | None) -> bytes | None:
    return file.read_bytes() if file else None


def _tensors(infos) -> dict[str, Tensor]:
    return {
        name: Tensor(tf.as_dtype(info.dtype).name, tuple(each.size for each in info.tensor_shape.dim))
        for name, info in infos.items()
    }
