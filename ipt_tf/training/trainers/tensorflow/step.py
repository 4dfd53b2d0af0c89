"""One training step of one task: gradients on every replica, their sum, one move of the weights."""

from collections.abc import Iterator

import tensorflow as tf

from ipt_tf.data.pipeline import of_task
from ipt_tf.model.ipt import IPT
from ipt_tf.training import losses
from ipt_tf.training.recipes import Recipe
from ipt_tf.training.trainers.tensorflow.optimizers import TaskOptimizers


class Step:
    """The traced step of one task, under the strategy that is current when it is made.

    The loss is equation 6 of the paper, of the global batch: the mean of the replicas' losses, whose contrastive
    part sees everybody's tokens. With `recipe.accumulate` the step is dealt into so many micro-batches; the
    contrastive part then is the mean of theirs. Gradients are summed over the replicas once, and clipped after.

    Args:
        model: network that is trained, made under the strategy.
        average: network whose weights are the moving average of the trained ones, made under the strategy.
        task: name of the task; a Python value, so that other tasks' parts are not in the graph at all.
        optimizers: of the model.
        recipe: how to train.
    """

    def __init__(self, model: IPT, average: IPT, task: str, optimizers: TaskOptimizers, recipe: Recipe):
        self._model, self._average = model, average
        self._task = task
        self._optimizers = optimizers
        self._recipe = recipe
        self._strategy = tf.distribute.get_strategy()
        self._share = 1 / (self._strategy.num_replicas_in_sync * recipe.accumulate)
        # XLA compiles the network alone: not what replicas say to each other.
        self._network = tf.function(self._restore, jit_compile=True) if recipe.xla else self._restore

    def __call__(self, batches: Iterator, learning_rate: float, ema: float) -> tuple[tf.Tensor, tf.Tensor]:
        """Takes the step's batches from `batches` and moves the weights.

        Args:
            batches: iterator of what `ipt_tf.data.pipeline.crops` has of this task, per replica.
            learning_rate: of this step.
            ema: decay of the moving average at this step.

        Returns:
            The loss in grey levels, and the gradient's global norm before it was clipped.
        """
        loss, gradients = self._gradients(*next(batches))
        for _ in range(self._recipe.accumulate - 1):
            loss, gradients = self._add(loss, gradients, *self._gradients(*next(batches)))
        return loss, self._move(gradients, tf.constant(learning_rate), tf.constant(ema))

    @tf.function
    def _gradients(self, task, positions, *crops):
        loss, gradients = self._strategy.run(self._replica_gradients, args=(positions, *crops))
        return self._strategy.reduce("SUM", loss, axis=None), gradients

    def _replica_gradients(self, positions, *crops):
        task = self._model.task(self._task)
        inputs, targets = of_task(task, self._model.patch_size, self._recipe.seed, positions, crops)
        with tf.GradientTape() as tape:
            loss = self._share * self._loss(inputs, targets)
        return loss, tape.gradient(loss, self._optimizers.weights(self._task))

    def _restore(self, inputs):
        return self._model.restore_with_tokens(inputs, self._task, training=True)

    def _loss(self, inputs, targets):
        restored, tokens = self._network(inputs)
        if not self._recipe.contrastive:
            return losses.of_step(restored, targets, tokens, self._recipe)
        replica = tf.distribute.get_replica_context()
        images, *token_shape = tokens.shape
        everyone = replica.all_gather(tokens, axis=0)  # whose gradient goes back to each replica
        everyone = tf.ensure_shape(everyone, (images * replica.num_replicas_in_sync, *token_shape))
        first = replica.replica_id_in_sync_group * images
        return losses.of_step(restored, targets, tokens, self._recipe, everyone, first)

    @tf.function
    def _add(self, loss, gradients, more_loss, more_gradients):
        return loss + more_loss, self._strategy.run(_sums, args=(gradients, more_gradients))

    @tf.function
    def _move(self, gradients, learning_rate, ema):
        gradients, norm = self._strategy.run(self._sum_and_clip, args=(gradients,))
        self._optimizers.apply(self._task, gradients, learning_rate)
        for mean, weight in zip(
            self._average.trainable_variables, self._model.trainable_variables, strict=True
        ):
            self._strategy.extended.update(mean.value, _move_towards, args=(weight.value, ema), group=False)
        return self._strategy.reduce("MEAN", norm, axis=None)

    def _sum_and_clip(self, gradients):
        # A collective sum goes to the device of its tensors, which a function's arguments do not have.
        gradients = [tf.identity(gradient) for gradient in gradients]
        gradients = tf.distribute.get_replica_context().all_reduce("SUM", gradients)
        norm = tf.linalg.global_norm(gradients)
        if self._recipe.clip_norm is not None:
            gradients, _ = tf.clip_by_global_norm(gradients, self._recipe.clip_norm, use_norm=norm)
        return gradients, norm


def _sums(some: list, others: list) -> list:
    return [a + b for a, b in zip(some, others, strict=True)]


def _move_towards(mean, weight, ema):
    return mean.assign_add((1 - ema) * (weight - mean))
