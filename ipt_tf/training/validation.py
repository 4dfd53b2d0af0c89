"""Validation on photographs that are held out: the same patches and the same noise every time."""

from collections.abc import Sequence

import numpy as np
from keras import ops

from ipt_tf.data import Photographs
from ipt_tf.model.ipt import IPT
from ipt_tf.tasks import Task


class Validation:
    """PSNR of a model on one central patch of each held-out photograph, per task.

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

    def psnr(self, model: IPT) -> dict[str, float]:
        """Returns each task's PSNR in dB on RGB, the mean over the photographs."""
        return {name: self._mean_psnr(model, name) for name in self._pairs}

    def _mean_psnr(self, model: IPT, task: str) -> float:
        inputs, clean = self._pairs[task]
        restored = np.clip(np.rint(ops.convert_to_numpy(model(inputs, task=task))), 0, 255)
        errors = np.mean((restored - clean) ** 2, axis=(1, 2, 3))
        return float(np.mean(10 * np.log10(255**2 / errors)))
