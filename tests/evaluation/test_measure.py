"""What is measured on which set, in order, whatever the threads do."""

import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from ipt_tf import tasks
from ipt_tf.evaluation import baselines, metrics
from ipt_tf.evaluation.measure import ahead, measure, plan
from ipt_tf.tasks import OFFICIAL_TASKS, Task


def planned(folder, *names):
    found = [tasks.find(name) for name in names] or OFFICIAL_TASKS
    return [(job.set, job.task.name) for job in plan(folder, found)]


def test_in_a_folder_of_sets_those_of_the_paper_are_measured_as_in_the_paper(bench):
    assert planned(bench) == [
        ("CBSD68", "denoise_30"),
        ("CBSD68", "denoise_50"),
        *[("Mine", name) for name in ("sr_x2", "sr_x3", "sr_x4", "denoise_30", "denoise_50")],
        ("Rain100L", "derain"),
        *[("Set5", name) for name in ("sr_x2", "sr_x3", "sr_x4")],
    ]


def test_a_set_alone_is_measured_on_every_task_that_suits_it(bench):
    assert planned(bench / "Set5", "sr_x2", "derain", "denoise_50") == [
        ("Set5", "sr_x2"),
        ("Set5", "denoise_50"),
    ]


def test_a_task_that_the_paper_lacks_is_measured_on_every_set(bench):
    jpeg = Task("jpeg_40", degrade=lambda clean, rng: clean)
    assert [job.set for job in plan(bench, [jpeg])] == ["CBSD68", "Mine", "Set5"]


def test_a_set_that_suits_no_task_is_answered_with_the_layouts(bench):
    with pytest.raises(ValueError, match=r"has Rain100L, but no pictures for sr_x2, denoise_50") as error:
        plan(bench / "Rain100L", [tasks.find("sr_x2"), tasks.find("denoise_50")])
    assert "SET/HR/NAME.png" in str(error.value)


def test_scores_leave_out_the_border_of_super_resolution_alone(bench):
    def wrong_at_the_edge(image, task):
        result = baselines.of(task).restore(image, task).copy()
        result[0] = 0
        return result

    spoiled = baselines.Method("spoiled", wrong_at_the_edge)
    for name, is_equal in (("sr_x2", True), ("derain", False)):
        task = tasks.find(name)
        jobs = plan(bench, [task])
        good = [score.psnr_y for score in measure(jobs, [baselines.of(task)])]
        bad = [score.psnr_y for score in measure(jobs, [spoiled])]
        assert (good == bad) is is_equal


def test_each_method_that_suits_is_measured_on_each_picture(bench):
    task = tasks.find("derain")
    methods = [baselines.INPUT, baselines.BICUBIC, baselines.Method("nothing", lambda image, task: 0 * image)]
    scores = list(measure(plan(bench, [task]), methods))
    assert [(score.picture, score.method) for score in scores] == [
        ("norain-001.png", "input"),
        ("norain-001.png", "nothing"),
        ("norain-002.png", "input"),
        ("norain-002.png", "nothing"),
    ]
    expected = metrics.psnr(np.full((9, 9, 3), 9), np.zeros((9, 9, 3)))
    assert scores[0].psnr_y == pytest.approx(
        expected, abs=0.5
    )  # rain of 9 grey levels, clipped here and there
    assert scores[0].megapixels == pytest.approx(52 * 61 / 1e6)


def test_work_goes_on_ahead_in_order_and_never_far():
    begun = []

    def slow(number):
        begun.append(number)
        time.sleep(0.01 * (number % 3))
        return number

    with ThreadPoolExecutor(4) as pool:
        results = ahead(slow, range(20), pool, depth=2)
        assert next(results) == 0
        assert len(begun) <= 3
        assert list(results) == list(range(1, 20))


def test_an_error_in_a_thread_reaches_the_caller():
    with ThreadPoolExecutor(2) as pool, pytest.raises(ZeroDivisionError):
        list(ahead(lambda number: 1 / number, [1, 0, 2], pool))
