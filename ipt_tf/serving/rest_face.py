"""TF-Serving's REST interface over the same models: predict, metadata and status.

Values come as rows, `{"instances": [...]}`, or as columns, `{"inputs": ...}`; strings as `{"b64": "..."}`.
"""

import asyncio
import base64
import json
import logging
import re
import weakref
from typing import Any, NamedTuple
from urllib.parse import unquote

import numpy as np
import tensorflow as tf
from aiohttp import web
from google.protobuf import json_format
from tensorflow_serving.apis import get_model_metadata_pb2

from ipt_tf.export.folders import version_of
from ipt_tf.serving import grpc_face
from ipt_tf.serving.errors import HTTP_STATUS, ServingError
from ipt_tf.serving.scheduler import Scheduler
from ipt_tf.serving.servable import Signature
from ipt_tf.serving.store import Store

HEARD = web.AppKey("heard", weakref.WeakSet)
"""Connections over which a request has come."""

_log = logging.getLogger(__name__)

# The patterns of the server's paths.
_MODEL = r"/v1/models/(?P<name>[^/:]+)"
_VERSION = r"(?:/versions/(?P<version>\d+)|/labels/(?P<label>[^/:]+))?"
_COMPUTE = re.compile(f"{_MODEL}{_VERSION}:(?P<verb>classify|regress|predict)", re.IGNORECASE | re.ASCII)
_TELL = re.compile(f"{_MODEL}{_VERSION}(?P<metadata>/metadata)?", re.IGNORECASE | re.ASCII)


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
    app[HEARD] = weakref.WeakSet()
    app.router.add_route("*", "/{path:(?i:v1/).*}", face.answer)
    return app


@web.middleware
async def _answer_errors(request: web.Request, handler) -> web.StreamResponse:
    request.app[HEARD].add(request.transport)
    try:
        return await handler(request)
    except ServingError as error:
        return _error(HTTP_STATUS.get(error.code, 500), str(error))
    except web.HTTPException as error:
        return _error(error.status, error.text or error.reason)
    except web.RequestPayloadError as error:
        answer = _error(400, f"the body cannot be read: {' '.join(str(error).split())}")
        answer.force_close()  # where it ends nobody knows
        return answer
    except Exception as error:
        _log.error("%s %s: %r", request.method, request.path[:200], error)
        return _error(500, f"an error of the server: {type(error).__name__}")


def _error(code: int, message: str) -> web.Response:
    return web.json_response({"error": message}, status=code)


class _Asked(NamedTuple):
    """The model that a path names, and what of it."""

    name: str
    version: int | None
    label: str | None

    @classmethod
    def of(cls, found: re.Match[str]) -> "_Asked":
        text, label = found["version"], found["label"]
        version = version_of(text) if text else None
        if text and version is None:
            raise ServingError("INVALID_ARGUMENT", f"Failed to convert version: {text[:100]} to numeric.")
        return cls(unquote(found["name"]), version, label and unquote(label))


class _Face:
    def __init__(self, store: Store, scheduler: Scheduler, timeout: float) -> None:
        self._store = store
        self._scheduler = scheduler
        self._timeout = timeout

    async def answer(self, request: web.Request) -> web.Response:
        """Dispatches by method and path, by the server's own patterns."""
        path = request.rel_url.raw_path
        if request.method == "POST" and (found := _COMPUTE.fullmatch(path)):
            if found["verb"].lower() != "predict":
                raise ServingError(
                    "INVALID_ARGUMENT", f"these models have signatures of :predict, not of :{found['verb']}"
                )
            return await self._predict(request, _Asked.of(found))
        if request.method == "GET" and (found := _TELL.fullmatch(path)):
            return (self._metadata if found["metadata"] else self._status)(_Asked.of(found))
        raise ServingError("INVALID_ARGUMENT", f"Malformed request: {request.method} {path[:200]}")

    async def _predict(self, request: web.Request, asked: _Asked) -> web.Response:
        try:
            body = await asyncio.wait_for(request.read(), self._timeout)
        except TimeoutError:
            raise ServingError("DEADLINE_EXCEEDED", "the request did not arrive in time") from None
        # The first look at the body finds the signature, whose workers then do the rest.
        content = await asyncio.get_running_loop().run_in_executor(None, _parsed, body)
        signature = self._store.find(*asked).signature(_signature_name(content))
        rows = "instances" in content
        answer = await self._scheduler.answer(
            signature,
            read=lambda: (_row_inputs if rows else _column_inputs)(signature, content),
            write=_rows if rows else _columns,
            seconds=self._timeout,
        )
        return web.Response(body=answer, content_type="application/json")

    def _metadata(self, asked: _Asked) -> web.Response:
        response = grpc_face.metadata(self._store.find(*asked))
        signatures = get_model_metadata_pb2.SignatureDefMap()
        response.metadata["signature_def"].Unpack(signatures)
        return web.json_response(
            {
                "model_spec": _as_json(response.model_spec),
                "metadata": {"signature_def": _as_json(signatures)},
            }
        )

    def _status(self, asked: _Asked) -> web.Response:
        return web.json_response(_as_json(grpc_face.status(self._store, asked.name, asked.version)))


def _as_json(message) -> Any:
    return json_format.MessageToDict(
        message, preserving_proto_field_name=True, always_print_fields_with_no_presence=True
    )


def _parsed(body: bytes) -> dict:
    """Parses the object that a body begins with; what stands behind it is ignored, as the server does."""
    try:
        content, _ = json.JSONDecoder().raw_decode(body.decode().lstrip())
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
        array = _values_of(value, dtype)
    except (ValueError, TypeError, OverflowError, RecursionError) as error:
        raise ServingError("INVALID_ARGUMENT", f"{name} is no array of {dtype.name}: {error}") from None
    signature.check_size(name, dtype, array.shape)
    return array


def _values_of(value: object, dtype: tf.DType) -> np.ndarray:
    """An array of nested lists, whose values must be of the kind of JSON that its type takes."""
    cells = np.array(_with_strings_decoded(value) if dtype == tf.string else value, object)
    kinds = set(map(type, cells.ravel().tolist()))
    if list in kinds:
        raise ValueError("lists of different lengths")
    taken: dict[tf.DType, set[type]] = {tf.string: {bytes}, tf.bool: {bool}}
    for kind in kinds - taken.get(dtype, {int, float} if dtype.is_floating else {int}):
        raise ValueError(f"{_KINDS.get(kind, kind.__name__)} found in it")
    return cells if dtype == tf.string else cells.astype(dtype.as_numpy_dtype)


_KINDS = {bool: "true or false", str: "a string", bytes: "a string", type(None): "null", dict: "an object"}


def _with_strings_decoded(value: Any) -> Any:
    if isinstance(value, list):
        return [_with_strings_decoded(each) for each in value]
    if isinstance(value, str):
        return value.encode()
    if isinstance(value, dict) and value.keys() == {"b64"} and isinstance(value["b64"], str):
        return _base64(value["b64"])
    return value


def _base64(text: str) -> bytes:
    """Decodes base64 as the server does: white space is ignored, and the padding may be missing."""
    letters = "".join(text.split())
    bare = letters.rstrip("=")
    if len(letters) not in (len(bare), -(-len(bare) // 4) * 4):
        raise ValueError("base64 with wrong padding")
    return base64.b64decode(bare + "=" * (-len(bare) % 4), validate=True)


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
