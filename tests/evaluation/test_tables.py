"""What was measured, beside what was published, as a reader finds it."""

import csv
import io
import json
from pathlib import Path

from ipt_tf import tasks
from ipt_tf.data.sets import Picture
from ipt_tf.evaluation import baselines, formats, tables
from ipt_tf.evaluation.benchmarks import Conditions, Evaluation, Weights
from ipt_tf.evaluation.measure import Job, PictureScore
from ipt_tf.tasks import OFFICIAL_TASKS

CONDITIONS = Conditions(
    "tiny",
    (Weights("tiny", "0123abc", "16 features", tuple(task.name for task in OFFICIAL_TASKS)),),
    "tiles of 48 with an overlap of 10, blended",
    "clamped to 0..255",
    "bicubic, input",
)
NETWORK = baselines.Method("tiny", lambda image, task: image)


def evaluation(*measured, model=OFFICIAL_TASKS):
    """An evaluation of two pictures per (set, task, PSNR-Y); on RGB 2 dB less, the baseline 5 dB less."""
    jobs, scores = [], []
    for name, task, psnr in measured:
        pictures = tuple(Picture(f"{i}.png", Path(f"{i}.png")) for i in "ab")
        jobs.append(Job(name, tasks.find(task), pictures))
        for picture, offset in zip(pictures, (-1, 1), strict=True):
            for method, less in (("tiny", 0), (baselines.of(tasks.find(task)).name, 5)):
                y = psnr + offset - less
                scores.append(PictureScore(name, task, method, picture.name, y, y - 2, 0.9, 0.5, 0.25))
    methods = (NETWORK, baselines.BICUBIC, baselines.INPUT)
    return Evaluation(CONDITIONS, Path("bench"), tuple(model), methods, tuple(jobs), tuple(scores))


def markdown(found, **options):
    return formats.markdown(tables.protocol(found), tables.sections(found, **options))


def rows(text, title):
    """The cells of a table under a heading, its head first."""
    section = next(part for part in text.split("### ") if part.startswith(title))
    lines = [line for line in section.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[:1] + lines[2:]]


def test_our_rows_stand_beside_published_ones_which_are_marked():
    text = markdown(evaluation(("Set5", "sr_x2", 35.5), ("BSD100", "sr_x2", 31.25)))
    head, ours, bicubic, paper, *_ = rows(text, "Table 1")
    assert head[4:] == ["Set5 PSNR-Y", "Set14 PSNR-Y", "B100 PSNR-Y", "Urban100 PSNR-Y"]
    assert ours == [
        "sr_x2",
        "tiny",
        "Y, border 2",
        "measured",
        "35.50",
        "not measured",
        "31.25",
        "not measured",
    ]
    assert bicubic[:5] == ["sr_x2", "bicubic", "Y, border 2", "measured", "30.50"]
    assert paper == [
        "sr_x2",
        "IPT",
        "Y, border 2",
        "published: the paper",
        "38.37",
        "34.43",
        "32.48",
        "33.76",
    ]


def test_y_and_rgb_stand_side_by_side_and_never_in_one_column():
    head, *lines = rows(markdown(evaluation(("CBSD68", "denoise_50", 28))), "Table 2")
    assert head[4:6] == ["CBSD68 PSNR-Y", "CBSD68 PSNR-RGB"]
    cells = {(line[1], line[3]): line for line in lines if line[0] == "denoise_50"}
    assert cells["tiny", "measured"][2] == "Y and RGB, noise clamped to 0..255"
    assert cells["tiny", "measured"][4:6] == ["28.00", "26.00"]
    assert cells["IPT", "published: the paper"][4:6] == ["29.88", "-"]
    swinir = cells["IPT", "published: SwinIR's table 6, quoted in its issue 1"]
    assert swinir[2:6] == ["RGB", "published: SwinIR's table 6, quoted in its issue 1", "-", "28.39"]


def test_the_table_says_that_the_paper_mixes_y_and_rgb():
    text = markdown(evaluation(("CBSD68", "denoise_50", 28)))
    assert (
        "figures for IPT are PSNR on Y; those of the CNNs that it prints beside them are PSNR on RGB" in text
    )


def test_what_is_not_measured_says_why():
    text = markdown(evaluation(("Set5", "sr_x2", 35), ("CBSD68", "denoise_30", 30)))
    assert "- Urban100: bench has no such set" in text
    assert "- Set5, sr_x3: the set has no pictures for this task" in text
    assert "- denoise_10: tiny has no such task" in text
    ours = rows(text, "Table 4")[1]
    assert (ours[0], ours[4:]) == ("denoise_10", ["not measured"] * 4)


def test_a_single_task_prints_its_table_alone():
    text = markdown(evaluation(("Set5", "sr_x2", 35), model=[tasks.find("sr_x2")]))
    assert "Table 1" in text
    assert "Table 2" not in text
    assert {line[0] for line in rows(text, "Table 1")[1:]} == {"sr_x2"}


def test_a_task_that_the_paper_lacks_is_in_the_table_of_all():
    text = markdown(evaluation(("Mine", "denoise_25", 33), model=[tasks.find("denoise_25")]))
    assert rows(text, "All")[1] == [
        "Mine",
        "denoise_25",
        "tiny",
        "made here",
        "33.00",
        "31.00",
        "0.9000",
        "2",
        "2.00",
    ]
    assert "Table" not in text.replace("Tables", "")


def test_the_conditions_stand_above_the_tables():
    above = markdown(evaluation(("Set5", "sr_x2", 35))).split("###")[0]
    for fact in (
        "tiny",
        "sr_x2, sr_x3, sr_x4, derain, denoise_30, denoise_50: tiny, weights' sha256 0123abc",
        "overlap of 10",
        "clamped to 0..255",
        "border of `scale` pixels",
        "BT.601",
    ):
        assert fact in above


def test_pictures_are_listed_if_asked():
    found = evaluation(("Set5", "sr_x2", 35))
    assert "Picture by picture" not in markdown(found)
    lines = rows(markdown(found, per_image=True), "Picture by picture")
    assert lines[1] == ["Set5", "sr_x2", "a.png", "tiny", "34.00", "32.00", "0.9000"]
    assert len(lines) == 5


def test_a_name_cannot_break_a_table():
    odd = evaluation(("a|b", "denoise_25", 33))
    assert "| a\\|b | denoise_25 |" in markdown(odd)


def test_csv_has_everything_that_the_tables_have():
    found = evaluation(("CBSD68", "denoise_50", 28))
    lines = list(csv.DictReader(io.StringIO(formats.as_csv(found, per_image=True))))
    mean = next(line for line in lines if line["method"] == "tiny" and not line["picture"])
    assert (mean["source"], mean["psnr_y"], mean["n"], mean["sha256"]) == ("measured", "28.0", "2", "0123abc")
    assert len([line for line in lines if line["picture"]]) == 4
    paper = [
        line for line in lines if line["source"] == "published: the paper" and line["task"] == "denoise_50"
    ]
    assert {(line["set"], line["psnr_y"], line["psnr_rgb"]) for line in paper} == {
        ("CBSD68", "29.88", ""),
        ("Urban100", "31.12", ""),
    }
    assert not [line for line in csv.DictReader(io.StringIO(formats.as_csv(found))) if line["picture"]]


def test_json_has_our_own_rows_alone():
    found = json.loads(formats.as_json(evaluation(("Set5", "sr_x2", 35), ("CBSD68", "denoise_50", 28))))
    assert found == [
        {"set": "Set5", "task": "sr_x2", "psnr_y": 35.0, "psnr_rgb": 33.0, "ssim_y": 0.9, "n": 2},
        {"set": "CBSD68", "task": "denoise_50", "psnr_y": 28.0, "psnr_rgb": 26.0, "ssim_y": 0.9, "n": 2},
    ]


def test_json_reads_back_a_picture_without_any_error():
    found = json.loads(formats.as_json(evaluation(("Rain100L", "derain", float("inf")))))
    assert found[0]["psnr_y"] == float("inf")


def test_the_comparison_with_the_paper_prints_the_difference_of_each_set():
    found = tables.comparison(
        evaluation(("Set5", "sr_x2", 38.39), ("Set14", "sr_x2", 33.43), ("Mine", "sr_x2", 30))
    )
    assert found.lines == [
        ["Set5", "sr_x2", "38.39", "38.37", "+0.02", "yes"],
        ["Set14", "sr_x2", "33.43", "34.43", "-1.00", "no"],
    ]
    assert found.remarks == ["Mine, sr_x2: the paper prints no figure"]
    assert "Here: tiles of 48 with an overlap of 10" in found.note
