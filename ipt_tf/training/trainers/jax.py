"""Training on Keras's JAX backend: photographs, degradations, network and optimizers in the device's memory.

Two programs a step: one makes the batch of a task from photographs that lie on the device, one computes the gradient
and moves the weights, which stay where they are. Tasks of one scale share the second. Python only starts them, and
waits for neither.
"""

import functools
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import keras
import numpy as np
from jax.sharding import NamedSharding, PartitionSpec

from ipt_tf.data import Photographs, Source, album
from ipt_tf.data.album import Album
from ipt_tf.model import checkpoints
from ipt_tf.model.ipt import IPT
from ipt_tf.tasks import Task
from ipt_tf.training import checkpoint_files, feeding, losses, muon
from ipt_tf.training.recipes import BETA_1, BETA_2, EPSILON, Recipe
from ipt_tf.training.run_folder import RunError

Arrays = list[jax.Array]


def devices(name: str) -> list[jax.Device]:
    """Returns the devices of a strategy: `"one"`, `"mirrored"` (all of this machine), or `"auto"`, all GPUs or one CPU.

    Raises:
        RunError: there is no such strategy on JAX.
    """
    found = jax.local_devices()
    if name == "mirrored" or (name == "auto" and found[0].platform != "cpu"):
        return found
    if name not in ("auto", "one"):
        raise RunError(
            f"strategy {name} needs TensorFlow; on Keras's JAX backend there are auto, one and mirrored"
        )
    return found[:1]


class ByAdam(NamedTuple):
    """Weights that Adam moves, their moving average, and what it remembers of them."""

    weights: Arrays
    average: Arrays
    first_moments: Arrays
    second_moments: Arrays
    steps: jax.Array


class ByMuon(NamedTuple):
    """Matrices that Muon moves, their moving average and momenta."""

    weights: Arrays
    average: Arrays
    momenta: Arrays


class Body(NamedTuple):
    """What all tasks share."""

    matrices: ByMuon
    others: ByAdam


class Jax:
    """What trains a copy of a model on the devices that JAX has. A `ipt_tf.training.loop.Trainer`.

    Every device holds the weights and all photographs, and computes its share of every batch.

    Args:
        start: the model with the weights to start from.
        source: examples to train on.
        recipe: how to train.
        folder: of the checkpoints.
        devices: where to train; JAX's first one by default.

    Raises:
        RunError: the batch cannot be dealt out, or the data need TensorFlow.
    """

    is_chief = True
    lost: tuple[type[Exception], ...] = ()

    def __init__(
        self,
        start: IPT,
        source: Source,
        recipe: Recipe,
        folder: Path,
        devices: Sequence[jax.Device] | None = None,
    ):
        devices = list(devices or jax.local_devices()[:1])
        if recipe.batch_size % (recipe.accumulate * len(devices)):
            raise RunError(
                f"a batch of {recipe.batch_size} patches cannot be dealt into {recipe.accumulate} micro-batches for"
                f" {len(devices)} devices"
            )
        mesh = jax.sharding.Mesh(np.array(devices), ("batch",))
        self._everywhere = NamedSharding(mesh, PartitionSpec())
        self._dealt = NamedSharding(mesh, PartitionSpec(None, "batch"))
        self._source, self._recipe, self._folder = feeding.from_folders(source), recipe, folder
        keras.utils.set_random_seed(recipe.seed)
        with keras.device("cpu"):  # a GPU would have every small operation compiled that makes a weight
            self.model = checkpoints.copy(start, recipe.precision)
            self._averaged = checkpoints.copy(start)
        self.model.body.rematerialise = recipe.rematerialise
        self.step = 0
        self._take_weights()

    def _take_weights(self) -> None:
        """Copies the model's weights to the devices, grouped by what moves them."""
        by_muon, by_adam = muon.divided(self.model.body, self._recipe)
        moved = {id(variable) for variable in by_muon + by_adam}
        self._variables = {"matrices": by_muon, "others": by_adam}
        frozen = [each for each in self.model.body.trainable_variables if id(each) not in moved]
        self._frozen_variables, self._frozen = frozen, self._arrays(frozen)
        self._body = Body(self._by_muon(by_muon), self._by_adam(by_adam))
        self._own = {name: self._by_adam(self.model.own_weights(name)) for name in self.model.task_names}
        # What the averages of tasks that were idle still have to catch up, as a factor of their distance.
        self._idle = dict.fromkeys(self.model.task_names, 1.0)

    def _arrays(self, variables: list) -> Arrays:
        return [self._put(keras.ops.convert_to_numpy(variable)) for variable in variables]

    def _zeros(self, variables: list) -> Arrays:
        return [self._put(np.zeros(variable.shape, np.float32)) for variable in variables]

    def _put(self, array: Any) -> jax.Array:
        return jax.device_put(array, self._everywhere)

    def _by_adam(self, variables: list) -> ByAdam:
        values, moments = (self._arrays, self._zeros)
        steps = self._put(np.int32(0))
        return ByAdam(values(variables), values(variables), moments(variables), moments(variables), steps)

    def _by_muon(self, variables: list) -> ByMuon:
        return ByMuon(self._arrays(variables), self._arrays(variables), self._zeros(variables))

    @property
    def average(self) -> IPT:
        """The model of the moving average of the weights as they are now."""
        model, state = self._averaged, jax.device_get(self._state)
        by_muon, by_adam = muon.divided(model.body, self._recipe)
        found = [*zip(by_muon, state["body"].matrices.average, strict=True)]
        found += zip(by_adam, state["body"].others.average, strict=True)
        for name, own in state["own"].items():
            averages = _caught_up(own, state["idle"][name])
            found += zip(model.own_weights(name), averages, strict=True)
        for variable, value in found:
            variable.assign(value)
        return model

    @property
    def last_checkpoint(self) -> str | None:
        """Path of the last checkpoint, if there is one."""
        return checkpoint_files.last(self._folder)

    @property
    def _state(self) -> dict[str, Any]:
        return {"body": self._body, "own": self._own, "idle": self._idle}

    def save(self) -> None:
        """Writes a checkpoint."""
        leaves = jax.tree_util.tree_leaves_with_path(self._state)
        tensors = {jax.tree_util.keystr(path): np.array(leaf) for path, leaf in leaves}
        checkpoint_files.save(self._folder, self.step, tensors)

    def restore(self, path: str) -> None:
        """Goes back to a checkpoint."""
        self.step, tensors = checkpoint_files.load(path)
        leaves, structure = jax.tree_util.tree_flatten_with_path(self._state)
        arrays = [tensors[jax.tree_util.keystr(place)] for place, _ in leaves]
        state = jax.tree_util.tree_unflatten(structure, arrays)
        self._body, self._own = (jax.tree_util.tree_map(self._put, state[name]) for name in ("body", "own"))
        self._idle = {name: float(late) for name, late in state["idle"].items()}

    def feed(self) -> None:
        """Compiles the programs, and prepares the batches of the steps that are still to be done."""
        self._album = self._photographs()
        if self._album is None:
            self._stream = feeding.host_batches(self._source, self.model, self._recipe, self.step)
        self._compile()

    def _photographs(self) -> Album | None:
        """Returns the photographs on the device; None for pairs, for more than fit, and for tasks that need NumPy."""
        if not isinstance(self._source, Photographs) or not all(map(_runs_on_devices, self.model.tasks)):
            return None
        collected = album.collect(self._source.pictures())
        return None if collected is None else Album(*map(self._put, collected))

    def _compile(self) -> None:
        """Compiles all programs side by side: a step for each scale, a batch for each task."""
        first_of_scale = {task.scale: task for task in reversed(self.model.tasks)}
        tracing = threading.Lock()

        def compiled(job: Callable[[], Any]) -> Any:
            with tracing:
                lowered = job()
            return lowered.compile()

        steps = [functools.partial(self._lower_step, task) for task in first_of_scale.values()]
        makers = [functools.partial(self._lower_maker, task) for task in self.model.tasks if self._album]
        with ThreadPoolExecutor(len(steps) + len(makers)) as pool:
            programs = list(pool.map(compiled, steps + makers))
        self._steps = dict(zip(first_of_scale, programs, strict=False))
        self._makers = dict(
            zip((task.name for task in self.model.tasks), programs[len(steps) :], strict=False)
        )

    # --- the program that makes a batch -------------------------------------------------------------------------

    def _lower_maker(self, task: Task):
        make = functools.partial(
            make_batch,
            task=task,
            patch_size=self.model.patch_size,
            shape=self._batch_shape,
            seed=self._recipe.seed,
        )
        return jax.jit(make, out_shardings=self._dealt).lower(self._album, np.int32(0))

    @property
    def _batch_shape(self) -> tuple[int, int]:
        return self._recipe.accumulate, self._recipe.batch_size // self._recipe.accumulate

    # --- the program that takes a step --------------------------------------------------------------------------

    def _lower_step(self, task: Task):
        side = self.model.patch_size
        batches = (
            jax.ShapeDtypeStruct(
                (*self._batch_shape, side * scale, side * scale, 3), np.float32, sharding=self._dealt
            )
            for scale in (1, task.scale)
        )
        number = jax.ShapeDtypeStruct((), np.float32)
        step = jax.jit(functools.partial(self._take_step, task.name), donate_argnums=(0, 1))
        return step.lower(self._body, self._own[task.name], self._frozen, *batches, number, number, number)

    def _take_step(self, task, body, own, frozen, inputs, targets, learning_rate, ema, late):
        """Returns the moved body and own weights of a task, the loss, and the norm of its gradient."""
        weights = {"matrices": body.matrices.weights, "others": body.others.weights, "own": own.weights}
        loss, gradients = self._loss_and_gradients(task, weights, frozen, inputs, targets)
        norm = jnp.sqrt(sum(jnp.sum(jnp.square(each)) for each in jax.tree_util.tree_leaves(gradients)))
        if self._recipe.clip_norm is not None:
            shrink = jnp.minimum(1.0, self._recipe.clip_norm / norm)
            gradients = jax.tree_util.tree_map(lambda each: each * shrink, gradients)
        own = own._replace(average=_caught_up(own, late))
        body = Body(
            move_by_muon(body.matrices, gradients["matrices"], learning_rate),
            move_by_adam(body.others, gradients["others"], learning_rate),
        )
        body = Body(*(_follow(group, ema) for group in body))
        own = _follow(move_by_adam(own, gradients["own"], learning_rate), ema)
        return body, own, loss, norm

    def _loss_and_gradients(self, task, weights, frozen, inputs, targets):
        """Returns the mean over the micro-batches (first axis) of the loss and of its gradient."""

        def of_batch(batch):
            return jax.value_and_grad(self._loss, argnums=1)(task, weights, frozen, *batch)

        def add(total, batch):
            return jax.tree_util.tree_map(jnp.add, total, of_batch(batch)), None

        count = inputs.shape[0]
        if count == 1:
            return of_batch((inputs[0], targets[0]))
        nothing = jax.tree_util.tree_map(jnp.zeros_like, (jnp.float32(0), weights))
        total, _ = jax.lax.scan(add, nothing, (inputs, targets))
        return jax.tree_util.tree_map(lambda each: each / count, total)

    def _loss(self, task, weights, frozen, inputs, targets):
        """Equation 6 of the paper, with the given weights in place of the model's."""
        variables = {**self._variables, "own": self.model.own_weights(task)}
        mapping = [*zip(self._frozen_variables, frozen, strict=True)]
        for name, group in variables.items():
            mapping += zip(group, weights[name], strict=True)
        with keras.StatelessScope(state_mapping=mapping):
            restored, tokens = self.model.restore_with_tokens(inputs, task, training=True)
        loss = losses.l1(restored, targets)
        if self._recipe.contrastive:
            contrast = losses.CONTRASTIVE[self._recipe.contrastive_form](tokens)
            loss = loss + self._recipe.contrastive * contrast
        return loss

    def train(self, task: str, learning_rate: float, ema: float) -> tuple[jax.Array, jax.Array]:
        """Begins one step of a task; returns its loss and the norm of its gradient, which may still be computed."""
        inputs, targets = self._batch(task)
        late = self._idle[task]
        numbers = map(np.float32, (learning_rate, ema, late))
        step = self._steps[self.model.task(task).scale]
        self._body, self._own[task], loss, norm = step(
            self._body, self._own[task], self._frozen, inputs, targets, *numbers
        )
        self._idle = {name: 1.0 if name == task else factor * ema for name, factor in self._idle.items()}
        self.step += 1
        return loss, norm

    def _batch(self, task: str) -> tuple[jax.Array, jax.Array]:
        if self._album is not None:
            return self._makers[task](self._album, np.int32(self.step))
        parts = [next(self._stream) for _ in range(self._recipe.accumulate)]
        inputs, targets = (jax.device_put(np.stack(part), self._dealt) for part in zip(*parts, strict=True))
        return inputs, targets

    def agree(self, number: Callable[[], int], what: str) -> None:
        """One process agrees with itself."""


class Draws:
    """Random numbers of a batch on the device: each example's are a function of its key alone.

    Args:
        keys: (B,), of `jax.random`.
    """

    def __init__(self, keys: jax.Array):
        self._keys = keys
        self._count = 0

    def standard_normal(self, size: tuple) -> jax.Array:
        """Draws from the normal distribution with mean 0 and variance 1, float32."""
        return self._draw(jax.random.normal, size)

    def random(self, size: tuple) -> jax.Array:
        """Draws uniformly from [0, 1), float32."""
        return self._draw(jax.random.uniform, size)

    def _draw(self, kind: Callable, size: tuple) -> jax.Array:
        self._count += 1
        count = self._count
        return jax.vmap(lambda key: kind(jax.random.fold_in(key, count), tuple(size[1:])))(self._keys)


def make_batch(photographs: Album, step, *, task: Task, patch_size: int, shape: tuple[int, int], seed: int):
    """Returns the (inputs, targets) of a task at a step, a function of (seed, step) alone.

    Args:
        photographs: to take crops from.
        step: number of the step, int32.
        task: whose degradation makes the inputs.
        patch_size: side P of an input, pixels.
        shape: (micro-batches, examples in each).
        seed: of the run.

    Returns:
        (*shape, P, P, 3) and (*shape, sP, sP, 3), float32, 0..255, for the scale s.
    """
    key = jax.random.fold_in(jax.random.key(seed), step)
    count = shape[0] * shape[1]
    rng = Draws(jax.vmap(functools.partial(jax.random.fold_in, key))(jnp.arange(count)))
    clean = album.crops(photographs, rng.random((count, 6)), patch_size * task.scale)
    with jax.default_matmul_precision("float32"):  # else GPUs shorten the factors to 11 bits
        pairs = (task.make_input(clean, rng), clean)
    return tuple(jnp.reshape(each, (*shape, *each.shape[1:])) for each in pairs)


def _runs_on_devices(task: Task) -> bool:
    """Whether a task's degradation is written in operations that JAX can compile; Photographs degrade by no others."""
    side = 48 * task.scale
    draws = jax.ShapeDtypeStruct((1,), jax.random.key(0).dtype)
    clean = jax.ShapeDtypeStruct((1, side, side, 3), np.float32)
    try:
        jax.eval_shape(lambda clean, keys: task.make_input(clean, Draws(keys)), clean, draws)
    except jax.errors.JAXTypeError:  # NumPy was asked to compute with what only the device will know
        return False
    return True


def move_by_adam(group: ByAdam, gradients: Arrays, learning_rate) -> ByAdam:
    """Adam (Kingma & Ba 2015), with its epsilon added to the root of the moment as it is."""
    steps = group.steps + 1
    rate = learning_rate * jnp.sqrt(1 - BETA_2**steps) / (1 - BETA_1**steps)
    first = [BETA_1 * m + (1 - BETA_1) * g for m, g in zip(group.first_moments, gradients, strict=True)]
    second = [
        BETA_2 * v + (1 - BETA_2) * jnp.square(g)
        for v, g in zip(group.second_moments, gradients, strict=True)
    ]
    weights = [
        w - rate * m / (jnp.sqrt(v) + EPSILON) for w, m, v in zip(group.weights, first, second, strict=True)
    ]
    return ByAdam(weights, group.average, first, second, steps)


def move_by_muon(group: ByMuon, gradients: Arrays, learning_rate) -> ByMuon:
    """Muon (`ipt_tf.training.muon`), of all matrices of one shape at once."""
    weights, momenta = list(group.weights), list(group.momenta)
    shapes = [weight.shape for weight in weights]
    for shape in sorted(set(shapes)):
        same = [i for i, each in enumerate(shapes) if each == shape]
        stacked = (jnp.stack([arrays[i] for i in same]) for arrays in (momenta, gradients))
        moved, steps = jax.vmap(muon.step)(*stacked)
        for place, i in enumerate(same):
            momenta[i], weights[i] = moved[place], weights[i] - learning_rate * steps[place]
    return ByMuon(weights, group.average, momenta)


def _caught_up(group: ByAdam, late) -> Arrays:
    """Returns the average after steps in which the weights stayed, and its distance from them shrank by `late`."""
    return [w + (mean - w) * late for mean, w in zip(group.average, group.weights, strict=True)]


def _follow(group, ema):
    """Moves the average of a group towards its weights."""
    return group._replace(
        average=[mean + (1 - ema) * (w - mean) for mean, w in zip(group.average, group.weights, strict=True)]
    )
