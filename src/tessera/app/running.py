"""The note that a supervisor leaves in its data folder, so that other commands find it."""

from __future__ import annotations

import contextlib
import os
import secrets
from pathlib import Path
from typing import Final

import msgspec

from tessera.errors import DataError

__all__ = ["Running", "find_running"]

_NOTE: Final = "running.json"


class Running(msgspec.Struct, frozen=True, kw_only=True):
    """Where a running supervisor can be reached.

    Attributes
    ----------
    pid
        Its process.
    chain_id, rpc_url
        The chain.
    gateway_url
        What consumers call; empty while there is none.
    operator
        Address of who serves.
    started
        Unix seconds.
    embedded
        Whether the chain is the supervisor's own.
    making
        What it still makes before all of it is there; empty where nothing.
    """

    pid: int
    chain_id: int
    rpc_url: str
    gateway_url: str
    operator: str
    started: int
    embedded: bool = True
    making: str = ""

    def leave(self, data_dir: Path) -> None:
        """Write the note."""
        temporary = data_dir / f".{_NOTE}.{secrets.token_hex(4)}"
        temporary.write_bytes(msgspec.json.encode(self))
        temporary.chmod(0o600)
        temporary.replace(data_dir / _NOTE)

    def take_away(self, data_dir: Path) -> None:
        """Remove the note, if it is still this process's."""
        found = find_running(data_dir)
        if found is not None and (found.pid, found.started) == (self.pid, self.started):
            with contextlib.suppress(FileNotFoundError):
                (data_dir / _NOTE).unlink()


def find_running(data_dir: Path) -> Running | None:
    """Return the note of a supervisor whose process lives, or None.

    Raises
    ------
    DataError
        There is a note that cannot be read.
    """
    file = data_dir / _NOTE
    try:
        note = msgspec.json.decode(file.read_bytes(), type=Running)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, msgspec.DecodeError) as error:
        raise DataError(
            str(file),
            found=str(error),
            wanted="a note of `tessera up`",
            next_step="delete it; the next start writes a new one",
        ) from error
    try:
        os.kill(note.pid, 0)
    except ProcessLookupError:
        # It was killed before it could take its note away.
        return None
    except PermissionError:
        return note
    return note
