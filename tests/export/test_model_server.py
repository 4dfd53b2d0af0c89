"""What `ipt export` writes starts and answers in TensorFlow Serving with the files of serving/, by its own rules."""

import io
import re
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

pytest.importorskip("tensorflow_serving", reason="tensorflow-serving-api is not installed")

from model_server import ModelServer, ServerError
from tensorflow_serving.apis import predict_pb2, prediction_log_pb2

SERVING = Path(__file__).resolve().parents[2] / "serving"


@pytest.fixture(scope="session")
def config_of(tmp_path_factory):
    """Function of names: serving/models.config with no other models."""

    def write(names) -> Path:
        models = re.findall(r"  config \{\n.*?\n  \}\n", (SERVING / "models.config").read_text(), re.DOTALL)
        kept = [each for each in models if re.search(r'name: "(.*?)"', each)[1] in names]
        assert len(kept) == len(names)
        file = tmp_path_factory.mktemp("config") / "models.config"
        file.write_text("model_config_list {\n" + "".join(kept) + "}\n")
        return file

    return write


@pytest.fixture(params=["as shipped", "for a GPU"])
def batching(request, tmp_path):
    """The file of batching that is in serving/, and what its README says for a GPU."""
    shipped = SERVING / "batching_parameters.txt"
    if request.param == "as shipped":
        return shipped
    file = tmp_path / "batching.txt"
    sizes = "".join(f"allowed_batch_sizes: {size}\n" for size in (1, 2, 4, 8, 16))
    file.write_text(f"{shipped.read_text()}{sizes}")
    return file


@pytest.fixture
def start():
    """Starts a server; all are closed at the end."""
    servers = []

    def begin(*args) -> ModelServer:
        servers.append(ModelServer(*args))
        return servers[-1]

    yield begin
    for server in servers:
        server.close()


def ask(server, model, signature, **inputs):
    request = predict_pb2.PredictRequest()
    request.model_spec.name, request.model_spec.signature_name = model, signature
    for name, value in inputs.items():
        request.inputs[name].CopyFrom(tf.make_tensor_proto(value))
    (output,) = server.predict(request).values()
    return output


def test_every_export_starts_and_answers_concurrent_requests_as_if_each_were_alone(
    model, exported, picture, file_of, config_of, batching, start
):
    folder = exported["sr_x2"].parents[1]
    server = start(config_of([f"ipt_{task}" for task in exported]), batching, folder)
    tiles = picture(7, 24, 24, 3).astype(np.float32)
    image = picture(53, 30, 3)
    files = [file_of(picture(*size, 3)) for size in ((20, 11), (24, 24), (53, 30))]
    requests = [("serving_default", {"images": tiles[first : first + 3]}) for first in range(5)]
    requests += [("restore", {"images": image[None].astype(np.float32)})] * 3
    requests += [("restore", {"images": np.stack([image, 255 - image]).astype(np.float32)})]
    requests += [("restore_bytes", {"image_bytes": [file]}) for file in files]
    requests += [("restore_bytes", {"image_bytes": files[::-1]})]
    for task in exported:
        loaded = tf.saved_model.load(str(exported[task])).signatures
        with ThreadPoolExecutor(len(requests)) as pool:
            answers = [pool.submit(ask, server, f"ipt_{task}", name, **inputs) for name, inputs in requests]
        for (name, inputs), answer in zip(requests, answers, strict=True):
            alone = loaded[name](**{key: tf.constant(value) for key, value in inputs.items()})
            (expected,) = alone.values()
            assert_alike(answer.result(), expected.numpy())


def test_pictures_of_different_sizes_are_not_joined(exported, picture, config_of, start, tmp_path):
    """The server's rule: why serving/README.md wants files or tiles where sizes differ."""
    batching = tmp_path / "batching.txt"
    batching.write_text("max_batch_size { value: 16 }\nnum_batch_threads { value: 1 }\n")
    server = start(config_of(["ipt_derain"]), batching, exported["derain"].parents[1])
    images = [picture(1, size, 27, 3).astype(np.float32) for size in range(1, 17)]
    with ThreadPoolExecutor(len(images)) as pool:
        asked = [pool.submit(ask, server, "ipt_derain", "restore", images=image) for image in images]
    refused = [each.exception() for each in asked if each.exception()]
    assert refused
    assert {error.code for error in refused} == {"FAILED_PRECONDITION"}


def test_a_large_picture_holds_back_no_other_request(exported, picture, file_of, config_of, start):
    names = [f"ipt_{task}" for task in exported]
    server = start(config_of(names), SERVING / "batching_parameters.txt", exported["sr_x2"].parents[1])
    large = file_of(picture(700, 700, 3))
    with ThreadPoolExecutor(1) as pool:
        under_way = pool.submit(ask, server, "ipt_derain", "restore_bytes", image_bytes=[large])
        for name in names:
            ask(server, name, "serving_default", images=picture(1, 24, 24, 3).astype(np.float32))
        assert not under_way.done()
    assert under_way.result()[0]


def assert_alike(found, expected):
    """Equal up to rounding, which depends on the tiles that are computed together."""
    if found.dtype == object:
        found, expected = (
            [np.asarray(Image.open(io.BytesIO(file))) for file in each] for each in (found, expected)
        )
        for one, other in zip(found, expected, strict=True):
            np.testing.assert_allclose(one.astype(int), other.astype(int), atol=1)
    else:
        np.testing.assert_allclose(found, expected, atol=1e-3)


def test_a_damaged_file_or_picture_harms_no_other_of_its_batch(exported, picture, file_of):
    signatures = tf.saved_model.load(str(exported["derain"])).signatures
    good = file_of(picture(30, 27, 3))
    for bad in (b"no picture", good[:100], b""):
        files = signatures["restore_bytes"](image_bytes=tf.constant([good, bad, good]))["restored_bytes"]
        assert [bool(file) for file in files.numpy()] == [True, False, True]
    images = picture(2, 30, 27, 3).astype(np.float32)
    expected = signatures["restore"](images=images)["restored"].numpy()
    images[1, 3, 3] = np.nan
    restored = signatures["restore"](images=images)["restored"].numpy()
    np.testing.assert_allclose(restored[0], expected[0], atol=1e-3)
    assert np.isnan(restored[1]).any()


@pytest.mark.slow
def test_what_ships_starts_with_the_files_of_serving(tmp_path, picture, start):
    from ipt_tf.cli import main

    assert main(["export", "--format", "saved_model", "--tasks", "all", "--out", str(tmp_path)]) == 0
    server = start(SERVING / "models.config", SERVING / "batching_parameters.txt", tmp_path)
    tiles = picture(2, 48, 48, 3).astype(np.float32)
    assert ask(server, "ipt_sr_x4", "serving_default", images=tiles).shape == (2, 192, 192, 3)


def save_with_an_image_without_an_axis_for_batches(folder: Path) -> None:
    """A version as they were written once: its warm-up asks for `restore` of one picture (49, 49, 3)."""

    class Twice(tf.Module):
        @tf.function(input_signature=[tf.TensorSpec((None, None, 3), tf.float32, name="image")])
        def restore(self, image):
            return {"restored": tf.repeat(tf.repeat(image, 2, axis=0), 2, axis=1)}

    model = Twice()
    tf.saved_model.save(model, str(folder), {"restore": model.restore})
    log = prediction_log_pb2.PredictionLog()
    request = log.predict_log.request
    request.model_spec.name, request.model_spec.signature_name = "ipt_sr_x2", "restore"
    request.inputs["image"].CopyFrom(tf.make_tensor_proto(np.zeros((49, 49, 3), np.float32)))
    (folder / "assets.extra").mkdir()
    with tf.io.TFRecordWriter(str(folder / "assets.extra/tf_serving_warmup_requests")) as file:
        file.write(log.SerializeToString())


def test_the_stand_in_refuses_what_the_server_refuses(config_of, start, tmp_path):
    config = config_of(["ipt_sr_x2"])
    with pytest.raises(ServerError, match="No versions of servable ipt_sr_x2"):
        start(config, SERVING / "batching_parameters.txt", tmp_path)
    save_with_an_image_without_an_axis_for_batches(tmp_path / "ipt_sr_x2/1")
    with pytest.raises(ServerError, match="Task size 49 is larger than maximum input batch size 16"):
        start(config, SERVING / "batching_parameters.txt", tmp_path)
    larger = tmp_path / "batching.txt"
    larger.write_text("max_batch_size { value: 64 }\n")
    with pytest.raises(ServerError, match="0th dimension does not equal the sum"):
        start(config, larger, tmp_path)
