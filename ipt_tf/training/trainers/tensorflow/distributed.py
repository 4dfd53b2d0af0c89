"""Training by TensorFlow, under whatever tf.distribute strategy: networks, optimizers, batches and checkpoints."""

from collections.abc import Callable
from pathlib import Path

import keras
import tensorflow as tf

from ipt_tf.data import Source, pipeline
from ipt_tf.data.feed import Feed
from ipt_tf.model import checkpoints
from ipt_tf.model.ipt import IPT
from ipt_tf.training.recipes import Recipe
from ipt_tf.training.trainers.tensorflow import strategies
from ipt_tf.training.trainers.tensorflow.optimizers import TaskOptimizers
from ipt_tf.training.trainers.tensorflow.step import Step


class Distributed:
    """What trains a copy of a model on the replicas of a strategy. A `ipt_tf.training.loop.Trainer`.

    Args:
        start: the model with the weights to start from.
        source: examples to train on.
        recipe: how to train.
        folder: of the checkpoints, which all workers share.
        strategy: from `ipt_tf.training.trainers.tensorflow.strategies.make`; one device by default.
    """

    def __init__(
        self,
        start: IPT,
        source: Source,
        recipe: Recipe,
        folder: Path,
        strategy: tf.distribute.Strategy | None = None,
    ):
        self._strategy = strategy or tf.distribute.get_strategy()
        self._source, self._recipe = source, recipe
        self.is_chief = strategies.is_chief(self._strategy)
        alone = strategies.count_workers(self._strategy) == 1
        self.lost: tuple[type[Exception], ...] = () if alone else strategies.LOST
        with self._strategy.scope():
            keras.utils.set_random_seed(recipe.seed)
            self.model = checkpoints.copy(start, recipe.precision)
            self.model.body.rematerialise = recipe.rematerialise
            self.average = checkpoints.copy(start)
            self._optimizers = TaskOptimizers(self.model, recipe)
            self._position = tf.Variable(0, dtype=tf.int64, trainable=False)
            self._steps = {
                name: Step(self.model, self.average, name, self._optimizers, recipe)
                for name in self.model.task_names
            }
        self._manager = tf.train.CheckpointManager(self._checkpoint(), folder, max_to_keep=2)

    @property
    def step(self) -> int:
        """Steps done."""
        return int(self._position.numpy())

    @property
    def last_checkpoint(self) -> str | None:
        """Path of the last checkpoint, if there is one."""
        return self._manager.latest_checkpoint

    def _checkpoint(self) -> tf.train.Checkpoint:
        return tf.train.Checkpoint(
            weights=[weight.value for weight in self.model.trainable_variables],
            average=[weight.value for weight in self.average.trainable_variables],
            moments=self._optimizers.state,
            step=self._position,
        )

    def restore(self, path: str) -> None:
        """Goes back to a checkpoint."""
        self._manager.checkpoint.restore(path).assert_existing_objects_matched()

    def save(self) -> None:
        """Writes a checkpoint; the chief's is that of all."""
        if self.is_chief:
            self._manager.save()

    def feed(self, log: Callable[[str], None] = print) -> None:
        """Starts to make the batches of the steps that are still to be done."""
        first, replicas = self.step, self._strategy.num_replicas_in_sync
        feed = Feed(self._source, self.model.tasks, self.model.patch_size, self._recipe.seed, log)

        def of_worker(context: tf.distribute.InputContext) -> tf.data.Dataset:
            return pipeline.crops(
                feed,
                batch_size=self._recipe.batch_size,
                first_step=first,
                accumulate=self._recipe.accumulate,
                replicas=replicas,
                share=(context.input_pipeline_id, context.num_input_pipelines),
            )

        self._stream = iter(self._strategy.distribute_datasets_from_function(of_worker))

    def train(self, task: str, learning_rate: float, ema: float) -> tuple[tf.Tensor, tf.Tensor]:
        """Begins one step of a task; returns its loss and the norm of its gradient, which may still be computed."""
        loss, norm = self._steps[task](self._stream, learning_rate, ema)
        self._position.assign_add(1)
        return loss, norm

    def agree(self, number: Callable[[], int], what: str) -> None:
        """Checks that all workers return the same; see `ipt_tf.training.trainers.tensorflow.strategies.agree`."""
        strategies.agree(self._strategy, number, what)
