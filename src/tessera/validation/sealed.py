"""What must outlive the process that made it: on the disk, forced, before anything is sent.

A commitment can only be opened with what it was made of. So that lies in a file that only its owner
can read, one per account and matter, and is never written twice: whoever starts again goes on with
what is kept.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Final, TypeVar

import msgspec

from tessera.errors import DataError, NotFound
from tessera.storage.folders import write_whole

__all__ = ["keep", "kept", "name_of"]

T = TypeVar("T", bound=msgspec.Struct)

_SHORT: Final = 16
_DIGEST: Final = 40


def name_of(kind: str, chain_id: int, contract: str, *keys: bytes | str | int) -> str:
    """Name the file of one matter: what it is, where it counts, and about what and whose it is.

    The parts are cut, to be read; the digest at the end is of all of them, since an attacker could
    make another matter with the same beginnings, and only one file has a name.
    """
    words = [each.hex() if isinstance(each, bytes) else str(each).lower() for each in keys]
    whole = [kind, str(chain_id), contract.lower(), *words]
    short = (each.removeprefix("0x")[:_SHORT] for each in whole)
    digest = hashlib.sha256("-".join(whole).encode()).hexdigest()[:_DIGEST]
    return "-".join([*short, digest]) + ".json"


def keep(folder: Path, name: str, made: msgspec.Struct) -> None:
    """Write it, and return when it is on the disk.

    Raises
    ------
    StorageFull, InputError
        The folder cannot be written to.
    """
    write_whole(folder / name, msgspec.json.encode(made))


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
