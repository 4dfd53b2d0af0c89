"""Fine-tuning: one task of a trained network, or a task that it has never seen."""

import importlib.util
from collections.abc import Callable
from pathlib import Path

import keras

from ipt_tf import tasks
from ipt_tf.data import Data, open_sources
from ipt_tf.model import checkpoints
from ipt_tf.model.ipt import IPT
from ipt_tf.tasks import Task
from ipt_tf.training import loop
from ipt_tf.training.recipes import Recipe


def finetune(
    data: Data,
    task: str | Task,
    start: str | Path,
    recipe: Recipe,
    out: str | Path,
    *,
    steps: int,
    like: str | None = None,
    data_dir: str | Path | None = None,
    validate: Data | None = None,
    strategy: str = "auto",
    start_timeout: float = 300.0,
    log: Callable[[str], None] = print,
    **options,
) -> IPT:
    """Trains one task from weights that know several, or goes on where the run in `out` stopped.

    The other tasks' heads and tails are left behind. A task that `start` does not have gets a head, a tail and an
    embedding of its own, which begin as those of the task `like`.

    Args:
        data: folder of clean photographs, which the task's degradation degrades; or two folders of pairs, degraded
            and clean; or `tfds:NAME` of TensorFlow Datasets (`ipt_tf.data.tfds.open_dataset`), of either kind.
        task: its name, or a `Task`.
        start: a preset, folder or checkpoint file whose weights to start from.
        recipe: how to train.
        out: folder of the run; see `ipt_tf.training.run_folder`.
        steps: length of the run.
        like: for a task that `start` does not have: one that it has, of the same scale.
        data_dir: where TensorFlow Datasets keeps its datasets.
        validate: other data, to validate on; by default some of `data` are held out of training.
        strategy: where to train; see `ipt_tf.training.loop.choose_strategy`.
        start_timeout: seconds to wait for other workers.
        log: called with each line of progress.
        **options: further options of `ipt_tf.training.loop.train`: held_out, validate_every, checkpoint_minutes.

    Returns:
        The model of this one task, with the moving average of the weights.

    Raises:
        ValueError: no such data, weights or task; a task unknown to `start` without `like`; pairs that do not fit.

    Example:
        >>> jpeg = Task("jpeg_40", degrade=my_jpeg_artefacts)
        >>> finetune("photos/", jpeg, "ipt_tiny", find("finetune"), "runs/jpeg", steps=2000, like="denoise_30")
    """
    chosen = loop.choose_strategy(strategy, start_timeout)
    keras.utils.set_random_seed(recipe.seed)
    begun_as = like or (task if isinstance(task, str) else task.name)
    model = one_task(IPT.from_pretrained(checkpoints.with_task(start, begun_as)), task, like)
    source, validate_on = open_sources(data, validate, model.tasks, model.patch_size, data_dir, log)
    return loop.train(
        model,
        source,
        recipe,
        out,
        steps=steps,
        strategy=chosen,
        origin=str(start),
        validate_on=validate_on,
        log=log,
        **options,
    )


def one_task(model: IPT, task: str | Task, like: str | None) -> IPT:
    """Returns a model of one task with the weights of another model; see `finetune`."""
    name = task if isinstance(task, str) else task.name
    if name in model.task_names and isinstance(task, str):
        return model.for_task(name)
    chosen = tasks.find(task) if isinstance(task, str) else task
    return model.extended([chosen], like or (name if name in model.task_names else None))


def task_in_file(reference: str) -> Task:
    """Returns the task that `FILE.py:NAME` refers to: a `Task` called NAME in a Python file, which is run.

    Raises:
        ValueError: no such file, or no such task in it.
    """
    path, _, name = reference.rpartition(":")
    if not Path(path).is_file():
        raise ValueError(f"{reference}: there is no file {path}")
    spec = importlib.util.spec_from_file_location(Path(path).stem, path)
    if spec is None or spec.loader is None:
        raise ValueError(f"{reference}: {path} is no Python file")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    task = getattr(module, name, None)
    if not isinstance(task, Task):
        names = ", ".join(key for key, value in vars(module).items() if isinstance(value, Task))
        raise ValueError(f"{path} defines no Task {name!r}; it defines {names or 'none'}")
    return task
