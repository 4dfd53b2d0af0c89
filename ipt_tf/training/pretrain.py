"""Pre-training: one network, many tasks, a folder of clean photographs."""

from collections.abc import Callable, Sequence
from pathlib import Path

import keras

from ipt_tf.data import open_sources
from ipt_tf.model import presets
from ipt_tf.model.ipt import IPT
from ipt_tf.model.joined import JoinedIPT
from ipt_tf.training import loop
from ipt_tf.training.recipes import Recipe


def pretrain(
    data: str | Path,
    recipe: Recipe,
    out: str | Path,
    *,
    steps: int,
    preset: str = "ipt_tiny",
    start: str | Path | None = None,
    layers: int | None = None,
    tasks: Sequence[str] | None = None,
    like: str | None = None,
    data_dir: str | Path | None = None,
    validate: str | Path | None = None,
    strategy: str = "auto",
    start_timeout: float = 300.0,
    log: Callable[[str], None] = print,
    **options,
) -> IPT:
    """Trains a network on many tasks at once, or goes on where the run in `out` stopped.

    Args:
        data: folder of clean photographs, or `tfds:NAME` of TensorFlow Datasets (`ipt_tf.data.tfds.open_dataset`).
        recipe: how to train.
        out: folder of the run; see `ipt_tf.training.run_folder`.
        steps: length of the run.
        preset: the network, where it starts from nothing.
        start: a preset, folder or checkpoint file whose weights to go on from, instead.
        layers: encoder layers, and as many decoder layers, if not as the preset or `start` has them. With 0 there are
            heads and tails alone, which learn the fastest (`IPT.without_body`); with more than `start` has it is grown
            (`IPT.grow`).
        tasks: names; default: all of `start`, or the paper's six.
        like: for tasks that `start` does not have: one that it has, of the same scale, as which they begin.
        data_dir: where TensorFlow Datasets keeps its datasets.
        validate: other data, to validate on; by default some of `data` are held out of training.
        strategy: where to train; see `ipt_tf.training.loop.choose_strategy`.
        start_timeout: seconds to wait for other workers.
        log: called with each line of progress.
        **options: further options of `ipt_tf.training.loop.train`: held_out, validate_every, checkpoint_minutes.

    Returns:
        The model with the moving average of the weights.

    Raises:
        ValueError: no such data, preset, weights or task, or a run that cannot go on as asked.
    """
    chosen = loop.choose_strategy(strategy, start_timeout)
    keras.utils.set_random_seed(recipe.seed)
    if start is None:
        model = IPT(**{**presets.find(preset).config, **_depth(layers), "tasks": tasks})
    else:
        model = _chosen(IPT.from_pretrained(start), start, tasks, like)
        model = model if layers is None else model.grow(layers) if layers else model.without_body()
    source, validate_on = open_sources(data, validate, model.tasks, model.patch_size, data_dir, log)
    return loop.train(
        model,
        source,
        recipe,
        out,
        steps=steps,
        strategy=chosen,
        origin=str(start or ""),
        validate_on=validate_on,
        log=log,
        **options,
    )


def _chosen(model: IPT, start: str | Path, tasks: Sequence[str] | None, like: str | None) -> IPT:
    """Returns the tasks of a model that are to be trained, with those that are new to it."""
    if tasks and not set(tasks) <= set(model.task_names):
        return model.extended(tasks, like)
    model = model.for_tasks(tasks) if tasks else model
    if isinstance(model, JoinedIPT):
        raise ValueError(
            f"{start}: {model.explanation}. Weights that all tasks share, where there are such, are in"
            f" {start}/model.safetensors"
        )
    return model


def _depth(layers: int | None) -> dict:
    """Returns the arguments of `IPT` for so many layers: none has no body at all."""
    if layers is None:
        return {}
    return {"num_layers": layers} if layers else {"num_layers": 0, "use_mlp": False, "use_pos": False}
