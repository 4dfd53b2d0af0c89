"""Training on Keras's PyTorch backend: one device, no TensorFlow.

Photographs, degradations, network and optimizers are where the network is, and nothing waits for it inside a step.
"""

import warnings
from pathlib import Path

import keras
import numpy as np
import torch
from keras import ops

from ipt_tf.data import Source
from ipt_tf.model.ipt import IPT
from ipt_tf.training.moves import Body, ByAdam, Tensor
from ipt_tf.training.recipes import Recipe
from ipt_tf.training.run_folder import RunError
from ipt_tf.training.trainers.functional import Functional


class PyTorch(Functional):
    """What trains a copy of a model on the device that PyTorch has. A `ipt_tf.training.loop.Trainer`.

    Args:
        start: Model with the weights to start from.
        source: Pictures to train on.
        recipe: How to train.
        folder: Folder of the checkpoints.

    Raises:
        RunError: The recipe needs TensorFlow.
    """

    def __init__(self, start: IPT, source: Source, recipe: Recipe, folder: Path):
        if recipe.xla:
            raise RunError("xla=true compiles TensorFlow's graphs: leave it out on PyTorch")
        super().__init__(start, source, recipe, folder)
        if self._own[self.model.task_names[0]].weights[0].device.type == "cpu":
            warnings.warn("PyTorch sees no GPU: the processor trains", stacklevel=2)

    def _put(self, array: np.ndarray) -> torch.Tensor:
        return ops.convert_to_tensor(array)

    def _take_step(
        self, task: str, learning_rate: np.float32, ema: np.float32, late: np.float32
    ) -> tuple[Body, ByAdam, Tensor, Tensor]:
        own = self._own[task]
        weights = self._weights(self._body, own)
        leaves = [leaf.detach().requires_grad_() for leaf in keras.tree.flatten(weights)]
        weights = keras.tree.pack_sequence_as(weights, leaves)
        total, count = torch.zeros(()), self._recipe.accumulate
        for parts in zip(*self._next(), strict=True):
            with torch.no_grad():
                batch = self._examples(self.model.task(task), self._pixels, *map(self._put, parts))
            # The gradient too is in it, because layers may be computed again for that.
            with self._with(task, weights, self._frozen):
                loss = self._loss(task, *batch) / count
                loss.backward()
            total = total + loss.detach()
        gradients = keras.tree.pack_sequence_as(weights, [leaf.grad for leaf in leaves])
        with torch.no_grad():
            body, own, norm = self._moved(self._body, own, gradients, *map(float, (learning_rate, ema, late)))
        return body, own, total, norm
