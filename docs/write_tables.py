"""Writes the tables of figures in the README and in the model card of `ipt_tiny`.

    ipt evaluate --data bench/ --csv scores.csv
    python docs/write_tables.py scores.csv

takes the rows of that file into docs/ipt_tiny_evaluation.csv, in the place of older ones, and writes the tables anew.
"""

import argparse
import csv
from collections.abc import Iterable, Sequence
from pathlib import Path

from ipt_tf.evaluation.formats import grid
from ipt_tf.evaluation.published import PUBLISHED

HERE = Path(__file__).parent
FIGURES = HERE / "ipt_tiny_evaluation.csv"
README = HERE.parent / "README.md"
CARD = HERE.parent / "ipt_tf/weights/ipt_tiny/MODEL_CARD.md"
FIELDS = ("set", "task", "method", "psnr_y", "psnr_rgb", "ssim_y", "n")
OURS, BASELINES = "ipt_tiny", ("bicubic", "input")
OTHERS = (("SRCNN", "CBM3D", "DDN"), ("VDSR", "DnCNN"), ("IPT",))

Figures = dict[tuple[str, str], dict[str, dict[str, str]]]
"""Rows of FIELDS by (set, task) and method."""


def main() -> None:
    """Takes in new figures, and writes the tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("files", nargs="*", type=Path, help="what `ipt evaluate --csv` wrote")
    figures = read([FIGURES, *parser.parse_args().files])
    with FIGURES.open("w", newline="") as file:
        writer = csv.DictWriter(file, FIELDS, lineterminator="\n", extrasaction="ignore")
        writer.writeheader()
        writer.writerows(row for _, methods in sorted(figures.items()) for row in methods.values())
    for path in (README, CARD):
        path.write_text(with_tables(path.read_text(), figures))


def read(paths: Iterable[Path]) -> Figures:
    """Returns the measured means of several files; those of later files count."""
    figures: Figures = {}
    for path in paths:
        with path.open(newline="") as file:
            for row in csv.DictReader(file):
                if row["method"] in (OURS, *BASELINES) and not row.get("picture"):
                    figures.setdefault((row["set"], row["task"]), {})[row["method"]] = row
    return figures


def with_tables(page: str, figures: Figures) -> str:
    """Returns a page with its tables written anew, each between two comments that name it."""
    tables = {
        "the paper's tasks": scores({at: row for at, row in figures.items() if "jpeg" not in at[1]}),
        "all tasks": scores(figures),
        "others": beside_others(figures),
    }
    for name, table in tables.items():
        begin, end = f"<!-- {name} -->", f"<!-- end of {name} -->"
        if begin in page:
            before, rest = page.split(begin)
            page = f"{before}{begin}\n\n{table}\n\n{end}{rest.split(end)[1]}"
    return page


def scores(figures: Figures) -> str:
    """Returns the table of all measures."""
    head = ("set", "task", "PSNR-Y", "PSNR-RGB", "SSIM-Y", "pictures", "bicubic or input, PSNR-Y")
    lines = []
    for (name, task), methods in sorted(figures.items()):
        ours = methods[OURS]
        decibels = (_decibels(ours["psnr_y"]), _decibels(ours["psnr_rgb"]))
        lines.append(
            (name, task, *decibels, f"{float(ours['ssim_y']):.4f}", ours["n"], _before(methods, "psnr_y"))
        )
    return grid(head, lines)


def beside_others(figures: Figures) -> str:
    """Returns the table beside what others printed, on the channel that they printed."""
    head = (
        "set",
        "task",
        "PSNR on",
        "bicubic or input",
        "`ipt_tiny`",
        *map(", ".join, OTHERS[:-1]),
        "IPT, the paper's",
    )
    lines = []
    for (name, task), methods in sorted(figures.items()):
        channel = "rgb" if task.startswith("denoise") else "y"
        printed = [_printed(others, name, task, channel) for others in OTHERS]
        if any(cell != "-" for cell in printed[:-1]):
            measure = f"psnr_{channel}"
            own = (_before(methods, measure), _decibels(methods[OURS][measure]))
            lines.append((name, task, channel.upper(), *own, *printed))
    return grid(head, lines)


def _before(methods: dict[str, dict[str, str]], measure: str) -> str:
    return next(_decibels(methods[name][measure]) for name in BASELINES if name in methods)


def _printed(methods: Sequence[str], name: str, task: str, channel: str) -> str:
    rows = (row for row in PUBLISHED if row.task == task and row.method in methods)
    return next((_decibels(figures[name]) for row in rows if name in (figures := getattr(row, channel))), "-")


def _decibels(figure: str | float) -> str:
    return f"{float(figure):.2f}"


if __name__ == "__main__":
    main()
