"""`ipt_pairs`: two folders of pairs."""

from pathlib import Path

import tensorflow_datasets as tfds

from ipt_tf.data.builders.stored import as_stored
from ipt_tf.data.pairs import match


class IptPairs(tfds.core.GeneratorBasedBuilder):
    """Pairs of pictures of the same name in two folders, degraded and clean. Split: train."""

    VERSION = tfds.core.Version("1.0.0")
    MANUAL_DOWNLOAD_INSTRUCTIONS = (
        "manual_dir has two folders, degraded and clean, with pictures of the same names."
    )

    def _info(self) -> tfds.core.DatasetInfo:
        features = {
            "degraded": tfds.features.Image(),
            "clean": tfds.features.Image(),
            "name": tfds.features.Text(),
        }
        return tfds.core.DatasetInfo(
            builder=self,
            description=self.__doc__,
            features=tfds.features.FeaturesDict(features),
            disable_shuffling=True,
        )

    def _split_generators(self, dl_manager):
        return {"train": self._generate_examples(Path(dl_manager.manual_dir))}

    def _generate_examples(self, folder):
        for index, (degraded, clean) in enumerate(match(folder / "degraded", folder / "clean")):
            name = str(degraded.relative_to(folder / "degraded"))
            yield index, {"degraded": as_stored(degraded), "clean": as_stored(clean), "name": name}
