"""Tiles cover every pixel once or more, and their blending weights sum to one."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ipt_tf.restoration import tiling

LENGTHS = st.integers(1, 150)
TILES = st.integers(1, 24)
SCALES = st.integers(1, 4)


@st.composite
def tile_and_overlap(draw):
    tile = draw(TILES)
    return tile, draw(st.integers(0, tile - 1))


# --- where tiles stand ---


@pytest.mark.parametrize(("overlap", "count"), [(10, 7), (6, 6), (0, 6)])
def test_256_pixels_have_so_many_tiles_of_48(overlap, count):
    assert len(tiling.starts(256, tile=48, overlap=overlap)) == count


def test_a_picture_of_256_x_256_has_36_tiles_at_an_overlap_of_6():
    tops = lefts = tiling.starts(256, tile=48, overlap=6)
    assert len(tops) * len(lefts) == 36


def test_neighbours_share_the_overlap_and_the_last_tile_ends_with_the_image():
    np.testing.assert_array_equal(tiling.starts(256, tile=48, overlap=10), [0, 38, 76, 114, 152, 190, 208])


def test_no_tile_is_added_where_the_image_ends_with_one():
    np.testing.assert_array_equal(tiling.starts(86, tile=48, overlap=10), [0, 38])
    np.testing.assert_array_equal(tiling.starts(87, tile=48, overlap=10), [0, 38, 39])


@pytest.mark.parametrize("length", [1, 20, 48])
def test_an_image_not_longer_than_a_tile_has_one(length):
    np.testing.assert_array_equal(tiling.starts(length, tile=48, overlap=10), [0])


@given(LENGTHS, tile_and_overlap())
def test_tiles_leave_no_gap_and_none_stands_twice(length, geometry):
    tile, overlap = geometry
    starts = tiling.starts(length, tile, overlap)
    assert starts[0] == 0
    assert starts[-1] == max(length - tile, 0)
    steps = np.diff(starts)
    assert (steps >= 1).all()
    assert (steps <= tile - overlap).all()


@pytest.mark.parametrize("overlap", [-1, 48, 60])
def test_an_overlap_that_does_not_fit_the_tile_is_refused(overlap):
    with pytest.raises(ValueError, match=f"the overlap is {overlap} pixels; tiles of 48 allow 0 to 47"):
        tiling.starts(100, tile=48, overlap=overlap)


def test_an_image_without_pixels_is_refused():
    with pytest.raises(ValueError, match="at least 1 pixel"):
        tiling.starts(0, tile=48, overlap=10)


# --- reflection ---


@given(st.integers(2, 40), st.integers(0, 3))
def test_reflection_is_that_of_numpy_repeated_without_end(length, times):
    there_and_back = np.pad(np.arange(length), (0, length - 1), mode="reflect")[:-1]
    index = np.arange(times * -len(there_and_back), len(there_and_back))
    np.testing.assert_array_equal(tiling.reflect(index, length), np.tile(there_and_back, times + 1))


def test_a_single_pixel_is_reflected_into_itself():
    np.testing.assert_array_equal(tiling.reflect(np.arange(-5, 48), 1), np.zeros(53))


def test_a_tile_larger_than_the_image_is_filled_by_reflection():
    image = np.arange(2 * 3).reshape(2, 3, 1).repeat(3, axis=-1)
    np.testing.assert_array_equal(
        tiling.cut(image, 0, 0, 5)[..., 0],
        [[0, 1, 2, 1, 0], [3, 4, 5, 4, 3], [0, 1, 2, 1, 0], [3, 4, 5, 4, 3], [0, 1, 2, 1, 0]],
    )


def test_a_tile_inside_the_image_is_a_piece_of_it():
    image = np.random.default_rng(0).random((60, 70, 3))
    np.testing.assert_array_equal(tiling.cut(image, 7, 20, 48), image[7:55, 20:68])


# --- weights ---


@given(LENGTHS, tile_and_overlap(), SCALES)
def test_weights_are_a_partition_of_unity(length, geometry, scale):
    tile, overlap = geometry
    total = np.zeros(max(length, tile) * scale)
    starts = tiling.starts(length, tile, overlap)
    for start, weights in zip(starts, tiling.weights(length, tile, overlap, scale), strict=True):
        total[start * scale : (start + tile) * scale] += weights
    np.testing.assert_allclose(total, 1, rtol=0, atol=1e-14)


@given(LENGTHS, tile_and_overlap(), SCALES)
def test_every_pixel_of_every_tile_counts(length, geometry, scale):
    assert tiling.weights(length, *geometry, scale).min() > 0


@given(LENGTHS, tile_and_overlap())
def test_weights_are_the_same_seen_from_the_other_end_if_the_tiles_are(length, geometry):
    tile, overlap = geometry
    starts = tiling.starts(length, tile, overlap)
    mirrored = starts[-1] - starts[::-1]
    if np.array_equal(starts, mirrored):
        weights = tiling.weights(length, tile, overlap)
        np.testing.assert_allclose(weights, weights[::-1, ::-1], atol=1e-12)


def test_weights_rise_as_a_raised_cosine_over_the_overlap_and_are_flat_elsewhere():
    first, second = tiling.weights(86, tile=48, overlap=10)
    rise = np.sin(np.pi / 2 * (np.arange(10) + 0.5) / 10) ** 2
    np.testing.assert_allclose(second, np.concatenate([rise, np.ones(38)]), atol=1e-12)
    np.testing.assert_allclose(first, second[::-1], atol=1e-12)


# --- blending ---


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 60), st.integers(1, 60), tile_and_overlap())
def test_blending_an_images_own_tiles_gives_the_image(height, width, geometry):
    tile, overlap = geometry
    image = np.random.default_rng(0).random((height, width, 3))
    tops, lefts = (tiling.starts(length, tile, overlap) for length in (height, width))
    tiles = (tiling.cut(image, top, left, tile) for top in tops for left in lefts)
    weights = (tiling.weights(length, tile, overlap) for length in (height, width))
    rows = tiling.blend(tiles, tops, lefts, *weights, height, width)
    np.testing.assert_allclose(np.concatenate(list(rows)), image, atol=1e-12)


def test_rows_are_handed_out_as_soon_as_no_later_tile_covers_them():
    taken = []

    def tiles():
        for number in range(3 * 2):
            taken.append(number)
            yield np.zeros((48, 48, 3))

    tops, lefts = np.array([0, 38, 76]), np.array([0, 38])
    rows, columns = tiling.weights(124, 48, 10), tiling.weights(86, 48, 10)
    progress = [
        (len(taken), len(band)) for band in tiling.blend(tiles(), tops, lefts, rows, columns, 124, 86)
    ]
    assert progress == [(2, 38), (4, 38), (6, 48)]
