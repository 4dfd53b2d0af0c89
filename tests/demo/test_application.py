"""What the page's server answers: restorations as streams, and refusals that say why."""

import io
import json
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from ipt_tf import images, samples
from ipt_tf.images import Photograph

RNG = np.random.default_rng(0)
RGB = RNG.integers(0, 256, (60, 80, 3), np.uint8)
PNG = images.png(Photograph(RGB))


def error_of(response):
    return response.status, json.loads(response.read())["error"]


def pixels(message):
    return images.decode(message["body"], "answer").pixels


def header_of_a_png(width, height):
    """The beginning of a PNG: its signature, its size and an empty chunk of pixels."""
    file = b"\x89PNG\r\n\x1a\n"
    for chunk in (b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0), b"IDAT"):
        file += struct.pack(">I", len(chunk) - 4) + chunk + struct.pack(">I", zlib.crc32(chunk))
    return file


def test_a_restoration_is_the_input_then_its_tiles_then_the_result(page):
    before, *progress, after = page.messages(page.restore(PNG))
    assert (before["width"], before["height"], before["tiles"]) == (80, 60, [4, 5])
    np.testing.assert_array_equal(pixels(before), RGB)
    assert [each["done"] for each in progress] == [7, 14, 20]
    assert {each["total"] for each in progress} == {20}
    np.testing.assert_array_equal(pixels(after), RGB)
    assert before["scores"] is after["scores"] is None


def test_the_input_is_shown_as_large_as_the_result(page):
    before, *_, after = page.messages(page.restore(PNG, task="sr_x2"))
    bicubic = Image.fromarray(RGB[..., 0].astype("float32")).resize((160, 120), Image.Resampling.BICUBIC)
    np.testing.assert_array_equal(pixels(before)[..., 0], np.rint(np.asarray(bicubic).clip(0, 255)))
    np.testing.assert_array_equal(pixels(after), RGB.repeat(2, axis=0).repeat(2, axis=1))


def test_the_result_keeps_16_bits_alpha_grey_and_profile(page):
    deep = RNG.integers(0, 65536, (30, 40, 1), np.uint16).repeat(3, axis=-1)
    given = Photograph(deep, deep[..., 0], grey=True, icc=b"profile")
    *_, after = page.messages(page.restore(images.png(given)))
    result = images.decode(after["body"], "answer")
    np.testing.assert_array_equal(result.pixels, deep)
    np.testing.assert_array_equal(result.alpha, deep[..., 0])
    assert (result.grey, result.icc) == (True, b"profile")


@pytest.mark.parametrize(("task", "size"), [("denoise_50", (61, 81)), ("sr_x2", (60, 80))])
def test_a_photograph_is_degraded_first_and_measured(page, task, size):
    clean = images.png(Photograph(np.full((61, 81, 3), 128, np.uint8) + RGB[:1, :1] // 8))
    before, *_, after = page.messages(page.restore(clean, task, degrade="true"))
    assert (before["height"], before["width"]) == size
    assert before["scores"].keys() == after["scores"].keys() == {"y", "rgb"}
    if task == "denoise_50":
        assert 14 < before["scores"]["rgb"] < 15
        assert after["scores"] == before["scores"]  # this network leaves the noise where it is


def test_what_cannot_be_told_from_the_clean_photograph_has_no_number(page):
    flat = images.png(Photograph(np.full((40, 40, 3), 9, np.uint8)))
    *_, after = page.messages(page.restore(flat, "sr_x2", degrade="true"))
    assert after["scores"] == {"y": None, "rgb": None}


def test_16_bits_are_degraded_as_8(page):
    deep = images.png(Photograph(np.full((30, 30, 3), 257 * 100, np.uint16)))
    before, *_ = page.messages(page.restore(deep, "sr_x2", degrade="true"))
    np.testing.assert_array_equal(pixels(before), np.full((30, 30, 3), 100, np.uint8))


def test_a_photograph_too_small_to_be_degraded_is_refused(page):
    (message,) = page.messages(page.restore(images.png(Photograph(RGB[:3, :30])), "sr_x2", degrade="true"))
    assert message["error"] == "30 x 3 pixels are too few to be degraded for sr_x2."


def test_a_task_without_a_degradation_says_so(page):
    (message,) = page.messages(page.restore(PNG, "descratch", degrade="true"))
    assert "descratch has no degradation" in message["error"]


@pytest.mark.parametrize("path", ["/inspect?name=notes.txt", "/restore?task=denoise_50&name=notes.txt"])
def test_what_is_no_picture_is_refused_by_its_name(page, path):
    status, error = error_of(page.request("POST", path, b"these are notes"))
    assert status == 415
    assert error.startswith("notes.txt is not a picture of the kinds that are taken: PNG, JPEG")


def test_an_empty_file_is_refused(page):
    assert error_of(page.restore(b"")) == (415, "photo.png is empty (0 bytes).")


def test_a_size_is_refused_before_anything_is_decoded(page):
    status, error = error_of(page.request("POST", "/inspect?name=a.png", header_of_a_png(6000, 4000)))
    assert status == 413
    assert error.startswith("a.png has 24 megapixels (6000 x 4000). This page makes at most 0.1")
    assert "--max-megapixels 24" in error


def test_a_task_that_enlarges_takes_smaller_pictures(page):
    data = header_of_a_png(200, 150)
    size = json.loads(page.request("POST", "/inspect", data).read())
    assert size == {"width": 200, "height": 150}
    status, error = error_of(page.restore(data, "sr_x2"))
    assert status == 413
    assert "enlarged x2 would have 0.12" in error


def test_a_file_larger_than_any_picture_that_is_taken_is_refused(page):
    most = json.loads(page.get("/about").read())["most_bytes"]
    status, error = error_of(page.restore(bytes(most + 1)))
    assert (status, error) == (413, "The file is larger than 2 MB.")


def test_a_damaged_picture_is_refused_when_it_is_decoded(page):
    (message,) = page.messages(page.restore(PNG[: len(PNG) // 2]))
    assert message["error"].startswith("photo.png is damaged")


def test_only_tasks_of_the_model_are_done(page):
    status, error = error_of(page.restore(PNG, "derain"))
    assert status == 400
    assert error == "this model has no task 'derain'; it has sr_x2, denoise_50, descratch."


def test_other_sites_cannot_have_pictures_restored_here(page):
    path, elsewhere = "/restore?task=denoise_50", {"Origin": "http://elsewhere.example"}
    assert page.request("POST", path, PNG, elsewhere).status == 403
    assert page.request("POST", path, PNG, {"Origin": page.url.rstrip("/")}).status == 200


def test_one_picture_is_restored_at_a_time_and_others_are_told(page, model):
    model.open.clear()
    first = page.messages(page.restore(PNG))
    next(first)
    second = page.messages(page.restore(PNG))
    assert [next(second)["ahead"], next(second)["ahead"]] == [1, 1]
    assert model.calls == 1
    model.open.set()
    assert list(first)[-1]["body"]
    assert list(second)[-1]["body"]


def test_who_goes_away_is_not_computed_for(page, model):
    model.open.clear()
    response = page.restore(PNG)
    assert model.began.wait(60)
    response.connection.close()
    response.close()
    waiting = page.messages(page.restore(PNG))
    assert next(waiting)["ahead"] == 1
    model.open.set()
    assert list(waiting)[-1]["body"]
    assert model.calls < 2 * 3  # three calls make a picture; the first was given up before its last


def test_no_more_pictures_are_held_than_a_few(page, model):
    model.open.clear()
    held = [page.restore(PNG) for _ in range(5)]
    status, error = error_of(page.restore(PNG))
    assert status == 503
    assert error == "5 pictures are being restored or wait for it. Try again in a minute."
    model.open.set()
    assert all(list(page.messages(response))[-1]["body"] for response in held)


def test_a_server_that_stops_says_so_to_those_who_wait(page, model):
    model.open.clear()
    response = page.restore(PNG)
    assert model.began.wait(60)
    page.loop.call_soon_threadsafe(page.stopped.set)
    page.loop.call_soon_threadsafe(page.loop.call_later, 0.2, model.open.set)
    assert list(page.messages(response))[-1]["error"] == "The server was stopped."


def test_a_mistake_of_ours_is_told_without_its_details(page, model, caplog):
    model.network = lambda name: lambda tiles: 1 / 0
    *_, last = page.messages(page.restore(PNG))
    assert last["error"] == "The restoration failed; the terminal says why."
    assert "ZeroDivisionError" in caplog.text


def test_the_page_asks_no_other_host_for_anything(page):
    for path, kind in [
        ("/", "text/html"),
        ("/style.css", "text/css"),
        ("/page.js", "text/javascript"),
        ("/icon.svg", "image/svg+xml"),
    ]:
        response = page.get(path)
        text = response.read().decode().replace("http://www.w3.org/2000/svg", "")
        assert response.headers["Content-Type"].startswith(kind)
        assert "default-src 'none'" in response.headers["Content-Security-Policy"]
        assert "//" not in text.replace("// ", "")


def test_the_page_knows_the_models_tasks_and_the_samples(page):
    about = json.loads(page.get("/about").read())
    assert about["model"] == "enlarger"
    assert about["tasks"][0] == {"name": "sr_x2", "scale": 2, "sigma": None, "degradable": True}
    assert not about["tasks"][2]["degradable"]
    assert about["samples"] == samples.names()


def test_samples_are_sent_by_name_and_nothing_else(page):
    with Image.open(io.BytesIO(page.get("/samples/chelsea").read())) as image:
        assert image.size == (451, 300)
    for path in ("/samples/nobody", "/samples/..%2F..%2Fcli.py", "/nothing"):
        assert page.get(path).status == 404
