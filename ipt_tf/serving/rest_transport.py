"""The client's REST: needs neither TensorFlow nor gRPC.

Tiles go as JSON numbers, exact but several times larger than over gRPC, and slow to write and to read.
"""

import base64
import json
import time
from collections.abc import Mapping
from typing import Any

import numpy as np
import urllib3
from urllib3.exceptions import HTTPError, ReadTimeoutError, SSLError

from ipt_tf.serving.errors import HTTP_STATUS, ServingError
from ipt_tf.serving.transport import Model, OutOfTime, Signature, Tensor, Tls, best_state, pauses, why_never

_CODES = {status: code for code, status in reversed(HTTP_STATUS.items())}


class RestTransport:
    """One model of one server over REST.

    Args:
        url: http://host:port or https://host:port.
        model: what is asked for.
        tls: what TLS is spoken with, where it is.
    """

    def __init__(self, url: str, model: Model, *, tls: Tls) -> None:
        self._where = f"{url}, {model}"
        self._base = f"{url}/v1/models/{model.name}"
        if model.version is not None:
            self._base += f"/versions/{model.version}"
        if model.label is not None:
            self._base += f"/labels/{model.label}"
        ca, certificate, key = (str(file) if file else None for file in (tls.ca, tls.certificate, tls.key))
        self._pool = urllib3.PoolManager(maxsize=16, ca_certs=ca, cert_file=certificate, key_file=key)

    def state(self, seconds: float) -> str:
        content = self._call("GET", self._base, None, seconds)
        return best_state(each["state"] for each in content["model_version_status"])

    def signatures(self, seconds: float) -> dict[str, Signature]:
        content = self._call("GET", f"{self._base}/metadata", None, seconds)
        found = content["metadata"]["signature_def"]["signature_def"]
        return {
            name: Signature(_tensors(each["inputs"]), _tensors(each["outputs"]))
            for name, each in found.items()
        }

    def predict(
        self, signature: str, inputs: Mapping[str, np.ndarray], seconds: float
    ) -> dict[str, np.ndarray]:
        content = {
            "signature_name": signature,
            "inputs": {name: _to_json(value) for name, value in inputs.items()},
        }
        outputs = self._call("POST", f"{self._base}:predict", json.dumps(content).encode(), seconds)[
            "outputs"
        ]
        if not isinstance(outputs, dict):  # a single output comes without its name
            return {"": _from_json(outputs)}
        return {name: _from_json(value) for name, value in outputs.items()}

    def close(self) -> None:
        self._pool.clear()

    def _call(self, method: str, url: str, body: bytes | None, seconds: float) -> Any:
        """Asks until the server is there and has time, or the time is over."""
        ends, problem = time.monotonic() + seconds, "no answer"
        for pause in pauses():
            if (left := ends - time.monotonic()) <= 0:
                break
            try:
                response = self._pool.request(
                    method, url, body=body, timeout=left, retries=False, redirect=False
                )
                if response.status != 503:
                    return self._content(response)
                problem = self._reason(response)
            except SSLError as error:
                raise ServingError(
                    "UNAVAILABLE", f"{self._where}: {why_never(str(error)) or error}"
                ) from None
            except ReadTimeoutError:
                break
            except HTTPError as error:  # no connection, or a connection that broke
                problem = str(error)
            time.sleep(max(0, min(pause, ends - time.monotonic())))
        raise OutOfTime(self._where, seconds, problem)

    def _content(self, response) -> Any:
        if response.status != 200:
            code = _CODES.get(response.status, "INTERNAL")
            raise ServingError(code, f"{self._where}: {self._reason(response)}")
        try:
            return json.loads(response.data)
        except ValueError:
            raise ServingError("INTERNAL", f"{self._where}: the answer is no JSON") from None

    def _reason(self, response) -> str:
        try:
            return json.loads(response.data)["error"]
        except (ValueError, KeyError, TypeError):
            return f"HTTP {response.status} {response.reason}"


def _to_json(value: np.ndarray) -> list:
    if value.dtype == object:
        return [{"b64": base64.b64encode(item).decode()} for item in value]
    return value.tolist()


def _from_json(value: list) -> np.ndarray:
    if value and isinstance(value[0], dict):
        strings = np.empty(len(value), object)
        strings[:] = [base64.b64decode(item["b64"]) for item in value]
        return strings
    return np.array(value, np.float32)


def _tensors(infos: dict) -> dict[str, Tensor]:
    return {
        name: Tensor(
            {"DT_FLOAT": "float32", "DT_STRING": "string"}.get(info["dtype"], info["dtype"]),
            tuple(int(each["size"]) for each in info["tensor_shape"]["dim"]),
        )
        for name, info in infos.items()
    }
