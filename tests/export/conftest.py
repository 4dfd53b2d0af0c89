"""One exported model for all tests of this folder."""

import subprocess
from pathlib import Path

import imagecodecs
import numpy as np
import pytest

from ipt_tf import IPT
from ipt_tf.export import saved_model


@pytest.fixture(scope="session")
def model():
    """A small model of two tasks that changes what it is given."""
    import keras

    keras.utils.set_random_seed(0)
    return IPT(["sr_x2", "derain"], num_features=4, patch_size=24, num_heads=2, num_layers=1, start="random")


@pytest.fixture(scope="session")
def exported(model, tmp_path_factory):
    """The folders of its SavedModels, by task."""
    out = tmp_path_factory.mktemp("exported")
    return dict(zip(model.task_names, saved_model.export_tasks(model, out), strict=True))


@pytest.fixture(scope="session")
def picture():
    """Function of a shape: a picture (H, W, C) of noise, uint8."""

    def make(*shape: int, dtype=np.uint8) -> np.ndarray:
        return np.random.default_rng(0).integers(0, np.iinfo(dtype).max, shape, dtype, endpoint=True)

    return make


AS_A_MODEL_SERVER = """
import sys
import numpy as np
import tensorflow as tf
if sys.argv[2] == "addons":
    import tensorflow_addons
v1 = tf.compat.v1
with v1.Session(graph=tf.Graph()) as session:
    signatures = v1.saved_model.load(session, ["serve"], sys.argv[1]).signature_def
    def run(name, **inputs):
        signature = signatures[name]
        feeds = {signature.inputs[key].name: value for key, value in inputs.items()}
        (output,) = (session.run(output.name, feeds) for output in signature.outputs.values())
        return output
    image, file = np.load("image.npy"), open("image.png", "rb").read()
    np.save("tiles_out.npy", run("serving_default", images=image[None, :24, :24]))
    np.save("image_out.npy", run("restore", images=image[None])[0])
    open("image_out.png", "wb").write(run("restore_bytes", image_bytes=[file] * 2)[1])
assert "ipt_tf" not in sys.modules
"""


@pytest.fixture
def check_as_a_model_server(model, exported, picture, tmp_path):
    """Function of a Python: runs all signatures of the model's super-resolution there, and compares with the model.

    By a session of TensorFlow 1 and the names in signatures, as TF-Serving does; `addons` imports
    tensorflow-addons before.
    """

    def check(python: str | Path, addons: bool = False) -> None:
        image = picture(30, 27, 3)
        np.save(tmp_path / "image.npy", image.astype(np.float32))
        (tmp_path / "image.png").write_bytes(imagecodecs.png_encode(image))
        extra = "addons" if addons else "alone"
        command = [python, "-c", AS_A_MODEL_SERVER, exported["sr_x2"], extra]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr[-2000:]
        tile = image[None, :24, :24].astype(np.float32)
        np.testing.assert_allclose(np.load(tmp_path / "tiles_out.npy"), model(tile, task="sr_x2"), atol=1e-2)
        expected = model.restore(image.astype(np.float32), "sr_x2")
        np.testing.assert_allclose(np.load(tmp_path / "image_out.npy"), expected, atol=1e-2)
        pixels = imagecodecs.png_decode((tmp_path / "image_out.png").read_bytes())
        np.testing.assert_allclose(pixels.astype(float), expected, atol=1)

    return check
