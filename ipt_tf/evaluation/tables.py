"""An evaluation as tables: the paper's four with the published figures beside ours, and all that was measured."""

from collections.abc import Sequence
from dataclasses import dataclass

from ipt_tf.evaluation import published
from ipt_tf.evaluation.benchmarks import Evaluation, Score
from ipt_tf.evaluation.measure import PictureScore
from ipt_tf.evaluation.published import PUBLISHED, TABLES, Published, Table

TOLERANCE = 0.1
"""dB from the paper's figures that count as equal: as much as users' runs of the authors' code and weights differ."""

_HEADINGS = {"psnr_y": "PSNR-Y", "psnr_rgb": "PSNR-RGB", "ssim_y": "SSIM-Y"}
_DIGITS = {"psnr_y": 2, "psnr_rgb": 2, "ssim_y": 4}


@dataclass(frozen=True)
class Section:
    """A table under its title.

    Args:
        title: of the section.
        head: names of the columns.
        lines: the cells of each line.
        note: what a reader has to know, before the table.
        remarks: after the table: why cells are empty.
    """

    title: str
    head: Sequence[str]
    lines: Sequence[Sequence[str]]
    note: str = ""
    remarks: Sequence[str] = ()


@dataclass(frozen=True)
class _Row:
    """A line of one of the paper's tables: who, by which protocol, from where, and the figures by (set, measure)."""

    task: str
    method: str
    protocol: str
    source: str
    figures: dict[tuple[str, str], float]
    is_ours: bool = True


def sections(evaluation: Evaluation, *, per_image: bool = False) -> list[Section]:
    """Returns the paper's tables for the tasks at hand, and one of all that was measured.

    With several tasks at hand all four are of interest, and say what is missing; with one, only its own.

    Args:
        evaluation: what was measured.
        per_image: also a table of every picture.
    """
    found = [
        _of_paper(table, tasks, evaluation) for table in TABLES if (tasks := asked_for(table, evaluation))
    ]
    found.append(_of_scores(evaluation))
    if per_image:
        found.append(_of_pictures(evaluation))
    return found


def asked_for(table: Table, evaluation: Evaluation) -> list[str]:
    """Returns the tasks of a table that are of interest: all, but for a model with a single task."""
    names = {task.name for task in evaluation.tasks}
    has_several = len({task.restorer for task in evaluation.tasks}) > 1
    return [task for task in table.tasks if has_several or task in names]


def protocol(evaluation: Evaluation) -> list[str]:
    """Returns what one has to know to measure the same figures again."""
    how = evaluation.conditions
    return [
        f"measured: {how.model}, by ipt_tf {how.ipt_tf}",
        *(
            f"{', '.join(one.tasks)}: {one.model}, weights' sha256 {one.sha256}, {one.network}"
            for one in how.weights
        ),
        f"tiling: {how.tiling}",
        "scores: means over pictures, clipped and rounded to 8 bits first; a border of `scale` pixels is left out for"
        " super-resolution, none else; Y is that of BT.601, 16 to 235; SSIM on Y, Gaussian window of 11, sigma 1.5",
        "inputs: LR pictures of the set, else made as MATLAB does;"
        f" Gaussian noise, {how.noise}, not rounded, seeded by file name",
        'published figures stand as they were printed; "-" was not',
        "s/MP: seconds of the network per megapixel that it made, the median over pictures, with the work beside it",
    ]


def _of_paper(table: Table, tasks: Sequence[str], evaluation: Evaluation) -> Section:
    columns = [(name, measure) for name in table.sets for measure in table.measures]
    head = ["task", "method", "protocol", "figures from"]
    head += [f"{name} {_HEADINGS[measure]}" for name, measure in columns]
    lines = [
        [row.task, row.method, row.protocol, row.source, *(_cell(row, column) for column in columns)]
        for task in tasks
        for row in _rows(task, table, evaluation)
    ]
    return Section(table.title, head, lines, table.note, _not_measured(tasks, table, evaluation))


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
            protocol = own_protocol(task, method.name, evaluation)
            rows.append(_Row(task, method.name, protocol, "measured", figures))
    return rows + [_published_row(row) for row in PUBLISHED if row.task == task]


def own_protocol(name: str, method: str, evaluation: Evaluation) -> str:
    """Returns the protocol of a task's row that was measured here, in the words of the published ones."""
    task = next((task for task in evaluation.tasks if task.name == name), None)
    if task is None:
        return ""
    if task.border:
        return f"Y, border {task.border}"
    noise = f", noise {evaluation.conditions.noise}" if task.sigma is not None else ""
    has_another = task.level_of and method == evaluation.network.name
    restorer = f", restored by task {task.level_of}" if has_another else ""
    return f"Y and RGB{noise}{restorer}"


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


def _of_scores(evaluation: Evaluation) -> Section:
    head = ["set", "task", "method", "input", *_HEADINGS.values(), "pictures", "s/MP"]
    made = {
        (job.set, job.task.name): any(picture.degraded is None for picture in job.pictures)
        for job in evaluation.jobs
    }
    lines = [
        [
            score.set,
            score.task,
            score.method,
            "made here" if made[score.set, score.task] else "files",
            *_measures(score),
            str(score.n),
            f"{score.seconds_per_megapixel:.2f}" if score.method == evaluation.network.name else "",
        ]
        for score in evaluation.scores()
    ]
    return Section("All that was measured", head, lines)


def _of_pictures(evaluation: Evaluation) -> Section:
    head = ["set", "task", "picture", "method", *_HEADINGS.values()]
    lines = [
        [score.set, score.task, score.picture, score.method, *_measures(score)]
        for score in evaluation.pictures
    ]
    return Section("Picture by picture", head, lines)


def _measures(score: Score | PictureScore) -> list[str]:
    return [_number(getattr(score, measure), measure) for measure in _HEADINGS]


def comparison(evaluation: Evaluation) -> Section:
    """Returns how far the network is from the figures that the paper prints for IPT, set by set."""
    how = evaluation.conditions
    note = (
        "The paper: tiles of the authors' evaluation, noise clamped to 0..255."
        f" Here: {how.tiling}, noise {how.noise}."
    )
    head = ["set", "task", "PSNR-Y", "the paper", "difference", f"within {TOLERANCE} dB"]
    lines, remarks = [], []
    for score in evaluation.network_scores():
        expected = published.of_paper(score.set, score.task)
        if expected is None:
            remarks.append(f"{score.set}, {score.task}: the paper prints no figure")
        else:
            lines.append(_difference(score, expected))
    return Section("Compared with the paper", head, lines, note, remarks)


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
