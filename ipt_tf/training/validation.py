"""Validation on photographs that are held out: the same patches and the same noise every time."""

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass

import keras
import numpy as np
from keras import ops

from ipt_tf.data import Source
from ipt_tf.model.ipt import IPT
from ipt_tf.tasks import Task

SEED = 0
"""Of the degradations, whatever the seed of the run: so that runs compare."""

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
    """Restores one central patch of each held-out picture, per task.

    Args:
        held_out: what is not trained on.
        tasks: the model's tasks.
        patch_size: side of an input patch, pixels.
    """

    def __init__(self, held_out: Source, tasks: Sequence[Task], patch_size: int):
        self._pairs = {task.name: held_out.validation_pairs(task, patch_size, SEED) for task in tasks}

    def __call__(self, model: IPT) -> Validated:
        """Returns the PSNR and some pictures of every task."""
        psnr, triplets = {}, {}
        for task, (inputs, clean) in self._pairs.items():
            restored = np.clip(np.rint(_restored(model, task, inputs)), 0, 255)
            errors = np.mean((restored - clean) ** 2, axis=(1, 2, 3))
            psnr[task] = float(np.mean(10 * np.log10(255**2 / np.maximum(errors, 1e-10))))
            triplets[task] = _triplets(inputs[:SHOWN], restored[:SHOWN], clean[:SHOWN])
        return Validated(psnr, triplets)


def _restored(model: IPT, task: str, inputs: np.ndarray) -> np.ndarray:
    if keras.backend.backend() == "jax":  # which would compile every operation by itself
        return model.network(task)(inputs)
    with _no_gradient():
        return ops.convert_to_numpy(model(inputs, task=task))


def _no_gradient() -> contextlib.AbstractContextManager:
    """PyTorch keeps all activations for a gradient that nobody asks for, unless it is told not to."""
    if keras.backend.backend() != "torch":
        return contextlib.nullcontext()
    import torch

    return torch.no_grad()


def _triplets(inputs: np.ndarray, restored: np.ndarray, clean: np.ndarray) -> np.ndarray:
    scale = clean.shape[1] // inputs.shape[1]
    enlarged = np.clip(inputs, 0, 255).repeat(scale, axis=1).repeat(scale, axis=2)
    return np.concatenate(np.concatenate([enlarged, restored, clean], axis=2), axis=0)
