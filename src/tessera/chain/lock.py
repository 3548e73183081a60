"""One owner per folder: a lock that ends with its process, however that ends."""

from __future__ import annotations

from pathlib import Path

from tessera.storage.lock import FileLock

__all__ = ["FolderLock"]


class FolderLock(FileLock):
    """Hold `folder` against everybody else until `release`.

    Parameters
    ----------
    folder
        Gets a file `lock` with the owner's pid.

    Raises
    ------
    Busy
        Somebody else holds it; the message says which process.
    """

    def __init__(self, folder: Path) -> None:
        super().__init__(
            folder / "lock",
            f"data folder {folder}",
            next_step="stop that process (kill {owner}) or choose another folder",
        )
