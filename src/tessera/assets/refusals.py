"""What the assets room can refuse, as values and as errors.

A `Problem` is one thing that is wrong. Validation gathers all of them and raises once, so that a
publisher mends a folder in one go.
"""

from __future__ import annotations

import errno
from collections.abc import Iterable
from dataclasses import dataclass

from tessera.errors import Conflict, DataError, InputError, StorageFull

__all__ = [
    "ArchiveInvalid",
    "BundleChanged",
    "BundleDamaged",
    "BundleInvalid",
    "Problem",
    "storage_full",
]

MAX_PROBLEMS_SHOWN = 50
"""A folder with ten thousand faults has one cause; the rest is counted."""

_NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong with a bundle.

    Attributes
    ----------
    where
        The key or file, as the publisher knows it: "tessera.toml: price.per_call".
    found, wanted
        What is there and what would do, in words.
    next_step
        What to do about it; may be empty where `wanted` says it all.
    """

    where: str
    found: str
    wanted: str
    next_step: str = ""

    def __str__(self) -> str:
        line = f"{self.where}: found {self.found}, wanted {self.wanted}"
        return f"{line}; {self.next_step}" if self.next_step else line


class BundleInvalid(InputError):
    """A folder that is no bundle, with everything that is wrong with it.

    Attributes
    ----------
    problems
        All of them, in the order in which they were found; never empty.
    """

    def __init__(self, bundle: str, problems: Iterable[Problem]) -> None:
        self.problems = tuple(problems)
        count = len(self.problems)
        lines = [f"{bundle}: {count} problem{'s' if count != 1 else ''}"]
        lines += [f"  {problem}" for problem in self.problems[:MAX_PROBLEMS_SHOWN]]
        if count > MAX_PROBLEMS_SHOWN:
            lines.append(f"  and {count - MAX_PROBLEMS_SHOWN} more")
        super().__init__(
            "\n".join(lines) if count != 1 else f"{bundle}: {self.problems[0]}",
            bundle=bundle,
            problems=[
                {
                    "where": problem.where,
                    "found": problem.found,
                    "wanted": problem.wanted,
                    "next_step": problem.next_step,
                }
                for problem in self.problems
            ],
        )


class BundleChanged(Conflict):
    """A file was replaced or written to while it was read, so no hash of it means anything."""

    def __init__(self, path: str, what: str) -> None:
        super().__init__(
            path,
            found=what,
            wanted="a file that stays as it is while it is read",
            next_step="stop what writes to the folder, then try again",
            path=path,
        )


class BundleDamaged(DataError):
    """A stored bundle whose bytes no longer match its root. It is not used."""

    def __init__(self, root: bytes, what: str) -> None:
        super().__init__(
            f"bundle 0x{root.hex()}",
            found=what,
            wanted="exactly the bytes that the content root commits to",
            next_step="add its folder or archive again, which replaces the damaged copy: "
            "tessera assets add PATH",
            root=root,
        )


class ArchiveInvalid(InputError):
    """An archive that is not what `export_bundle` writes. Nothing of it was kept."""

    def __init__(self, found: str, wanted: str) -> None:
        super().__init__(
            "bundle archive",
            found=found,
            wanted=wanted,
            next_step="export it again: tessera assets export ASSET FILE",
        )


def storage_full(error: OSError, place: str) -> StorageFull | None:
    """Turn "no room" from the system into our error, and anything else into None.

    Parameters
    ----------
    error
        What writing raised.
    place
        The folder that was written to.
    """
    if error.errno not in _NO_ROOM:
        return None
    return StorageFull(
        place,
        found=error.strerror or "no room",
        wanted="room for the whole bundle",
        next_step="free some space or choose another data folder; nothing was kept of this bundle",
        place=place,
    )
