"""Crops made on the device that trains."""

import keras
import numpy as np
import pytest

from ipt_tf.data import album

RNG = np.random.default_rng(0)
PICTURES = [
    RNG.integers(0, 256, (height, width, 3), np.uint8) for height, width in ((20, 31), (17, 12), (40, 16))
]


def crops(drawn, side):
    return keras.ops.convert_to_numpy(
        album.crops(album.collect(PICTURES), np.asarray(drawn, "float32"), side)
    )


def ways(patch):
    return [np.rot90(patch if side == 0 else patch[:, ::-1], turn) for side in (0, 1) for turn in range(4)]


@pytest.mark.parametrize(
    ("drawn", "picture", "top", "left"),
    [
        ((0.0, 0.0, 0.0), 0, 0, 0),
        ((0.34, 0.0, 0.99), 1, 0, 4),
        ((0.999, 0.999, 0.999), 2, 32, 8),
        ((1 - 2**-24, 1 - 2**-24, 1 - 2**-24), 2, 32, 8),  # whose product with a count may be rounded up
    ],
)
def test_a_crop_is_the_place_in_the_picture_that_the_numbers_say(drawn, picture, top, left):
    (found,) = crops([[*drawn, 0.9, 0.9, 0.9]], 8)
    np.testing.assert_array_equal(found, PICTURES[picture][top : top + 8, left : left + 8])


def test_crops_come_in_all_eight_ways():
    bits = [[0.1, 0.2, 0.3, *(0.9 - 0.5 * (way >> bit & 1) for bit in range(3))] for way in range(8)]
    found = crops(bits, 6)
    expected = {way.tobytes() for way in ways(found[0])}
    assert {patch.tobytes() for patch in found} == expected
    assert len(expected) == 8


def test_pictures_that_do_not_fit_are_no_album():
    assert album.collect(PICTURES, largest=100) is None
    assert album.collect(PICTURES).pixels.size == sum(picture.size for picture in PICTURES)
