"""Starting Keras or TensorFlow in a terminal, without what they have to say."""

import importlib
import logging
import os
import sys

from ipt_tf import memory


def start_keras() -> None:
    """Imports Keras and its backend silently, which takes some seconds with TensorFlow."""
    _import_silently("ipt_tf.model.ipt")


def start_tensorflow() -> None:
    """Imports TensorFlow silently, without Keras."""
    _import_silently("tensorflow")


def _import_silently(module: str) -> None:
    """Imports a module that starts TensorFlow.

    TensorFlow's C++ code writes to stderr while it starts, before its log level counts; and its Python code
    takes one trace per task, which is meant, for retracing by mistake.
    """
    memory.keep_freed()
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    logging.getLogger("tensorflow").setLevel(logging.ERROR)
    sys.stderr.flush()
    kept, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    try:
        importlib.import_module(module)
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)
