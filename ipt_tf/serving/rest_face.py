"""TF-Serving's REST interface over the same models: predict, metadata and status.

Values come as rows, `{"instances": [...]}`, or as columns, `{"inputs": ...}`; strings as `{"b64": "..."}`.
"""

import asyncio
import base64
import binascii
import json
from typing import Any

import numpy as np
import tensorflow as tf
from aiohttp import web
from google.protobuf import json_format
from tensorflow_serving.apis import get_model_metadata_pb2

from ipt_tf.serving import grpc_face
from ipt_tf.serving.errors import HTTP_STATUS, ServingError
from ipt_tf.serving.scheduler import Scheduler
from ipt_tf.serving.servable import Signature
from ipt_tf.serving.store import Store

_MODEL = r"/v1/models/{name:[^/:]+}"
_VERSIONS = ("", r"/versions/{version:\d{1,18}}", r"/labels/{label:[^/:]+}")


def application(
    store: Store,
    scheduler: Scheduler,
    *,
    most_bytes: int,
    timeout: float,
) -> web.Application:
    """Returns the HTTP application.

    Args:
        store: of the models.
        scheduler: who computes.
        most_bytes: largest body of a request.
        timeout: seconds until a request is answered with 504; HTTP has no deadline of its own.
    """
    face = _Face(store, scheduler, timeout)
    app = web.Application(client_max_size=most_bytes, middlewares=[_answer_errors])
    for version in _VERSIONS:
        app.router.add_post(f"{_MODEL}{version}:predict", face.predict)
        app.router.add_get(f"{_MODEL}{version}/metadata", face.metadata)
        app.router.add_get(f"{_MODEL}{version}", face.status)
    return app


@web.middleware
async def _answer_errors(request: web.Request, handler) -> web.StreamResponse:
    try:
        return await handler(request)
    except ServingError as error:
        return _error(HTTP_STATUS.get(error.code, 500), str(error))
    except web.HTTPException as error:
        if error.status == 404:
            return _error(404, f"Malformed request: {request.method} {request.path[:200]}")
        return _error(error.status, error.text or error.reason)


def _error(code: int, message: str) -> web.Response:
    return web.json_response({"error": message}, status=code)


class _Face:
    def __init__(self, store: Store, scheduler: Scheduler, timeout: float) -> None:
        self._store = store
        self._scheduler = scheduler
        self._timeout = timeout

    async def predict(self, request: web.Request) -> web.Response:
        servable = self._store.find(*_asked(request))
        try:
            body = await asyncio.wait_for(request.read(), self._timeout)
        except TimeoutError:
            raise ServingError("DEADLINE_EXCEEDED", "the request did not arrive in time") from None
        # The first look at the body finds the signature, whose workers then do the rest.
        content = await asyncio.get_running_loop().run_in_executor(None, _parsed, body)
        signature = servable.signature(_signature_name(content))

        rows = "instances" in content
        answer = await self._scheduler.answer(
            signature,
            read=lambda: (_row_inputs if rows else _column_inputs)(signature, content),
            write=_rows if rows else _columns,
            seconds=self._timeout,
        )
        return web.Response(body=answer, content_type="application/json")

    async def metadata(self, request: web.Request) -> web.Response:
        response = grpc_face.metadata(self._store.find(*_asked(request)))
        signatures = get_model_metadata_pb2.SignatureDefMap()
        response.metadata["signature_def"].Unpack(signatures)
        return web.json_response(
            {
                "model_spec": _as_json(response.model_spec),
                "metadata": {"signature_def": _as_json(signatures)},
            }
        )

    async def status(self, request: web.Request) -> web.Response:
        return web.json_response(_as_json(grpc_face.status(self._store, *_asked(request))))


def _asked(request: web.Request) -> tuple[str, int | None, str | None]:
    """The model, version and label of a path."""
    path = request.match_info
    version = path.get("version")
    return path["name"], int(version) if version else None, path.get("label")


def _as_json(message) -> Any:
    return json_format.MessageToDict(
        message, preserving_proto_field_name=True, always_print_fields_with_no_presence=True
    )


def _parsed(body: bytes) -> dict:
    try:
        content = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise ServingError("INVALID_ARGUMENT", f"JSON Parse error: {error}") from None
    if not isinstance(content, dict):
        raise ServingError("INVALID_ARGUMENT", "the request must be a JSON object")
    if ("instances" in content) == ("inputs" in content):
        raise ServingError("INVALID_ARGUMENT", 'the request must have either "instances" or "inputs"')
    return content


def _signature_name(content: dict) -> str:
    name = content.get("signature_name", "")
    if not isinstance(name, str):
        raise ServingError("INVALID_ARGUMENT", '"signature_name" must be a string')
    return name


def _row_inputs(signature: Signature, content: dict) -> dict[str, np.ndarray]:
    instances = content["instances"]
    if not isinstance(instances, list) or not instances:
        raise ServingError("INVALID_ARGUMENT", '"instances" must be a list with at least one value')
    if not _is_named(instances[0]):
        (name,) = _only(signature)
        return {name: _array(signature, name, instances)}
    names = instances[0].keys()
    if not all(_is_named(each) and each.keys() == names for each in instances):
        raise ServingError("INVALID_ARGUMENT", 'all of "instances" must have the same names')
    signature.check_names(names)
    return {name: _array(signature, name, [each[name] for each in instances]) for name in names}


def _column_inputs(signature: Signature, content: dict) -> dict[str, np.ndarray]:
    inputs = content["inputs"]
    if not _is_named(inputs):
        (name,) = _only(signature)
        inputs = {name: inputs}
    signature.check_names(inputs)
    return {name: _array(signature, name, value) for name, value in inputs.items()}


def _is_named(value: object) -> bool:
    """Whether JSON is {name: value}, and not the {"b64": ...} of a string."""
    return isinstance(value, dict) and value.keys() != {"b64"}


def _only(signature: Signature) -> list[str]:
    if len(signature.inputs) != 1:
        raise ServingError("INVALID_ARGUMENT", f"{signature.name} has several inputs: give them by name")
    return list(signature.inputs)


def _array(signature: Signature, name: str, value: object) -> np.ndarray:
    dtype = signature.inputs[name].dtype
    try:
        array = _strings(value) if dtype == tf.string else np.array(value, dtype.as_numpy_dtype)
    except (ValueError, TypeError, OverflowError, RecursionError) as error:
        raise ServingError("INVALID_ARGUMENT", f"{name} is no array of {dtype.name}: {error}") from None
    signature.check_size(name, dtype, array.shape)
    return array


def _strings(value: object) -> np.ndarray:
    """Strings (N,) from a list of {"b64": ...}."""
    if not isinstance(value, list):
        raise ValueError('a list of {"b64": "..."} is expected')
    strings = np.empty(len(value), object)
    for index, item in enumerate(value):
        if not isinstance(item, dict) or not isinstance(item.get("b64"), str):
            raise ValueError(f'value {index} is not {{"b64": "..."}}')
        try:
            strings[index] = base64.b64decode(item["b64"], validate=True)
        except binascii.Error as error:
            raise ValueError(f"value {index}: {error}") from None
    return strings


def _rows(outputs: dict[str, np.ndarray]) -> bytes:
    columns = {name: _values(name, value) for name, value in outputs.items()}
    if len(columns) == 1:
        (rows,) = columns.values()
    else:
        rows = [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
    return json.dumps({"predictions": rows}).encode()


def _columns(outputs: dict[str, np.ndarray]) -> bytes:
    columns = {name: _values(name, value) for name, value in outputs.items()}
    return json.dumps({"outputs": columns if len(columns) > 1 else next(iter(columns.values()))}).encode()


def _values(name: str, value: np.ndarray) -> list:
    """Nested lists; strings in base64 where the name says that they are bytes, as TF-Serving has it."""
    if value.dtype != object:
        return value.tolist()
    if name.endswith("_bytes"):
        return [{"b64": base64.b64encode(item).decode()} for item in value]
    return [item.decode(errors="replace") for item in value]
