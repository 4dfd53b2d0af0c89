"""A SavedModel restores as the model that it was made of, wherever TensorFlow loads it."""

import io
import json
import os
import subprocess
import sys

import imagecodecs
import keras
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image
from tensorflow.core.protobuf import saved_model_pb2

from ipt_tf import IPT
from ipt_tf.export import saved_model, warmup

SIZES = [(1, 1), (20, 11), (24, 24), (53, 70)]


@pytest.fixture(scope="module")
def loaded(exported):
    """Function of a task: the signatures of its SavedModel."""
    models = {task: tf.saved_model.load(str(folder)) for task, folder in exported.items()}
    return lambda task: models[task].signatures


# --- signatures ---


def test_the_signatures_have_the_names_shapes_and_dtypes_that_clients_expect(loaded):
    signatures = loaded("sr_x2")
    described = {
        name: (signature.structured_input_signature[1], signature.structured_outputs)
        for name, signature in signatures.items()
    }
    assert described == {
        "serving_default": (
            {"images": tf.TensorSpec((None, 24, 24, 3), tf.float32, name="images")},
            {"restored": tf.TensorSpec((None, 48, 48, 3), tf.float32, name="restored")},
        ),
        "restore": (
            {"images": tf.TensorSpec((None, None, None, 3), tf.float32, name="images")},
            {"restored": tf.TensorSpec((None, None, None, None), tf.float32, name="restored")},
        ),
        "restore_bytes": (
            {"image_bytes": tf.TensorSpec((None,), tf.string, name="image_bytes")},
            {"restored_bytes": tf.TensorSpec((None,), tf.string, name="restored_bytes")},
        ),
    }


@pytest.mark.parametrize("task", ["sr_x2", "derain"])
def test_tiles_are_those_of_the_model_not_clipped(model, loaded, picture, task):
    images = picture(3, 24, 24, 3).astype(np.float32) * 2 - 100
    restored = loaded(task)["serving_default"](images=images)["restored"]
    np.testing.assert_allclose(restored, model(images, task=task), atol=1e-3)
    assert np.min(restored) < 0


@pytest.mark.parametrize("task", ["sr_x2", "derain"])
@pytest.mark.parametrize("size", SIZES)
def test_images_of_any_size_are_restored_as_by_the_model(model, loaded, picture, task, size):
    image = picture(*size, 3).astype(np.float32)
    restored = loaded(task)["restore"](images=image[None])["restored"]
    np.testing.assert_allclose(restored[0], model.restore(image, task), atol=1e-2)


def test_several_images_of_one_size_are_restored_each_by_itself(model, loaded, picture):
    images = picture(3, 30, 27, 3).astype(np.float32)
    restored = loaded("sr_x2")["restore"](images=images)["restored"]
    for image, found in zip(images, restored, strict=True):
        np.testing.assert_allclose(found, model.restore(image, "sr_x2"), atol=1e-2)


def test_files_of_different_sizes_are_restored_in_one_request(model, loaded, picture, file_of):
    images = [picture(*size, 3) for size in SIZES]
    files = loaded("sr_x2")["restore_bytes"](image_bytes=tf.constant([file_of(image) for image in images]))
    for image, file in zip(images, files["restored_bytes"].numpy(), strict=True):
        assert_grey_levels(np.asarray(Image.open(io.BytesIO(file))), model.restore(image, "sr_x2"))


def assert_grey_levels(restored, expected, atol=1):
    assert restored.shape == expected.shape
    assert restored.dtype == expected.dtype
    np.testing.assert_allclose(restored.astype(int), expected.astype(int), atol=atol)


def restored_file(loaded, task, file):
    return loaded(task)["restore_bytes"](image_bytes=tf.constant([file]))["restored_bytes"].numpy()[0]


@pytest.mark.parametrize("task", ["sr_x2", "derain"])
@pytest.mark.parametrize("channels", [1, 2, 3, 4])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_grey_alpha_and_16_bits_come_back_as_they_went(model, loaded, picture, task, channels, dtype):
    pixels = picture(30, 27, channels, dtype=dtype)
    restored = imagecodecs.png_decode(
        restored_file(loaded, task, imagecodecs.png_encode(pixels.squeeze()))
    ).reshape(30 * model.task(task).scale, -1, channels)
    colours = 1 if channels < 3 else 3
    expected = model.restore(pixels[..., :colours], task)
    assert_grey_levels(restored[..., :colours], expected, atol=1 if dtype == np.uint8 else 257)
    if task == "derain":
        np.testing.assert_array_equal(restored[..., colours:], pixels[..., colours:])


def test_alpha_is_enlarged_as_the_command_line_does(loaded, picture):
    from ipt_tf.restoration.files import enlarge

    pixels = picture(30, 27, 4)
    restored = imagecodecs.png_decode(restored_file(loaded, "sr_x2", imagecodecs.png_encode(pixels)))
    assert_grey_levels(restored[..., 3], enlarge(pixels[..., 3], 2))


@pytest.mark.parametrize("kind", ["JPEG", "subsampled JPEG", "grey JPEG", "BMP", "GIF", "palette", "1 bit"])
def test_other_pictures_are_restored_too(model, loaded, picture, file_of, kind):
    pixels = picture(30, 27, 3)
    file = {
        "JPEG": lambda: file_of(pixels, "JPEG"),
        "BMP": lambda: file_of(pixels, "BMP"),
        "GIF": lambda: file_of(pixels, "GIF"),
        "grey JPEG": lambda: file_of(pixels[..., 0], "JPEG"),
        "subsampled JPEG": lambda: file_of(pixels, "JPEG", subsampling=2),
        "palette": lambda: converted(pixels, "P"),
        "1 bit": lambda: converted(pixels, "1"),
    }[kind]()
    grey = kind in ("grey JPEG", "1 bit")
    seen = np.asarray(Image.open(io.BytesIO(file)).convert("L" if grey else "RGB"))
    restored = np.asarray(Image.open(io.BytesIO(restored_file(loaded, "derain", file))))
    assert_grey_levels(restored, model.restore(seen, "derain"))


def converted(pixels, mode):
    buffer = io.BytesIO()
    Image.fromarray(pixels).convert(mode).save(buffer, "PNG")
    return buffer.getvalue()


@pytest.mark.parametrize("file", [b"", b"\x89PNG", b"no picture at all, but longer than a header of one"])
def test_what_is_no_picture_is_an_error(loaded, file):
    with pytest.raises(tf.errors.InvalidArgumentError):
        restored_file(loaded, "derain", file)


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (np.full((1, 30, 30, 3), np.nan, np.float32), "not finite"),
        (np.zeros((1, 0, 30, 3), np.float32), "at least 1 pixel"),
    ],
)
def test_what_is_no_image_is_an_error(loaded, images, message):
    with pytest.raises(tf.errors.InvalidArgumentError, match=message):
        loaded("derain")["restore"](images=images)


def test_ipt_serve_restores_whole_pictures_as_the_graph_does(exported, loaded, picture, file_of):
    from ipt_tf.serving import servable
    from ipt_tf.serving.configs import Batching
    from ipt_tf.serving.workers import Caller

    served = servable.load(exported["sr_x2"], "ipt_sr_x2", 1, Batching(), max_pixels=100_000)
    images = picture(2, 60, 50, 3).astype(np.float32)
    restored = served.signature("restore").run({"images": images}, Caller())["restored"]
    np.testing.assert_allclose(restored, loaded("sr_x2")["restore"](images=images)["restored"], atol=1e-2)
    files = [imagecodecs.png_encode(picture(30, 27, channels).squeeze()) for channels in (1, 2, 3, 4)]
    files += [imagecodecs.png_encode(picture(60, 5, 4, dtype=np.uint16)), file_of(picture(30, 27, 3), "JPEG")]
    answers = served.signature("restore_bytes").run({"image_bytes": np.array(files, object)}, Caller())
    for file, answer in zip(files, answers["restored_bytes"], strict=True):
        expected = imagecodecs.imread(restored_file(loaded, "sr_x2", file))
        off = 257 if expected.dtype == np.uint16 else 1
        assert_grey_levels(imagecodecs.imread(answer), expected, atol=off)


# --- what is in the folder ---


def test_only_the_tasks_own_weights_are_inside_and_once(model, exported):
    size, structure = 4 * model.for_task("derain").count_params(), 10_000
    assert size + structure < 4 * model.count_params()
    (data,) = (exported["derain"] / "variables").glob("*.data*")
    assert size <= data.stat().st_size < size + structure


def test_nothing_of_python_xla_or_custom_operations_is_inside(exported):
    for folder in exported.values():
        graph = saved_model_pb2.SavedModel.FromString((folder / "saved_model.pb").read_bytes()).meta_graphs[0]
        functions = graph.graph_def.library.function
        nodes = [*graph.graph_def.node, *(node for function in functions for node in function.node_def)]
        operations = {node.op for node in nodes}
        assert {"While", "DecodeImage", "EncodePng"} < operations
        assert operations <= set(op_def_registry_names())
        assert not {"PyFunc", "EagerPyFunc", "PyFuncStateless", "XlaLaunch"} & operations
        assert not any(node.attr["_XlaMustCompile"].b for node in nodes)


def op_def_registry_names():
    """The operations that TensorFlow itself has."""
    return {name for name in dir(tf.raw_ops) if not name.startswith("_")}


def test_it_says_where_it_came_from(model, exported):
    origin = json.loads((exported["sr_x2"] / "assets.extra/ipt_tf.json").read_text())
    assert (origin["task"], origin["scale"], origin["tile"]) == ("sr_x2", 2, 24)
    assert len(origin["sha256"]) == 64


def test_a_model_of_one_task_exports_itself_in_0_to_255_whatever_its_range(model, tmp_path, picture):
    small = {"num_features": 4, "patch_size": 24, "num_heads": 2, "num_layers": 1}
    derain = IPT(["derain"], **small, start="random", rgb_range=1.0)
    derain.export(tmp_path / "ipt_derain/1")
    loaded = tf.saved_model.load(str(tmp_path / "ipt_derain/1"))
    image = picture(30, 27, 3).astype(np.float32)
    restored = loaded.signatures["restore"](images=image[None])["restored"]
    np.testing.assert_allclose(restored[0], derain.restore(image), atol=1e-2)
    with pytest.raises(ValueError, match="exists already"):
        derain.export(tmp_path / "ipt_derain/1")
    with pytest.raises(ValueError, match="which task"):
        model.export(tmp_path / "ipt/1")


# --- warm-up ---


def test_every_signature_is_warmed_up_at_every_allowed_batch_size_and_answers(exported, loaded):
    prediction_log_pb2 = pytest.importorskip("tensorflow_serving.apis.prediction_log_pb2")
    seen = []
    file = exported["sr_x2"] / "assets.extra/tf_serving_warmup_requests"
    for record in tf.data.TFRecordDataset(str(file)):
        request = prediction_log_pb2.PredictionLog.FromString(record.numpy()).predict_log.request
        name = request.model_spec.signature_name
        inputs = {key: tf.make_ndarray(value) for key, value in request.inputs.items()}
        (output,) = loaded("sr_x2")[name](**{k: tf.constant(v) for k, v in inputs.items()}).values()
        size = len(next(iter(inputs.values())))
        assert request.model_spec.name == "ipt_sr_x2"
        assert len(output) == size
        seen.append((name, size))
    names = ("serving_default", "restore", "restore_bytes")
    assert seen == [(name, size) for size in warmup.BATCH_SIZES for name in names]


# --- folders and versions ---


@pytest.fixture
def quick(monkeypatch):
    """Models whose signatures, which take some seconds to trace, are left out: only their folders matter."""

    def archive(view):
        archive = keras.export.ExportArchive()
        archive.add_endpoint("restore", lambda image: image, [tf.TensorSpec((None, None, 3), name="image")])
        return archive

    monkeypatch.setattr(saved_model, "_archive", archive)


@pytest.mark.usefixtures("quick")
def test_versions_count_on_and_none_is_replaced(model, tmp_path):
    (tmp_path / "ipt_derain" / "7").mkdir(parents=True)
    assert saved_model.export_tasks(model, tmp_path) == [tmp_path / "ipt_sr_x2/1", tmp_path / "ipt_derain/8"]
    with pytest.raises(ValueError, match="ipt_derain/8 exists already"):
        saved_model.export_tasks(model, tmp_path, ["derain"], version=8)
    assert sorted(os.listdir(tmp_path / "ipt_derain")) == ["7", "8"]


@pytest.mark.usefixtures("quick")
def test_versions_are_counted_as_tensorflow_serving_reads_them(model, tmp_path):
    for name in ("00000123", str(2**63), "latest"):
        (tmp_path / "ipt_derain" / name).mkdir(parents=True)
    with pytest.raises(ValueError, match="ipt_derain/00000123 exists already"):
        saved_model.export_tasks(model, tmp_path, ["derain"], version=123)
    with pytest.raises(ValueError, match=f"from 1 to {2**63 - 1}, not {2**63 + 1}"):
        saved_model.export_tasks(model, tmp_path, ["derain"], version=2**63 + 1)
    assert saved_model.export_tasks(model, tmp_path, ["derain"]) == [tmp_path / "ipt_derain/124"]


@pytest.mark.usefixtures("quick")
def test_nothing_is_left_where_an_export_fails(model, tmp_path, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(warmup, "write", full)
    with pytest.raises(ValueError, match="ipt_derain/1 cannot be written: No space left on device"):
        saved_model.export_tasks(model, tmp_path, ["derain"])
    assert os.listdir(tmp_path / "ipt_derain") == []


@pytest.mark.usefixtures("quick")
def test_without_the_package_for_warm_up_a_model_is_written_all_the_same(model, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorflow_serving", None)
    monkeypatch.setitem(sys.modules, "tensorflow_serving.apis", None)
    with pytest.warns(UserWarning, match=r"pip install 'ipt_tf\[serving\]'"):
        model.for_task("derain").export(tmp_path / "1")
    assert os.listdir(tmp_path / "1/assets.extra") == ["ipt_tf.json"]
    assert (tmp_path / "1/saved_model.pb").is_file()


# --- in another process, by TensorFlow alone ---


def test_a_session_of_tensorflow_1_restores_by_signature_as_a_model_server_does(check_as_a_model_server):
    check_as_a_model_server(sys.executable)


@pytest.mark.slow
def test_saved_model_cli_runs_every_signature(exported, picture, file_of, tmp_path):
    image, png = picture(30, 27, 3).astype(np.float32), file_of(picture(30, 27, 3))
    for signature, name, array in (
        ("serving_default", "images", image[None, :24, :24]),
        ("restore", "images", image[None]),
        ("restore_bytes", "image_bytes", np.array([png, png])),
    ):
        np.save(tmp_path / "in.npy", array)
        command = [sys.executable, "-m", "tensorflow.python.tools.saved_model_cli", "run", "--overwrite"]
        command += ["--dir", exported["sr_x2"], "--tag_set", "serve", "--signature_def", signature]
        command += ["--inputs", f"{name}={tmp_path}/in.npy", "--outdir", tmp_path]
        subprocess.run(command, check=True, capture_output=True)
    assert np.load(tmp_path / "restored.npy").shape == (1, 60, 54, 3)
    assert {bytes(file)[:4] for file in np.load(tmp_path / "restored_bytes.npy", allow_pickle=True)} == {
        b"\x89PNG"
    }
