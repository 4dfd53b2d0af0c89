"""What clients of any kind see of the server: TF-Serving's answers, over both protocols."""

import base64
import gzip
import io
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import grpc
import numpy as np
import pytest
import tensorflow as tf
import urllib3
from grpc_health.v1 import health_pb2, health_pb2_grpc
from PIL import Image
from tensorflow_serving.apis import (
    get_model_metadata_pb2,
    get_model_status_pb2,
    model_service_pb2_grpc,
    predict_pb2,
    prediction_service_pb2_grpc,
)

from ipt_tf.serving.configs import Batching, Served

AVAILABLE = get_model_status_pb2.ModelVersionStatus.AVAILABLE
MODEL = "ipt_sr_x2"


@pytest.fixture(scope="module")
def server(serving, saved_model, brighter_model, tmp_path_factory):
    folder = tmp_path_factory.mktemp("models")
    shutil.copytree(saved_model, folder / MODEL / "1")
    shutil.copytree(brighter_model, folder / MODEL / "3")
    shutil.copytree(brighter_model, folder / "ipt_derain" / "1")
    models = {
        MODEL: Served(folder / MODEL, latest=None, labels={"stable": 1, "gone": 7}),
        "ipt_derain": Served(folder / "ipt_derain"),
    }
    with serving(folder, models=models, max_bytes=4 * 2**20, max_pixels=10_000) as running:
        yield running


@pytest.fixture(scope="module")
def channel(server):
    with grpc.insecure_channel(server.grpc.removeprefix("grpc://")) as channel:
        yield channel


@pytest.fixture(scope="module")
def stub(channel):
    return prediction_service_pb2_grpc.PredictionServiceStub(channel)


@pytest.fixture(scope="module")
def http():
    return urllib3.PoolManager(retries=False)


def request(values=None, name=MODEL, signature="", key="images", **spec):
    message = predict_pb2.PredictRequest()
    message.model_spec.name, message.model_spec.signature_name = name, signature
    if "version" in spec:
        message.model_spec.version.value = spec["version"]
    if "label" in spec:
        message.model_spec.version_label = spec["label"]
    if values is not None:
        message.inputs[key].CopyFrom(tf.make_tensor_proto(values))
    return message


def tiles(count=1, value=100.0):
    return np.full((count, 48, 48, 3), value, np.float32)


def restored(response):
    return tf.make_ndarray(response.outputs["restored"])


def png(height=30, width=40):
    pixels = np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


def refused(call, *arguments, **options):
    with pytest.raises(grpc.RpcError) as caught:
        call(*arguments, timeout=20, **options)
    return caught.value.code().name, caught.value.details()


def test_the_newest_version_answers_unless_another_is_asked_for(stub):
    for spec, grey in (
        ({}, 110),
        ({"version": 1}, 100),
        ({"version": 3}, 110),
        ({"label": "stable"}, 100),
    ):
        response = stub.Predict(request(tiles(), **spec), timeout=20)
        np.testing.assert_array_equal(restored(response), np.full((1, 96, 96, 3), grey))
        assert response.model_spec.version.value == (3 if grey == 110 else 1)
        assert response.model_spec.signature_name == "serving_default"


def test_images_and_files_of_any_size_are_restored(stub):
    images = np.arange(2 * 7 * 5 * 3, dtype=np.float32).reshape(2, 7, 5, 3)
    response = stub.Predict(request(images, signature="restore", version=1), timeout=20)
    np.testing.assert_array_equal(restored(response), images.repeat(2, 1).repeat(2, 2))
    files = [png(30, 40), png(3, 2)]
    response = stub.Predict(
        request(files, signature="restore_bytes", key="image_bytes", version=1), timeout=20
    )
    for data, result in zip(files, tf.make_ndarray(response.outputs["restored_bytes"]), strict=True):
        expected = np.asarray(Image.open(io.BytesIO(data))).repeat(2, 0).repeat(2, 1)
        np.testing.assert_array_equal(np.asarray(Image.open(io.BytesIO(result))), expected)


def test_a_signature_of_one_image_is_served_as_in_exports_of_before(stub):
    image = np.arange(100 * 5 * 3, dtype=np.float32).reshape(100, 5, 3) % 256
    response = stub.Predict(request(image, signature="restore_one", key="image", version=1), timeout=20)
    np.testing.assert_array_equal(restored(response), image.repeat(2, 0).repeat(2, 1))


@pytest.mark.parametrize(
    ("message", "code", "text"),
    [
        (request(tiles(), name="ipt_unknown"), "NOT_FOUND", "models here are ipt_derain, ipt_sr_x2"),
        (request(tiles(), name="../../etc/passwd"), "NOT_FOUND", "Latest(../../etc/passwd)"),
        (request(tiles(), name=""), "INVALID_ARGUMENT", "names no model"),
        (request(tiles(), version=2), "NOT_FOUND", "versions here are 1, 3"),
        (request(tiles(), label="gone"), "NOT_FOUND", f"Specific({MODEL}, 7)"),
        (request(tiles(), label="nightly"), "INVALID_ARGUMENT", "label: nightly"),
        (request(tiles(), version=0), "NOT_FOUND", f"Specific({MODEL}, 0)"),
        (request(tiles(), version=-1), "NOT_FOUND", f"Specific({MODEL}, -1)"),
        (request(tiles(), signature="sharpen"), "FAILED_PRECONDITION", "'sharpen' not found"),
        (
            request(tiles(), key="pictures"),
            "INVALID_ARGUMENT",
            "takes the inputs images; sent were 'pictures'",
        ),
        (request(), "INVALID_ARGUMENT", "sent were none"),
        (request(tiles().astype(np.uint8)), "INVALID_ARGUMENT", "images is float32, not uint8"),
        (request(tiles()[0]), "INVALID_ARGUMENT", "not (48, 48, 3)"),
        (request(tiles()[:, :47]), "INVALID_ARGUMENT", "not (1, 47, 48, 3)"),
        (request(tiles()[:0]), "INVALID_ARGUMENT", "empty"),
        (request(tiles(17)), "INVALID_ARGUMENT", "at most 16"),
        (request(tiles(value=np.nan)), "INVALID_ARGUMENT", "NaN"),
        (
            request(np.zeros((2, 51, 100, 3), np.float32), signature="restore"),
            "INVALID_ARGUMENT",
            "at most 10000 pixels",
        ),
        (
            request(np.zeros((101, 100, 3), np.float32), signature="restore_one", key="image"),
            "INVALID_ARGUMENT",
            "at most 10000 pixels",
        ),
        (
            request([png()] * 17, signature="restore_bytes", key="image_bytes"),
            "INVALID_ARGUMENT",
            "at most 16",
        ),
        (
            request([png(90, 90), png(90, 90)], signature="restore_bytes", key="image_bytes"),
            "INVALID_ARGUMENT",
            "16200 pixels; at most 10000",
        ),
        (
            request([png(), b"text"], signature="restore_bytes", key="image_bytes"),
            "INVALID_ARGUMENT",
            "image_bytes[1] is not a picture",
        ),
        (
            request([png()[:200]], signature="restore_bytes", key="image_bytes"),
            "INVALID_ARGUMENT",
            "PNG",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_mistakes_are_answered_with_their_reason(stub, message, code, text):
    found, details = refused(stub.Predict, message)
    assert found == code
    assert text in details


def test_a_tensor_that_claims_a_huge_shape_takes_no_memory(stub):
    message = request(tiles())
    message.inputs["images"].Clear()
    message.inputs["images"].dtype = tf.float32.as_datatype_enum
    message.inputs["images"].float_val.append(1)
    for size in (2**40, 48, 48, 3):
        message.inputs["images"].tensor_shape.dim.add(size=size)
    assert refused(stub.Predict, message)[0] == "INVALID_ARGUMENT"


def test_larger_messages_than_allowed_are_refused(stub, http, server):
    assert refused(stub.Predict, request(tiles(200)))[0] == "RESOURCE_EXHAUSTED"
    answer = http.request("POST", f"{server.rest}/v1/models/{MODEL}:predict", body=b" " * (5 * 2**20))
    assert answer.status == 413


def test_an_output_can_be_asked_for_by_name(stub):
    message = request(tiles())
    message.output_filter.append("restored")
    assert list(stub.Predict(message, timeout=20).outputs) == ["restored"]
    message.output_filter.append("sharpened")
    assert refused(stub.Predict, message)[0] == "INVALID_ARGUMENT"


def test_metadata_state_the_signatures(stub):
    message = get_model_metadata_pb2.GetModelMetadataRequest(metadata_field=["signature_def"])
    message.model_spec.name = MODEL
    response = stub.GetModelMetadata(message, timeout=20)
    found = get_model_metadata_pb2.SignatureDefMap()
    response.metadata["signature_def"].Unpack(found)
    assert set(found.signature_def) == {
        "serving_default",
        "restore",
        "restore_one",
        "restore_bytes",
        "batch_size",
    }
    restored = found.signature_def["serving_default"].outputs["restored"]
    assert [each.size for each in restored.tensor_shape.dim] == [-1, 96, 96, 3]
    assert response.model_spec.version.value == 3
    message.metadata_field[:] = ["weights"]
    assert refused(stub.GetModelMetadata, message)[0] == "INVALID_ARGUMENT"


def test_status_lists_the_versions(channel):
    models = model_service_pb2_grpc.ModelServiceStub(channel)
    message = get_model_status_pb2.GetModelStatusRequest()
    message.model_spec.name = MODEL
    rows = models.GetModelStatus(message, timeout=20).model_version_status
    assert [(row.version, row.state) for row in rows] == [(3, AVAILABLE), (1, AVAILABLE)]
    message.model_spec.name = "ipt_unknown"
    assert refused(models.GetModelStatus, message)[0] == "NOT_FOUND"


def test_the_health_service_says_serving(channel):
    health = health_pb2_grpc.HealthStub(channel)
    for name in ("", "PredictionService"):
        answer = health.Check(health_pb2.HealthCheckRequest(service=name), timeout=20)
        assert answer.status == health_pb2.HealthCheckResponse.SERVING


def post(http, server, path, **content):
    answer = http.request("POST", f"{server.rest}/v1/models/{path}:predict", body=json.dumps(content))
    return answer.status, json.loads(answer.data)


def test_rest_answers_columns_with_columns_and_rows_with_rows(http, server):
    columns = tiles(2).tolist()
    status, answer = post(http, server, f"{MODEL}/versions/1", inputs={"images": columns})
    assert status == 200
    np.testing.assert_array_equal(answer["outputs"], np.full((2, 96, 96, 3), 100))
    assert post(http, server, f"{MODEL}/labels/stable", inputs=columns) == (status, answer)
    for instances in (columns, [{"images": each} for each in columns]):
        _, rows = post(http, server, MODEL, instances=instances, signature_name="serving_default")
        np.testing.assert_array_equal(rows["predictions"], np.full((2, 96, 96, 3), 110))


def test_rest_takes_files_in_base64(http, server):
    data = png()
    instances = [{"image_bytes": {"b64": base64.b64encode(data).decode()}}]
    _, answer = post(http, server, f"{MODEL}/versions/1", instances=instances, signature_name="restore_bytes")
    result = base64.b64decode(answer["predictions"][0]["b64"])
    expected = np.asarray(Image.open(io.BytesIO(data))).repeat(2, 0).repeat(2, 1)
    np.testing.assert_array_equal(np.asarray(Image.open(io.BytesIO(result))), expected)


def test_rest_tells_status_and_metadata(http, server):
    answer = http.request("GET", f"{server.rest}/v1/models/{MODEL}/versions/1").json()
    (row,) = answer["model_version_status"]
    assert (row["version"], row["state"], row["status"]["error_code"]) == ("1", "AVAILABLE", "OK")
    answer = http.request("GET", f"{server.rest}/v1/models/{MODEL}/labels/stable/metadata").json()
    assert answer["model_spec"] == {"name": MODEL, "signature_name": "", "version": "1"}
    shape = answer["metadata"]["signature_def"]["signature_def"]["restore"]["inputs"]["images"][
        "tensor_shape"
    ]
    assert [each["size"] for each in shape["dim"]] == ["-1", "-1", "-1", "3"]


@pytest.mark.parametrize(
    ("path", "body", "status", "text"),
    [
        (MODEL, "{", 400, "JSON Parse error"),
        (MODEL, "[" * 100_000, 400, "JSON Parse error"),
        (MODEL, "[1]", 400, "must be a JSON object"),
        (MODEL, "{}", 400, "either"),
        (MODEL, '{"inputs": 1, "instances": [1]}', 400, "either"),
        (MODEL, '{"inputs": [[1, 2], [3]]}', 400, "images is no array"),
        (MODEL, '{"inputs": [1, 2]}', 400, "not (2)"),
        (MODEL, '{"inputs": {"pictures": 1}}', 400, "takes the inputs images"),
        (MODEL, '{"inputs": 1, "signature_name": 5}', 400, "must be a string"),
        (MODEL, '{"inputs": 1, "signature_name": "x"}', 400, "'x' not found"),
        (
            MODEL,
            '{"inputs": [{"b64": "*"}], "signature_name": "restore_bytes"}',
            400,
            "is no array of string",
        ),
        (MODEL, '{"inputs": ["text"], "signature_name": "restore_bytes"}', 400, "is not a picture"),
        (MODEL, '{"inputs": [1], "signature_name": "restore_bytes"}', 400, "int found in it"),
        (MODEL, '{"inputs": [{"b64": "QQ="}], "signature_name": "restore_bytes"}', 400, "wrong padding"),
        (
            MODEL,
            '{"inputs": [{"b64": "A"}], "signature_name": "restore_bytes"}',
            400,
            "is no array of string",
        ),
        ("ipt_unknown", '{"inputs": 1}', 404, "Servable not found"),
        ("..%2F..%2Fetc%2Fpasswd", '{"inputs": 1}', 404, "Servable not found"),
        (f"{MODEL}/versions/2", '{"inputs": 1}', 404, "Servable not found"),
        (f"{MODEL}/versions/-1", '{"inputs": 1}', 400, "Malformed request"),
        (f"{MODEL}/versions/{2**63}", '{"inputs": 1}', 400, "Failed to convert version"),
        (f"{MODEL}/versions/{'9' * 5000}", '{"inputs": 1}', 400, "Failed to convert version"),
        (f"{MODEL}/versions/0002", '{"inputs": 1}', 404, "Servable not found"),
        ("ipt_unknown", "{", 400, "JSON Parse error"),
        (MODEL, "", 400, "JSON Parse error"),
        (MODEL, '{"inputs": "text"}', 400, "a string found in it"),
        (MODEL, '{"inputs": [["1"]]}', 400, "a string found in it"),
        (MODEL, '{"inputs": [[1.5, true]]}', 400, "true or false found in it"),
        (MODEL, '{"inputs": [[null]]}', 400, "null found in it"),
        (MODEL, '{"inputs": {"images": [{}]}}', 400, "an object found in it"),
        (MODEL, '{"inputs": [[1, 2], [3]]}', 400, "lists of different lengths"),
    ],
)
def test_mistakes_over_rest_are_answered_with_their_reason(http, server, path, body, status, text):
    answer = http.request("POST", f"{server.rest}/v1/models/{path}:predict", body=body)
    assert answer.status == status
    assert text in answer.json()["error"]


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("POST", f"/v1/models/{MODEL}", 400),
        ("POST", f"/v1/models/{MODEL}:predict/", 400),
        ("POST", f"/v1/models/{MODEL}:classify", 400),
        ("POST", f"/v1/models/{MODEL}/metadata", 400),
        ("GET", f"/v1/models/{MODEL}:predict", 400),
        ("GET", "/v1/models", 400),
        ("GET", "/v1/anything", 400),
        ("PUT", f"/v1/models/{MODEL}:predict", 400),
        ("DELETE", f"/v1/models/{MODEL}", 400),
        ("GET", "/", 404),
        ("GET", "/v2/models/x", 404),
        ("GET", "/v1/models/ipt_unknown", 404),
        ("GET", f"/v1/models/{MODEL}/versions/7", 404),
        ("GET", f"/v1/models/{MODEL}/labels/nightly", 200),  # the server takes no notice of labels here
        ("GET", f"/v1/models/{MODEL}/labels/nightly/metadata", 400),
        ("GET", f"/V1/Models/{MODEL}/Metadata", 200),
        ("GET", f"/v1/models/{MODEL.replace('_', '%5F')}", 200),
    ],
)
def test_paths_and_methods_are_the_servers(http, server, method, path, status):
    answer = http.request(method, f"{server.rest}{path}")
    assert answer.status == status
    assert ("error" in answer.json()) == (status != 200)


def test_what_the_server_takes_beside_plain_json(http, server):
    """Base64 in lines or without padding, text after the object, a name in any case."""
    data = png(7, 8)
    text = base64.b64encode(data).decode()
    url = f"{server.rest}/v1/models/{MODEL}/versions/1:predict"
    bodies = {
        json.dumps({"signature_name": "restore_bytes", "instances": [{"b64": each}]}) + rest
        for each in (text, text.rstrip("="), "\n".join(text[i : i + 64] for i in range(0, len(text), 64)))
        for rest in ("", "\n", " and so on")
    }
    answers = {http.request("POST", url, body=body).data for body in bodies}
    assert len(answers) == 1
    assert b"predictions" in answers.pop()
    assert http.request("POST", url.replace("predict", "PREDICT"), body=bodies.pop()).status == 200


def test_a_body_that_is_not_what_its_header_says_is_a_mistake_of_the_client(http, server):
    url = f"{server.rest}/v1/models/{MODEL}:predict"
    for body in (b"no gzip at all", gzip.compress(b"{}")[:-9]):
        answer = http.request("POST", url, body=body, headers={"Content-Encoding": "gzip"})
        assert answer.status == 400
        assert "error" in answer.json()
    packed = gzip.compress(json.dumps({"inputs": tiles().tolist()}).encode())
    assert http.request("POST", url, body=packed, headers={"Content-Encoding": "gzip"}).status == 200


def test_a_fault_of_the_server_is_said_in_its_protocol_and_logged_in_a_line(
    http, server, stub, monkeypatch, caplog
):
    def fail(*_):
        raise RuntimeError("as the test\nwants it")

    monkeypatch.setattr("ipt_tf.serving.servable.Signature.look_at", fail)
    status, answer = post(http, server, MODEL, inputs=tiles().tolist())
    assert (status, answer) == (500, {"error": "an error of the server: RuntimeError"})
    assert refused(stub.Predict, request(tiles())) == ("INTERNAL", "an error of the server: RuntimeError")
    assert len(caplog.records) == 2
    for record in caplog.records:
        assert "as the test\\nwants it" in record.getMessage()
        assert record.exc_info is None


def test_a_connection_over_which_nothing_comes_is_closed(serving, one_model):
    with serving(one_model, patience=0.5) as running:
        address = ("localhost", int(running.rest.rpartition(":")[2]))
        whole = b"GET /v1/models/ipt_sr_x2 HTTP/1.1\r\nHost: localhost\r\n\r\n"
        with (
            socket.create_connection(address, timeout=20) as silent,
            socket.create_connection(address) as other,
        ):
            silent.sendall(whole[:30])
            other.sendall(whole)
            assert b"AVAILABLE" in other.recv(4096)
            assert silent.recv(4096) == b""
            other.sendall(whole)
            assert b"AVAILABLE" in other.recv(4096)


def test_only_this_machine_is_answered_by_default():
    from ipt_tf.serving.server import Settings

    assert Settings().host == "127.0.0.1"


def test_a_port_that_is_taken_is_no_second_server(server, serving, tmp_path, saved_model):
    shutil.copytree(saved_model, tmp_path / "ipt_x" / "1")
    for url, option in ((server.grpc, "port"), (server.rest, "rest_port")):
        taken = int(url.rpartition(":")[2])
        with (
            pytest.raises(OSError, match=f"cannot listen at 127.0.0.1:{taken}"),
            serving(tmp_path, **{option: taken}),
        ):
            pass


def test_tiles_of_concurrent_requests_are_computed_together(serving, saved_model, tmp_path):
    shutil.copytree(saved_model, tmp_path / MODEL / "1")
    patient = Batching(max_batch_size=6, batch_timeout_micros=20_000_000)
    with serving(tmp_path, batching=patient) as running, insecure(running) as channel:
        stub = prediction_service_pb2_grpc.PredictionServiceStub(channel)
        values = [np.full((count, 1), count, np.float32) for count in (1, 2, 3)]
        calls = [
            stub.Predict.future(request(each, signature="batch_size", key="values"), timeout=60)
            for each in values
        ]
        for each, call in zip(values, calls, strict=True):
            outputs = call.result().outputs
            np.testing.assert_array_equal(tf.make_ndarray(outputs["values"]), each)
            np.testing.assert_array_equal(tf.make_ndarray(outputs["size"]), np.full(len(each), 6))


def test_models_are_not_batched_with_each_other(serving, saved_model, brighter_model, tmp_path):
    shutil.copytree(saved_model, tmp_path / "ipt_a" / "1")
    shutil.copytree(brighter_model, tmp_path / "ipt_b" / "1")
    with serving(tmp_path) as running, insecure(running) as channel:
        stub = prediction_service_pb2_grpc.PredictionServiceStub(channel)
        names = ["ipt_a", "ipt_b"] * 20
        calls = [stub.Predict.future(request(tiles(), name=name), timeout=60) for name in names]
        greys = [float(restored(call.result()).max()) for call in calls]
    assert greys == [100.0, 110.0] * 20


def insecure(running):
    return grpc.insecure_channel(running.grpc.removeprefix("grpc://"))


class Blocked:
    """A stand-in for a version of a model, whose computations wait until they are let go."""

    def __init__(self, monkeypatch):
        from ipt_tf.serving import servable

        self.begun, self.let_go, self.computed = threading.Semaphore(0), threading.Event(), []
        run = servable.Signature.run

        def wait(signature, inputs, caller):
            self.begun.release()
            assert self.let_go.wait(60)
            self.computed.append(float(inputs["images"].max()))
            return run(signature, inputs, caller)

        monkeypatch.setattr(servable.Signature, "run", wait)
        monkeypatch.setattr("ipt_tf.serving.scheduler.TILE_THREADS", 1)


@pytest.fixture
def blocked(monkeypatch):
    return Blocked(monkeypatch)


@pytest.fixture
def one_model(saved_model, tmp_path):
    shutil.copytree(saved_model, tmp_path / MODEL / "1")
    return tmp_path


def test_requests_whose_deadline_passed_are_not_computed(serving, one_model, blocked):
    with serving(one_model) as running, insecure(running) as channel:
        stub = prediction_service_pb2_grpc.PredictionServiceStub(channel)
        first = stub.Predict.future(request(tiles(value=1)), timeout=60)
        blocked.begun.acquire(timeout=60)
        with pytest.raises(grpc.RpcError) as caught:
            stub.Predict(request(tiles(value=2)), timeout=0.2)
        assert caught.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
        given_up = stub.Predict.future(request(tiles(value=3)), timeout=60)
        last = stub.Predict.future(request(tiles(value=4)), timeout=60)
        given_up.cancel()
        blocked.let_go.set()
        assert restored(first.result()).max() == 1
        assert restored(last.result()).max() == 4
    assert {1, 4} <= set(blocked.computed)
    assert 2 not in blocked.computed


def test_rest_requests_are_given_up_after_a_while(serving, one_model, blocked, http):
    with serving(one_model, rest_timeout=0.2) as running:
        status, answer = post(http, running, MODEL, inputs=tiles().tolist())
        blocked.let_go.set()
    assert status == 504
    assert "deadline" in answer["error"]


def test_more_requests_than_may_wait_are_refused(serving, one_model, blocked, http):
    with serving(one_model, max_requests=2) as running, insecure(running) as channel:
        stub = prediction_service_pb2_grpc.PredictionServiceStub(channel)
        first = stub.Predict.future(request(tiles(value=1)), timeout=60)
        blocked.begun.acquire(timeout=60)
        second = stub.Predict.future(request(tiles(value=2)), timeout=60)
        code, reason = "", ""
        while code != "UNAVAILABLE":  # until the second is in the queue, too
            code, reason = refused_soon(stub, request(tiles(value=3)))
        assert "2 requests wait" in reason
        status, answer = post(http, running, MODEL, inputs=tiles().tolist())
        assert (status, answer["error"]) == (503, reason)
        blocked.let_go.set()
        assert restored(first.result()).max() == 1
        assert restored(second.result()).max() == 2


def refused_soon(stub, message):
    with pytest.raises(grpc.RpcError) as caught:
        stub.Predict(message, timeout=0.5)
    return caught.value.code().name, caught.value.details()


def test_requests_at_hand_are_answered_before_the_server_stops(
    serving, one_model, blocked, http, monkeypatch
):
    monkeypatch.setattr("ipt_tf.serving.scheduler.TILE_THREADS", 2)
    with serving(one_model) as running, insecure(running) as channel:
        stub = prediction_service_pb2_grpc.PredictionServiceStub(channel)
        call = stub.Predict.future(request(tiles(value=1)), timeout=60)
        answers = []
        columns = tiles(value=2).tolist()
        rest = threading.Thread(target=lambda: answers.append(post(http, running, MODEL, inputs=columns)))
        blocked.begun.acquire(timeout=60)
        rest.start()
        blocked.begun.acquire(timeout=60)
        running.stop()
        while True:  # until nobody is let in any more
            try:
                urllib3.request("GET", f"{running.rest}/v1/models/{MODEL}", retries=False)
            except urllib3.exceptions.HTTPError:
                break
        blocked.let_go.set()
        assert restored(call.result()).max() == 1
        rest.join()
    ((status, answer),) = answers
    assert status == 200
    assert np.max(answer["outputs"]) == 2


def test_a_new_version_is_picked_up_while_requests_run(serving, one_model, brighter_model):
    with serving(one_model) as running, insecure(running) as channel:
        stub = prediction_service_pb2_grpc.PredictionServiceStub(channel)
        assert restored(stub.Predict(request(tiles()), timeout=20)).max() == 100
        shutil.copytree(brighter_model, one_model / MODEL / "2")
        greys = [100.0]
        while greys[-1] == 100:
            greys.append(restored(stub.Predict(request(tiles()), timeout=20)).max())
        shutil.rmtree(one_model / MODEL / "2")
        while greys[-1] == 110:
            greys.append(restored(stub.Predict(request(tiles()), timeout=20)).max())
    assert set(greys) == {100.0, 110.0}


def test_the_health_check_of_containers_restores_a_pixel(server, tmp_path):
    """By the command of the probes, from a file as a config map mounts it: read-only, not executable."""
    script = tmp_path / "healthy.sh"
    script.write_bytes((Path(__file__).resolve().parents[2] / "serving" / "healthy.sh").read_bytes())
    script.chmod(0o444)
    environment = {**os.environ, "PORT": server.rest.rpartition(":")[2]}

    def check(*models):
        return subprocess.run(
            ["bash", script, *models], capture_output=True, text=True, env=environment, timeout=60
        )

    assert check(MODEL, "ipt_derain").returncode == 0
    unknown = check(MODEL, "ipt_unknown")
    assert unknown.returncode == 1
    assert "Servable not found" in unknown.stderr
    assert "ipt_unknown does not answer" in unknown.stderr
    environment["PORT"] = "1"
    assert check(MODEL).returncode == 1


@pytest.mark.slow
def test_sigterm_lets_the_command_finish_what_it_has(one_model, free_ports):
    """A request that takes a second or two is under way when the signal comes."""
    port, rest_port = free_ports(2)
    command = [sys.executable, "-m", "ipt_tf.cli", "serve", "--models", one_model]
    command += ["--port", port, "--rest-port", rest_port]
    with subprocess.Popen(list(map(str, command)), stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline().startswith(
            f"grpc://127.0.0.1:{port} and http://127.0.0.1:{rest_port}"
        )
        large = [("grpc.max_receive_message_length", -1)]
        with grpc.insecure_channel(f"localhost:{port}", large) as channel:
            stub = prediction_service_pb2_grpc.PredictionServiceStub(channel)
            message = request([png(2000, 2000)] * 3, signature="restore_bytes", key="image_bytes")
            call = stub.Predict.future(message, timeout=60)
            time.sleep(0.3)  # until the request is there, and is computed for about a second
            process.send_signal(signal.SIGTERM)
            assert len(tf.make_ndarray(call.result().outputs["restored_bytes"])) == 3
        assert process.wait(60) == 0
