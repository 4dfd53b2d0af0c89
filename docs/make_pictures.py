"""Makes the pictures of the page on tasks: `python docs/make_pictures.py`.

The photographs are those that ship, degraded as each task's benchmark inputs are, and restored by `ipt_tiny`. The crop
is the one with the most detail, by the rule that the evaluation's figures follow.
"""

from pathlib import Path

import numpy as np
from PIL import Image

from ipt_tf import IPT, samples, tasks
from ipt_tf.console import start_keras
from ipt_tf.demo import trial
from ipt_tf.evaluation import figures
from ipt_tf.images import Photograph

FOLDER = Path(__file__).parent / "pictures"
PHOTOGRAPHS = {
    "sr_x2": "astronaut",
    "sr_x3": "coffee",
    "sr_x4": "rocket",
    "derain": "moose",
    "denoise_30": "windmill",
    "denoise_50": "chelsea",
    "denoise": "brick",
    "jpeg": "dandelion",
}
LEVELS = {"denoise": "denoise_10", "jpeg": "jpeg_20"}
"""What makes the inputs of tasks of varying strength."""
CROP, PANEL = 144, 288


def main() -> None:
    """Writes one picture per task, and prints a line of the page's table for each."""
    start_keras()
    model = IPT.from_pretrained()
    FOLDER.mkdir(exist_ok=True)
    for name, photograph in PHOTOGRAPHS.items():
        task = model.task(name)
        level = tasks.pick(LEVELS[name], task.levels) if name in LEVELS else task
        degraded, clean = level.pair(samples.load(photograph))
        restored = model.restore(degraded, task=name)
        before = trial.enlarge(Photograph(degraded), task.scale).pixels
        top, left, _ = figures.most_detailed(clean, CROP)
        cropped = {"input": before, "restored": restored, "the photograph": clean}
        panels = {
            title: _enlarged(pixels[top : top + CROP, left : left + CROP])
            for title, pixels in cropped.items()
        }
        file = FOLDER / f"{name}.jpg"
        Image.fromarray(figures.side_by_side(panels)).save(file, quality=90, subsampling=0)
        old, new = (trial.scores(image, clean, task).y for image in (before, restored))
        print(f"| {name} | {photograph} | {old:.2f} | {new:.2f} |")


def _enlarged(crop: np.ndarray) -> np.ndarray:
    return np.asarray(Image.fromarray(crop).resize((PANEL, PANEL), Image.Resampling.NEAREST))


if __name__ == "__main__":
    main()
