"""ipt_tf: the Image Processing Transformer for Keras and TensorFlow.

The public names are imported when they are first used, so that `import ipt_tf` itself imports neither Keras
nor TensorFlow.
"""

import importlib
from typing import Any

from ipt_tf._version import __version__

_HOMES = {
    "IPT": "ipt_tf.model.ipt",
    "OFFICIAL_TASKS": "ipt_tf.tasks",
    "Task": "ipt_tf.tasks",
    "data": "ipt_tf.data",
    "degradations": "ipt_tf.degradations",
    "evaluation": "ipt_tf.evaluation",
    "images": "ipt_tf.images",
    "restoration": "ipt_tf.restoration",
    "samples": "ipt_tf.samples",
    "training": "ipt_tf.training",
}

__all__ = ["__version__", *_HOMES]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'ipt_tf' has no attribute {name!r}")
    home = importlib.import_module(_HOMES[name])
    return home if home.__name__ == f"ipt_tf.{name}" else getattr(home, name)


def __dir__() -> list[str]:
    return sorted(__all__)
