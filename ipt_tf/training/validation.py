"""Validation on photographs that are held out: the same patches and the same noise every time."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from keras import ops

from ipt_tf.data import Photographs
from ipt_tf.model.ipt import IPT
from ipt_tf.tasks import Task

SHOWN = 4
"""Crops of each task that are shown as pictures."""


@dataclass(frozen=True)
class Validated:
    """What one validation found.

    Args:
        psnr: of each task in dB on RGB, the mean over the photographs.
        triplets: of each task, a picture (SHOWN * side, 3 * side, 3) of input (enlarged pixel by pixel), output
            and clean crops, 0..255.
    """

    psnr: dict[str, float]
    triplets: dict[str, np.ndarray]


class Validation:
    """Restores one central patch of each held-out photograph, per task.

    Args:
        photographs: held-out photographs.
        tasks: the model's tasks, each with a degradation.
        patch_size: side of an input patch, pixels.
        seed: of the degradations.
    """

    def __init__(self, photographs: Photographs, tasks: Sequence[Task], patch_size: int, seed: int):
        self._pairs = {}
        for task in tasks:
            side = patch_size * task.scale
            clean = np.stack([photographs.middle(i, side) for i in range(len(photographs))]).astype("float32")
            inputs = task.make_input(clean, np.random.default_rng(seed))
            self._pairs[task.name] = ops.convert_to_numpy(inputs), clean

    def __call__(self, model: IPT) -> Validated:
        """Returns the PSNR and some pictures of every task."""
        psnr, triplets = {}, {}
        for task, (inputs, clean) in self._pairs.items():
            restored = np.clip(np.rint(ops.convert_to_numpy(model(inputs, task=task))), 0, 255)
            errors = np.mean((restored - clean) ** 2, axis=(1, 2, 3))
            psnr[task] = float(np.mean(10 * np.log10(255**2 / np.maximum(errors, 1e-10))))
            triplets[task] = _triplets(inputs[:SHOWN], restored[:SHOWN], clean[:SHOWN])
        return Validated(psnr, triplets)


def _triplets(inputs: np.ndarray, restored: np.ndarray, clean: np.ndarray) -> np.ndarray:
    scale = clean.shape[1] // inputs.shape[1]
    enlarged = np.clip(inputs, 0, 255).repeat(scale, axis=1).repeat(scale, axis=2)
    return np.concatenate(np.concatenate([enlarged, restored, clean], axis=2), axis=0)
