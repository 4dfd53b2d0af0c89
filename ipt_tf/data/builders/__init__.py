"""Builders for TensorFlow Datasets: a folder of photographs, two folders of pairs, the benchmark sets.

Importing this package makes them known to `tfds.builder` by name. Their pictures come from TFDS's `manual_dir`, and are
stored as they are, not encoded anew.

Example:
    >>> config = tfds.download.DownloadConfig(manual_dir="photographs/")
    >>> tfds.builder("ipt_photographs", data_dir="datasets/", file_format="array_record").download_and_prepare(
    ...     download_config=config
    ... )
"""

from ipt_tf.data.builders.benchmark import IptBenchmark
from ipt_tf.data.builders.pairs import IptPairs
from ipt_tf.data.builders.photographs import IptPhotographs

__all__ = ["IptBenchmark", "IptPairs", "IptPhotographs"]
