"""Training on Keras's PyTorch backend: one device, no TensorFlow.

A step moves the weights as `ipt_tf.training.trainers.tensorflow.step` does, from the same batches
(`tests/training/test_portable.py` compares five steps of both).
"""

import itertools
import math
import warnings
from collections.abc import Callable
from pathlib import Path

import keras
import numpy as np
import torch

from ipt_tf.data import Source
from ipt_tf.model import checkpoints
from ipt_tf.model.ipt import IPT
from ipt_tf.training import checkpoint_files, feeding, losses, muon
from ipt_tf.training.recipes import BETA_1, BETA_2, EPSILON, Recipe
from ipt_tf.training.run_folder import RunError


class Portable:
    """What trains a copy of a model on the device that PyTorch has. A `ipt_tf.training.loop.Trainer`.

    Args:
        start: the model with the weights to start from.
        source: examples to train on.
        recipe: how to train.
        folder: of the checkpoints.

    Raises:
        RunError: the recipe or the data need TensorFlow.
    """

    is_chief = True
    lost: tuple[type[Exception], ...] = ()

    def __init__(self, start: IPT, source: Source, recipe: Recipe, folder: Path):
        if recipe.xla:
            raise RunError("xla=true compiles TensorFlow's graphs: leave it out on PyTorch")
        self._source, self._recipe, self._folder = feeding.from_folders(source), recipe, folder
        keras.utils.set_random_seed(recipe.seed)
        self.model = checkpoints.copy(start, recipe.precision)
        self.model.body.rematerialise = recipe.rematerialise
        self.average = checkpoints.copy(start)
        if recipe.freeze_body:
            for weight in self.model.body.trainable_variables:
                weight.value.requires_grad_(False)
        by_muon, by_adam = muon.divided(self.model.body, recipe)
        self._body: list[Adam | Muon] = []
        if by_adam:
            self._body.append(Adam(by_adam))
        if by_muon:
            self._body.append(Muon(by_muon))
        self._own = {name: Adam(self.model.own_weights(name)) for name in self.model.task_names}
        self.step = 0
        if self._own[self.model.task_names[0]].weights[0].device.type == "cpu":
            warnings.warn("PyTorch sees no GPU: the processor trains", stacklevel=2)

    @property
    def last_checkpoint(self) -> str | None:
        """Path of the last checkpoint, if there is one."""
        return checkpoint_files.last(self._folder)

    def restore(self, path: str) -> None:
        """Goes back to a checkpoint."""
        self.step, arrays = checkpoint_files.load(path)
        tensors = {name: torch.from_numpy(array) for name, array in arrays.items()}
        with torch.no_grad():
            for name, weight in self._weights().items():
                weight.copy_(tensors[name])
        for name, optimizer in self._optimizers().items():
            optimizer.load(_without_prefix(name, tensors))

    def save(self) -> None:
        """Writes a checkpoint."""
        tensors = self._weights()
        for name, optimizer in self._optimizers().items():
            tensors |= {f"{name}.{key}": value for key, value in optimizer.state().items()}
        arrays = {name: tensor.cpu().numpy() for name, tensor in tensors.items()}
        checkpoint_files.save(self._folder, self.step, arrays)

    def _weights(self) -> dict[str, torch.Tensor]:
        networks = {"weights": self.model, "average": self.average}
        return {
            f"{name}.{i}": weight.value.detach()
            for name, network in networks.items()
            for i, weight in enumerate(network.trainable_variables)
        }

    def _optimizers(self) -> dict[str, "Adam | Muon"]:
        return {f"optimizer.{i}": each for i, each in enumerate((*self._body, *self._own.values()))}

    def feed(self) -> None:
        """Starts to make the batches of the steps that are still to be done."""
        self._stream = feeding.host_batches(self._source, self.model, self._recipe, self.step)

    def train(self, task: str, learning_rate: float, ema: float) -> tuple[float, float]:
        """Takes one step of a task; returns its loss and the norm of its gradient."""
        loss = 0.0
        for inputs, targets in itertools.islice(self._stream, self._recipe.accumulate):
            part = self._loss(task, inputs, targets) / self._recipe.accumulate
            part.backward()
            loss += float(part.detach())
        norm = self._move([*self._body, self._own[task]], learning_rate)
        self._follow(ema)
        self.step += 1
        return loss, norm

    def _loss(self, task: str, inputs: np.ndarray, targets: np.ndarray) -> torch.Tensor:
        restored, tokens = self.model.restore_with_tokens(inputs, task, training=True)
        loss = losses.l1(restored, keras.ops.convert_to_tensor(targets))
        if self._recipe.contrastive:
            contrast = losses.CONTRASTIVE[self._recipe.contrastive_form](tokens)
            loss = loss + self._recipe.contrastive * contrast
        return loss

    def _move(self, optimizers: list["Adam | Muon"], learning_rate: float) -> float:
        weights = [weight for optimizer in optimizers for weight in optimizer.weights]
        clip_norm = math.inf if self._recipe.clip_norm is None else self._recipe.clip_norm
        norm = torch.nn.utils.clip_grad_norm_(weights, clip_norm)
        for optimizer in optimizers:
            optimizer.apply(learning_rate)
        return float(norm)

    @torch.no_grad()
    def _follow(self, ema: float) -> None:
        """Moves the average towards the weights."""
        for mean, weight in zip(
            self.average.trainable_variables, self.model.trainable_variables, strict=True
        ):
            mean.value.lerp_(weight.value, 1 - ema)

    def agree(self, number: Callable[[], int], what: str) -> None:
        """One process agrees with itself."""


class Adam:
    """PyTorch's Adam for one group of weights, which counts its own steps, with TensorFlow's epsilon.

    Args:
        weights: Keras variables.
    """

    def __init__(self, weights: list):
        self.weights = [weight.value for weight in weights]
        self._adam = torch.optim.Adam(self.weights, betas=(BETA_1, BETA_2))
        self._steps = 0

    def apply(self, learning_rate: float) -> None:
        """Moves the weights by their gradients, and forgets these."""
        self._steps += 1
        (group,) = self._adam.param_groups
        group["lr"] = learning_rate
        # Ours is added to the root of the moment as it is ("epsilon hat" of the paper), theirs to the corrected one.
        group["eps"] = EPSILON / math.sqrt(1 - BETA_2**self._steps)
        self._adam.step()
        self._adam.zero_grad()

    def state(self) -> dict[str, torch.Tensor]:
        """Returns what a checkpoint keeps."""
        moments = self._adam.state_dict()["state"]
        tensors = {f"{i}.{name}": value for i, each in moments.items() for name, value in each.items()}
        return {"steps": torch.tensor(self._steps), **tensors}

    def load(self, tensors: dict[str, torch.Tensor]) -> None:
        """Takes what `state` returned."""
        self._steps = int(tensors["steps"])
        moments = {
            i: _without_prefix(str(i), tensors) for i in range(len(self.weights) if self._steps else 0)
        }
        groups = self._adam.state_dict()["param_groups"]
        self._adam.load_state_dict({"state": moments, "param_groups": groups})


class Muon:
    """Muon (`ipt_tf.training.muon`) for matrices.

    Args:
        weights: Keras variables of two axes.
    """

    def __init__(self, weights: list):
        self.weights = [weight.value for weight in weights]
        self._momenta = [torch.zeros_like(weight) for weight in self.weights]

    @torch.no_grad()
    def apply(self, learning_rate: float) -> None:
        """Moves the weights by their gradients, and forgets these."""
        for i, weight in enumerate(self.weights):
            self._momenta[i], step = muon.step(self._momenta[i], weight.grad)
            weight.sub_(learning_rate * step)
            weight.grad = None

    def state(self) -> dict[str, torch.Tensor]:
        """Returns what a checkpoint keeps."""
        return {str(i): momentum for i, momentum in enumerate(self._momenta)}

    def load(self, tensors: dict[str, torch.Tensor]) -> None:
        """Takes what `state` returned."""
        self._momenta = [tensors[str(i)].to(weight.device) for i, weight in enumerate(self.weights)]


def _without_prefix(prefix: str, tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Returns the tensors whose names begin with `prefix.`, by what follows."""
    start = f"{prefix}."
    return {name.removeprefix(start): value for name, value in tensors.items() if name.startswith(start)}
