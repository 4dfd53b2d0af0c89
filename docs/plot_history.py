"""Draws docs/ipt_tiny_history.csv into docs/pictures/ipt_tiny_history.png: `python docs/plot_history.py`."""

import csv
from pathlib import Path

from matplotlib.figure import Figure

FOLDER = Path(__file__).parent


def main() -> None:
    """One panel per task: PSNR by patches, from where training has passed its first thousands."""
    with (FOLDER / "ipt_tiny_history.csv").open() as file:
        rows = [row for row in csv.DictReader(file) if int(row["patches"])]
    tasks = [name for name in rows[0] if name not in ("run", "patches")]
    figure = Figure(figsize=(13, 5), layout="constrained")
    for index, task in enumerate(tasks):
        axes = figure.add_subplot(2, 5, index + 1)
        for number, run in enumerate(dict.fromkeys(row["run"] for row in rows)):
            chosen = [row for row in rows if row["run"] == run and row[task]]
            patches = [int(row["patches"]) / 1000 for row in chosen]
            axes.plot(patches, [float(row[task]) for row in chosen], ".-", color=f"C{number}", label=run)
        axes.set(title=task, xscale="log", xlabel="1000 patches", ylabel="PSNR-RGB, dB")
        axes.grid(alpha=0.3)
    figure.legend(
        *figure.axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=3, fontsize=9
    )
    figure.savefig(FOLDER / "pictures" / "ipt_tiny_history.png", dpi=80)


if __name__ == "__main__":
    main()
