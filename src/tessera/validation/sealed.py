"""What must outlive the process that made it: on the disk, forced, before anything is sent.

A commitment can only be opened with what it was made of. So that lies in a file that only its owner
can read, one per account and matter, and is never written twice: whoever starts again goes on with
what is kept.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final, TypeVar

import msgspec

from tessera.errors import DataError, InputError, NotFound
from tessera.storage.folders import sync_folder

__all__ = ["keep", "kept", "name_of"]

T = TypeVar("T", bound=msgspec.Struct)

_SHORT: Final = 16


def name_of(kind: str, chain_id: int, contract: str, *keys: bytes | str | int) -> str:
    """Name the file of one matter: what it is, where it counts, and about what and whose it is."""
    parts = [kind, str(chain_id), contract.lower()[2 : 2 + _SHORT]]
    for key in keys:
        if isinstance(key, bytes):
            parts.append(key.hex()[:_SHORT])
        elif isinstance(key, str):
            parts.append(key.lower()[2 : 2 + _SHORT])
        else:
            parts.append(str(key))
    return "-".join(parts) + ".json"


def keep(folder: Path, name: str, made: msgspec.Struct) -> None:
    """Write it, and return when it is on the disk.

    Raises
    ------
    InputError
        The folder cannot be written to.
    """
    file = folder / name
    temporary = file.with_suffix(".new")
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "wb") as opened:
            opened.write(msgspec.json.encode(made))
            opened.flush()
            os.fsync(opened.fileno())
        temporary.replace(file)
        sync_folder(folder)
    except OSError as error:
        raise InputError(
            f"folder {folder}", found=error.strerror, wanted="one that can be written to"
        ) from error


def kept(folder: Path, name: str, kind: type[T], about: str) -> T:
    """Read what is kept.

    Parameters
    ----------
    about
        What it is, for people: "vote of poll 3".

    Raises
    ------
    NotFound
        Nothing is.
    DataError
        The file is damaged.
    """
    file = folder / name
    try:
        return msgspec.json.decode(file.read_bytes(), type=kind)
    except FileNotFoundError as error:
        raise NotFound(
            about, found="nothing sealed here", wanted="what was committed to, with its salt",
            next_step="it can only be opened from the data folder that it was committed from",
        ) from error  # fmt: skip
    except (OSError, msgspec.MsgspecError) as error:
        raise DataError(f"{about} in {file}", found=str(error), wanted="what was sealed") from error
