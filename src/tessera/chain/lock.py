"""One owner per folder: a lock that ends with its process, however that ends."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

from tessera.errors import Busy

__all__ = ["FolderLock"]


class FolderLock:
    """Hold `folder` against every other process until `release`.

    Parameters
    ----------
    folder
        Must exist; gets a file `lock` with the owner's pid.

    Raises
    ------
    Busy
        Another process holds it; the message says which.
    """

    def __init__(self, folder: Path) -> None:
        path = folder / "lock"
        self._handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(self._handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            owner = os.pread(self._handle, 32, 0).decode(errors="replace").strip() or "unknown"
            os.close(self._handle)
            raise Busy(
                f"data folder {folder}: in use by process {owner}",
                next_step=f"stop that process (kill {owner}) or choose another folder",
                pid=owner,
            ) from None
        os.ftruncate(self._handle, 0)
        os.pwrite(self._handle, f"{os.getpid()}\n".encode(), 0)

    def release(self) -> None:
        """Let others have the folder."""
        os.close(self._handle)
