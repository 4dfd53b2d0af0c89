"""Where a run stopped, as files of tensors by name; TensorFlow's strategies have their own."""

import os
from pathlib import Path

import numpy as np
import safetensors.numpy

KEPT = 2
"""Checkpoints that are kept."""


def last(folder: Path) -> str | None:
    """Returns the path of the last checkpoint in a folder, if there is one."""
    found = sorted(folder.glob("*.safetensors"))
    return str(found[-1]) if found else None


def save(folder: Path, step: int, tensors: dict[str, np.ndarray]) -> None:
    """Writes the checkpoint of a step, all of it or nothing, and deletes those that are no longer needed."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"step-{step:09d}.safetensors"
    beside = path.with_suffix(".part")
    safetensors.numpy.save_file({**tensors, "step": np.array(step)}, beside)
    os.replace(beside, path)
    for old in sorted(folder.glob("*.safetensors"))[:-KEPT]:
        old.unlink()


def load(path: str) -> tuple[int, dict[str, np.ndarray]]:
    """Returns the step of a checkpoint, and its tensors."""
    tensors = safetensors.numpy.load_file(path)
    return int(tensors.pop("step")), tensors
