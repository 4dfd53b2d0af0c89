"""Five steps of a small run that uses everything a step can: the same on TensorFlow, on JAX and on PyTorch.

`python tests/training/five_steps.py` writes tests/fixtures/training/: with TensorFlow the history and the weights that
its loop arrives at; with KERAS_BACKEND=torch a model trained on PyTorch, and its outputs.
"""

import csv
import tempfile
from pathlib import Path

import numpy as np
from keras import backend, ops
from PIL import Image

from ipt_tf import IPT, Task, tasks
from ipt_tf.data import Photographs
from ipt_tf.training import loop
from ipt_tf.training.recipes import Recipe

FIXTURES = Path(__file__).parents[1] / "fixtures" / "training"
STEPS = 5


def speckled(clean, rng):
    """Adds noise of whole numbers: other noise differs in its last digits, and so does the sign of a tiny error."""
    levels = ops.floor(61 * ops.cast(rng.random(ops.shape(clean)), "float32")) - 30
    return ops.cast(clean, "float32") + levels


TASKS = [
    tasks.find("sr_x2"),
    tasks.find("sr_x3"),
    Task("speckles", degrade=speckled),
]  # of which each is drawn in five steps from this seed
NAMES = [task.name for task in TASKS]
RECIPE = Recipe(
    batch_size=6,
    optimizer="muon",
    learning_rate=1e-3,
    warmup=2,
    contrastive=0.1,
    clip_norm=0.5,
    ema=0.9,
    accumulate=2,
    seed=4,
)


def network() -> IPT:
    """A network whose weights are the same on every backend, whose own random numbers differ."""
    model = IPT(TASKS, num_features=4, patch_size=12, patch_dim=2, num_heads=2, num_layers=1)
    rng = np.random.default_rng(0)
    for weight in model.trainable_variables:
        weight.assign(rng.normal(1 if weight.name == "gamma" else 0, 0.1, weight.shape))
    return model


def photographs(folder: Path) -> Photographs:
    """Six pictures with edges and slopes."""
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:60, :70] / 70
    for i in range(6):
        pixels = 255 * np.stack([x, y, np.full_like(x, i / 6)], axis=-1)
        pixels[20:40, 10 * i : 10 * i + 12] = rng.integers(0, 256, 3)
        Image.fromarray(pixels.astype(np.uint8)).save(folder / f"{i}.png")
    return Photographs.of_folder(folder, smallest_side=48)


def run(folder: Path, steps: int = STEPS, recipe: Recipe = RECIPE, **options) -> dict[str, np.ndarray]:
    """Trains in a folder; returns the weights that training saves and the PSNR that it logs, by name."""
    (folder / "photographs").mkdir(exist_ok=True)
    source = photographs(folder / "photographs")
    options = {"held_out": 2, "validate_every": STEPS, "log": lambda line: None, **options}
    model = loop.train(network(), source, recipe, folder / "run", steps=steps, **options)
    with (folder / "run" / "history.csv").open() as file:
        rows = [[float(row[name]) for name in ("step", *NAMES)] for row in csv.DictReader(file)]
    return {"history": np.array(rows), **weights_of(model)}


def weights_of(model: IPT) -> dict[str, np.ndarray]:
    """The trainable weights, in their order, by names that sort in it."""
    weights = (ops.convert_to_numpy(weight) for weight in model.trainable_variables)
    return {f"weight_{i:03d}": weight for i, weight in enumerate(weights)}


def outputs_of(model: IPT) -> dict[str, np.ndarray]:
    """What a network makes of two tiles, by task."""
    tiles = np.random.default_rng(1).uniform(0, 255, (2, 12, 12, 3)).astype("float32")
    return {task: ops.convert_to_numpy(model(tiles, task=task)) for task in NAMES}


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        found = run(Path(folder))
        trained = IPT.from_pretrained(Path(folder) / "run" / "model")
    if backend.backend() == "tensorflow":
        np.savez_compressed(FIXTURES / "five_steps.npz", **found)
    else:
        trained.save_pretrained(FIXTURES / "on_pytorch")
        np.savez_compressed(FIXTURES / "on_pytorch.npz", **outputs_of(trained))


if __name__ == "__main__":
    main()
