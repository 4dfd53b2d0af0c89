"""What the figures were measured on."""

import datetime
import os
import platform
from importlib import metadata
from pathlib import Path
from typing import Any


def describe() -> dict[str, Any]:
    """Returns processor, cores, versions and date, ready for JSON."""
    return {
        "processor": _processor(),
        "cores": os.cpu_count(),
        "vector instructions": [
            name for name in ("avx2", "avx512f", "avx512_bf16", "amx_bf16") if _has(name)
        ],
        "onednn": os.environ.get("TF_ENABLE_ONEDNN_OPTS"),
        "system": platform.platform(),
        "python": platform.python_version(),
        **{name: metadata.version(name) for name in ("ipt_tf", "tensorflow", "keras", "numpy")},
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
    }


def _processor() -> str:
    lines = [line.partition(":") for line in _cpuinfo().splitlines()]
    names = [value.strip() for name, _, value in lines if name.strip() == "model name"]
    return names[0] if names else platform.processor()


def _has(flag: str) -> bool:
    return flag in _cpuinfo().split()


def has_bfloat16() -> bool:
    """Whether the processor is known to multiply bfloat16 numbers itself."""
    return any(_has(flag) for flag in ("avx512_bf16", "amx_bf16", "bf16"))


def precisions(name: str) -> dict[str, str]:
    """Returns the precisions that this processor has, by the name of what is measured in each."""
    return {name: "float32"} | ({f"{name}, bfloat16": "mixed_bfloat16"} if has_bfloat16() else {})


def _cpuinfo() -> str:
    try:
        return Path("/proc/cpuinfo").read_text()
    except OSError:  # not Linux
        return ""
