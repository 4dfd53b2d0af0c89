"""`ipt_benchmark/SET`: the sets that super-resolution, denoising and deraining are scored on."""

from pathlib import Path
from typing import ClassVar

import tensorflow_datasets as tfds

from ipt_tf import tasks
from ipt_tf.data import sets
from ipt_tf.data.builders.stored import as_stored

_SUPER_RESOLUTION = ("sr_x2", "sr_x3", "sr_x4")

INPUTS = {
    "set5": _SUPER_RESOLUTION,
    "set14": _SUPER_RESOLUTION,
    "b100": _SUPER_RESOLUTION,
    "urban100": _SUPER_RESOLUTION,
    "cbsd68": (),
    "rain100l": ("derain",),
}
"""The tasks whose inputs each set has as files, beside the clean pictures."""


class IptBenchmark(tfds.core.GeneratorBasedBuilder):
    """A benchmark set: clean pictures, and the inputs of tasks that it has as files. Split: test."""

    VERSION = tfds.core.Version("1.0.0")
    BUILDER_CONFIGS: ClassVar = [tfds.core.BuilderConfig(name=name) for name in INPUTS]
    MANUAL_DOWNLOAD_INSTRUCTIONS = (
        f"manual_dir has a folder of that set, in one of these layouts:\n{sets.LAYOUTS}"
    )

    def _info(self) -> tfds.core.DatasetInfo:
        pictures = ("clean", *INPUTS[self.builder_config.name])
        features = {name: tfds.features.Image() for name in pictures} | {"name": tfds.features.Text()}
        return tfds.core.DatasetInfo(
            builder=self,
            description=self.__doc__,
            features=tfds.features.FeaturesDict(features),
            disable_shuffling=True,
        )

    def _split_generators(self, dl_manager):
        return {"test": self._generate_examples(self._folder(Path(dl_manager.manual_dir)))}

    def _folder(self, manual_dir: Path) -> Path:
        wanted = self.builder_config.name
        for folder in sets.find(manual_dir):
            if folder.name.lower() == wanted:
                return folder
        raise FileNotFoundError(f"{manual_dir} has no set {wanted}")

    def _generate_examples(self, folder: Path):
        names = INPUTS[self.builder_config.name]
        pictures = {name: sets.pictures(folder, tasks.find(name)) for name in names or ["denoise_50"]}
        for index, (clean, *_) in enumerate(zip(*pictures.values(), strict=True)):
            degraded = {name: as_stored(self._input(pictures[name][index])) for name in names}
            yield index, {"clean": as_stored(clean.clean), "name": clean.name, **degraded}

    @staticmethod
    def _input(picture: sets.Picture) -> Path:
        if picture.degraded is None:
            raise FileNotFoundError(f"{picture.clean} has no input beside it")
        return picture.degraded
