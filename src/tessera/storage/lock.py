"""One writer per file: a lock that ends with its process, however that ends."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

from tessera.errors import Busy

__all__ = ["FileLock"]


class FileLock:
    """Holds `path` against everybody else, in this process too, until `release`.

    Parameters
    ----------
    path
        A file of its own; its folder is made where it is missing.
    thing
        What it stands for, as its user knows it.
    next_step
        What whoever meets the lock can do; `{owner}` in it becomes the process.

    Raises
    ------
    Busy
        Somebody else holds it; the message has the process where it is known.
    """

    def __init__(self, path: Path, thing: str, *, next_step: str) -> None:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            owner = os.pread(handle, 32, 0).decode(errors="replace").strip() or "unknown"
            os.close(handle)
            raise Busy(
                thing,
                found=f"in use by process {owner}",
                wanted="one user",
                next_step=next_step.replace("{owner}", owner),
                pid=owner,
            ) from None
        os.ftruncate(handle, 0)
        os.pwrite(handle, f"{os.getpid()}\n".encode(), 0)
        self._handle: int | None = handle

    def release(self) -> None:
        """Let others have it. Twice is once."""
        if self._handle is not None:
            os.close(self._handle)
            self._handle = None
