"""JPEG in keras.ops is libjpeg's, pixel for pixel, in graphs as well."""

import io
import sys

import keras
import numpy as np
import pytest
from keras import ops
from PIL import Image

from ipt_tf import samples
from ipt_tf.degradations import jpeg_artefacts
from ipt_tf.degradations.jpeg import compress


def of_libjpeg(image: np.ndarray, quality: int, offset: tuple[int, int] = (0, 0)) -> np.ndarray:
    top, left = offset
    file = io.BytesIO()
    larger = np.pad(image, ((top, 0), (left, 0), (0, 0)), mode="symmetric")
    Image.fromarray(larger).save(file, "JPEG", quality=int(quality))
    return np.asarray(Image.open(file))[top:, left:]


def crops(height: int, width: int, each: int = 2) -> np.ndarray:
    """Crops of every sample, and one of noise: all 256 levels, beside which libjpeg has to clip."""
    rng = np.random.default_rng(0)
    cut = [rng.integers(0, 256, (height, width, 3)).astype("uint8")]
    for photograph in map(samples.load, samples.names()):
        for _ in range(each):
            top, left = (
                rng.integers(0, side - length + 1)
                for side, length in zip(photograph.shape[:2], (height, width), strict=True)
            )
            cut.append(photograph[top : top + height, left : left + width])
    return np.stack(cut)


def assert_equals_libjpeg(degraded, images, qualities, offsets=None):
    offsets = np.zeros((len(images), 2), int) if offsets is None else offsets
    expected = np.stack([of_libjpeg(*each) for each in zip(images, qualities, offsets, strict=True)])
    error = np.abs(ops.convert_to_numpy(degraded) - expected.astype("float32"))
    # None was seen to differ. Another libjpeg, or a sum that rounds otherwise on an accelerator, may do so by a little.
    assert error.mean() < 0.01


@pytest.mark.parametrize("quality", [1, 10, 30, 49, 50, 75, 90, 95, 100])
def test_photographs_are_compressed_as_by_libjpeg(quality):
    images = crops(48, 48)
    degraded = compress(images, np.full(len(images), quality))
    assert_equals_libjpeg(degraded, images, [quality] * len(images))


@pytest.mark.parametrize("size", [(1, 1), (2, 3), (3, 4), (4, 6), (16, 16), (17, 2), (33, 31), (50, 37)])
def test_blocks_need_not_fill_the_image(size):
    images = crops(*size)
    assert_equals_libjpeg(compress(images, np.full(len(images), 30)), images, [30] * len(images))


def test_a_whole_photograph_is_compressed_as_by_libjpeg():
    image = samples.load("chelsea")[None]
    assert_equals_libjpeg(compress(image, np.array([20])), image, [20])


@pytest.mark.parametrize("size", [(1, 1), (2, 3), (9, 5), (16, 16), (48, 48), (50, 37)])
def test_every_image_has_a_quality_and_an_offset_of_its_own(size):
    images = crops(*size)
    rng = np.random.default_rng(0)
    qualities, offsets = rng.integers(1, 101, len(images)), rng.integers(0, 16, (len(images), 2))
    assert_equals_libjpeg(compress(images, qualities, offsets), images, qualities, offsets)


def test_a_quality_may_be_a_float():
    images = crops(16, 16)
    qualities = np.linspace(1, 100, len(images)).round().astype("float32")
    assert_equals_libjpeg(compress(images, qualities), images, qualities)


def test_grey_stays_grey():
    grey = np.repeat(crops(48, 48)[..., :1], 3, axis=-1)
    degraded = ops.convert_to_numpy(compress(grey, np.full(len(grey), 10)))
    np.testing.assert_array_equal(degraded[..., :1].repeat(3, axis=-1), degraded)


class Drawn:
    """Random numbers that were drawn before."""

    def __init__(self, numbers):
        self.numbers = numbers

    def random(self, shape):
        return self.numbers


@pytest.mark.parametrize("cropped", [False, True])
@pytest.mark.parametrize("quality", [20, (10, 90)])
def test_a_graph_degrades_as_libjpeg_does_outside_of_it(quality, cropped):
    import tensorflow as tf

    degrade = jpeg_artefacts(quality, cropped=cropped)
    clean = crops(50, 37).astype("float32")
    drawn = np.random.default_rng(0).random((len(clean), 3), "float32")
    drawn[0], drawn[1] = 0, np.nextafter(np.float32(1), np.float32(0))

    @tf.function(input_signature=[tf.TensorSpec((None, 50, 37, 3)), tf.TensorSpec((None, 3))])
    def in_graph(batch, numbers):
        return degrade(batch, Drawn(numbers))

    assert np.abs(in_graph(clean, drawn) - degrade(clean, Drawn(drawn))).mean() < 0.01
    assert all(node.type != "PyFunc" for node in in_graph.get_concrete_function().graph.get_operations())


def test_a_dataset_is_degraded_as_libjpeg_does_outside_of_it():
    import tensorflow as tf

    degrade = jpeg_artefacts((10, 90), cropped=True)
    clean = crops(48, 48).astype("float32")[:5]
    drawn = np.random.default_rng(0).random((5, 3), "float32")
    batches = tf.data.Dataset.from_tensor_slices((clean, drawn)).batch(2)
    degraded = [*batches.map(lambda x, numbers: degrade(x, Drawn(numbers))).as_numpy_iterator()]
    assert np.abs(np.concatenate(degraded) - degrade(clean, Drawn(drawn))).mean() < 0.01


def test_a_graph_has_to_know_the_size_of_its_images():
    import tensorflow as tf

    @tf.function(input_signature=[tf.TensorSpec((2, None, 48, 3))])
    def in_graph(batch):
        return jpeg_artefacts(20)(batch, np.random.default_rng(0))

    with pytest.raises(ValueError, match="height and width of the images have to be known"):
        in_graph(np.zeros((2, 48, 48, 3), "float32"))


def compiled(function):
    if keras.backend.backend() != "jax":
        return function
    import jax

    return jax.jit(function)


@pytest.mark.backends
def test_other_backends_compress_as_libjpeg_does():
    images = crops(50, 37)
    rng = np.random.default_rng(0)
    qualities, offsets = rng.integers(1, 101, len(images)), rng.integers(0, 16, (len(images), 2))
    assert_equals_libjpeg(compiled(compress)(images, qualities, offsets), images, qualities, offsets)
    degrade, drawn = jpeg_artefacts((10, 90), cropped=True), rng.random((len(images), 3), "float32")
    traced = compiled(lambda clean, numbers: degrade(clean, Drawn(numbers)))(images, drawn)
    error = ops.convert_to_numpy(traced) - ops.convert_to_numpy(degrade(images, Drawn(drawn)))
    assert np.abs(error).mean() < 0.01
    assert "tensorflow" not in sys.modules
