"""An evaluation as a folder of figures and one HTML page with before/after sliders, which works offline."""

from collections.abc import Iterable
from html import escape
from importlib import resources
from pathlib import Path
from string import Template
from urllib.parse import quote

import numpy as np
from tqdm import tqdm

from ipt_tf import images, outputs
from ipt_tf.evaluation import baselines, figures, tables
from ipt_tf.evaluation.benchmarks import Evaluation
from ipt_tf.evaluation.figures import Example
from ipt_tf.evaluation.measure import Job
from ipt_tf.evaluation.tables import Section
from ipt_tf.images import Photograph

_SECTION = Template("""\
<h2>$heading</h2>
<p>$scores</p>
<div class="sliders">
$sliders</div>
<p><a href="$figure"><img class="figure" src="$figure" alt="Crops of the same pictures side by side"></a></p>
""")

_SLIDER = Template("""\
<figure>
<figcaption>$caption</figcaption>
<div class="compare">
<img src="$after" width="$width" height="$height" alt="$name, restored">
<img class="before" src="$before" width="$width" height="$height" alt="$name, $baseline">
<input type="range" min="0" max="100" value="50" aria-label="$name: percent that shows the $baseline">
</div>
</figure>
""")


def write_report(evaluation: Evaluation, folder: Path) -> None:
    """Writes one PNG per set and task, `report.html`, and the whole pictures that it compares.

    The pictures are those with the largest gain over the baseline, the median one and the worst; they are restored
    once more.

    Args:
        evaluation: what was measured.
        folder: made if missing. Figures of the same sets and tasks that it holds already are replaced.

    Raises:
        ValueError: a file cannot be written.

    Example:
        >>> write_report(evaluation, Path("figures"))
    """
    (folder / "pictures").mkdir(parents=True, exist_ok=True)
    sections = []
    for job in tqdm(evaluation.jobs, desc="figures", unit="figure", delay=2, leave=False):
        chosen = figures.examples(evaluation, job)
        baseline = baselines.of(job.task).name
        title = f"{job.set}, {job.task.name}, {evaluation.conditions.model}; gain is PSNR-Y above {baseline}"
        name = f"{job.set}_{job.task.name}.png"
        _save(figures.figure(title, chosen, job.task), folder / name)
        sliders = [_slider(job, example, folder) for example in chosen]
        sections.append(
            _SECTION.substitute(
                heading=escape(f"{job.set}, {job.task.name}"),
                scores=escape(_means(evaluation, job)),
                sliders="".join(sliders),
                figure=_link(name),
            )
        )
    page = Template(resources.files("ipt_tf.evaluation").joinpath("report.html").read_text("utf-8"))
    text = page.substitute(
        title=escape(f"{evaluation.conditions.model} on {evaluation.data}"),
        sections="".join(sections),
        protocol=_list(tables.protocol(evaluation)),
        tables="".join(_table(section) for section in tables.sections(evaluation)),
    )
    outputs.write(folder / "report.html", text)


def _means(evaluation: Evaluation, job: Job) -> str:
    scores = [score for score in evaluation.scores() if (score.set, score.task) == (job.set, job.task.name)]
    return "; ".join(
        f"{score.method}: PSNR-Y {score.psnr_y:.2f} dB, RGB {score.psnr_rgb:.2f} dB, SSIM-Y {score.ssim_y:.4f}"
        for score in scores
    )


def _slider(job: Job, example: Example, folder: Path) -> str:
    links = {}
    for part, image in (("before", example.baseline), ("after", example.restored)):
        name = f"pictures/{job.set}_{job.task.name}_{Path(example.name).stem}_{part}.png"
        _save(image, folder / name)
        links[part] = _link(name)
    height, width = example.clean.shape[:2]
    baseline = baselines.of(job.task).name
    caption = f"{example.name}: {example.reason}, {example.gain:+.2f} dB PSNR-Y over {baseline}"
    return _SLIDER.substitute(
        links,
        caption=escape(caption),
        name=escape(example.name),
        baseline=escape(baseline),
        width=width,
        height=height,
    )


def _list(lines: Iterable[str]) -> str:
    items = "".join(f"<li>{escape(line)}</li>" for line in lines)
    return f"<ul>{items}</ul>" if items else ""


def _table(section: Section) -> str:
    head = "".join(f"<th>{escape(cell)}</th>" for cell in section.head)
    lines = ["".join(f"<td>{escape(cell)}</td>" for cell in line) for line in section.lines]
    body = "\n".join(f"<tr>{line}</tr>" for line in lines)
    return f"""\
<h3>{escape(section.title)}</h3>
{f"<p>{escape(section.note)}</p>" if section.note else ""}
<div class="scroll" tabindex="0"><table><thead><tr>{head}</tr></thead><tbody>
{body}
</tbody></table></div>
{_list(section.remarks)}
"""


def _link(name: str) -> str:
    return escape(quote(name))


def _save(image: np.ndarray, path: Path) -> None:
    images.write(Photograph(image), path, overwrite=True)
