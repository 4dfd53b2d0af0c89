"""The authors' tiling, against a slow transcription of its rules and against results of their own code."""

from functools import partial
from itertools import product
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ipt_tf.restoration.official import forward_chop, official_restore

TILE = 16
EVERY_QUARTER = {"stride": 4, "crop": 4}
EVERY_THREE_QUARTERS = {"stride": 12, "crop": 2}


def moody(tiles: np.ndarray, scale: int = 1) -> np.ndarray:
    """A network whose answer depends on the place inside the tile, and on the tile as a whole."""
    tiles = np.asarray(tiles, np.float64).repeat(scale, axis=1).repeat(scale, axis=2)
    place = np.random.default_rng(0).uniform(-20, 20, (1, *tiles.shape[1:]))
    return tiles + place + tiles.mean(axis=(1, 2, 3), keepdims=True) / 3


def picture(height: int, width: int) -> np.ndarray:
    return np.random.default_rng(height * 1000 + width).uniform(0, 255, (height, width, 3))


def windows_of_a_pixel(pixel: int, length: int, scale: int, stride: int, crop: int) -> tuple[list[int], bool]:
    """First input pixels, along one axis, of the windows that an output pixel comes from; is it remainder?"""
    remainder = (length - TILE) % stride
    end_of_grid = (length - remainder) * scale
    if pixel >= end_of_grid - int((TILE - remainder) / 2 * scale):
        return [length - TILE], True
    if pixel < crop * scale:
        return [0], False
    grid = range(0, length - TILE + 1, stride)
    return [a for a in grid if (a + crop) * scale <= pixel < (a + TILE - crop) * scale], False


def one_pixel_at_a_time(image, network, scale, stride, crop):
    """The rules, for each output pixel: which windows, and their mean."""
    height, width, _ = image.shape
    result = np.empty((height * scale, width * scale, 3))
    for y, x in np.ndindex(result.shape[:2]):
        tops, _ = windows_of_a_pixel(y, height, scale, stride, crop)
        lefts, in_remainder = windows_of_a_pixel(x, width, scale, stride, crop)
        if y < crop * scale and x < TILE * scale and not in_remainder:
            lefts = [0]  # the original's asymmetry
        result[y, x] = np.mean(
            [
                network(image[None, a : a + TILE, b : b + TILE])[0, y - a * scale, x - b * scale]
                for a, b in product(tops, lefts)
            ],
            axis=0,
        )
    return result


@pytest.mark.parametrize("rules", [EVERY_QUARTER, EVERY_THREE_QUARTERS], ids=["quarter", "three_quarters"])
@pytest.mark.parametrize(
    ("height", "width", "scale"),
    [(16, 16, 1), (16, 23, 1), (29, 16, 1), (28, 40, 1), (31, 45, 1), (16, 19, 2), (21, 26, 2), (19, 25, 3)],
)
def test_the_tiling_follows_the_authors_rules(rules, height, width, scale):
    image, network = picture(height, width), partial(moody, scale=scale)
    expected = one_pixel_at_a_time(image, network, scale, **rules)
    result = forward_chop(image, network, scale, tile=TILE, stride=rules["stride"])
    np.testing.assert_allclose(result, expected, atol=1e-3)


@pytest.mark.parametrize("stride", [None, 36])
@pytest.mark.parametrize(("height", "width"), [(48, 48), (48, 77), (75, 101), (96, 60)])
def test_an_identity_network_gives_exactly_the_image(height, width, stride):
    image = picture(height, width).astype("uint8")
    np.testing.assert_array_equal(official_restore(image, lambda tiles: tiles, 1, stride=stride), image)


@settings(max_examples=60, deadline=None)
@given(
    st.integers(1, 20).flatmap(lambda tile: st.tuples(st.just(tile), st.integers(1, tile))),
    st.integers(0, 15),
    st.integers(0, 15),
    st.integers(1, 4),
)
def test_an_identity_network_gives_exactly_the_image_at_every_stride(
    geometry, more_rows, more_columns, scale
):
    tile, stride = geometry
    image = picture(tile + more_rows, tile + more_columns).astype("uint8")
    restored = official_restore(
        image, lambda tiles: tiles.repeat(scale, 1).repeat(scale, 2), scale, tile=tile, stride=stride
    )
    np.testing.assert_array_equal(restored, image.repeat(scale, 0).repeat(scale, 1))


def test_a_quarter_of_a_tile_is_the_usual_stride():
    image = picture(75, 60)
    usual, given = (forward_chop(image, moody, 1, stride=stride) for stride in (None, 12))
    np.testing.assert_array_equal(usual, given)


def test_layout_and_dtype_are_those_of_the_image():
    for image in (
        picture(50, 60).astype("uint16"),
        picture(50, 60)[..., 0],
        picture(50, 60)[None].astype("f4"),
    ):
        restored = official_restore(image, lambda tiles: tiles, 1)
        assert restored.shape == image.shape
        assert restored.dtype == ("uint16" if image.dtype == "uint16" else "float32")
        np.testing.assert_allclose(restored, image.astype(restored.dtype), rtol=1e-6)


def test_a_batch_is_restored_image_by_image():
    batch = np.stack([picture(50, 60), picture(50, 60)[::-1]])
    one_by_one = [official_restore(image, moody, 1) for image in batch]
    np.testing.assert_array_equal(official_restore(batch, moody, 1), one_by_one)


def test_what_the_network_overshoots_is_clipped_and_rounded_half_to_even():
    image = np.full((48, 48, 3), 100, "uint8")
    assert (official_restore(image, lambda tiles: tiles + 300, 1) == 255).all()
    assert (official_restore(image, lambda tiles: tiles + 0.5, 1) == 100).all()
    assert (official_restore(image, lambda tiles: tiles + 1.5, 1) == 102).all()


@pytest.mark.parametrize(("height", "width"), [(47, 60), (60, 47)])
def test_an_image_smaller_than_a_tile_is_refused(height, width):
    with pytest.raises(
        ValueError, match=rf"at least 48 x 48 pixels, not {height} x {width}; restore\(\) takes"
    ):
        official_restore(picture(height, width), lambda tiles: tiles, 1)


@pytest.mark.parametrize("stride", [0, 49])
def test_a_stride_that_leaves_gaps_is_refused(stride):
    with pytest.raises(ValueError, match=f"the stride is {stride} pixels; windows of 48 allow 1 to 48"):
        official_restore(picture(60, 60), lambda tiles: tiles, 1, stride=stride)


# --- the authors' own results ---


@pytest.fixture(scope="module", params=["tiny24", "tiny48"])
def recorded(request, shared):
    """A network, and what the authors' code made of pictures with it."""
    from ipt_tf import IPT

    folder: Path = shared / "fixtures" / request.param
    model = IPT.from_pretrained(folder / "state_dict.safetensors", num_heads=4)
    return model, np.load(folder / "chop.npz")


def recordings(results, kind: str):
    """Yields (name, image, task index, result) in (H, W, 3) of what was recorded under a kind."""
    for name in results.files:
        prefix, *rest = name.split("_")
        if prefix == kind:
            image = results[f"image_{rest[0]}"][0].transpose(1, 2, 0)
            yield name, image, int(rest[1]), results[name][0].transpose(1, 2, 0)


# Pairs of tiles, so that each task's network is traced once, whatever the size of the picture.
BATCH_SIZE = 2


@pytest.mark.parametrize(("kind", "quarters"), [("chop", 1), ("chopnew", 3)])
def test_results_equal_those_of_the_authors_code(recorded, kind, quarters):
    model, results = recorded
    found = list(recordings(results, kind))
    assert found
    for name, image, index, expected in found:
        task, tile = model.tasks[index], model.patch_size
        made = forward_chop(
            image,
            model.network(task.name),
            task.scale,
            tile=tile,
            batch_size=BATCH_SIZE,
            stride=tile * quarters // 4,
        )
        np.testing.assert_allclose(made, expected, rtol=0, atol=2e-3, err_msg=name)


@pytest.mark.parametrize("recorded", ["tiny24"], indirect=True)
def test_the_self_ensemble_equals_that_of_the_authors_code(recorded):
    model, results = recorded
    found = list(recordings(results, "x8"))
    assert found
    for name, image, index, expected in found:
        task, tile = model.tasks[index], model.patch_size
        network = model.network(task.name)
        made = official_restore(
            image, network, task.scale, tile=tile, batch_size=BATCH_SIZE, self_ensemble=True
        )
        np.testing.assert_allclose(made, np.clip(expected, 0, 255), rtol=0, atol=2e-3, err_msg=name)
