"""An evaluation as text: Markdown for people, CSV for spreadsheets, JSON for programs."""

import csv
import io
import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict

from ipt_tf.evaluation import tables
from ipt_tf.evaluation.benchmarks import Evaluation, Score
from ipt_tf.evaluation.measure import PictureScore
from ipt_tf.evaluation.published import PUBLISHED, TABLES, Published
from ipt_tf.evaluation.tables import Section

_JSON_KEYS = ("set", "task", "psnr_y", "psnr_rgb", "ssim_y", "n")


def markdown(protocol: Iterable[str], sections: Iterable[Section]) -> str:
    """Returns the protocol as a list, and the tables under it."""
    return "\n\n".join([_bullets(protocol), *map(section_markdown, sections)])


def section_markdown(section: Section) -> str:
    """Returns a table under its title, between its note and its remarks."""
    parts = [f"### {section.title}", section.note]
    if section.lines:
        parts.append(grid(section.head, section.lines))
    if section.remarks:
        parts.append(f"Missing:\n\n{_bullets(section.remarks)}")
    return "\n\n".join(part for part in parts if part)


def _bullets(lines: Iterable[str]) -> str:
    return "\n".join(f"- {line}" for line in lines)


def grid(head: Sequence[str], lines: Iterable[Sequence[str]]) -> str:
    """Returns a Markdown table; a bar in a name would end its cell."""
    rule = ["---"] * len(head)
    rows = (" | ".join(cell.replace("|", "\\|") for cell in line) for line in (head, rule, *lines))
    return "\n".join(f"| {row} |" for row in rows)


def as_csv(evaluation: Evaluation, *, per_image: bool = False) -> str:
    """Returns everything as comma-separated values: measured and published means, and pictures if asked.

    Means have an empty `picture`; published figures have no conditions, and one row per set.
    """
    rows = [{**asdict(score), **_csv_conditions(score, evaluation)} for score in evaluation.scores()]
    if per_image:
        rows += [{**asdict(score), **_csv_conditions(score, evaluation)} for score in evaluation.pictures]
    tasks = [task for table in TABLES for task in tables.asked_for(table, evaluation)]
    for row in PUBLISHED:
        if row.task in tasks:
            rows += _published_csv(row)
    fields = ["source", "protocol", "set", "task", "method", "picture", "psnr_y", "psnr_rgb", "ssim_y", "n"]
    fields += ["seconds_per_megapixel", "seconds", "megapixels"]
    fields += ["model", "sha256", "network", "tiling", "noise", "ipt_tf"]
    buffer = io.StringIO()
    writer = csv.DictWriter(buffer, fields, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return buffer.getvalue()


def _csv_conditions(score: Score | PictureScore, evaluation: Evaluation) -> dict[str, str]:
    how = evaluation.conditions
    row = {"source": "measured", "protocol": tables.own_protocol(score.task, score.method, evaluation)}
    row |= {"noise": how.noise, "ipt_tf": how.ipt_tf}
    if score.method != evaluation.network.name:
        return row  # weights and tiles are nothing to a baseline
    weights = evaluation.weights(score.task)
    names = ("model", "sha256", "network")
    return row | {name: getattr(weights, name) for name in names} | {"tiling": how.tiling}


def _published_csv(row: Published) -> list[dict]:
    return [
        {
            "source": f"published: {row.source}",
            "protocol": row.protocol,
            "set": name,
            "task": row.task,
            "method": row.method,
            "psnr_y": row.y.get(name),
            "psnr_rgb": row.rgb.get(name),
        }
        for name in dict.fromkeys([*row.y, *row.rgb])
    ]


def as_json(evaluation: Evaluation) -> str:
    """Returns the network's own scores: [{"set", "task", "psnr_y", "psnr_rgb", "ssim_y", "n"}, ...].

    The PSNR of a set with a picture that was restored without any error is Infinity, which Python reads back.
    """
    rows = [{key: getattr(score, key) for key in _JSON_KEYS} for score in evaluation.network_scores()]
    return json.dumps(rows, indent=1) + "\n"
