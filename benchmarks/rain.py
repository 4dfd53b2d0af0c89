"""Compares the rain of `ipt_tf.degradations.rain_streaks` with that of public rain sets.

    python -m benchmarks.rain --streaks DIR [--photographs DIR] [--pairs DIR] --out PICTURE.png

Prints one line of measures for each grey streak layer of --streaks and the 10th, 50th and 90th percentile of ours;
the PSNR-Y of our rain on --photographs; and draws, twice as bright, the lightest real layers in the first row and
ours in the next three, with pictures of --pairs (folders rain/ and norain/) below: real rain beside ours on the same
picture.
SciPy is needed (`pip install scipy`; the extra `dev` brings it).
"""

import argparse
from pathlib import Path

import numpy as np
from PIL import Image
from scipy.ndimage import gaussian_filter, map_coordinates

from ipt_tf.degradations import Degradation, rain_streaks

SIDE = 224  # px, of our layers and of the cells of the picture
PER_ROW = 6
COLUMNS = ("mean", "std", "rms", ">10", "p90", "p99", "max", "along", "across", "angle", "aligned")
LEGEND = """\
mean ... max in grey levels, >10: share of pixels; along, across: px to half the autocorrelation;
angle: degrees from the vertical (ours: absolute); aligned: 0 (no direction) to 1 (a single one)"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--streaks", type=Path, required=True, help="folder of grey streak layers")
    parser.add_argument("--photographs", type=Path, help="folder of clean photographs, for PSNR-Y")
    parser.add_argument("--pairs", type=Path, help="folder with rain/ and norain/, to look at only")
    parser.add_argument("--layers", type=int, default=60, help="how many of our layers to measure")
    parser.add_argument("--out", type=Path, required=True, help="picture to write")
    args = parser.parse_args()

    degrade, rng = rain_streaks(), np.random.default_rng(0)
    real = {path.stem: np.asarray(Image.open(path).convert("L"), float) for path in pictures(args.streaks)}
    # On black, rain is nothing but its streaks.
    black = np.zeros((args.layers, SIDE, SIDE, 3), "float32")
    ours = np.asarray(degrade(black, rng))[..., 0]

    print_table(real, ours)
    if args.photographs:
        psnr = [psnr_y_of_rain(path, degrade, rng) for path in pictures(args.photographs)]
        low, middle, high = np.percentile(psnr, [5, 50, 95])
        print(
            f"PSNR-Y of our rain on {len(psnr)} photographs: {middle:.2f} dB (5-95 %: {low:.2f}-{high:.2f})"
        )
    # The others are of sets with far heavier rain than Rain100L's.
    lightest = sorted(real.values(), key=np.mean)[:PER_ROW]
    rows = [[2 * cell(layer) for layer in lightest]]
    rows += [list(2 * ours[first : first + PER_ROW]) for first in (0, PER_ROW, 2 * PER_ROW)]
    if args.pairs:
        rows += rows_of_pairs(args.pairs, degrade, rng)
    draw(rows, args.out)


def pictures(folder: Path) -> list[Path]:
    found = sorted(path for path in folder.rglob("*") if path.suffix.lower() in {".png", ".jpg", ".jpeg"})
    if not found:
        raise SystemExit(f"{folder} has no .png or .jpg files")
    return found


def print_table(real: dict[str, np.ndarray], ours: np.ndarray) -> None:
    table = {name: measure(layer) for name, layer in real.items()}
    measured = np.array([measure(layer) for layer in ours])
    measured[:, COLUMNS.index("angle")] = np.abs(measured[:, COLUMNS.index("angle")])
    for percent in (10, 50, 90):
        table[f"ours, {percent} %"] = np.percentile(measured, percent, axis=0)
    print(f"{'layer':<20}" + "".join(f"{name:>8}" for name in COLUMNS))
    for name, values in table.items():
        print(f"{name:<20}" + "".join(f"{value:8.2f}" for value in values))
    print(LEGEND)


def measure(layer: np.ndarray) -> list[float]:
    """Returns the values of COLUMNS for a streak layer (H, W), 0..255."""
    angle, aligned = orientation(layer)
    along, across = correlation_lengths(layer, angle)
    rms = np.sqrt(np.mean(layer**2))
    p90, p99 = np.percentile(layer, [90, 99])
    spread = [layer.mean(), layer.std(), rms, np.mean(layer > 10), p90, p99, layer.max()]
    return [*spread, along, across, np.degrees(angle), aligned]


def orientation(layer: np.ndarray) -> tuple[float, float]:
    """Returns the angle (radians from the vertical) and alignment of streaks, by the structure tensor."""
    # Derivatives of Gaussians: differences of neighbours misjudge the slope of thin lines.
    dy, dx = (gaussian_filter(layer, 1.5, order=order) for order in ((1, 0), (0, 1)))
    xx, yy, xy = (dx * dx).mean(), (dy * dy).mean(), (dx * dy).mean()
    across = 0.5 * np.arctan2(2 * xy, xx - yy)  # the direction of the gradients, from the horizontal
    return -across, np.hypot(xx - yy, 2 * xy) / (xx + yy)


def correlation_lengths(layer: np.ndarray, angle: float) -> tuple[float, float]:
    """Returns the px along and across the streaks at which the autocorrelation falls to a half."""
    spectrum = np.abs(np.fft.fft2(layer - layer.mean())) ** 2
    correlation = np.fft.ifft2(spectrum).real
    distance = np.arange(0, 80, 0.25)

    def half(dy: float, dx: float) -> float:
        along = map_coordinates(correlation, [distance * dy, distance * dx], order=1, mode="grid-wrap")
        below = along < 0.5 * correlation[0, 0]
        return distance[below.argmax()] if below.any() else np.nan

    return half(np.cos(angle), np.sin(angle)), half(-np.sin(angle), np.cos(angle))


def psnr_y_of_rain(path: Path, degrade: Degradation, rng: np.random.Generator) -> float:
    clean = cell(np.asarray(Image.open(path).convert("RGB"), "float32"))
    error = (np.rint(degrade(clean[None], rng)[0]) - clean) @ (np.array([65.738, 129.057, 25.064]) / 256)
    return 10 * np.log10(255**2 / np.mean(error**2))


def rows_of_pairs(folder: Path, degrade: Degradation, rng: np.random.Generator) -> list[list[np.ndarray]]:
    """Returns rows of real rain, ours, real rain, ours, ... : each two on the same picture."""
    rainy, clean = pictures(folder / "rain"), pictures(folder / "norain")
    cells = []
    for index in np.linspace(0, len(clean) - 1, PER_ROW).astype(int):
        real, dry = (cell(np.asarray(Image.open(names[index]).convert("RGB"))) for names in (rainy, clean))
        cells += [real, np.asarray(degrade(dry[None], rng))[0]]
    return [cells[:PER_ROW], cells[PER_ROW:]]


def cell(image: np.ndarray) -> np.ndarray:
    """Cuts SIDE x SIDE pixels out of the middle."""
    top, left = ((length - SIDE) // 2 for length in image.shape[:2])
    return image[top : top + SIDE, left : left + SIDE]


def draw(rows: list[list[np.ndarray]], path: Path) -> None:
    picture = Image.new("RGB", (PER_ROW * SIDE, len(rows) * SIDE), "grey")
    for row, cells in enumerate(rows):
        for column, pixels in enumerate(cells):
            image = Image.fromarray(np.clip(pixels, 0, 255).astype("uint8"))
            picture.paste(image, (column * SIDE, row * SIDE))
    picture.save(path)


if __name__ == "__main__":
    main()
