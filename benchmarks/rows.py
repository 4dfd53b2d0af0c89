"""What a benchmark finds: rows, which a JSON keeps and one table shows."""

from dataclasses import asdict, dataclass, field
from statistics import median
from typing import Any


@dataclass
class Row:
    """One figure.

    Args:
        section: of `python -m benchmarks`, such as "tile".
        at: what was measured, such as {"network": "ipt_tiny", "batch": 16, "way": "eager"}; the row's key.
        unit: of the figure, "" where there is none.
        values: one per round, or per photograph; empty where nothing was measured, which `note` explains.
        peaks: the float32 peak of the machine around each of them, GFLOP/s.
        shares: of the peak, one per round.
        ratios: how many times faster than the official PyTorch code, one per round.
        note: what the figures do not say.
    """

    section: str
    at: dict[str, Any]
    unit: str = ""
    values: list[float] = field(default_factory=list)
    peaks: list[float] = field(default_factory=list)
    shares: list[float] = field(default_factory=list)
    ratios: list[float] = field(default_factory=list)
    note: str = ""

    @property
    def value(self) -> float:
        """The median of the values."""
        return median(self.values)

    @property
    def key(self) -> tuple:
        """What tells the row from others."""
        return (self.section, *self.at.items())

    def as_json(self) -> dict[str, Any]:
        """Returns the row with its medians, ready for JSON."""
        medians = {
            name: round(median(numbers), 4)
            for name, numbers in (("value", self.values), ("share", self.shares), ("ratio", self.ratios))
            if numbers
        }
        return {**asdict(self), "median": medians}

    @classmethod
    def of_json(cls, content: dict[str, Any]) -> "Row":
        """Returns the row that `as_json` wrote."""
        return cls(**{name: value for name, value in content.items() if name != "median"})


def merged(old: list[Row], new: list[Row]) -> list[Row]:
    """Returns all rows, new ones in the place of old ones with the same key."""
    rows = {row.key: row for row in old}
    rows.update({row.key: row for row in new})
    return list(rows.values())


def table(rows: list[Row]) -> str:
    """Returns the rows as Markdown."""
    lines = [
        "| section | what | median | lowest to highest | of peak | times as fast as PyTorch | note |",
        "|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        what = ", ".join(_words(name, value) for name, value in row.at.items())
        cells = [row.section, what, _figure(row), _spread(row)]
        cells += [f"{100 * median(row.shares):.0f} %" if row.shares else ""]
        cells += [f"{median(row.ratios):.2f}" if row.ratios else "", row.note]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def _words(name: str, value: Any) -> str:
    return value if isinstance(value, str) else f"{name} {value:g}"


def _figure(row: Row) -> str:
    return f"{row.value:.4g} {row.unit}" if row.values else "not measured"


def _spread(row: Row) -> str:
    return f"{min(row.values):.4g} to {max(row.values):.4g}" if len(row.values) > 1 else ""
