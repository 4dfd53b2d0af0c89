"""Clean crops become the same examples on every backend, alone and in whatever batch."""

from pathlib import Path

import numpy as np
import pytest
from keras import ops

from ipt_tf import tasks
from ipt_tf.data.draws import Draws, threefry, words
from ipt_tf.data.examples import examples

EXPECTED = Path(__file__).parents[1] / "fixtures" / "training" / "examples.npz"
NAMES = ["sr_x2", "sr_x3", "derain", "denoise_30", "denoise", "jpeg", "camera"]
SIDE = 24

pytestmark = pytest.mark.everywhere


def crops(name):
    rng, side = np.random.default_rng(0), SIDE * tasks.find(name).scale
    blocks = rng.integers(0, 256, (4, 4, 4, 3), np.uint8)
    return blocks.repeat(side // 4, axis=1).repeat(side // 4, axis=2)


def made(name, positions=(0, 1, 5, 2**40), chosen=slice(None)):
    at = ops.convert_to_tensor(words(positions))
    inputs, _ = examples(tasks.find(name), 7, at, [ops.convert_to_tensor(crops(name)[chosen])])
    return ops.convert_to_numpy(inputs)


def as_words(*numbers):
    return [np.array([number], np.uint32).view(np.int32) for number in numbers]


@pytest.mark.parametrize(
    ("key", "counter", "expected"),
    [
        ((0, 0), (0, 0), (0x6B200159, 0x99BA4EFE)),
        ((2**32 - 1,) * 2, (2**32 - 1,) * 2, (0x1CB996FC, 0xBB002BE7)),
        ((0x13198A2E, 0x03707344), (0x243F6A88, 0x85A308D3), (0xC4923A9C, 0x483DF7A0)),
    ],
)
@pytest.mark.parametrize("xp", [ops, np], ids=["keras", "numpy"])
def test_random_words_are_those_that_the_authors_of_threefry_publish(key, counter, expected, xp):
    found = threefry(as_words(*key), as_words(*counter), xp)
    assert tuple(int(ops.convert_to_numpy(word)[0]) % 2**32 for word in found) == expected


def test_the_processor_and_the_device_draw_the_same_numbers():
    positions = words([0, 3, 2**33])
    ours, theirs = Draws(5, positions, np), Draws(5, ops.convert_to_tensor(positions))
    np.testing.assert_array_equal(ours.random((3, 5, 7)), ops.convert_to_numpy(theirs.random((3, 5, 7))))
    ours, theirs = (draws.standard_normal((3, 5, 7)) for draws in (ours, theirs))
    np.testing.assert_allclose(ours, ops.convert_to_numpy(theirs), atol=1e-6)


def test_numbers_are_uniform_and_normal():
    draws = Draws(0, words(range(10)), np)
    uniform, normal = draws.random((10, 20001)), draws.standard_normal((10, 20001))
    assert 0 <= uniform.min() < 1e-4
    assert 1 - 1e-4 < uniform.max() < 1
    assert abs(uniform.mean() - 0.5) < 0.003
    np.testing.assert_allclose(np.bincount((16 * uniform).astype(int).ravel()) / 200010, 1 / 16, rtol=0.03)
    assert abs(normal.mean()) < 0.007
    assert abs(normal.std() - 1) < 0.005
    assert abs(np.mean(normal**4) - 3) < 0.06
    assert np.abs(np.corrcoef(normal) - np.eye(10)).max() < 0.03  # from position to position


def test_every_draw_position_and_seed_has_numbers_of_its_own():
    def drawn(seed, position):
        draws = Draws(seed, words([position]), np)
        return [draws.random((1, 50)), draws.random((1, 50))]

    several = [
        numbers.tobytes()
        for seed, position in ((0, 0), (0, 1), (1, 0), (0, 2**32), (2**32, 0), (-1, 0))
        for numbers in drawn(seed, position)
    ]
    assert len(set(several)) == 12


def test_an_example_is_degraded_alike_in_whatever_batch_it_stands():
    for name in ("denoise", "derain", "jpeg", "camera"):
        together, alone = made(name), made(name, [5], slice(2, 3))
        np.testing.assert_allclose(together[2], alone[0], atol=1e-3, err_msg=name)
        assert np.abs(together - made(name, [10, 11, 12, 13])).max() > 1, name


@pytest.mark.parametrize("name", NAMES)
def test_examples_are_those_that_tensorflow_made(name):
    """Apart from the last digits of normal numbers, and of the grey levels that are rounded after them."""
    expected = np.load(EXPECTED)[name]
    difference = np.abs(made(name) - expected)
    assert difference.mean() < 1e-3
    assert (difference > 1e-2).mean() < 1e-3


if __name__ == "__main__":  # with TensorFlow
    np.savez_compressed(EXPECTED, **{name: made(name) for name in NAMES})
