"""Folders whose names are on the disk, and files that are there whole or not at all."""

from __future__ import annotations

import os
from pathlib import Path

__all__ = ["sync_folder", "write_private"]


def sync_folder(folder: Path) -> None:
    """Force the names in a folder to disk."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def write_private(file: Path, data: bytes) -> None:
    """Write a file that only its owner reads; after a kill at any moment it is the old or the new.

    Raises
    ------
    OSError
        It cannot be written there.
    """
    file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    temporary = file.with_name(file.name + ".new")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "wb") as opened:
        opened.write(data)
        opened.flush()
        os.fsync(opened.fileno())
    temporary.replace(file)
    sync_folder(file.parent)
