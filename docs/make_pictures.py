"""Makes the pictures of the page on tasks: `python docs/make_pictures.py`.

The photographs are those that ship, degraded as each task's benchmark inputs are, and restored by `ipt_tiny`. The crop
is the one with the most detail, by the rule that the evaluation's figures follow. Four more have what the network has
not seen, and show how it fails.
"""

from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from ipt_tf import IPT, samples, tasks
from ipt_tf.console import start_keras
from ipt_tf.demo import trial
from ipt_tf.evaluation import figures, metrics
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
    "camera": "handwriting",
}
LEVELS = {"denoise": "denoise_10", "jpeg": "jpeg_20"}
"""What makes the inputs of tasks of varying strength."""
CROP, PANEL = 144, 288


def main() -> None:
    """Writes one picture per task and per failure, and prints a line of the page's tables for each."""
    start_keras()
    FOLDER.mkdir(exist_ok=True)
    for name, photograph in PHOTOGRAPHS.items():
        model = IPT.from_pretrained(task=name)
        task = model.task()
        level = tasks.pick(LEVELS[name], task.levels) if name in LEVELS else task
        _show(model, photograph, *level.pair(samples.load(photograph)), file=name)
    for file, (name, photograph, degrade) in FAILURES.items():
        clean = samples.load(photograph)
        _show(IPT.from_pretrained(task=name), photograph, degrade(clean), clean, file=file)


def _show(model: IPT, photograph: str, degraded: np.ndarray, clean: np.ndarray, file: str) -> None:
    task, restored = model.task(), model.restore(degraded)
    before = trial.enlarge(Photograph(degraded), task.scale).pixels
    top, left, _ = figures.most_detailed(clean, CROP)
    cropped = {"input": before, "restored": restored, "the photograph": clean}
    panels = {
        title: _enlarged(pixels[top : top + CROP, left : left + CROP]) for title, pixels in cropped.items()
    }
    path = FOLDER / f"{file}.jpg"
    Image.fromarray(figures.side_by_side(panels)).save(path, quality=90, subsampling=0)
    old, new = (trial.scores(image, clean, task).y for image in (before, restored))
    print(f"| {file} | {photograph} | {old:.2f} | {new:.2f} |")


def _coarse_noise(clean: np.ndarray) -> np.ndarray:
    """Noise whose neighbours are alike, as demosaicing leaves it: standard deviation 20, means of 3 x 3 pixels."""
    noise = np.random.default_rng(0).normal(size=clean.shape)
    for axis in (0, 1):
        noise = sum(np.roll(noise, shift, axis) for shift in (-1, 0, 1))
    return metrics.quantize(clean + 20 * noise / noise.std()).astype(np.uint8)


def _snow(clean: np.ndarray) -> np.ndarray:
    """White flakes, 2 to 4 pixels in radius."""
    rng = np.random.default_rng(0)
    sky = Image.new("L", clean.shape[1::-1])
    draw = ImageDraw.Draw(sky)
    for x, y, radius in zip(
        rng.integers(clean.shape[1], size=250),
        rng.integers(clean.shape[0], size=250),
        rng.uniform(2, 4, size=250),
        strict=True,
    ):
        draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill=200)
    opacity = np.asarray(sky.filter(ImageFilter.GaussianBlur(0.8)))[..., None] / 255
    return metrics.quantize(clean * (1 - opacity) + 255 * opacity).astype(np.uint8)


def _enlarged_jpeg(clean: np.ndarray) -> np.ndarray:
    """A JPEG file of quality 10, made twice as large after: its blocks are 16 pixels wide, not 8."""
    height, width, _ = clean.shape
    smaller = Image.fromarray(clean).resize((width // 2, height // 2), Image.Resampling.BICUBIC)
    compressed, _ = tasks.pick("jpeg_10", tasks.find("jpeg").levels).pair(np.asarray(smaller))
    return np.asarray(Image.fromarray(compressed).resize((width, height), Image.Resampling.BICUBIC))


def _small_and_noisy(clean: np.ndarray) -> np.ndarray:
    """A quarter as high and wide, with Gaussian noise of standard deviation 8 after."""
    small, _ = tasks.find("sr_x4").pair(clean)
    return tasks.find("denoise_8").pair(small)[0]


FAILURES = {
    "fails_noise": ("denoise", "chelsea", _coarse_noise),
    "fails_snow": ("derain", "moose", _snow),
    "fails_jpeg": ("jpeg", "dandelion", _enlarged_jpeg),
    "fails_small": ("sr_x4", "rocket", _small_and_noisy),
}


def _enlarged(crop: np.ndarray) -> np.ndarray:
    return np.asarray(Image.fromarray(crop).resize((PANEL, PANEL), Image.Resampling.NEAREST))


if __name__ == "__main__":
    main()
