"""Training on Keras's JAX backend: photographs, degradations, network and optimizers in the devices' memory.

Two programs a step: one makes the batch of a task from photographs that lie on the device, one computes the gradient
and moves the weights, which stay where they are. Tasks of one scale share the second. Python only starts them, and
waits for neither.
"""

import functools
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.experimental import multihost_utils
from jax.sharding import NamedSharding, PartitionSpec

from ipt_tf.data import Source
from ipt_tf.data.feed import on_processor
from ipt_tf.model.ipt import IPT
from ipt_tf.tasks import Task
from ipt_tf.training import cluster
from ipt_tf.training.moves import Body, ByAdam
from ipt_tf.training.recipes import Recipe
from ipt_tf.training.run_folder import RunError
from ipt_tf.training.trainers.functional import Functional

STRATEGIES = ("auto", "one", "mirrored", "workers")


def devices(name: str, timeout: float = 300.0) -> list[jax.Device]:
    """Returns the devices of a strategy; the first thing that a process asks of JAX.

    Args:
        name: `"one"` device; `"mirrored"`, all of this machine; `"workers"`, all of the processes that the environment
            variable TF_CONFIG lists, of which the first one's address is where they meet; or `"auto"`: workers if
            TF_CONFIG is set, else all GPUs, or one processor.
        timeout: Seconds to wait for workers that have not been started.

    Raises:
        RunError: There is no such strategy on JAX, or workers that cannot be found.
    """
    if name not in STRATEGIES:
        raise RunError(
            f"strategy {name} needs TensorFlow; on Keras's JAX backend there are {', '.join(STRATEGIES)}"
        )
    if name == "workers" or (name == "auto" and cluster.is_set()):
        return _of_workers(timeout)
    found = jax.local_devices()
    return found if name == "mirrored" or (name == "auto" and found[0].platform != "cpu") else found[:1]


def _of_workers(timeout: float) -> list[jax.Device]:
    addresses, index = cluster.workers()
    jax.config.update("jax_enable_recoverability", True)  # else JAX ends the process where another is lost
    with cluster.gathered(addresses, index, timeout) as door:
        if index == 0:
            door.close()  # JAX listens here
        jax.distributed.initialize(addresses[0], len(addresses), index)
    return jax.devices()


class Jax(Functional):
    """What trains a copy of a model on the devices that JAX has. A `ipt_tf.training.loop.Trainer`.

    Every device holds the weights and all photographs, and computes its share of every batch. The devices may be
    those of several processes, which then all run the same programs.

    Args:
        start: Model with the weights to start from.
        source: Pictures to train on.
        recipe: How to train.
        folder: Folder of the checkpoints.
        devices: Where to train; JAX's first one by default.

    Raises:
        RunError: The batch cannot be dealt out.
    """

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
        self._share = jax.process_index(), len({device.process_index for device in devices})
        self.is_chief = self._share[0] == 0
        self.lost = (jax.errors.JaxRuntimeError,) if self._share[1] > 1 else ()
        mesh = jax.sharding.Mesh(np.array(devices), ("batch",))
        self._everywhere = NamedSharding(mesh, PartitionSpec())
        self._dealt = NamedSharding(mesh, PartitionSpec(None, "batch"))
        with on_processor():  # a GPU would have every small operation compiled that makes a weight
            super().__init__(start, source, recipe, folder)

    def _put(self, array: np.ndarray) -> jax.Array:
        array = np.asarray(array)
        return jax.make_array_from_process_local_data(self._everywhere, array, array.shape)

    def _deal(self, array: np.ndarray) -> jax.Array:
        """Copies what there is of each example, (micro-batches, examples, ...), to the device that will compute it."""
        return jax.make_array_from_process_local_data(self._dealt, array)

    def feed(self, log: Callable[[str], None] = print) -> None:
        """Prepares the batches of the steps that are still to be done, and compiles the programs."""
        super().feed(log)
        self._compile()

    def _compile(self) -> None:
        """Compiles all programs side by side: a step for each scale, a batch for each task."""
        first_of_scale = {task.scale: task for task in reversed(self.model.tasks)}
        tracing = threading.Lock()

        def compiled(job: Callable[[], Any]) -> Any:
            with tracing:
                lowered = job()
            return lowered.compile()

        steps = [functools.partial(self._lower_step, task) for task in first_of_scale.values()]
        makers = [functools.partial(self._lower_maker, task) for task in self.model.tasks]
        with ThreadPoolExecutor(len(steps) + len(makers)) as pool:
            programs = list(pool.map(compiled, steps + makers))
        self._steps = dict(zip(first_of_scale, programs, strict=False))
        self._makers = dict(zip(self.model.task_names, programs[len(steps) :], strict=True))

    # --- the program that makes a batch -------------------------------------------------------------------------

    def _lower_maker(self, task: Task) -> Any:
        make = jax.jit(functools.partial(self._make_batch, task), out_shardings=self._dealt)
        size = self._recipe.batch_size // self._recipe.accumulate // self._share[1]
        _, *arrays = self._feed.of_one((self.model.tasks.index(task), range(size)))
        return make.lower(
            self._pixels, *(self._deal(np.stack([a] * self._recipe.accumulate)) for a in arrays)
        )

    def _make_batch(self, task, pixels, positions, *parts):
        """Returns the inputs (accumulate, b, P, P, 3) and targets (accumulate, b, sP, sP, 3) of a step."""
        with jax.default_matmul_precision("float32"):  # else GPUs shorten the factors to 11 bits
            return jax.lax.map(lambda each: self._examples(task, pixels, *each), (positions, *parts))

    # --- the program that takes a step --------------------------------------------------------------------------

    def _lower_step(self, task: Task) -> Any:
        accumulate, side = self._recipe.accumulate, self.model.patch_size
        batches = (
            jax.ShapeDtypeStruct(
                (accumulate, self._recipe.batch_size // accumulate, side * scale, side * scale, 3),
                np.float32,
                sharding=self._dealt,
            )
            for scale in (1, task.scale)
        )
        number = jax.ShapeDtypeStruct((), np.float32)
        step = jax.jit(
            functools.partial(self._step, task.name), donate_argnums=(0, 1), out_shardings=self._everywhere
        )
        return step.lower(self._body, self._own[task.name], self._frozen, *batches, number, number, number)

    def _step(self, task, body, own, frozen, inputs, targets, learning_rate, ema, late):
        """Returns the moved body and own weights of a task, the loss, and the norm of its gradient."""
        weights = self._weights(body, own)
        loss, gradients = self._loss_and_gradients(task, weights, frozen, inputs, targets)
        body, own, norm = self._moved(body, own, gradients, learning_rate, ema, late)
        return body, own, loss, norm

    def _loss_and_gradients(self, task, weights, frozen, inputs, targets):
        """Returns the mean over the micro-batches (first axis) of the loss and of its gradient."""

        def loss_with(weights, batch):
            with self._with(task, weights, frozen):
                return self._loss(task, *batch)

        def add(total, batch):
            found = jax.value_and_grad(loss_with)(weights, batch)
            return jax.tree_util.tree_map(jnp.add, total, found), None

        count = inputs.shape[0]
        if count == 1:
            return jax.value_and_grad(loss_with)(weights, (inputs[0], targets[0]))
        nothing = jax.tree_util.tree_map(jnp.zeros_like, (jnp.float32(0), weights))
        total, _ = jax.lax.scan(add, nothing, (inputs, targets))
        return jax.tree_util.tree_map(lambda each: each / count, total)

    def _take_step(
        self, task: str, learning_rate: np.float32, ema: np.float32, late: np.float32
    ) -> tuple[Body, ByAdam, jax.Array, jax.Array]:
        batch = self._makers[task](self._pixels, *map(self._deal, self._next()))
        step = self._steps[self.model.task(task).scale]
        return step(self._body, self._own[task], self._frozen, *batch, learning_rate, ema, late)

    def train(self, task: str, learning_rate: float, ema: float) -> tuple[jax.Array, jax.Array]:
        """Begins one step of a task; returns its loss and the norm of its gradient, which may still be computed."""
        with self._losing_workers():
            return super().train(task, learning_rate, ema)

    def agree(self, number: Callable[[], int], what: str) -> None:
        """Checks that all processes return the same number; raises RunError on all of them if not."""
        if self._share[1] == 1:
            return
        with self._losing_workers():
            numbers = multihost_utils.process_allgather(np.int32(number()))
        if len(set(numbers.tolist())) > 1:
            raise cluster.differing(what)

    @contextmanager
    def _losing_workers(self) -> Iterator[None]:
        """Makes one kind of error of the two that JAX raises when another worker is gone."""
        try:
            yield
        except ValueError as error:
            if self._share[1] == 1:
                raise
            raise jax.errors.JaxRuntimeError(str(error)) from error
