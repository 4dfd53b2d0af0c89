"""Malformed requests of every kind: each is answered with an error, and the server stays alive and right."""

import base64
import io
import json
import shutil
import struct
import zlib

import grpc
import numpy as np
import pytest
import urllib3
from PIL import Image

pytest.importorskip("tensorflow_serving", reason="tensorflow-serving-api is not installed")

import tensorflow as tf
from tensorflow_serving.apis import predict_pb2

from ipt_tf.serving import Client

MODEL = "ipt_sr_x2"
PREDICT = "/tensorflow.serving.PredictionService/Predict"
METHODS = (
    PREDICT,
    "/tensorflow.serving.PredictionService/GetModelMetadata",
    "/tensorflow.serving.ModelService/GetModelStatus",
)
ANSWERS = {
    "INVALID_ARGUMENT",
    "FAILED_PRECONDITION",
    "NOT_FOUND",
    "RESOURCE_EXHAUSTED",
    "UNIMPLEMENTED",
    "UNKNOWN",
}
PATHS = (
    "../ipt_sr_x2",
    "/etc/passwd",
    "..\\..\\x",
    "ipt_sr_x2/1",
    "ipt_sr_x2\0",
    "%2e%2e%2f",
    "",
    "a" * 9000,
    "ö💥",
    "~",
)
REST_PATHS = (
    *(path[:5000] for path in PATHS),
    "ipt_sr_x2/versions/x",
    "ipt_sr_x2/labels/..",
    "ipt_sr_x2/versions/99",
)


class Fuzzer:
    """Makes requests from random numbers, and sends them; each method returns what was answered."""

    def __init__(self, server, seed):
        self.rng = np.random.default_rng(seed)
        self.server = server
        self.http = urllib3.PoolManager(retries=False)
        self.channel = grpc.insecure_channel(server.grpc.removeprefix("grpc://"))

    def close(self):
        self.channel.close()
        self.http.clear()

    def kinds(self):
        return (
            self.truncated,
            self.garbage,
            self.wrong_tensor,
            self.not_finite,
            self.claimed_shape,
            self.long_metadata,
            self.bomb,
            self.not_a_picture,
            self.odd_name,
            self.unknown_method,
            self.rest_garbage,
            self.rest_odd_json,
            self.rest_bomb,
            self.rest_odd_path,
            self.rest_long_header,
        )

    def pick(self, *values):
        return values[self.rng.integers(len(values))]

    def call(self, data, method=PREDICT, metadata=None):
        try:
            self.channel.unary_unary(method)(data, timeout=30, metadata=metadata)
        except grpc.RpcError as error:
            return error.code().name
        return "OK"

    def request(self, values=None, *, name=MODEL, signature="", key="images"):
        message = predict_pb2.PredictRequest()
        message.model_spec.name, message.model_spec.signature_name = name, signature
        if values is not None:
            message.inputs[key].CopyFrom(tf.make_tensor_proto(values))
        return message

    def send(self, *values, **options):
        return self.call(self.request(*values, **options).SerializeToString())

    def tiles(self, count=1):
        return self.rng.uniform(0, 255, (count, 48, 48, 3)).astype(np.float32)

    def truncated(self):
        data = self.request(self.tiles()).SerializeToString()
        return self.call(data[: self.rng.integers(len(data))])

    def garbage(self):
        return self.call(self.rng.bytes(self.rng.integers(1, 5000)), self.pick(*METHODS))

    def wrong_tensor(self):
        shape = tuple(self.rng.integers(0, 60, self.rng.integers(0, 6)))
        if shape[1:] == (48, 48, 3):
            shape = ()
        kind = self.pick(np.uint8, np.int64, np.float64, np.float32, np.float16, bool, np.complex64)
        signature, key = self.pick(("", "images"), ("restore", "images"), ("restore_bytes", "image_bytes"))
        size = int(np.prod(shape))
        values = np.zeros(shape if size < 10**6 else (5,), kind)
        return self.send(values, signature=signature, key=key)

    def not_finite(self):
        tiles = self.tiles(2)
        tiles.flat[self.rng.integers(tiles.size)] = self.pick(np.nan, np.inf, -np.inf)
        return self.send(tiles)

    def claimed_shape(self):
        message = self.request(self.tiles())
        proto = message.inputs["images"]
        for dimension in proto.tensor_shape.dim:
            if self.rng.integers(2):
                dimension.size = int(self.pick(-1, 0, 47, 2**31, 2**62, -(2**63)))
        if [each.size for each in proto.tensor_shape.dim] == [1, 48, 48, 3]:
            proto.dtype = int(self.rng.integers(2, 200))
        if self.rng.integers(2):
            proto.tensor_content = b""
            proto.float_val.append(1)
        return self.call(message.SerializeToString())

    def long_metadata(self):
        value = "x" * int(self.rng.integers(100_000, 300_000))
        return self.call(self.request(self.tiles()).SerializeToString(), metadata=[("x-long", value)])

    def picture(self):
        """A file of a few bytes that claims as many pixels as it can."""
        sides = [int(self.pick(200, 20_000, 60_000)) for _ in range(2)]
        width, height = max(sides), max(sides)
        kind = self.pick("PNG", "JPEG", "BMP", "GIF")
        if kind == "PNG":
            header = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
            data = (
                b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + header + struct.pack(">I", zlib.crc32(header))
            )
            body = b"IDAT" + zlib.compress(bytes(100_000))
            return data + struct.pack(">I", len(body) - 4) + body + struct.pack(">I", zlib.crc32(body))
        buffer = io.BytesIO()
        Image.new("RGB", (8, 8)).save(buffer, kind)
        data = bytearray(buffer.getvalue())
        if kind == "JPEG":
            place = data.index(b"\xff\xc0") + 5
            data[place : place + 4] = struct.pack(">HH", height, width)
        elif kind == "BMP":
            data[18:26] = struct.pack("<ii", width, height)
        else:
            place = data.index(b"\x2c") + 5  # of the frame; the screen stays small
            data[place : place + 4] = struct.pack("<HH", width, height)
        return bytes(data)

    def bomb(self):
        files = [self.picture() for _ in range(self.rng.integers(1, 4))]
        return self.send(files, signature="restore_bytes", key="image_bytes")

    def not_a_picture(self):
        buffer = io.BytesIO()
        Image.new("RGB", (20, 20)).save(buffer, self.pick("PNG", "JPEG"))
        data = buffer.getvalue()
        cut = data[: self.rng.integers(len(data) // 2)]
        junk = self.pick(b"", b"text", self.rng.bytes(300), cut, data[:30] + self.rng.bytes(400))
        return self.send([junk], signature="restore_bytes", key="image_bytes")

    def odd_name(self):
        odd = self.pick(*PATHS, self.rng.bytes(20).hex())
        where = self.rng.integers(3)
        if where == 0:
            return self.send(self.tiles(), name=odd)
        if where == 1:
            return self.send(self.tiles(), signature=odd or "x")
        message = self.request(self.tiles())
        if self.rng.integers(2):
            message.model_spec.version_label = odd
        else:
            message.model_spec.version.value = int(self.pick(-1, 2, 2**62, -(2**63)))
        return self.call(message.SerializeToString())

    def unknown_method(self):
        method = self.pick("Classify", "Regress", "MultiInference", "Restore")
        return self.call(b"", f"/tensorflow.serving.PredictionService/{method}")

    def post(self, body, path=f"{MODEL}:predict", method="POST", headers=None):
        url = f"{self.server.rest}/v1/models/{path}"
        answer = self.http.request(method, url, body=body, headers=headers, timeout=30)
        return _rest_answer(answer)

    def rest_garbage(self):
        text = json.dumps({"inputs": [[[[0, 0, 0]] * 48] * 48]})
        return self.post(
            self.pick(
                self.rng.bytes(self.rng.integers(0, 3000)),
                text[: self.rng.integers(len(text))].encode(),
                b"[" * int(self.rng.integers(1, 200_000)),
                b'{"inputs": ' * int(self.rng.integers(1, 20_000)),
            )
        )

    def rest_odd_json(self):
        values = (
            None,
            True,
            "text",
            {},
            [],
            [[]],
            10**400,
            {"b64": 5},
            [{"b64": "*"}],
            [[1, 2], [3]],
            [float("nan")],
        )
        content = {
            self.pick("inputs", "instances", "Inputs"): self.pick(*values),
            "signature_name": self.pick("serving_default", "restore", "restore_bytes", 5, None, "x", ["y"]),
        }
        return self.post(json.dumps(content).encode())

    def rest_bomb(self):
        instances = [{"b64": base64.b64encode(self.picture()).decode()}]
        return self.post(json.dumps({"signature_name": "restore_bytes", "instances": instances}).encode())

    def rest_odd_path(self):
        odd = self.pick(*REST_PATHS)
        end = self.pick(":predict", ":predict", ":classify", "/metadata/x", ":")
        return self.post(b'{"inputs": 1}', odd.replace("\0", "%00") + end)

    def rest_long_header(self):
        value = "x" * int(self.rng.integers(20_000, 200_000))
        return self.post(b"{}", headers={"X-Long": value})


def _rest_answer(answer):
    assert 400 <= answer.status < 500, (answer.status, answer.data[:200])
    return "INVALID_ARGUMENT"


@pytest.fixture(scope="module")
def server(serving, saved_model, tmp_path_factory):
    folder = tmp_path_factory.mktemp("models")
    shutil.copytree(saved_model, folder / MODEL / "1")
    with serving(folder, max_bytes=4 * 2**20, max_pixels=30_000) as running:
        yield running


@pytest.mark.parametrize(
    "count", [150, pytest.param(5000, marks=pytest.mark.slow)], ids=["some", "five thousand"]
)
def test_malformed_requests_are_answered_with_errors(server, count):
    fuzzer = Fuzzer(server, seed=count)
    kinds = fuzzer.kinds()
    for index in range(count):
        kind = kinds[index % len(kinds)]
        assert kind() in ANSWERS, f"request {index}, {kind.__name__}"
    fuzzer.close()
    image = np.random.default_rng(0).integers(0, 256, (60, 70, 3), np.uint8)
    for url in (server.grpc, server.rest):
        with Client(url, "sr_x2") as client:
            np.testing.assert_array_equal(client.restore(image), image.repeat(2, 0).repeat(2, 1))
