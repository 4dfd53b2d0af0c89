"""Any image through a network of one tile size: same size and kind of image, no seam, little memory."""

import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ipt_tf.restoration.restore import restore


def enlarge(scale: int):
    """The identity network: every pixel becomes scale x scale pixels."""
    return lambda tiles: tiles.repeat(scale, axis=1).repeat(scale, axis=2)


def picture(*shape: int, dtype="uint8", seed: int = 0) -> np.ndarray:
    """Noise that fills the whole range of a dtype."""
    rng = np.random.default_rng(seed)
    if np.dtype(dtype).kind == "f":
        return rng.uniform(0, 255, shape).astype(dtype)
    return rng.integers(0, np.iinfo(dtype).max, shape, dtype, endpoint=True)


# --- the identity ---


@settings(max_examples=60, deadline=None)
@given(
    st.integers(1, 40),
    st.integers(1, 40),
    st.sampled_from([1, 2, 3, 4]),
    st.integers(4, 48).flatmap(lambda tile: st.tuples(st.just(tile), st.integers(0, tile - 1))),
    st.sampled_from(["uint8", "uint16", "float32"]),
)
def test_an_identity_network_gives_exactly_the_image(height, width, scale, geometry, dtype):
    tile, overlap = geometry
    image = picture(height, width, 3, dtype=dtype)
    restored = restore(image, enlarge(scale), scale, tile=tile, overlap=overlap)
    assert restored.dtype == image.dtype
    np.testing.assert_array_equal(restored, image.repeat(scale, axis=0).repeat(scale, axis=1))


@pytest.mark.parametrize("shape", [(1, 1, 3), (1, 200, 3), (47, 49, 3), (48, 48, 3), (131, 95, 3)])
def test_an_identity_at_the_papers_tiling_gives_exactly_the_image(shape):
    image = picture(*shape)
    np.testing.assert_array_equal(restore(image, enlarge(1), 1), image)


def test_every_16_bit_value_survives():
    image = np.arange(65536, dtype="uint16").reshape(256, 256)
    np.testing.assert_array_equal(restore(image, enlarge(1), 1), image)


# --- layouts and kinds of pixels ---


@pytest.mark.parametrize("shape", [(60, 50), (60, 50, 1), (60, 50, 3), (2, 60, 50, 3), (2, 60, 50, 1)])
@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32", "float64"])
def test_the_result_has_the_layout_of_the_image(shape, dtype):
    image = picture(*shape, dtype=dtype)
    axes = (1, 2) if len(shape) == 4 else (0, 1)
    expected = image.repeat(2, axes[0]).repeat(2, axes[1])
    restored = restore(image, enlarge(2), 2)
    assert restored.dtype == ("float32" if dtype == "float64" else dtype)
    np.testing.assert_array_equal(restored, expected.astype(restored.dtype))


def test_a_batch_is_restored_image_by_image():
    batch = picture(3, 60, 50, 3)

    def network(tiles):
        return 255 - tiles**2 / 255

    np.testing.assert_array_equal(restore(batch, network, 1), [restore(image, network, 1) for image in batch])


def test_the_network_sees_float32_in_0_to_255_whatever_the_pixels_are():
    def seen(image):
        ranges = []

        def network(tiles):
            assert tiles.dtype == np.float32
            ranges.append((tiles.min(), tiles.max()))
            return tiles

        restore(image, network, 1)
        return ranges

    for image in (
        picture(48, 48, 3),
        picture(48, 48, 3, dtype="uint16"),
        picture(48, 48, 3, dtype="float64"),
    ):
        ((low, high),) = seen(image)
        assert 0 <= low < 1
        assert 254 < high <= 255


def test_a_grey_image_is_seen_as_three_equal_channels_and_their_mean_comes_back():
    image = picture(60, 50)
    restored = restore(image.astype(float), lambda tiles: tiles * 0 + np.array([10, 20, 60]), 1)
    np.testing.assert_allclose(restored, np.full((60, 50), 30), atol=1e-4)
    np.testing.assert_array_equal(restore(image, lambda tiles: tiles[..., [2, 0, 1]], 1), image)


def test_noise_outside_the_range_of_a_float_image_reaches_the_network():
    image = np.full((48, 48, 3), -40.0)
    np.testing.assert_array_equal(restore(image, lambda tiles: tiles + 50, 1), np.full((48, 48, 3), 10))


@pytest.mark.parametrize(("dtype", "white"), [("uint8", 255), ("uint16", 65535), ("float32", 255)])
def test_what_the_network_overshoots_is_clipped(dtype, white):
    image = np.zeros((50, 50, 3), dtype)
    assert (restore(image, lambda tiles: tiles + 300, 1) == white).all()
    assert (restore(image, lambda tiles: tiles - 300, 1) == 0).all()


def test_integers_are_rounded_half_to_even():
    image = np.array([[0, 1], [2, 3]], "uint8")
    np.testing.assert_array_equal(restore(image, lambda tiles: tiles + 0.5, 1), [[0, 2], [2, 4]])


def test_the_image_is_not_changed():
    image = picture(60, 50, 3, dtype="float32")
    before = image.copy()

    def careless(tiles):
        tiles *= 0
        return tiles

    restore(image, careless, 1)
    np.testing.assert_array_equal(image, before)


# --- calls of the network ---


@pytest.mark.parametrize(
    ("shape", "batch_size", "calls"),
    [
        ((48, 48, 3), 16, [1]),
        ((86, 86, 3), 16, [4]),
        ((86, 124, 3), 4, [3, 3]),  # 6 tiles
        ((162, 162, 3), 15, [8, 8]),  # 16 tiles
        ((2, 48, 124, 3), 4, [3, 3]),  # the tiles of both images
        ((86, 276, 3), 5, [5, 5, 5]),  # 14 tiles, one repeated
        ((86, 86, 3), 1, [1, 1, 1, 1]),
    ],
)
def test_the_network_meets_one_shape_only(shape, batch_size, calls):
    sizes = []

    def network(tiles):
        assert tiles.shape[1:] == (48, 48, 3)
        sizes.append(len(tiles))
        return tiles

    image = picture(*shape)
    np.testing.assert_array_equal(restore(image, network, 1, batch_size=batch_size), image)
    assert sizes == calls


def test_progress_counts_tiles_up_to_all_of_them():
    steps = []
    image = picture(86, 276, 3)
    restore(image, enlarge(1), 1, batch_size=5, progress=lambda done, total: steps.append((done, total)))
    assert steps == [(5, 14), (10, 14), (14, 14)]


def test_calls_at_the_same_time_give_the_same_result_and_hold_no_more_tiles_than_they_need():
    image = picture(100, 90, 3)
    started, most = [], []

    def network(tiles):
        started.append(len(tiles))
        return tiles

    def progress(done, total):
        most.append(sum(started) - done)

    result = restore(image, network, 1, batch_size=2, threads=3, progress=progress)
    np.testing.assert_array_equal(result, image)
    assert max(most) <= 2 * 2


def test_threads_have_as_many_calls_each():
    calls = []

    def network(tiles):
        calls.append(len(tiles))
        return tiles

    restore(picture(162, 390, 3), network, 1, batch_size=16, threads=2)  # 40 tiles
    assert calls == [10, 10, 10, 10]


def test_the_first_call_that_fails_is_the_error_also_of_calls_at_the_same_time():
    def network(tiles):
        raise RuntimeError("no network today")

    with pytest.raises(RuntimeError, match="no network today"):
        restore(picture(200, 200, 3), network, 1, batch_size=1, threads=4)


def test_the_batch_size_does_not_change_the_result():
    image = picture(100, 130, 3)

    def network(tiles):
        return 255 - tiles**2 / 255

    one, many = (restore(image, network, 1, batch_size=size) for size in (1, 64))
    np.testing.assert_array_equal(one, many)


# --- seams and memory ---


@pytest.mark.parametrize("scale", [1, 2])
def test_tiles_that_disagree_leave_no_visible_seam(scale):
    disagreement = 20
    rng = np.random.default_rng(0)

    def moody(tiles):
        return enlarge(scale)(tiles) + rng.choice([0, disagreement], (len(tiles), 1, 1, 1))

    restored = restore(np.full((200, 210, 3), 100.0), moody, scale)
    assert np.ptp(restored) > 0.99 * disagreement
    # The steepest place of the ramp, sin^2 over the overlap.
    steepest = disagreement * np.pi / 2 / (10 * scale)
    for axis in (0, 1):
        assert np.abs(np.diff(restored, axis=axis)).max() < 1.05 * steepest
        # Nor a kink, which the eye takes for a line: a linear ramp would have one of the whole slope.
        assert np.abs(np.diff(restored, n=2, axis=axis)).max() < 0.5 * steepest


def test_what_the_network_makes_of_a_tiles_edge_hardly_counts():
    def wrong_at_the_edge(tiles):
        tiles = tiles.copy()
        tiles[:, 0] = tiles[:, -1] = tiles[:, :, 0] = tiles[:, :, -1] = 255
        return tiles

    restored = restore(np.zeros((200, 200, 3)), wrong_at_the_edge, 1)
    assert restored[1:-1, 1:-1].max() < 255 * 0.02


def memory_beyond_the_result(height: int) -> int:
    image = np.full((height, 1500, 3), 100, "uint8")
    tracemalloc.start()
    restored = restore(image, enlarge(1), 1)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return peak - restored.nbytes


def test_memory_beyond_the_result_does_not_grow_with_the_height():
    short, tall = memory_beyond_the_result(300), memory_beyond_the_result(2000)
    assert tall < 1.05 * short
    # A float accumulator of the whole image would take 36 MB.
    assert tall < 12e6


# --- self-ensemble ---


def test_the_self_ensemble_is_the_mean_over_eight_flips_and_transposes():
    weights = np.random.default_rng(1).uniform(0.5, 1.5, (48, 48, 1))

    def network(tiles):
        return tiles * weights

    image = picture(48, 48, 3, dtype="float32") / 2
    turned = [np.rot90(weights, turns) for turns in range(4)]
    mean = np.mean([turned, [each.swapaxes(0, 1) for each in turned]], axis=(0, 1))
    np.testing.assert_allclose(restore(image, network, 1, self_ensemble=True), image * mean, rtol=1e-5)
    assert np.abs(mean - weights).max() > 0.3


def test_the_self_ensemble_turns_enlarged_outputs_back():
    image = picture(60, 101, 3)
    expected = image.repeat(3, axis=0).repeat(3, axis=1)
    np.testing.assert_array_equal(restore(image, enlarge(3), 3, self_ensemble=True), expected)


# --- errors ---


@pytest.mark.parametrize(
    ("image", "message"),
    [
        (np.zeros((9, 9, 4), "uint8"), r"9 x 9 x 4, has a fourth channel.*image\[..., :3\]"),
        (np.zeros((9, 9, 2), "uint8"), "3 channels, or 1"),
        (np.zeros(9, "uint8"), r"\(H, W, 3\), \(H, W\) or \(B, H, W, 3\), not 9"),
        (np.zeros((0, 9, 3), "uint8"), "empty: its shape is 0 x 9 x 3"),
        (np.zeros((9, 9, 3), "int32"), "uint8, uint16 or float in 0..255, not int32"),
        (np.zeros((9, 9, 3), bool), "not bool"),
        (np.full((9, 9, 3), np.nan), "NaN or infinite"),
        (np.full((9, 9, 3), np.inf), "NaN or infinite"),
        ("photo.png", "uint8, uint16 or float"),
    ],
)
def test_what_is_no_image_is_refused(image, message):
    with pytest.raises(ValueError, match=message):
        restore(image, enlarge(1), 1)


def test_a_network_of_another_scale_is_refused():
    with pytest.raises(ValueError, match=r"made \(1, 96, 96, 3\) of tiles \(1, 48, 48, 3\); at scale 1"):
        restore(picture(48, 48, 3), enlarge(2), 1)


@pytest.mark.parametrize("damage", [np.nan, np.inf])
def test_a_network_that_makes_nonsense_is_refused(damage):
    with pytest.raises(ValueError, match="the network returned NaN or infinity"):
        restore(picture(48, 48, 3), lambda tiles: tiles + damage, 1)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"scale": 0}, "the scale is a whole number from 1, not 0"),
        ({"scale": 1.5}, "the scale is a whole number from 1, not 1.5"),
        ({"scale": 1, "overlap": 48}, "tiles of 48 allow 0 to 47"),
        ({"scale": 1, "batch_size": 0}, "the batch size is a number of tiles from 1, not 0"),
        ({"scale": 1, "threads": 0}, "the threads are a number from 1, not 0"),
    ],
)
def test_an_impossible_argument_is_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        restore(picture(48, 48, 3), enlarge(1), **arguments)
