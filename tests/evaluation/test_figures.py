"""Pictures are chosen by a rule that flatters nobody, and show what their captions say."""

import numpy as np
import pytest
from PIL import ImageFont

from ipt_tf.evaluation import benchmarks, figures
from ipt_tf.evaluation.measure import PictureScore


def scores(gains):
    for i, gain in enumerate(gains):
        for method, psnr in (("net", 30 + gain), ("input", 30)):
            yield PictureScore("S", "t", method, f"{i}.png", psnr, psnr, 1.0, 1.0, 1.0)


@pytest.mark.parametrize(
    ("gains", "chosen"),
    [
        ((1, 5, -2, 3, 2), [("largest gain", "1.png", 5), ("median", "4.png", 2), ("worst", "2.png", -2)]),
        ((1, 2), [("largest gain", "1.png", 2), ("worst", "0.png", 1)]),
        ((1,), [("largest gain", "0.png", 1)]),
        ((1, float("inf")), [("largest gain", "1.png", float("inf")), ("worst", "0.png", 1)]),
    ],
)
def test_the_largest_gain_the_median_and_the_worst_are_chosen(gains, chosen):
    assert figures.choose(list(scores(gains)), "net", "input") == chosen


def test_the_crop_is_where_the_clean_picture_has_most_detail():
    clean = np.full((200, 300, 3), 100, np.uint8)
    clean[120:150, 200:230] = np.random.default_rng(0).integers(0, 256, (30, 30, 3))
    top, left, side = figures.most_detailed(clean)
    assert side == figures.CROP
    assert top <= 120
    assert left <= 200
    assert top + side >= 150
    assert left + side >= 230


def test_the_crop_of_a_small_picture_is_smaller():
    assert figures.most_detailed(np.zeros((20, 300, 3), np.uint8))[2] == 20


@pytest.mark.parametrize(("name", "task", "panels"), [("Set5", "sr_x2", 4), ("Rain100L", "derain", 3)])
def test_a_figure_has_a_row_per_picture_with_a_crop_per_method(identity, bench, name, task, panels):
    evaluation = benchmarks.evaluate(identity.for_task(task), bench / name)
    (job,) = evaluation.jobs
    examples = figures.examples(evaluation, job)
    assert len(examples) == len(job.pictures)
    picture = figures.figure("title", examples, job.task)
    first = examples[0]
    assert first.degraded.shape == first.baseline.shape == first.restored.shape == first.clean.shape
    assert len(picture) > len(examples) * figures.PANEL
    assert picture.shape[1] > panels * 0.8 * figures.PANEL


def test_examples_show_what_was_measured(identity, bench):
    evaluation = benchmarks.evaluate(identity.for_task("derain"), bench / "Rain100L")
    for example in figures.examples(evaluation, evaluation.jobs[0]):
        np.testing.assert_array_equal(example.restored, example.degraded)  # the network does nothing
        assert example.gain == 0
        assert (example.degraded != example.clean).any()


def test_a_row_keeps_the_pictures_as_they_are():
    red, blue = np.zeros((30, 40, 3), np.uint8), np.zeros((20, 50, 3), np.uint8)
    red[..., 0], blue[..., 2] = 255, 255
    row = figures.side_by_side({"red": red, "blue": blue})
    assert (row == (255, 0, 0)).all(axis=-1).sum() == 30 * 40
    assert (row == (0, 0, 255)).all(axis=-1).sum() == 20 * 50


def test_a_long_caption_gets_a_smaller_font():
    caption = "a_very_long_file_name_indeed.png"
    fitting = figures._fitting(caption, 150)
    assert isinstance(fitting, ImageFont.FreeTypeFont)
    assert figures.SMALLEST_FONT <= fitting.size < figures.FONT_SIZE
    assert fitting.getlength(caption) <= 150 or fitting.size == figures.SMALLEST_FONT
