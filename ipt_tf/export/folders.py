"""How the folders of exported models are called, and what is in them beside TensorFlow's own files."""

ORIGIN = "ipt_tf.json"
"""In `assets.extra/`: the task, its scale, the tile and what weights these are."""

LARGEST_VERSION = 2**63 - 1
"""TF-Serving's numbers have 64 bits."""


def version_of(name: str) -> int | None:
    """Returns the version that a folder of this name holds, as TF-Serving reads it: 123 of `00000123`, or None."""
    if not (name.isascii() and name.isdigit()) or len(digits := name.lstrip("0")) > len(str(LARGEST_VERSION)):
        return None
    number = int(digits or "0")
    return number if number <= LARGEST_VERSION else None
