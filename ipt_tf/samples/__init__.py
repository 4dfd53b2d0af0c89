"""Small photographs to try things on, free of rights. `README.md` beside them says whose they are."""

from pathlib import Path

import numpy as np

from ipt_tf import images

FOLDER = Path(__file__).parent
"""Where the files are: a folder that every command takes."""


def names() -> list[str]:
    """Returns the photographs' names, sorted.

    Example:
        >>> names()[:3]
        ['astronaut', 'brick', 'chelsea']
    """
    return sorted(path.stem for path in images.find(FOLDER))


def path(name: str) -> Path:
    """Returns the file of a photograph.

    Args:
        name: one of `names()`.

    Returns:
        A PNG or JPEG file.

    Raises:
        ValueError: there is no such photograph.

    Example:
        >>> path("chelsea").name
        'chelsea.png'
    """
    for file in images.find(FOLDER):
        if file.stem == name:
            return file
    raise ValueError(f"no sample photograph {name!r}; there are {', '.join(names())}")


def load(name: str) -> np.ndarray:
    """Reads a photograph.

    Args:
        name: one of `names()`.

    Returns:
        (H, W, 3) uint8, RGB, neither side over 512. Grey photographs have three equal channels.

    Raises:
        ValueError: there is no such photograph.

    Example:
        >>> load("chelsea").shape
        (300, 451, 3)
    """
    return images.read(path(name)).pixels
