"""The scores of single pictures on disk while an evaluation runs, so that one that was stopped goes on."""

import dataclasses
import hashlib
import json
import os
from collections.abc import Callable
from pathlib import Path


class Kept:
    """Scores in a file of JSON lines, in the current folder, whose name belongs to its conditions alone.

    The first line tells the conditions, each other line the scores of one picture, under a key that changes with
    the picture's contents. What was measured otherwise, or on a picture that has changed since, is thus never taken
    for this.

    Args:
        conditions: a dataclass of all that scores depend on, beside the pictures.
        log: called with a line where there are scores already, and where none can be kept.

    Example:
        >>> kept = Kept(conditions, print)
        >>> kept.add("Set5 sr_x2 baby.png 3f2a", [{"psnr_y": 36.2}])
        >>> Kept(conditions, print).scores  # in the next run
        {'Set5 sr_x2 baby.png 3f2a': [{'psnr_y': 36.2}]}
    """

    def __init__(self, conditions, log: Callable[[str], object]):
        self._header = json.dumps({"conditions": dataclasses.asdict(conditions)}) + "\n"
        name = hashlib.sha256(self._header.encode()).hexdigest()[:8]
        self.path = Path(f"ipt-evaluate-{name}.partial.jsonl").absolute()
        self.scores: dict[str, list[dict]] = {}
        self._writable = os.access(self.path.parent, os.W_OK)
        if not self._writable:
            log(f"{self.path.parent} is read-only: scores are not kept, so a stop would lose them")
        elif self.path.exists():
            self._load()
            log(f"going on from {self.path}; pictures measured already: {len(self.scores)}")

    def _load(self) -> None:
        text = self.path.read_text()
        whole = text[: text.rfind("\n") + 1]  # a kill may have cut off the last line
        if whole != text:
            self.path.write_text(whole)
        for line in whole.splitlines()[1:]:
            row = json.loads(line)
            self.scores[row["picture"]] = row["scores"]

    def add(self, key: str, scores: list[dict]) -> None:
        """Appends the scores of one picture."""
        if not self._writable:
            return
        with self.path.open("a") as file:
            if file.tell() == 0:
                file.write(self._header)
            file.write(json.dumps({"picture": key, "scores": scores}) + "\n")

    def remove(self) -> None:
        """Deletes the file."""
        self.path.unlink(missing_ok=True)
