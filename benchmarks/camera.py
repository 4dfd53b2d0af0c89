"""Noise of cameras, on real pairs: what the weights remove of it, beside non-local means and CBM3D.

    python -m benchmarks.camera --data FOLDER [--model ipt_tiny] [--out SCORES.csv]

FOLDER has noisy/ and clean/ with equal names. Whole pictures are restored, rounded to 8 bits and compared with the
clean ones. Gains are in dB of PSNR-RGB. The methods are

- `camera` and `denoise`, the tasks, each with the weights that are best for it, in tiles as by default.
- non-local means, of scikit-image, with the setting of `ipt evaluate --non-local-means`: the fast one, patches of 5 x 5
  at most 6 pixels away, h of 0.6 sigma.
- CBM3D (Dabov et al. 2007) by its authors' package `bm3d` (Mäkinen et al. 2020), profile "np", opponent colours. The
  package is for non-commercial use only.

The last two need to be told how strong the noise is. Each is measured twice: with what scikit-image's `estimate_sigma`
finds in the picture, the mean of its three channels; and with the standard deviation of the difference to the clean
picture ("sigma known"), which nobody has who needs the picture restored. They need
`pip install scikit-image PyWavelets bm3d`, and are left out where that is missing.
"""

import argparse
import csv
import importlib
from collections.abc import Callable, Iterator
from dataclasses import astuple, dataclass, fields, replace
from pathlib import Path
from statistics import fmean

import numpy as np
from tqdm import tqdm

from ipt_tf import IPT, tasks
from ipt_tf.console import start_keras
from ipt_tf.data import sets
from ipt_tf.evaluation import baselines, metrics

CAMERA = tasks.find("camera")
HEADER = """\
| method | PSNR-RGB | PSNR-Y | SSIM-Y | mean gain | smallest gain | worse than the input |
|---|---|---|---|---|---|---|"""

Restore = Callable[[sets.Pair], np.ndarray]
"""What a method makes of a pair's input. It may look at the clean picture only to know how strong the noise is."""


@dataclass(frozen=True)
class Score:
    """How near a picture came to the clean one.

    Args:
        method: what restored it.
        picture: file name.
        psnr_rgb: dB.
        psnr_y: dB.
        ssim_y: 0 to 1.
        gain: PSNR-RGB above that of the input, dB.
    """

    method: str
    picture: str
    psnr_rgb: float
    psnr_y: float
    ssim_y: float
    gain: float


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True, help="folder with noisy/ and clean/")
    parser.add_argument("--model", default="ipt_tiny", help="preset or folder")
    parser.add_argument("--out", type=Path, help="CSV of every picture to write")
    options = parser.parse_args(arguments)

    pictures = pairs(options.data)
    start_keras()
    print(f"{len(pictures)} pictures, gains in dB of PSNR-RGB\n\n{HEADER}", flush=True)
    scores = []
    for name, make in METHODS.items():
        try:
            restore = make(options.model)
        except ImportError as error:
            print(f"| {name} | left out: {error} |", flush=True)
            continue
        found = list(measured(name, restore, pictures))
        print(row(found), flush=True)
        scores += found
    if options.out:
        write(scores, options.out)


def pairs(folder: Path) -> list[sets.Picture]:
    try:
        found = sets.pictures(folder, CAMERA)
    except ValueError as error:
        raise SystemExit(str(error)) from None
    if not found:
        raise SystemExit(f"{folder} has no pictures in noisy/, beside clean/")
    return found


def measured(method: str, restore: Restore, pictures: list[sets.Picture]) -> Iterator[Score]:
    for picture in tqdm(pictures, method, leave=False):
        pair = sets.read(picture, CAMERA)
        restored = restore(pair)
        before, rgb = (metrics.psnr(image, pair.clean, channel="rgb") for image in (pair.degraded, restored))
        y, similarity = metrics.psnr(restored, pair.clean), metrics.ssim(restored, pair.clean)
        yield Score(method, picture.name, rgb, y, similarity, gain=rgb - before)


def row(scores: list[Score]) -> str:
    """Returns the line of one method."""
    rgb, y, similarity, gain = (
        fmean(getattr(score, name) for score in scores) for name in ("psnr_rgb", "psnr_y", "ssim_y", "gain")
    )
    smallest, worse = min(score.gain for score in scores), sum(score.gain < 0 for score in scores)
    return (
        f"| {scores[0].method} | {rgb:.2f} | {y:.2f} | {similarity:.4f} | {gain:+.2f} | {smallest:+.2f} | "
        f"{worse} of {len(scores)} |"
    )


def write(scores: list[Score], path: Path) -> None:
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(field.name for field in fields(Score))
        writer.writerows(astuple(score) for score in scores)


def _input(model: str) -> Restore:
    return lambda pair: pair.degraded


def _task(name: str) -> Callable[[str], Restore]:
    def make(model: str) -> Restore:
        network = IPT.from_pretrained(model, task=name)
        return lambda pair: network.restore(pair.degraded)

    return make


def _non_local_means(sigma: Callable[[sets.Pair], float]) -> Callable[[str], Restore]:
    def make(model: str) -> Restore:
        _check("skimage", "pywt", install="scikit-image PyWavelets")
        return lambda pair: baselines.NON_LOCAL_MEANS.restore(
            pair.degraded, replace(CAMERA, sigma=sigma(pair))
        )

    return make


def _cbm3d(sigma: Callable[[sets.Pair], float]) -> Callable[[str], Restore]:
    def make(model: str) -> Restore:
        _check("skimage", "pywt", "bm3d", install="scikit-image PyWavelets bm3d")
        from bm3d import bm3d_rgb

        return lambda pair: (
            255 * bm3d_rgb(pair.degraded / 255, sigma(pair) / 255, profile="np", colorspace="opp")
        )

    return make


def _check(*modules: str, install: str) -> None:
    """Raises ImportError, with the command that installs them, where one of the modules is missing."""
    try:
        for module in modules:
            importlib.import_module(module)
    except ImportError:
        raise ImportError(f"pip install {install}") from None


def estimated(pair: sets.Pair) -> float:
    """Returns the standard deviation of the noise in grey levels, as far as the input shows it."""
    from skimage.restoration import estimate_sigma

    return float(estimate_sigma(pair.degraded.astype(np.float32), channel_axis=-1, average_sigmas=True))


def known(pair: sets.Pair) -> float:
    """Returns the standard deviation of the noise in grey levels, by the clean picture."""
    return float(np.std(pair.degraded.astype(np.float32) - pair.clean))


METHODS: dict[str, Callable[[str], Restore]] = {
    "input": _input,
    "camera": _task("camera"),
    "denoise": _task("denoise"),
    "non-local means": _non_local_means(estimated),
    "CBM3D": _cbm3d(estimated),
    "non-local means, sigma known": _non_local_means(known),
    "CBM3D, sigma known": _cbm3d(known),
}
"""What makes each method out of the name of a model; raises ImportError where it cannot be had."""


if __name__ == "__main__":
    main()
