"""The numbers of a model's versions, which are the names of their folders."""

LARGEST = 2**63 - 1
"""TF-Serving's numbers have 64 bits."""


def version_of(name: str) -> int | None:
    """Returns the version that a folder of this name holds, as TF-Serving reads it: 123 of `00000123`, or None."""
    if not (name.isascii() and name.isdigit()):
        return None
    number = int(name)
    return number if number <= LARGEST else None
