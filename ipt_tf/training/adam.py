"""Adam, with a count of steps for each task's own weights, and moments on every replica."""

import tensorflow as tf

from ipt_tf.model.ipt import IPT
from ipt_tf.training.recipes import BETA_1, BETA_2, EPSILON


class Adam:
    """Adam (Kingma & Ba 2015) for one group of weights, by TensorFlow's fused kernel.

    Keras's own sums gradients over the replicas when it applies them, too late to clip the norm of the sum.

    Args:
        weights: Keras variables, made under the strategy that trains them.
    """

    def __init__(self, weights: list):
        self._strategy = tf.distribute.get_strategy()
        self.weights = [weight.value for weight in weights]
        self.first_moments = [_zeros_like(weight) for weight in self.weights]
        self.second_moments = [_zeros_like(weight) for weight in self.weights]
        self.steps = tf.Variable(0, dtype=tf.int64, trainable=False)

    def apply(self, gradients: list, learning_rate: tf.Tensor) -> None:
        """Moves the weights; outside of the replicas, by gradients that are the same on all of them."""
        steps = tf.cast(self.steps.assign_add(1), tf.float32)
        powers = BETA_1**steps, BETA_2**steps
        groups = zip(self.weights, self.first_moments, self.second_moments, gradients, strict=True)
        for weight, m, v, gradient in groups:
            self._strategy.extended.update(
                weight, _update, args=(m, v, gradient, learning_rate, *powers), group=False
            )


def _zeros_like(weight: tf.Variable) -> tf.Variable:
    return tf.Variable(tf.zeros(weight.shape), trainable=False)


def _update(weight, m, v, gradient, learning_rate, beta_1_power, beta_2_power):
    return tf.raw_ops.ResourceApplyAdam(
        var=weight.handle,
        m=m.handle,
        v=v.handle,
        beta1_power=beta_1_power,
        beta2_power=beta_2_power,
        lr=learning_rate,
        beta1=BETA_1,
        beta2=BETA_2,
        epsilon=EPSILON,
        grad=gradient,
    )


class TaskOptimizers:
    """Adam for the body, and an Adam of its own for each task's head, tail and embedding.

    The bias correction so counts the updates that a weight has had. With one count for all, a head first used at
    step 1000 would jump by 2.5 learning rates.

    Args:
        model: whose weights are trained.
    """

    def __init__(self, model: IPT):
        self.body = Adam(model.body.trainable_variables)
        self.tasks = {name: Adam(model.own_weights(name)) for name in model.task_names}

    def weights(self, task: str) -> list[tf.Variable]:
        """Returns the weights that a step of this task moves."""
        return self.body.weights + self.tasks[task].weights

    def apply(self, task: str, gradients: list, learning_rate: tf.Tensor) -> None:
        """Moves the body and the task's own parts by gradients in the order of `weights`."""
        count = len(self.body.weights)
        self.body.apply(gradients[:count], learning_rate)
        self.tasks[task].apply(gradients[count:], learning_rate)
