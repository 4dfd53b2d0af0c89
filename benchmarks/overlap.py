"""What the overlap of tiles gains: PSNR on photographs held out of training, against the largest overlap.

No benchmark picture is among them.
"""

from pathlib import Path

import numpy as np

from benchmarks.endtoend import our_tiles
from benchmarks.pictures import held_out
from benchmarks.rows import Row
from ipt_tf import IPT
from ipt_tf.data import Photographs
from ipt_tf.evaluation import metrics

OVERLAPS = (0, 2, 6, 10, 16, 24, 36)
TASKS = ("sr_x2", "denoise_50", "derain")
SIDE = 200
"""Pixels of an input: tiles of 48 at an overlap of 10 end with it, so that none shares more with its neighbour."""


def measure(preset: str, data: Path, tasks: list[str], photographs: int) -> list[Row]:
    """Restores the middle of some photographs at all OVERLAPS.

    Args:
        preset: name of a preset that has weights.
        data: folder of photographs that it was not trained on.
        tasks: names.
        photographs: how many of them.
    """
    chosen = held_out(data, photographs)
    rows = []
    for name in tasks:
        model = IPT.from_pretrained(preset, task=name)
        psnr = {overlap: _psnr(model, name, chosen, overlap) for overlap in OVERLAPS}
        for overlap, found in psnr.items():
            lost = [most - value for most, value in zip(psnr[max(OVERLAPS)], found, strict=True)]
            at = {"network": preset, "task": name, "overlap": overlap}
            note = (
                f"mean {np.mean(found):.3f} dB, {np.mean(lost):.3f} lost;"
                f" {our_tiles(720, 1280, overlap)} tiles for 720 x 1280"
            )
            rows.append(Row("overlap", at, f"dB lost against {max(OVERLAPS)}", lost, note=note))
    return rows


def _psnr(model: IPT, task: str, photographs: Photographs, overlap: int) -> list[float]:
    """Returns the PSNR on RGB of each photograph's middle, as `ipt train` validates."""
    inputs, clean = photographs.validation_pairs(model.task(task), SIDE, seed=0)
    restored = (model.restore(degraded, task, overlap=overlap) for degraded in inputs)
    return [metrics.psnr(*pair, channel="rgb") for pair in zip(restored, clean, strict=True)]
