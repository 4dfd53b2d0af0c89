"""The graph cuts, weighs and blends as `ipt_tf.restoration` does, whatever the size."""

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from ipt_tf.export import tiles
from ipt_tf.restoration import tiling
from ipt_tf.restoration.restore import restore

LENGTHS = st.integers(1, 150)
GEOMETRY = st.integers(1, 24).flatmap(lambda tile: st.tuples(st.just(tile), st.integers(0, tile - 1)))
SIZES = [(1, 1), (1, 200), (7, 5), (24, 24), (25, 24), (23, 61), (90, 77)]


@settings(max_examples=50, deadline=None)
@given(LENGTHS, GEOMETRY, st.integers(1, 4))
def test_starts_and_weights_are_those_of_tiling(length, geometry, scale):
    tile, overlap = geometry
    starts = tiles.starts(tf.constant(length), tile, overlap)
    np.testing.assert_array_equal(starts, tiling.starts(length, tile, overlap))
    weights = tiles.weights(tf.constant(length), tile, overlap, scale)
    np.testing.assert_allclose(weights, tiling.weights(length, tile, overlap, scale), atol=1e-7)


@settings(max_examples=50, deadline=None)
@given(st.integers(1, 40), st.integers(0, 200))
def test_reflection_is_that_of_tiling(length, first):
    index = np.arange(first, first + 30)
    np.testing.assert_array_equal(tiles.reflect(index, tf.constant(length)), tiling.reflect(index, length))


def darker_to_the_right(batch, enlarge, side, scale):
    """A network whose answer depends on the place in the tile, so that wrong weights show."""
    shade = np.linspace(0.2, 1.3, side * scale, dtype=np.float32)
    return enlarge(enlarge(batch, scale, 1), scale, 2) * shade[:, None] + shade[:, None, None] * 30


def graph(scale, *, batch_size, dtype=tf.float32):
    @tf.function(input_signature=[tf.TensorSpec((None, None, 3), dtype)])
    def run(image):
        return tiles.restore(
            image,
            lambda batch: darker_to_the_right(batch, tf.repeat, 24, scale),
            scale,
            tile=24,
            overlap=7,
            batch_size=batch_size,
            finish=lambda rows: tf.clip_by_value(rows, 0, 255),
            dtype=tf.float32,
        )

    return run


@pytest.mark.parametrize("scale", [1, 2, 3, 4])
def test_the_graph_restores_any_size_as_restore_does(scale):
    run = graph(scale, batch_size=3)
    for size in SIZES:
        image = np.random.default_rng(0).uniform(-20, 270, (*size, 3)).astype(np.float32)
        expected = restore(
            image, lambda batch: darker_to_the_right(batch, np.repeat, 24, scale), scale, tile=24, overlap=7
        )
        np.testing.assert_allclose(run(image), expected, atol=1e-3)


def test_pixels_of_16_bits_enter_the_network_in_0_to_255():
    image = np.random.default_rng(0).integers(0, 65536, (30, 31, 3), np.uint16)
    restored = graph(1, batch_size=16, dtype=tf.uint16)(image)
    np.testing.assert_allclose(restored, graph(1, batch_size=16)(image / np.float32(257)), atol=1e-3)


def test_no_call_of_the_network_gets_more_tiles_than_the_batch_size_and_a_row_is_dealt_evenly():
    counts = []

    def network(batch):
        tf.py_function(lambda size: counts.append(int(size)), [tf.shape(batch)[0]], [])
        return batch

    finish = {"finish": tf.identity, "dtype": tf.float32}
    tiles.restore(tf.zeros((30, 24 * 5, 3)), network, 1, tile=24, overlap=0, batch_size=4, **finish)
    assert counts == [3, 2, 3, 2]
