"""Compares the rain of `ipt_tf.degradations.rain_streaks` with streak layers of public rain sets.

    python -m benchmarks.rain --streaks DIR [--pairs DIR] --out PICTURE.png

DIR of --streaks holds grey streak layers, DIR of --pairs clean photographs to rain on. Prints one line of measures
per real layer and the 10th, 50th and 90th percentile of ours; draws real and ours side by side.
"""

import argparse
from pathlib import Path

import numpy as np
from PIL import Image
from scipy.ndimage import map_coordinates

from ipt_tf.degradations import rain_streaks

SIZE = 224  # px: side of our layers and of the cut-outs in the picture
COLUMNS = ("mean", "rms", ">10", "p90", "p99", "max", "along", "across", "angle", "aligned")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--streaks", type=Path, required=True, help="folder of grey streak layers")
    parser.add_argument("--pairs", type=Path, help="folder of clean photographs, for PSNR-Y")
    parser.add_argument("--layers", type=int, default=48, help="how many of ours to measure")
    parser.add_argument("--out", type=Path, required=True, help="side-by-side picture to write")
    args = parser.parse_args()

    rng = np.random.default_rng(0)
    real = {path.stem: _grey(path) for path in sorted(args.streaks.glob("*.png"))}
    degrade = rain_streaks()
    # On black, rain is nothing but its streaks.
    black = np.zeros((1, SIZE, SIZE, 3), "float32")
    ours = [np.asarray(degrade(black, rng))[0, :, :, 0] for _ in range(args.layers)]

    print(f"{'layer':<18}" + "".join(f"{name:>8}" for name in COLUMNS))
    for name, layer in real.items():
        _print_row(name, measure(layer))
    measured = np.array([measure(layer) for layer in ours])
    measured[:, COLUMNS.index("angle")] = np.abs(measured[:, COLUMNS.index("angle")])
    for percent in (10, 50, 90):
        _print_row(f"ours, {percent} %", np.percentile(measured, percent, axis=0))
    print("along/across: px to half the autocorrelation; angle: degrees from vertical (ours: absolute);")
    print("aligned: 0 (no orientation) to 1 (one orientation)")
    if args.pairs:
        psnr = psnr_y_of_rain(args.pairs, degrade, rng)
        low, mid, high = np.percentile(psnr, [5, 50, 95])
        print(f"PSNR-Y of rainy against clean, {len(psnr)} photographs: {mid:.2f} dB (5-95 %: {low:.2f}-{high:.2f})")
    draw(list(real.values()), ours, args.out)


def measure(layer: np.ndarray) -> list[float]:
    """Returns the values of COLUMNS for a streak layer (H, W), 0..255."""
    angle, aligned = orientation(layer)
    along, across = correlation_lengths(layer, angle)
    p90, p99 = np.percentile(layer, [90, 99])
    rms = np.sqrt(np.mean(layer**2))
    share = np.mean(layer > 10)
    return [layer.mean(), rms, share, p90, p99, layer.max(), along, across, np.degrees(angle), aligned]


def orientation(layer: np.ndarray) -> tuple[float, float]:
    """Returns the streaks' angle from the vertical in radians and how aligned they are, by the structure tensor."""
    dy, dx = np.gradient(layer)
    xx, yy, xy = (dx * dx).mean(), (dy * dy).mean(), (dx * dy).mean()
    angle = 0.5 * np.arctan2(2 * xy, xx - yy)  # of the mean gradient, from the x axis: across the streaks
    return -angle, np.hypot(xx - yy, 2 * xy) / (xx + yy)


def correlation_lengths(layer: np.ndarray, angle: float) -> tuple[float, float]:
    """Returns the distances in px along and across the streaks at which the autocorrelation falls to a half."""
    spectrum = np.abs(np.fft.fft2(layer - layer.mean())) ** 2
    correlation = np.fft.ifft2(spectrum).real
    correlation /= correlation[0, 0]

    def half(direction: tuple[float, float]) -> float:
        distance = np.arange(0, 80, 0.25)
        points = [distance * part for part in direction]
        below = map_coordinates(correlation, points, order=1, mode="grid-wrap") < 0.5
        return distance[below.argmax()] if below.any() else np.nan

    return half((np.cos(angle), np.sin(angle))), half((-np.sin(angle), np.cos(angle)))


def psnr_y_of_rain(folder: Path, degrade, rng: np.random.Generator) -> list[float]:
    """Returns PSNR on Y (dB) of rainy against clean for the middle of every photograph of a folder."""
    weights = np.array([65.738, 129.057, 25.064]) / 256
    found = []
    for path in sorted(folder.rglob("*"))[:60]:
        if path.suffix.lower() not in {".png", ".jpg", ".jpeg"}:
            continue
        clean = np.asarray(Image.open(path).convert("RGB"), "float32")
        top, left = (clean.shape[0] - SIZE) // 2, (clean.shape[1] - SIZE) // 2
        clean = clean[None, top : top + SIZE, left : left + SIZE]
        error = (np.rint(degrade(clean, rng)) - clean) @ weights
        found.append(10 * np.log10(255**2 / np.mean(error**2)))
    return found


def draw(real: list[np.ndarray], ours: list[np.ndarray], path: Path) -> None:
    """Writes real layers (upper rows) and ours (lower rows), twice as bright, as one picture."""
    per_row = 6
    tiles = [layer[:SIZE, :SIZE] for layer in real[: 2 * per_row]]
    tiles += [np.full((SIZE, SIZE), 128.0)] * (-len(tiles) % per_row)
    tiles += ours[: 3 * per_row]
    rows = len(tiles) // per_row
    picture = Image.new("L", (per_row * SIZE, rows * SIZE))
    for index, tile in enumerate(tiles[: rows * per_row]):
        cell = Image.fromarray(np.clip(2 * tile, 0, 255).astype("uint8"))
        picture.paste(cell, (index % per_row * SIZE, index // per_row * SIZE))
    picture.save(path)


def _grey(path: Path) -> np.ndarray:
    return np.asarray(Image.open(path).convert("L"), "float64")


def _print_row(name: str, values) -> None:
    print(f"{name:<18}" + "".join(f"{value:8.2f}" for value in values))


if __name__ == "__main__":
    main()
