"""Folders whose names are on the disk, and files that are there whole or not at all."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Final

from tessera.errors import InputError, StorageFull

__all__ = ["sync_folder", "write_whole"]

_NO_ROOM: Final = frozenset({errno.ENOSPC, errno.EDQUOT})


def sync_folder(folder: Path) -> None:
    """Force the names in a folder to disk."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def write_whole(file: Path, data: bytes, *, private: bool = True) -> None:
    """Write a file and return when it is on the disk; a kill leaves the old one or the new one.

    Parameters
    ----------
    private
        Whether only its owner may read it; what is served may be read by other programs.

    Raises
    ------
    StorageFull
        There is no room.
    InputError
        The folder cannot be written to.
    """
    temporary = file.with_name(file.name + ".new")
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC
    try:
        file.parent.mkdir(parents=True, exist_ok=True, mode=0o700 if private else 0o755)
        with os.fdopen(os.open(temporary, flags, 0o600 if private else 0o644), "wb") as opened:
            opened.write(data)
            opened.flush()
            os.fsync(opened.fileno())
        temporary.replace(file)
        sync_folder(file.parent)
    except OSError as error:
        kind = StorageFull if error.errno in _NO_ROOM else InputError
        raise kind(
            f"folder {file.parent}",
            found=error.strerror or str(error),
            wanted="one that can be written to",
            next_step="free some space, or mend the folder's permissions",
        ) from error
