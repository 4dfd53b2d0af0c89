"""An evaluation as tables: the paper's four with the published figures beside ours, and all that was measured."""

import csv
import io
import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass

from ipt_tf.evaluation import published
from ipt_tf.evaluation.benchmarks import Evaluation, Score
from ipt_tf.evaluation.measure import PictureScore
from ipt_tf.evaluation.published import PUBLISHED, TABLES, Published, Table

TOLERANCE = 0.1
"""dB from the paper's figures that count as equal: as much as users' runs of the authors' code and weights differ."""

_HEADINGS = {"psnr_y": "PSNR-Y", "psnr_rgb": "PSNR-RGB", "ssim_y": "SSIM-Y"}
_DIGITS = {"psnr_y": 2, "psnr_rgb": 2, "ssim_y": 4}
_JSON_KEYS = ("set", "task", "psnr_y", "psnr_rgb", "ssim_y", "n")


@dataclass(frozen=True)
class _Row:
    """A line of a table: who, by which protocol, from where, and the figures by (set, measure)."""

    task: str
    method: str
    protocol: str
    source: str
    figures: dict[tuple[str, str], float]
    is_ours: bool = True


def markdown(evaluation: Evaluation, *, per_image: bool = False) -> str:
    """Returns the protocol, the paper's tables for the tasks at hand and all measured scores, as Markdown.

    Args:
        evaluation: what was measured.
        per_image: also a table of every picture.
    """
    parts = [protocol(evaluation)]
    parts += [_paper_table(table, evaluation) for table in TABLES if _is_asked_for(table, evaluation)]
    parts.append("### All that was measured\n\n" + _scores_table(evaluation))
    if per_image:
        parts.append("### Picture by picture\n\n" + _pictures_table(evaluation.pictures))
    return "\n\n".join(parts)


def protocol(evaluation: Evaluation) -> str:
    """Returns what one has to know to measure the same figures again."""
    how = evaluation.conditions
    return f"""\
- measured: {how.model}, weights' sha256 {how.sha256}, {how.network}, ipt_tf {how.ipt_tf}
- tiling: {how.tiling}
- scores: restored pictures are clipped and rounded to 8 bits; a border of `scale` pixels is left out for
  super-resolution, none else; Y is that of BT.601, 16 to 235; SSIM on Y, Gaussian window of 11 pixels, sigma 1.5;
  means over pictures
- inputs: LR pictures of the set, else made as MATLAB does; Gaussian noise, {how.noise}, not rounded, seeded by name
- published figures stand as they were printed; "-" was not
- s/MP: seconds of the network per megapixel that it made, the median over pictures, other work beside it included"""


def _is_asked_for(table: Table, evaluation: Evaluation) -> bool:
    """With several tasks at hand all tables are of interest, and say what is missing; with one, only its own."""
    names = {task.name for task in evaluation.tasks}
    return len(names) > 1 or bool(names & set(table.tasks))


def _paper_table(table: Table, evaluation: Evaluation) -> str:
    names = [task.name for task in evaluation.tasks]
    tasks = [task for task in table.tasks if len(names) > 1 or task in names]
    rows = [row for task in tasks for row in _rows(task, table, evaluation)]
    columns = [(name, measure) for name in table.sets for measure in table.measures]
    head = ["task", "method", "protocol", "figures from"]
    head += [f"{name} {_HEADINGS[measure]}" for name, measure in columns]
    lines = [
        [row.task, row.method, row.protocol, row.source, *(_cell(row, column) for column in columns)]
        for row in rows
    ]
    notes = "".join(f"\n- {note}" for note in _not_measured(tasks, table, evaluation))
    parts = [f"### {table.title}", table.note, _grid(head, lines), notes and f"Not measured:\n{notes}"]
    return "\n\n".join(part for part in parts if part)


def _rows(task: str, table: Table, evaluation: Evaluation) -> list[_Row]:
    """Returns the network's row, those of the baselines that were measured, and the published ones."""
    rows = []
    for method in evaluation.methods:
        scores = [score for score in evaluation.scores() if (score.method, score.task) == (method.name, task)]
        if scores or method is evaluation.network:
            figures = {
                (published.canonical(score.set), measure): getattr(score, measure)
                for score in scores
                for measure in table.measures
            }
            rows.append(_Row(task, method.name, _own_protocol(task, evaluation), "measured", figures))
    return rows + [_published_row(row) for row in PUBLISHED if row.task == task]


def _own_protocol(name: str, evaluation: Evaluation) -> str:
    task = next((task for task in evaluation.tasks if task.name == name), None)
    if task is None:
        return ""
    if task.border:
        return f"Y, border {task.border}"
    noise = f", noise {evaluation.conditions.noise}" if task.sigma is not None else ""
    return f"Y and RGB{noise}"


def _published_row(row: Published) -> _Row:
    figures = {(name, "psnr_y"): value for name, value in row.y.items()}
    figures |= {(name, "psnr_rgb"): value for name, value in row.rgb.items()}
    return _Row(row.task, row.method, row.protocol, f"published: {row.source}", figures, is_ours=False)


def _cell(row: _Row, column: tuple[str, str]) -> str:
    if column in row.figures:
        value, digits = row.figures[column], _DIGITS[column[1]]
        return f"{value:.{digits}f}" if row.is_ours or round(value, digits) == value else str(value)
    return "not measured" if row.is_ours else "-"


def _number(value: float, measure: str) -> str:
    return f"{value:.{_DIGITS[measure]}f}"


def _not_measured(tasks: Sequence[str], table: Table, evaluation: Evaluation) -> list[str]:
    """Returns why cells of the network's rows are empty."""
    names = {task.name for task in evaluation.tasks}
    sets = {published.canonical(job.set) for job in evaluation.jobs}
    notes = [f"{task}: {evaluation.conditions.model} has no such task" for task in tasks if task not in names]
    if len(notes) == len(tasks):
        return notes
    notes += [f"{name}: {evaluation.data} has no such set" for name in table.sets if name not in sets]
    done = {(published.canonical(job.set), job.task.name) for job in evaluation.jobs}
    return notes + [
        f"{name}, {task}: the set has no pictures for this task"
        for name in table.sets
        for task in tasks
        if name in sets and task in names and (name, task) not in done
    ]


def _scores_table(evaluation: Evaluation) -> str:
    head = ["set", "task", "method", "input", *_HEADINGS.values(), "pictures", "s/MP"]
    made = {
        (job.set, job.task.name): any(p.degraded is None for p in job.pictures) for job in evaluation.jobs
    }
    lines = [
        [
            score.set,
            score.task,
            score.method,
            "made here" if made[score.set, score.task] else "files",
            *(_number(getattr(score, measure), measure) for measure in _HEADINGS),
            str(score.n),
            f"{score.seconds_per_megapixel:.2f}" if score.method == evaluation.network.name else "",
        ]
        for score in evaluation.scores()
    ]
    return _grid(head, lines)


def _pictures_table(scores: Iterable[PictureScore]) -> str:
    head = ["set", "task", "picture", "method", *_HEADINGS.values()]
    lines = [
        [
            score.set,
            score.task,
            score.picture,
            score.method,
            *(_number(getattr(score, measure), measure) for measure in _HEADINGS),
        ]
        for score in scores
    ]
    return _grid(head, lines)


def _grid(head: Sequence[str], lines: Iterable[Sequence[str]]) -> str:
    """Returns a Markdown table; a bar in a name would end its cell."""
    rule = ["---"] * len(head)
    rows = (" | ".join(cell.replace("|", "\\|") for cell in line) for line in (head, rule, *lines))
    return "\n".join(f"| {row} |" for row in rows)


def comparison(evaluation: Evaluation) -> str:
    """Returns how far the network is from the figures that the paper prints for IPT, set by set.

    Raises:
        ValueError: the paper has none for these sets and tasks.
    """
    ours = evaluation.network_scores()
    pairs = [
        (score, expected)
        for score in ours
        if (expected := published.of_paper(score.set, score.task)) is not None
    ]
    if not pairs:
        measured = ", ".join(f"{score.set} {score.task}" for score in ours)
        raise ValueError(f"nothing to compare: the paper has no figures for {measured}")
    head = ["set", "task", "PSNR-Y", "the paper", "difference", f"within {TOLERANCE} dB"]
    lines = [_difference(score, expected) for score, expected in pairs]
    return (
        "### Compared with the paper\n\n"
        + _grid(head, lines)
        + f"\n\nThe paper's figures were measured with the tiles of the authors' evaluation; these with"
        f" {evaluation.conditions.tiling}."
    )


def _difference(score: Score, expected: float) -> list[str]:
    difference = score.psnr_y - expected
    verdict = "yes" if abs(difference) <= TOLERANCE else "no"
    return [
        score.set,
        score.task,
        f"{score.psnr_y:.2f}",
        f"{expected:.2f}",
        f"{difference:+.2f}",
        verdict,
    ]


def as_csv(evaluation: Evaluation, *, per_image: bool = False) -> str:
    """Returns everything as comma-separated values: measured and published means, and pictures if asked.

    Means have an empty `picture`; published figures have no conditions, and one row per set.
    """
    rows = [{**asdict(score), **_csv_conditions(score, evaluation)} for score in evaluation.scores()]
    if per_image:
        rows += [{**asdict(score), **_csv_conditions(score, evaluation)} for score in evaluation.pictures]
    tables = [table for table in TABLES if _is_asked_for(table, evaluation)]
    for row in PUBLISHED:
        if any(row.task in table.tasks for table in tables):
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
    conditions = asdict(evaluation.conditions)
    keys = ["noise", "ipt_tf"]  # weights and tiles are nothing to a baseline
    if score.method == evaluation.network.name:
        keys = ["model", "sha256", "network", "tiling", *keys]
    row = {"source": "measured", "protocol": _own_protocol(score.task, evaluation)}
    return row | {key: conditions[key] for key in keys}


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
