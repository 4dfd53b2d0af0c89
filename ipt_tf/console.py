"""Starting Keras in a terminal, without what its backend has to say."""

import contextlib
import logging
import os
import sys
from collections.abc import Iterator

from ipt_tf import memory


def start_keras() -> None:
    """Imports Keras and its backend silently, which takes some seconds with TensorFlow.

    TensorFlow's C++ code writes to stderr while it starts, before its log level counts; and its Python code
    takes one trace per task, which is meant, for retracing by mistake.
    """
    memory.keep_freed()
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    logging.getLogger("tensorflow").setLevel(logging.ERROR)
    with no_stderr():
        import ipt_tf.model.ipt  # noqa: F401


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
