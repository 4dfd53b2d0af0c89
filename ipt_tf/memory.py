"""Memory that one operation frees is kept for the next.

The C library hands large blocks back to the system at once, and TensorFlow allocates every activation anew: on
CPUs a third to a half of a training step went into page faults.
"""

import ctypes
import os

_TRIM_THRESHOLD, _TOP_PAD, _MMAP_THRESHOLD = -1, -2, -3  # malloc.h
_LARGEST = 2**31 - 1


def keep_freed() -> None:
    """Tells TensorFlow and the C library to keep freed memory; before TensorFlow has allocated anything.

    A process then stays at its largest size. What the environment says already is left as it is.
    """
    os.environ.setdefault("TF_CPU_ALLOCATOR_USE_BFC", "true")
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if os.name == "posix" else None
    if mallopt is None:  # not the GNU C library
        return
    for parameter, value in ((_TRIM_THRESHOLD, _LARGEST), (_TOP_PAD, 2**28), (_MMAP_THRESHOLD, _LARGEST)):
        mallopt(parameter, value)
