"""`ipt_photographs`: a folder of photographs."""

from pathlib import Path

import tensorflow_datasets as tfds

from ipt_tf import images
from ipt_tf.data.builders.stored import as_stored


class IptPhotographs(tfds.core.GeneratorBasedBuilder):
    """The photographs of a folder and the folders inside it, in the order of their paths. Split: train."""

    VERSION = tfds.core.Version("1.0.0")
    MANUAL_DOWNLOAD_INSTRUCTIONS = "manual_dir is the folder of photographs."

    def _info(self) -> tfds.core.DatasetInfo:
        features = {"image": tfds.features.Image(), "name": tfds.features.Text()}
        return tfds.core.DatasetInfo(
            builder=self,
            description=self.__doc__,
            features=tfds.features.FeaturesDict(features),
            disable_shuffling=True,
        )

    def _split_generators(self, dl_manager):
        return {"train": self._generate_examples(Path(dl_manager.manual_dir))}

    def _generate_examples(self, folder):
        for index, path in enumerate(images.find(folder)):
            yield index, {"image": as_stored(path), "name": str(path.relative_to(folder))}
