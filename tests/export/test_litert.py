"""LiteRT files restore as the model does, each as well as its precision allows, without TensorFlow."""

import os
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from ipt_tf import IPT, Task, images, samples
from ipt_tf.export import VARIANTS, litert
from ipt_tf.restoration.litert import Runner
from ipt_tf.restoration.restore import restore

pytest.importorskip("ai_edge_litert")


@pytest.fixture(scope="module")
def photograph():
    return samples.load("chelsea")[60:130, 120:220]


@pytest.fixture(scope="module")
def files(model, tmp_path_factory):
    """The files of a model's super-resolution, by variant."""
    out = tmp_path_factory.mktemp("litert")
    return dict(zip(VARIANTS, litert.export_tasks(model, out, ["sr_x2"]), strict=True))


def test_files_are_named_by_task_and_variant(files):
    assert [path.name for path in files.values()] == [f"ipt_sr_x2_{variant}.tflite" for variant in VARIANTS]
    assert sorted(os.listdir(files["int8"].parent)) == sorted(path.name for path in files.values())


def test_a_file_says_what_it_restores_and_from_what_weights(model, files):
    for path in files.values():
        runner = Runner(path)
        assert (runner.task, runner.scale, runner.tile) == ("sr_x2", 2, 24)
        note = runner.origin
        assert len(note["sha256"]) == 64
        assert note["config"]["num_features"] == 4


def test_the_signature_is_images_to_restored_in_float32_for_all_variants(files):
    from ai_edge_litert.interpreter import Interpreter

    for path in files.values():
        interpreter = Interpreter(str(path))
        assert interpreter.get_signature_list() == {
            "serving_default": {"inputs": ["images"], "outputs": ["restored"]}
        }
        (tile,), (restored,) = interpreter.get_input_details(), interpreter.get_output_details()
        assert (list(tile["shape"]), tile["dtype"]) == ([1, 24, 24, 3], np.float32)
        assert (list(restored["shape"]), restored["dtype"]) == ([1, 48, 48, 3], np.float32)


def test_operations_are_all_built_in(files):
    from ai_edge_litert.interpreter import Interpreter

    for path in files.values():
        operations = {each["op_name"] for each in Interpreter(str(path))._get_ops_details()}
        assert "FULLY_CONNECTED" in operations
        assert not [name for name in operations if name.startswith(("Flex", "CUSTOM"))]


@pytest.mark.parametrize(
    ("variant", "tolerance"), [("float32", 1e-2), ("float16", 1), ("dynamic_int8", 8), ("int8", 30)]
)
def test_whole_photographs_are_restored_as_by_the_model(model, files, photograph, variant, tolerance):
    runner = Runner(files[variant])
    image = photograph.astype(np.float32)
    restored = restore(image, runner, runner.scale, tile=runner.tile)
    expected = model.restore(image, "sr_x2")
    assert np.sqrt(np.mean((restored - expected) ** 2)) < tolerance


def test_fewer_bits_make_smaller_files(files):
    sizes = [path.stat().st_size for path in files.values()]
    assert sizes[0] > sizes[1] > max(sizes[2:])


def test_the_ranges_of_int8_come_from_the_photographs_given(tmp_path, photograph):
    """A task without a degradation sees them as they are."""
    model = IPT([Task("dehaze")], num_features=4, patch_size=24, num_heads=2, num_layers=1)

    def error(seen):
        folder = tmp_path / f"{seen.mean()}"
        folder.mkdir()
        Image.fromarray(seen).save(folder / "a.png")
        (path,) = litert.export_tasks(model, folder, variants=["int8"], photographs=folder)
        return np.abs(restore(photograph, Runner(path), 1, tile=24).astype(float) - photograph).mean()

    assert error(photograph) < 5
    assert error(photograph // 16) > 50


def test_nothing_is_replaced(model, files):
    before = files["float16"].read_bytes()
    with pytest.raises(ValueError, match=r"ipt_sr_x2_float16.tflite exists already"):
        litert.export_tasks(model, files["float16"].parent, ["derain", "sr_x2"], variants=["float16"])
    assert files["float16"].read_bytes() == before
    assert not list(files["float16"].parent.glob("*derain*"))


def test_an_unknown_variant_and_a_folder_without_photographs_are_refused(model, tmp_path):
    with pytest.raises(
        ValueError, match="unknown variant 'int4'; there are float32, float16, dynamic_int8, int8"
    ):
        litert.export_tasks(model, tmp_path, variants=["int4"])
    with pytest.raises(ValueError, match="holds no photographs to calibrate with"):
        litert.export_tasks(model, tmp_path, ["derain"], variants=["int8"], photographs=tmp_path)
    assert os.listdir(tmp_path) == []


# --- the runner ---


def test_the_runner_imports_neither_tensorflow_nor_keras(files, photograph, tmp_path):
    Image.fromarray(photograph).save(tmp_path / "a.png")
    script = (
        "import sys\n"
        "from ipt_tf.cli import main\n"
        f"assert main(['restore', {str(tmp_path / 'a.png')!r}, '--model', {str(files['float32'])!r}]) == 0\n"
        "assert not {'tensorflow', 'keras', 'torch', 'jax'} & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", script], check=True, capture_output=True)
    assert images.read(tmp_path / "a_sr_x2.png").pixels.shape == (140, 200, 3)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda data: b"", "is damaged, or no LiteRT file"),
        (lambda data: b"TFL3" * 100, "is damaged, or no LiteRT file"),
        (lambda data: data[: len(data) // 2], "is damaged, or no LiteRT file"),
        (lambda data: data.replace(b"ipt_tf\0", b"others\0"), "none that `ipt export` wrote"),
    ],
)
def test_files_that_are_no_models_are_refused(files, tmp_path, damage, message):
    path = tmp_path / "x.tflite"
    path.write_bytes(damage(files["float16"].read_bytes()))
    with pytest.raises(ValueError, match=message):
        Runner(path)


def test_a_missing_file_and_a_missing_package_are_named(files, tmp_path, monkeypatch):
    with pytest.raises(ValueError, match=r"nowhere.tflite does not exist"):
        Runner(tmp_path / "nowhere.tflite")
    monkeypatch.setitem(sys.modules, "ai_edge_litert.interpreter", None)
    with pytest.raises(ValueError, match=r"pip install 'ipt_tf\[litert\]'"):
        Runner(files["float32"])
