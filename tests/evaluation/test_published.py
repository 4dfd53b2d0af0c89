"""The published figures are those of the reference notes, each with its protocol and source."""

import pytest

from ipt_tf.evaluation import published
from ipt_tf.evaluation.published import PUBLISHED, TABLES


def test_the_paper_prints_what_its_readme_prints():
    printed = {
        "sr_x2": (38.37, 34.43, 32.48, 33.76),
        "sr_x3": (34.81, 30.85, 29.38, 29.49),
        "sr_x4": (32.64, 29.01, 27.82, 27.26),
    }
    for task, figures in printed.items():
        for name, figure in zip(("Set5", "Set14", "B100", "Urban100"), figures, strict=True):
            assert published.of_paper(name, task) == figure
    assert published.of_paper("CBSD68", "denoise_50") == 29.88
    assert published.of_paper("Rain100L", "derain") == 41.62
    assert published.of_paper("Set5", "denoise_50") is None


@pytest.mark.parametrize(
    ("alias", "name"), [("BSD100", "B100"), ("BSD68", "CBSD68"), ("set5", "Set5"), ("Mine", "Mine")]
)
def test_a_set_is_known_by_its_other_names(alias, name):
    assert published.canonical(alias) == name


def test_every_figure_belongs_to_a_table_and_says_its_channel_and_source():
    for row in PUBLISHED:
        (table,) = (table for table in TABLES if row.task in table.tasks)
        assert {*row.y, *row.rgb} <= set(table.sets)
        assert row.protocol.startswith(("Y", "RGB"))
        assert row.source


def test_of_one_denoiser_the_figure_on_rgb_is_below_that_on_y():
    both = [(row.y[name], row.rgb[name]) for row in PUBLISHED for name in row.y.keys() & row.rgb.keys()]
    assert len(both) == 4
    assert all(1.5 < y - rgb < 2 for y, rgb in both)


def test_the_papers_denoising_figures_are_marked_as_y():
    ours = [row for row in PUBLISHED if row.method == "IPT" and row.source == published.PAPER]
    assert len(ours) == 8
    assert all(row.protocol.startswith("Y") and not row.rgb for row in ours)
