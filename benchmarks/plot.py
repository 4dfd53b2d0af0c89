"""One picture of all rows."""

from collections.abc import Callable
from pathlib import Path
from statistics import mean, median
from typing import Any

from benchmarks.rows import Row


def draw(rows: list[Row], path: Path) -> None:
    """Draws a panel per section that has figures into a PNG."""
    from matplotlib.figure import Figure

    panels: dict[str, Callable] = {
        "tile": _tile,
        "endtoend": _end_to_end,
        "overlap": _overlap,
        "size": _size,
        "start": _start,
    }
    found = {name: [row for row in rows if row.section == name and row.values] for name in panels}
    found = {name: measured for name, measured in found.items() if measured}
    columns = min(2, len(found))
    lines = -(-len(found) // columns)
    figure = Figure(figsize=(5.5 * columns, 3.8 * lines), layout="constrained")
    grid = figure.add_gridspec(lines, columns)
    for index, (name, measured) in enumerate(found.items()):
        alone = index + 1 == len(found) and len(found) % columns  # has its line for itself
        place = grid[index // columns, slice(None) if alone else index % columns]
        panels[name](figure.add_subplot(place), measured)
    figure.savefig(path, dpi=80)


def _tile(axes, rows: list[Row]) -> None:
    """Bars: share of the peak at the best batch size of each way and network."""
    ways = list(dict.fromkeys(row.at["way"] for row in rows))
    networks = list(dict.fromkeys(row.at["network"] for row in rows))
    height = 0.8 / len(networks)
    for i, network in enumerate(networks):
        best = [
            max((median(row.shares) for row in rows if _is(row, network=network, way=way)), default=0.0)
            for way in ways
        ]
        axes.barh([j + i * height for j in range(len(ways))], [100 * x for x in best], height, label=network)
    axes.set_yticks([j + 0.4 - height / 2 for j in range(len(ways))], ways)
    axes.invert_yaxis()
    axes.axvline(100, color="grey", linewidth=0.8)
    axes.set(xlabel="% of the float32 peak, best batch size", title="per tile")
    axes.legend(loc="upper right", fontsize=8)


def _end_to_end(axes, rows: list[Row]) -> None:
    names = list(dict.fromkeys(f"{row.at['network']}\n{row.at['picture']}" for row in rows))
    contenders = list(dict.fromkeys(row.at["by"] for row in rows))
    width = 0.8 / len(contenders)
    for i, by in enumerate(contenders):
        values = {
            f"{row.at['network']}\n{row.at['picture']}": row.value for row in rows if row.at["by"] == by
        }
        positions = [names.index(name) + width * i for name in values]
        axes.bar(positions, list(values.values()), width, label=by)
    axes.set_xticks([j + 0.4 - width / 2 for j in range(len(names))], names, fontsize=7, rotation=30)
    axes.set(yscale="log", ylabel="seconds", title="per picture, ours at overlap 10")
    axes.legend(fontsize=8)


def _overlap(axes, rows: list[Row]) -> None:
    for task in dict.fromkeys(row.at["task"] for row in rows):
        of_task = [row for row in rows if row.at["task"] == task]
        lost = [mean(row.values) for row in of_task]
        axes.plot([row.at["overlap"] for row in of_task], lost, "o-", label=task)
    axes.axvline(10, color="grey", linewidth=0.8)
    axes.set(xlabel="overlap (pixels)", ylabel="dB lost against overlap 36", title="quality by overlap")
    axes.grid(alpha=0.3)
    axes.legend()


def _size(axes, rows: list[Row]) -> None:
    for of, side, colour in (("time", axes, "C0"), ("memory", axes.twinx(), "C1")):
        chosen = sorted((row for row in rows if row.at["of"] == of), key=lambda row: row.at["megapixels"])
        sizes, values = [row.at["megapixels"] for row in chosen], [row.value for row in chosen]
        side.plot(sizes, values, "o-", color=colour)
        side.set_ylabel(chosen[0].unit, color=colour)
        side.set_ylim(0, 1.3 * max(values))
    axes.set(xscale="log", xlabel="megapixels", title="time and most memory by size")


def _start(axes, rows: list[Row]) -> None:
    axes.barh([row.at["command"] for row in rows], [row.value for row in rows])
    axes.invert_yaxis()
    axes.set(xlabel="seconds", title="start-up")


def _is(row: Row, **at: Any) -> bool:
    return all(row.at.get(name) == value for name, value in at.items())
