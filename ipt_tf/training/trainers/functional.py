"""Training where a step is a pure function: of the weights, what is remembered of them, and a batch.

It is written in Keras's operations. JAX and PyTorch add how to differentiate it, and on which devices it runs.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
from keras import ops

from ipt_tf.data import Source, album
from ipt_tf.data.examples import examples
from ipt_tf.data.feed import Feed
from ipt_tf.data.sampling import micro_batches
from ipt_tf.model import checkpoints
from ipt_tf.model.ipt import IPT
from ipt_tf.tasks import Task
from ipt_tf.training import checkpoint_files, losses, moves, muon
from ipt_tf.training.moves import Body, ByAdam, ByMuon, Tensor, Tensors
from ipt_tf.training.recipes import Recipe


class Functional(ABC):
    """What trains a copy of a model. A `ipt_tf.training.loop.Trainer`.

    Args:
        start: Model with the weights to start from.
        source: Pictures to train on.
        recipe: How to train.
        folder: Folder of the checkpoints.
    """

    is_chief = True
    lost: tuple[type[Exception], ...] = ()
    _share = 0, 1  # which of how many processes this is

    def __init__(self, start: IPT, source: Source, recipe: Recipe, folder: Path):
        self._source, self._recipe, self._folder = source, recipe, folder
        keras.utils.set_random_seed(recipe.seed)
        self.model = checkpoints.copy(start, recipe.precision)
        self._averaged = checkpoints.copy(start)
        self.model.body.rematerialise = recipe.rematerialise
        self.step = 0
        self._take_weights()

    @abstractmethod
    def _put(self, array: np.ndarray) -> Tensor:
        """Copies an array to where the training is."""

    def _take_weights(self) -> None:
        """Copies the model's weights, grouped by what moves them."""
        by_muon, by_adam = muon.divided(self.model.body, self._recipe)
        moved = {id(variable) for variable in by_muon + by_adam}
        self._variables = {"matrices": by_muon, "others": by_adam}
        frozen = [each for each in self.model.body.trainable_variables if id(each) not in moved]
        self._frozen_variables, self._frozen = frozen, self._values(frozen)
        matrices = ByMuon(self._values(by_muon), self._values(by_muon), self._zeros(by_muon))
        self._body = Body(matrices, self._by_adam(by_adam))
        self._own = {name: self._by_adam(self.model.own_weights(name)) for name in self.model.task_names}
        # What the averages of tasks that were idle still have to catch up, as a factor of their distance.
        self._idle = dict.fromkeys(self.model.task_names, 1.0)

    def _values(self, variables: list) -> Tensors:
        return [self._put(ops.convert_to_numpy(variable)) for variable in variables]

    def _zeros(self, variables: list) -> Tensors:
        return [self._put(np.zeros(variable.shape, np.float32)) for variable in variables]

    def _by_adam(self, variables: list) -> ByAdam:
        values, moments = self._values, self._zeros
        steps = self._put(np.array(0, np.int32))
        return ByAdam(values(variables), values(variables), moments(variables), moments(variables), steps)

    @property
    def average(self) -> IPT:
        """The model of the moving average of the weights as they are now."""
        model = self._averaged
        by_muon, by_adam = muon.divided(model.body, self._recipe)
        found = [*zip(by_muon, self._body.matrices.average, strict=True)]
        found += zip(by_adam, self._body.others.average, strict=True)
        for name, own in self._own.items():
            averages = moves.caught_up(own, self._idle[name]).average
            found += zip(model.own_weights(name), averages, strict=True)
        for variable, value in found:
            variable.assign(ops.convert_to_numpy(value))
        return model

    @property
    def last_checkpoint(self) -> str | None:
        """Path of the last checkpoint, if there is one."""
        return checkpoint_files.last(self._folder)

    @property
    def _state(self) -> dict[str, Any]:
        return {"body": self._body, "own": self._own, "idle": self._idle}

    def save(self) -> None:
        """Writes a checkpoint; the chief's is that of all."""
        if not self.is_chief:
            return
        leaves = enumerate(keras.tree.flatten(self._state))
        tensors = {str(place): np.array(ops.convert_to_numpy(leaf)) for place, leaf in leaves}
        checkpoint_files.save(self._folder, self.step, tensors)

    def restore(self, path: str) -> None:
        """Goes back to a checkpoint."""
        self.step, tensors = checkpoint_files.load(path)
        arrays = [tensors[str(place)] for place in range(len(tensors))]
        state = keras.tree.pack_sequence_as(self._state, arrays)
        self._body, self._own = (keras.tree.map_structure(self._put, state[name]) for name in ("body", "own"))
        self._idle = {name: float(late) for name, late in state["idle"].items()}

    def feed(self, log: Callable[[str], None] = print) -> None:
        """Starts to prepare the batches of the steps that are still to be done."""
        model, recipe = self.model, self._recipe
        self._feed = Feed(self._source, model.tasks, model.patch_size, recipe.seed, log)
        self._pixels = None if self._feed.album is None else self._put(self._feed.give_pixels())
        self._stream = self._feed.stream(
            micro_batches(
                model.tasks, recipe.batch_size, recipe.seed, self.step, recipe.accumulate, self._share
            )
        )

    def _next(self) -> list[np.ndarray]:
        """Returns the words of the positions of the step's examples, and their walks or crops, by micro-batch."""
        parts = [next(self._stream)[1:] for _ in range(self._recipe.accumulate)]
        return [np.stack(part) for part in zip(*parts, strict=True)]

    def _examples(
        self, task: Task, pixels: Tensor, positions: Tensor, *parts: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Returns the (inputs, targets) of a micro-batch."""
        if pixels is not None:
            parts = (album.crops(pixels, parts[0], self.model.patch_size * task.scale),)
        return examples(task, self._recipe.seed, positions, parts)

    @staticmethod
    def _weights(body: Body, own: ByAdam) -> dict[str, Tensors]:
        """Returns the weights that a step of a task moves."""
        return {"matrices": body.matrices.weights, "others": body.others.weights, "own": own.weights}

    def _with(self, task: str, weights: dict[str, Tensors], frozen: Tensors) -> keras.StatelessScope:
        """Returns a scope in which the model has the given weights in place of its own."""
        variables = {**self._variables, "own": self.model.own_weights(task)}
        mapping = [*zip(self._frozen_variables, frozen, strict=True)]
        for name, group in variables.items():
            mapping += zip(group, weights[name], strict=True)
        return keras.StatelessScope(state_mapping=mapping)

    def _loss(self, task: str, inputs: Tensor, targets: Tensor) -> Tensor:
        restored, tokens = self.model.restore_with_tokens(inputs, task, training=True)
        return losses.of_step(restored, targets, tokens, self._recipe)

    def _moved(
        self,
        body: Body,
        own: ByAdam,
        gradients: dict[str, Tensors],
        learning_rate: Tensor,
        ema: Tensor,
        late: Tensor,
    ) -> tuple[Body, ByAdam, Tensor]:
        """Returns the moved body and own weights of a task, and the norm that the gradient had."""
        gradients, norm = moves.clipped(gradients, self._recipe.clip_norm)
        matrices = moves.by_muon(body.matrices, gradients["matrices"], learning_rate)
        others = moves.by_adam(body.others, gradients["others"], learning_rate)
        own = moves.by_adam(moves.caught_up(own, late), gradients["own"], learning_rate)
        matrices, others, own = (moves.follow(group, ema) for group in (matrices, others, own))
        return Body(matrices, others), own, norm

    def train(self, task: str, learning_rate: float, ema: float) -> tuple[Tensor, Tensor]:
        """Begins one step of a task; returns its loss and the norm of its gradient, which may still be computed."""
        numbers = (np.float32(number) for number in (learning_rate, ema, self._idle[task]))
        self._body, self._own[task], loss, norm = self._take_step(task, *numbers)
        self._idle = {name: 1.0 if name == task else factor * ema for name, factor in self._idle.items()}
        self.step += 1
        return loss, norm

    @abstractmethod
    def _take_step(
        self, task: str, learning_rate: np.float32, ema: np.float32, late: np.float32
    ) -> tuple[Body, ByAdam, Tensor, Tensor]:
        """Returns the moved body and own weights, the loss, and the norm of the gradient, of the next examples."""

    def agree(self, number: Callable[[], int], what: str) -> None:
        """One process agrees with itself."""
        return
