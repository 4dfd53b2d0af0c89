"""One exported model for all tests of this folder."""

import io

import numpy as np
import pytest
from PIL import Image

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


@pytest.fixture(scope="session")
def file_of():
    """Function of pixels: the bytes of an 8-bit file that holds them."""

    def encode(pixels: np.ndarray, format_: str = "PNG", **options) -> bytes:
        buffer = io.BytesIO()
        Image.fromarray(pixels).save(buffer, format_, **options)
        return buffer.getvalue()

    return encode
