"""Starting Keras or TensorFlow in a terminal, without what they have to say."""

import contextlib
import importlib
import logging
import os
import sys
from collections.abc import Iterator

from ipt_tf import memory


def tune() -> None:
    """Makes TensorFlow fast on CPUs, before it is imported; what the environment says already is left as it is."""
    memory.keep_freed()
    # oneDNN's kernels are on by default only where the processor has AVX-512 VNNI; they are faster without.
    os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")


def start_keras(threads_per_operation: int | None = None) -> None:
    """Imports Keras and its backend silently, which takes some seconds with TensorFlow.

    Args:
        threads_per_operation: of TensorFlow on CPUs; default: its own choice, all cores.

    Raises:
        OSError: the backend that the environment variable KERAS_BACKEND names is not installed.
    """
    try:
        _import_silently("ipt_tf.model.ipt")
    except ModuleNotFoundError as error:
        backend = os.environ.get("KERAS_BACKEND", "tensorflow")
        raise OSError(f"Keras's backend {backend} cannot be used: {error}") from None
    if threads_per_operation and "tensorflow" in sys.modules:
        import tensorflow as tf

        with contextlib.suppress(RuntimeError):  # it has computed something already: slower, not wrong
            tf.config.threading.set_intra_op_parallelism_threads(threads_per_operation)


def start_tensorflow() -> None:
    """Imports TensorFlow silently, without Keras."""
    _import_silently("tensorflow")


def _import_silently(module: str) -> None:
    """Imports a module that starts TensorFlow.

    TensorFlow's C++ code writes to stderr while it starts, before its log level counts; and its Python code
    takes one trace per task, which is meant, for retracing by mistake. (It sets the level of its log itself as it
    starts, to a lower one in notebooks.)
    """
    tune()
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    with no_stderr():
        importlib.import_module(module)
        if "tensorflow" in sys.modules:
            sys.modules["tensorflow"].get_logger().setLevel(logging.ERROR)


@contextlib.contextmanager
def no_stderr() -> Iterator[None]:
    """Within it, nothing reaches the terminal's stderr, not even from C++."""
    sys.stderr.flush()
    kept, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)
