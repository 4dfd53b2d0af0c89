"""Adam and Muon under TensorFlow, with moments on every replica, and a count of steps for each task's own weights."""

import tensorflow as tf

from ipt_tf.model.ipt import IPT
from ipt_tf.training import muon
from ipt_tf.training.recipes import BETA_1, BETA_2, EPSILON, Recipe


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

    @property
    def state(self) -> list[tf.Variable]:
        """What a checkpoint keeps."""
        return [*self.first_moments, *self.second_moments, self.steps]

    def apply(self, gradients: list, learning_rate: tf.Tensor) -> None:
        """Moves the weights; outside of the replicas, by gradients that are the same on all of them."""
        steps = tf.cast(self.steps.assign_add(1), tf.float32)
        powers = BETA_1**steps, BETA_2**steps
        groups = zip(self.weights, self.first_moments, self.second_moments, gradients, strict=True)
        for weight, m, v, gradient in groups:
            self._strategy.extended.update(
                weight, _update, args=(m, v, gradient, learning_rate, *powers), group=False
            )


class Muon:
    """Muon (`ipt_tf.training.muon`) for matrices.

    Args:
        weights: Keras variables of two axes, made under the strategy that trains them.
    """

    def __init__(self, weights: list):
        self._strategy = tf.distribute.get_strategy()
        self.weights = [weight.value for weight in weights]
        self.state = [_zeros_like(weight) for weight in self.weights]

    def apply(self, gradients: list, learning_rate: tf.Tensor) -> None:
        """Moves the weights; outside of the replicas, by gradients that are the same on all of them."""
        for weight, momentum, gradient in zip(self.weights, self.state, gradients, strict=True):
            # Once for all replicas, which are idle meanwhile: as many matrices at once as there are cores.
            new, step = muon.step(self._one(momentum), self._one(gradient))
            self._strategy.extended.update(momentum, _become, args=(new,), group=False)
            self._strategy.extended.update(weight, _subtract, args=(learning_rate * step,), group=False)

    def _one(self, same_on_all: tf.Tensor) -> tf.Tensor:
        return tf.identity(self._strategy.experimental_local_results(same_on_all)[0])


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


def _become(variable, value):
    return variable.assign(value)


def _subtract(variable, value):
    return variable.assign_sub(value)


class TaskOptimizers:
    """Optimizers of the body, and an Adam of its own for each task's head, tail and embedding.

    The bias correction so counts the updates that a weight has had. With one count for all, a head first used at
    step 1000 would jump by 2.5 learning rates.

    Args:
        model: whose weights are trained.
        recipe: which of them move, and by what.
    """

    def __init__(self, model: IPT, recipe: Recipe | None = None):
        by_muon, by_adam = muon.divided(model.body, recipe or Recipe())
        self.body: dict[str, Adam | Muon] = {"matrices": Muon(by_muon), "body": Adam(by_adam)}
        self.tasks = {name: Adam(model.own_weights(name)) for name in model.task_names}

    @property
    def state(self) -> dict[str, list[tf.Variable]]:
        """What a checkpoint keeps."""
        return {name: optimizer.state for name, optimizer in {**self.body, **self.tasks}.items()}

    def weights(self, task: str) -> list[tf.Variable]:
        """Returns the weights that a step of this task moves."""
        return [weight for optimizer in self._of(task) for weight in optimizer.weights]

    def apply(self, task: str, gradients: list, learning_rate: tf.Tensor) -> None:
        """Moves the body and the task's own parts by gradients in the order of `weights`."""
        for optimizer in self._of(task):
            count = len(optimizer.weights)
            optimizer.apply(gradients[:count], learning_rate)
            gradients = gradients[count:]

    def _of(self, task: str) -> list[Adam | Muon]:
        return [*self.body.values(), self.tasks[task]]
