"""Writing a stream of files into a new folder, wholly on disk before anyone sees it."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from tessera.assets.content import CHUNK_SIZE, Piece
from tessera.storage.folders import sync_folder

__all__ = ["Placement", "remove_tree"]

_ZEROS = bytes(CHUNK_SIZE)
_CREATE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


class Placement:
    """A sink for `measure` that writes below an empty folder of ours.

    Chunks of zeros become holes, so a sparse file stays sparse. Nothing is shared with the source:
    no link of any kind, so that writing to the source later changes nothing here.

    Parameters
    ----------
    folder
        Exists, is empty, and nobody else writes to it.
    file_mode, directory_mode
        Permissions once everything is written.
    """

    def __init__(self, folder: Path, *, file_mode: int, directory_mode: int) -> None:
        self._folder = folder
        self._file_mode = file_mode
        self._directory_mode = directory_mode
        self._directories = {folder}

    @contextmanager
    def __call__(self, piece: Piece) -> Iterator[Callable[[memoryview], object]]:
        """Create one file; gives the function that appends a chunk to it."""
        target = self._folder / piece.path
        self._make(target.parent)
        fd = os.open(target, _CREATE, 0o600)
        try:

            def take(chunk: memoryview) -> None:
                if chunk[0] == 0 and chunk[-1] == 0 and bytes(chunk) == _ZEROS[: len(chunk)]:
                    os.lseek(fd, len(chunk), os.SEEK_CUR)
                else:
                    _write(fd, chunk)

            yield take
            os.ftruncate(fd, os.lseek(fd, 0, os.SEEK_CUR))
            os.fchmod(fd, self._file_mode)
            os.fsync(fd)
        finally:
            os.close(fd)

    def seal(self) -> None:
        """Set the permissions of the folders and force them to disk, innermost first."""
        for directory in sorted(self._directories, key=lambda each: -len(each.parts)):
            directory.chmod(self._directory_mode)
            sync_folder(directory)

    def _make(self, directory: Path) -> None:
        if directory not in self._directories:
            self._make(directory.parent)
            directory.mkdir(0o700)
            self._directories.add(directory)


def remove_tree(folder: Path) -> None:
    """Delete a folder of ours with all that is in it; read-only folders are opened up first.

    Links are deleted, never followed.
    """
    folder.chmod(0o700)
    for entry in sorted(folder.iterdir()):
        if stat.S_ISDIR(entry.lstat().st_mode):
            remove_tree(entry)
        else:
            entry.unlink()
    folder.rmdir()


def _write(fd: int, chunk: memoryview) -> None:
    written = 0
    while written < len(chunk):
        written += os.write(fd, chunk[written:])
