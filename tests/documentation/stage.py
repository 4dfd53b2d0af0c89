"""The folder that the documentation's commands run in: small pictures and files by the names that the texts use."""

import pickle
import shutil
import zipfile
from collections import OrderedDict
from pathlib import Path

import numpy as np
from documentation.blocks import CHECKOUT, Block
from PIL import Image
from safetensors.numpy import load_file

from ipt_tf import samples


def fill(folder: Path) -> None:
    """Writes the pictures: photo.jpg, photo.png, holiday/, photographs/, rainy/ and clean/.

    Photographs are 224 pixels a side, which is enough for sr_x4, and crops of those that ship.
    """
    _save(samples.load("chelsea")[60:120, 120:200], folder / "photo.png")
    _save(samples.load("chelsea")[60:120, 120:200], folder / "photo.jpg")
    _save(samples.load("coffee")[200:250, 250:310], folder / "holiday" / "coffee.jpg")
    _save(samples.load("rocket")[100:150, 200:260], folder / "holiday" / "day_2" / "rocket.png")
    for name in ("astronaut", "chelsea", "coffee", "moose"):
        pixels = samples.load(name)
        for number, left in enumerate((0, 20, 40, 60, 80)):
            _save(
                pixels[left // 2 :][:224, left : left + 224], folder / "photographs" / f"{name}{number}.jpg"
            )
    streaks = np.random.default_rng(0).integers(0, 60, (224, 224, 1), np.uint8)
    for name in ("astronaut", "chelsea", "coffee", "moose", "rocket"):
        clean = samples.load(name)[:224, :224]
        _save(clean, folder / "clean" / f"{name}.png")
        _save(np.minimum(clean, 195) + streaks, folder / "rainy" / f"{name}.png")
    for name in ("cluster", "serving", "benchmarks"):
        (folder / name).symlink_to(CHECKOUT / name)


def write_own_tasks(found: list[Block], folder: Path) -> None:
    """Writes mytasks.py: the blocks of a page that define tasks of one's own."""
    source = [block.text for block in found if block.language == "python" and "= Task(" in block.text]
    if source:
        (folder / "mytasks.py").write_text("\n\n".join(source) + "\n")


def write_networks(folder: Path) -> None:
    """Writes small networks with random weights: one_layer/, and files of the names and the format of the authors'."""
    from ipt_tf import IPT

    tasks = {
        "one_layer": None,
        "IPT_pretrain.pt": None,
        "IPT_denoise50.pt": ["denoise_50"],
        "IPT_sr2.pt": ["sr_x2"],
    }
    for name, names in tasks.items():
        saved = folder / Path(name).stem
        IPT(names, num_features=4, num_layers=1, start="random").save_pretrained(saved)
        if name.endswith(".pt"):
            _write_torch_file(folder / name, load_file(saved / "model.safetensors"))
            shutil.rmtree(saved)


def write_datasets(folder: Path) -> None:
    """Prepares datasets/: photographs/, and rainy/ with clean/, as datasets of TensorFlow Datasets."""
    import tensorflow_datasets as tfds

    import ipt_tf.data.builders  # noqa: F401

    pairs = folder / "pairs"
    pairs.mkdir()
    (pairs / "degraded").symlink_to(folder / "rainy")
    (pairs / "clean").symlink_to(folder / "clean")
    for name, pictures in {"ipt_photographs": folder / "photographs", "ipt_pairs": pairs}.items():
        config = tfds.download.DownloadConfig(manual_dir=pictures)
        builder = tfds.builder(name, data_dir=folder / "datasets", file_format="array_record")
        builder.download_and_prepare(download_config=config)


def _save(pixels: np.ndarray, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)


class _Name:
    """A name of PyTorch's, which is not here."""

    def __init__(self, name: str):
        self.name = name


class _Stored:
    """A tensor, as PyTorch pickles it."""

    def __init__(self, values: np.ndarray):
        self.values = values


class _Pickler(pickle._Pickler):
    """Python's own pickler, which can be taught to write names of modules that are not installed."""

    dispatch = pickle._Pickler.dispatch.copy()

    def persistent_id(self, value):
        if isinstance(value, np.ndarray):
            return ("storage", _Name("torch FloatStorage"), str(self.keys[id(value)]), "cpu", value.size)
        return None

    def save_name(self, name: _Name) -> None:
        self.write("c{}\n{}\n".format(*name.name.split()).encode())

    def save_stored(self, tensor: _Stored) -> None:
        values = tensor.values
        steps = tuple(step // values.itemsize for step in values.strides)
        self.save(_Name("torch._utils _rebuild_tensor_v2"))
        self.save((values, 0, values.shape, steps, False, OrderedDict()))
        self.write(pickle.REDUCE)

    dispatch[_Name] = save_name
    dispatch[_Stored] = save_stored


def _write_torch_file(path: Path, tensors: dict[str, np.ndarray]) -> None:
    tensors = {name: np.ascontiguousarray(values, "<f4") for name, values in tensors.items()}
    with zipfile.ZipFile(path, "w") as archive:
        with archive.open("archive/data.pkl", "w") as file:
            pickler = _Pickler(file, 2)
            pickler.keys = {id(values): number for number, values in enumerate(tensors.values())}
            pickler.dump({name: _Stored(values) for name, values in tensors.items()})
        for number, values in enumerate(tensors.values()):
            archive.writestr(f"archive/data/{number}", values.tobytes())
        archive.writestr("archive/version", "3\n")
