"""Clean crops -> (inputs, targets), on whatever device they lie: a photograph is degraded here, and nowhere else."""

import itertools
from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np
from keras import ops

from ipt_tf.data.draws import Draws, words
from ipt_tf.tasks import Task

Tensor = Any


def examples(task: Task, seed: int, positions: Tensor, crops: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
    """Returns the inputs (B, P, P, 3) and targets (B, sP, sP, 3) that crops make, float32, 0..255.

    Args:
        task: whose degradation makes the inputs, where there are clean crops alone.
        seed: Seed of the run.
        positions: Words of the examples' positions, (B, 2) (`ipt_tf.data.draws.words`).
        crops: clean ones, or degraded and clean ones.
    """
    *degraded, clean = (ops.cast(each, "float32") for each in crops)
    if degraded:
        return degraded[0], clean
    return ops.convert_to_tensor(task.make_input(clean, Draws(seed, positions))), clean


def runs_on_devices(task: Task, patch_size: int) -> bool:
    """Whether a task's degradation can be compiled into the training step. One that asks NumPy to compute cannot."""
    if _is_ours(task):
        return True
    side = patch_size * task.scale
    specs = ((1, side, side, 3), "float32"), ((1, 2), "int32")
    try:
        _trace(lambda clean, positions: examples(task, 0, positions, [clean])[0], specs)
    except Exception:  # what it says differs with backend and fault; `check_degradable` has run it as it is
        return False
    return True


def _trace(function: Callable, specs: Sequence[tuple[tuple, str]]) -> None:
    """Calls a function with tensors of such shapes and types, without values where the backend compiles."""
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        tf.function(function).get_concrete_function(*itertools.starmap(tf.TensorSpec, specs))
    elif keras.backend.backend() == "jax":
        import jax

        jax.eval_shape(function, *itertools.starmap(jax.ShapeDtypeStruct, specs))
    else:
        function(*itertools.starmap(ops.zeros, specs))


def check_degradable(tasks: Sequence[Task], patch_size: int) -> None:
    """Raises ValueError for a task that has no degradation, or one whose random numbers are not those it is given.

    Such numbers would be drawn once, when the training step is compiled, and be the same in every step.
    """
    for task in tasks:
        if task.degrade is None:
            raise ValueError(f"task {task.name} has no degradation: it needs pairs")
        if not _is_ours(task) and _has_own_noise(task, patch_size):
            raise ValueError(
                f"the degradation of task {task.name} draws random numbers of its own, which would be the same in every"
                " step; draw them from its second argument: rng.random(shape), rng.standard_normal(shape)"
            )


def _is_ours(task: Task) -> bool:
    """Whether the degradation is one of `ipt_tf.degradations`, which need not be asked."""
    return getattr(task.degrade, "__module__", "").startswith("ipt_tf.")


def _has_own_noise(task: Task, patch_size: int) -> bool:
    """Whether one picture, with the same draws, is degraded in different ways: twice in a batch, and in two batches."""
    side = patch_size * task.scale
    crop = np.random.default_rng(0).uniform(0, 255, (1, side, side, 3)).astype("float32")
    clean, positions = ops.convert_to_tensor(np.repeat(crop, 2, axis=0)), ops.convert_to_tensor(words([0, 0]))
    once, again = (ops.convert_to_numpy(task.make_input(clean, Draws(0, positions))) for _ in range(2))
    return not (np.allclose(once, again, atol=1e-2) and np.allclose(once[0], once[1], atol=1e-2))
