"""The fenced blocks of the documentation: which are run, and which say why they are not."""

import re
from dataclasses import dataclass
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[2]
PLACES = (
    "*.md",
    "docs/**/*.md",
    "serving/*.md",
    "cluster/*.md",
    "notebooks/*.md",
    "ipt_tf/samples/*.md",
    "ipt_tf/weights/*/*.md",
)
RUN = ("sh", "python")
"""Languages of blocks that are run."""

SHOWN = ("text", "bibtex", "textproto")
"""Languages of blocks that nobody runs: output, trees of files, references, configuration."""

_FENCE = re.compile(r"( *)```(.*)")
_MARKER = re.compile(r" *<!-- not run: (.+) -->")


@dataclass(frozen=True)
class Block:
    """A fenced block.

    Args:
        file: relative to the checkout.
        line: of its opening fence, from 1.
        language: as the fence names it.
        text: what is inside, without the indentation of the fence.
        reason: why it is not run, from the marker above it.
    """

    file: str
    line: int
    language: str
    text: str
    reason: str | None

    def __str__(self) -> str:
        return f"{self.file}:{self.line}"


def files() -> list[str]:
    """Returns the documentation's files, relative to the checkout."""
    found = {path.relative_to(CHECKOUT).as_posix() for place in PLACES for path in CHECKOUT.glob(place)}
    return sorted(found)


def blocks(file: str) -> list[Block]:
    """Returns the blocks of a file, in order."""
    found: list[Block] = []
    lines = (CHECKOUT / file).read_text().splitlines()
    opened = None
    for number, line in enumerate(lines):
        fence = _FENCE.match(line)
        if fence and opened is None:
            opened = number, len(fence[1]), fence[2].strip()
        elif fence:
            first, indent, language = opened
            text = "\n".join(inside[indent:] for inside in lines[first + 1 : number])
            found.append(Block(file, first + 1, language, text, _reason(lines[:first])))
            opened = None
    assert opened is None, f"{file}:{opened[0] + 1}: the block has no end"
    return found


def _reason(above: list[str]) -> str | None:
    marker = _MARKER.fullmatch(above[-1]) if above else None
    return marker[1] if marker else None
