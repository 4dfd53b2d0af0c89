"""Side-by-side pictures in the manner of the paper's Figures 3 to 5, of pictures chosen by a rule."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from ipt_tf.data import sets
from ipt_tf.evaluation import baselines, metrics
from ipt_tf.evaluation.benchmarks import Evaluation
from ipt_tf.evaluation.measure import Job, PictureScore
from ipt_tf.tasks import Task

FONT_SIZE, SMALLEST_FONT = 14, 7
LINE, MARGIN = 19, 6
CROP, PANEL = 64, 256
"""Sides of a crop, in pixels of the clean picture, and of what it is enlarged to."""


@dataclass(frozen=True)
class Example:
    """A picture of a set, and why it was chosen.

    Args:
        reason: "largest gain", "median" or "worst".
        name: file name of the clean picture.
        gain: PSNR-Y of the network above that of the baseline, dB.
        degraded: the input, uint8, enlarged to the size of the clean picture without smoothing.
        baseline: the input enlarged bicubically, or the input itself.
        restored: by the network.
        clean: what it should be.

    Pictures are (H, W, 3), uint8.
    """

    reason: str
    name: str
    gain: float
    degraded: np.ndarray
    baseline: np.ndarray
    restored: np.ndarray
    clean: np.ndarray


def choose(scores: Sequence[PictureScore], network: str, baseline: str) -> list[tuple[str, str, float]]:
    """Returns (reason, picture, gain) of the picture with the largest gain, the median one and the worst.

    The gain is the network's PSNR-Y above the baseline's. A picture is chosen once, in a set of less than three.
    """
    of = {(score.method, score.picture): score.psnr_y for score in scores}
    names = [score.picture for score in scores if score.method == network]
    gains = {name: _gain(of[network, name], of[baseline, name]) for name in names}
    ranked = sorted(names, key=lambda name: -gains[name])
    places = {"largest gain": 0, "median": (len(ranked) - 1) // 2, "worst": len(ranked) - 1}
    chosen: dict[str, str] = {}
    for reason, place in places.items():
        chosen.setdefault(ranked[place], reason)
    return [(reason, name, gains[name]) for name, reason in chosen.items()]


def _gain(psnr: float, baseline: float) -> float:
    return 0.0 if psnr == baseline else psnr - baseline  # both are infinite where nothing was to be restored


def examples(evaluation: Evaluation, job: Job) -> list[Example]:
    """Restores the chosen pictures of a set once more, and returns them."""
    baseline = baselines.of(job.task)
    scores = [score for score in evaluation.pictures if (score.set, score.task) == (job.set, job.task.name)]
    pictures = {picture.name: picture for picture in job.pictures}
    found = []
    for reason, name, gain in choose(scores, evaluation.network.name, baseline.name):
        pair = sets.read(pictures[name], job.task)
        found.append(
            Example(
                reason,
                name,
                gain,
                degraded=_8_bits(_repeat(pair.degraded, job.task.scale)),
                baseline=_8_bits(baseline.restore(pair.degraded, job.task)),
                restored=_8_bits(evaluation.network.restore(pair.degraded, job.task)),
                clean=_8_bits(pair.clean),
            )
        )
    return found


def _8_bits(image: np.ndarray) -> np.ndarray:
    return metrics.quantize(image).astype(np.uint8)


def _repeat(image: np.ndarray, times: int) -> np.ndarray:
    return image.repeat(times, axis=0).repeat(times, axis=1)


def figure(title: str, chosen: Sequence[Example], task: Task) -> np.ndarray:
    """Returns one picture (H, W, 3), uint8, with a row per example under a title.

    A row has the clean picture with a box, and what is in the box, enlarged: the input, the baseline where that is
    another picture, the restored and the clean one. PSNR is of the whole picture.
    """
    return _stack(title, [_row(example, task) for example in chosen])


def _row(example: Example, task: Task) -> np.ndarray:
    top, left, side = most_detailed(example.clean)
    box = np.s_[top : top + side, left : left + side]
    pictures = {"input": example.degraded}
    if task.scale > 1:
        pictures = {"input, pixels repeated": example.degraded, "bicubic": example.baseline}
    pictures["restored"] = example.restored
    whole = _fit(_with_box(example.clean, top, left, side), PANEL)
    panels = {f"{example.name}\n{example.reason}, {example.gain:+.2f} dB": whole}
    for name, image in pictures.items():
        panels[f"{name}\n{_psnr(image, example.clean, task)}"] = _repeat(image[box], PANEL // side)
    panels["clean"] = _repeat(example.clean[box], PANEL // side)
    return side_by_side(panels)


def most_detailed(clean: np.ndarray, side: int = CROP) -> tuple[int, int, int]:
    """Returns (top, left, side) of the square where neighbouring pixels differ most: where restoring is hardest.

    It depends on the clean picture alone, so that it favours no method. It is smaller in a smaller picture.
    """
    y = metrics.luma(clean)
    side = min(side, *y.shape)
    detail = np.abs(np.diff(y, axis=0, append=y[-1:])) + np.abs(np.diff(y, axis=1, append=y[:, -1:]))
    sums = np.pad(detail, ((1, 0), (1, 0))).cumsum(axis=0).cumsum(axis=1)
    inside = sums[side:, side:] - sums[:-side, side:] - sums[side:, :-side] + sums[:-side, :-side]
    top, left = np.unravel_index(np.argmax(inside), inside.shape)
    return int(top), int(left), side


def _psnr(image: np.ndarray, clean: np.ndarray, task: Task) -> str:
    y, rgb = (metrics.psnr(image, clean, channel=channel, border=task.border) for channel in ("y", "rgb"))
    return f"PSNR-Y {y:.2f}, RGB {rgb:.2f} dB"


def _with_box(image: np.ndarray, top: int, left: int, side: int) -> np.ndarray:
    canvas = Image.fromarray(image)
    corners = (left, top, left + side - 1, top + side - 1)
    ImageDraw.Draw(canvas).rectangle(corners, outline=(255, 0, 0), width=max(2, min(image.shape[:2]) // 100))
    return np.asarray(canvas)


def _fit(image: np.ndarray, height: int) -> np.ndarray:
    """Resizes to a height, or less for a picture more than twice as wide as high."""
    factor = min(height / image.shape[0], 2 * height / image.shape[1])
    size = (max(1, round(image.shape[1] * factor)), max(1, round(image.shape[0] * factor)))
    return np.asarray(Image.fromarray(image).resize(size, Image.Resampling.LANCZOS))


def side_by_side(panels: dict[str, np.ndarray]) -> np.ndarray:
    """Returns pictures (H, W, 3), uint8, in a row, each above its caption, whose lines are made to fit its width."""
    height = max(image.shape[0] for image in panels.values())
    lines = max(caption.count("\n") + 1 for caption in panels)
    width = sum(image.shape[1] + MARGIN for image in panels.values()) + MARGIN
    canvas = Image.new("RGB", (width, height + lines * LINE + 2 * MARGIN), "white")
    draw, x = ImageDraw.Draw(canvas), MARGIN
    for caption, image in panels.items():
        canvas.paste(Image.fromarray(image), (x, MARGIN))
        for i, line in enumerate(caption.split("\n")):
            draw.text(
                (x, MARGIN + height + i * LINE), line, fill="black", font=_fitting(line, image.shape[1])
            )
        x += image.shape[1] + MARGIN
    return np.asarray(canvas)


def _fitting(line: str, width: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    size = FONT_SIZE
    while size > SMALLEST_FONT and ImageFont.load_default(size).getlength(line) > width:
        size -= 1
    return ImageFont.load_default(size)


def _stack(title: str, rows: Sequence[np.ndarray]) -> np.ndarray:
    width = max(row.shape[1] for row in rows)
    canvas = Image.new("RGB", (width, LINE + 2 * MARGIN + sum(len(row) for row in rows)), "white")
    ImageDraw.Draw(canvas).text((MARGIN, MARGIN), title, fill="black", font=_fitting(title, width - MARGIN))
    y = LINE + 2 * MARGIN
    for row in rows:
        canvas.paste(Image.fromarray(row), (0, y))
        y += len(row)
    return np.asarray(canvas)
