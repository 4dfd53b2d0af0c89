"""Makes the picture at the top of the README from the sample photographs: `python docs/make_readme_picture.py`.

What is shown is what the weights that ship with the package make of degraded samples; PSNR is of the whole photograph.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from ipt_tf import IPT, samples
from ipt_tf.console import start_keras
from ipt_tf.demo import trial
from ipt_tf.images import Photograph

FOLDER = Path(__file__).parent / "pictures"
SIDE, GAP, CAPTION = 360, 12, 46
MOST_BYTES = 400_000


@dataclass(frozen=True)
class Panel:
    """One restoration of the picture.

    Args:
        sample: a photograph's name.
        task: what restores it.
        title: what it does, in words.
        box: left, top and side of the square of the photograph that is shown.
    """

    sample: str
    task: str
    title: str
    box: tuple[int, int, int]


PANELS = (
    Panel("chelsea", "denoise_50", "noise of sigma 50, removed", (65, 5, 200)),
    Panel("windmill", "sr_x4", "enlarged four times", (40, 110, 170)),
    Panel("moose", "derain", "rain, removed", (130, 40, 240)),
)


def main() -> None:
    """Writes `docs/pictures/restored.jpg`."""
    start_keras(threads_per_operation=1)
    canvas = Image.new("RGB", (len(PANELS) * (SIDE + GAP) - GAP, SIDE + CAPTION), "white")
    for index, panel in enumerate(PANELS):
        canvas.paste(_drawn(panel), (index * (SIDE + GAP), 0))
    FOLDER.mkdir(exist_ok=True)
    path = FOLDER / "restored.jpg"
    canvas.save(path, quality=90, subsampling=0)
    if path.stat().st_size > MOST_BYTES:
        raise SystemExit(f"{path} has {path.stat().st_size} bytes; at most {MOST_BYTES} are wanted")
    print(path)


def _drawn(panel: Panel) -> Image.Image:
    """The degraded half of a square beside the restored half, above a caption."""
    model = IPT.from_pretrained(task=panel.task)
    task = model.task()
    degraded, clean = task.pair(samples.load(panel.sample))
    before = trial.enlarge(Photograph(degraded), task.scale).pixels
    after = model.restore(degraded)
    left, top, side = panel.box
    square = np.s_[top : top + side, left : left + side]
    shown = np.concatenate([before[square][:, : side // 2], after[square][:, side // 2 :]], axis=1)

    canvas = Image.new("RGB", (SIDE, SIDE + CAPTION), "white")
    canvas.paste(Image.fromarray(shown).resize((SIDE, SIDE), Image.Resampling.LANCZOS), (0, 0))
    draw = ImageDraw.Draw(canvas)
    draw.line([(SIDE // 2, 0), (SIDE // 2, SIDE)], "white", 2)
    old, new = (trial.scores(image, clean, task).y for image in (before, after))
    draw.text((2, SIDE + 8), f"{task.name}: {panel.title}", "black", _font(15))
    draw.text((2, SIDE + 28), f"PSNR-Y {old:.2f} dB before, {new:.2f} dB after", "#666666", _font(13))
    return canvas


def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size)


if __name__ == "__main__":
    main()
