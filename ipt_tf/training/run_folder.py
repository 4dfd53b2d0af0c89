"""The folder of a run: whose it is, and what it holds.

run.json      every setting, and the length of the run
checkpoints/  where it stopped
history.csv   validation PSNR
model/        the weights, for `IPT.from_pretrained`, with the run.json that made them
best/         those of the best validation
"""

import json
from pathlib import Path

from ipt_tf import outputs

SETTINGS = "run.json"


class RunError(ValueError):
    """A run that cannot go on as asked; the message says what would help."""


def claim(out: Path, settings: dict, steps: int, *, write: bool) -> None:
    """Takes a folder for a run, or checks that the run already there has the same settings.

    Args:
        out: folder of the run; made if missing.
        settings: JSON-ready values; all must be what they were.
        steps: length of the run; may have grown.
        write: False on workers that only look; whether the folder may be taken at all, the chief says.

    Raises:
        RunError: the folder holds another run, a longer one, or something else; the message says what differs.
    """
    path = out / SETTINGS
    if path.exists():
        before = {"backend": "tensorflow", **json.loads(path.read_text())}  # which older runs do not tell
        _compare(out, before, json.loads(json.dumps(settings)), steps)
    elif write and out.is_dir() and any(out.iterdir()):
        raise RunError(f"{out} is not empty and holds no run; choose another --out")
    if write:
        out.mkdir(parents=True, exist_ok=True)
        write_settings(out, settings, steps)


def write_settings(folder: Path, settings: dict, steps: int) -> None:
    """Writes run.json into a folder."""
    outputs.write(folder / SETTINGS, json.dumps({**settings, "steps": steps}, indent=1) + "\n")


def _compare(out: Path, before: dict, asked: dict, steps: int) -> None:
    differing = [key for key in asked if before.get(key) != asked[key]]
    if differing:
        details = "".join(f"\n  {key}: {_difference(before.get(key), asked[key])}" for key in differing)
        raise RunError(f"{out} holds a run with other settings; choose another --out.{details}")
    if before["steps"] > steps:
        raise RunError(
            f"{out} holds a run of {before['steps']} steps; --steps can only be larger, not {steps}"
        )


def _difference(before, asked) -> str:
    """Says what differs between two settings, item by item where they are tables."""
    if isinstance(before, dict) and isinstance(asked, dict):
        keys = [key for key in {**before, **asked} if before.get(key) != asked.get(key)]
        return ", ".join(f"{key} was {before.get(key)!r}, asked {asked.get(key)!r}" for key in keys)
    if isinstance(before, list) and isinstance(asked, list):
        return f"{len(set(before) - set(asked))} are gone and {len(set(asked) - set(before))} are new"
    return f"was {before!r}, asked {asked!r}"
