"""Files that are whole or not there."""

import contextlib
import os
import secrets
from pathlib import Path


def check(path: Path) -> None:
    """Raises ValueError where a file could not be written, before any work is done for it."""
    if path.is_dir():
        raise ValueError(f"{path} is a folder, not a file to write")
    if not path.parent.is_dir():
        raise ValueError(f"{path}: the folder {path.parent} does not exist")
    if not os.access(path.parent, os.W_OK):
        raise ValueError(f"{path}: the folder {path.parent} is read-only")


def check_folder(path: Path) -> None:
    """Raises ValueError where a folder could not be made or written."""
    existing = next(parent for parent in (path, *path.absolute().parents) if parent.exists())
    if not existing.is_dir():
        raise ValueError(f"{path}: {existing} is a file, not a folder")
    if not os.access(existing, os.W_OK):
        raise ValueError(f"{path}: the folder {existing} is read-only")


def make_folder(path: Path) -> None:
    """Makes a folder, and those that it is in, unless they are there.

    Raises:
        ValueError: it cannot be made.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ValueError(f"{path} cannot be made: {error.strerror}") from None


def write(path: Path, content: str | bytes) -> None:
    """Writes a file beside its place and renames it; what was there is replaced.

    Raises:
        ValueError: it cannot be written.
    """
    beside = path.with_name(f".{path.name}.{secrets.token_hex(4)}.part")
    try:
        beside.write_bytes(content.encode() if isinstance(content, str) else content)
        os.replace(beside, path)
    except OSError as error:
        raise ValueError(f"{path} cannot be written: {error.strerror}") from None
    finally:
        with contextlib.suppress(OSError):
            beside.unlink(missing_ok=True)
