"""Snapshots of a chain's state: they make a start faster and carry no promise.

A snapshot can always be left out: the journal alone gives the same chain. So a file that is torn,
damaged or of another chain is removed, and the start uses an older one or begins at record zero.
Its name carries its height and the SHA-256 of its bytes, and it appears under that name only when
it is whole and synced.
"""

from __future__ import annotations

import gzip
import hashlib
import os
import re
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tessera.errors import DataError

__all__ = ["Snapshot", "SnapshotStore"]

_NAME: Final = re.compile(r"(?P<height>[0-9]{12})-(?P<digest>[0-9a-f]{64})\.json\.gz", re.ASCII)
_KEPT: Final = 2
_CHUNK: Final = 1 << 20


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A snapshot on disk, not yet checked.

    Parameters
    ----------
    height
        Number of the last block in it.
    path
        The gzipped state.
    """

    height: int
    path: Path

    def unpack(self, destination: Path) -> None:
        """Write the plain state to `destination`.

        Raises
        ------
        DataError
            The bytes are not those that were saved.
        OSError
            `destination` could not be written; the snapshot may be good.
        """
        match = _NAME.fullmatch(self.path.name)
        assert match is not None, "only the store makes these"
        digest = hashlib.sha256()
        with self.path.open("rb") as packed:
            while chunk := packed.read(_CHUNK):
                digest.update(chunk)
        if digest.hexdigest() != match["digest"]:
            raise DataError(
                f"snapshot {self.path.name}",
                found=f"SHA-256 {digest.hexdigest()}",
                wanted="the one in its name",
            )
        with gzip.open(self.path) as packed_state, destination.open("wb") as plain:
            shutil.copyfileobj(packed_state, plain, _CHUNK)


class SnapshotStore:
    """The snapshots of one chain, in one folder.

    Parameters
    ----------
    folder
        Made where it does not exist.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        folder.mkdir(mode=0o700, exist_ok=True)

    def newest_first(self, at_most: int) -> list[Snapshot]:
        """Return the snapshots no higher than block `at_most`, the newest first."""
        found = []
        for path in self._folder.iterdir():
            match = _NAME.fullmatch(path.name)
            if match is not None and int(match["height"]) <= at_most:
                found.append(Snapshot(int(match["height"]), path))
        return sorted(found, key=lambda snapshot: snapshot.height, reverse=True)

    def save(self, height: int, packed_state: bytes) -> None:
        """Keep a gzipped state durably and remove all but the newest two.

        Raises
        ------
        OSError
            It could not be written; nothing of it is left behind.
        """
        name = f"{height:012d}-{hashlib.sha256(packed_state).hexdigest()}.json.gz"
        unfinished = self._folder / "unfinished"
        try:
            with unfinished.open("wb") as file:
                file.write(packed_state)
                file.flush()
                os.fsync(file.fileno())
            unfinished.rename(self._folder / name)
        except OSError:
            unfinished.unlink(missing_ok=True)
            raise
        handle = os.open(self._folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
        for older in self.newest_first(at_most=height)[_KEPT:]:
            older.path.unlink(missing_ok=True)

    def discard(self, snapshot: Snapshot) -> None:
        """Remove a snapshot that cannot be used, so that no later start tries it again."""
        snapshot.path.unlink(missing_ok=True)
