"""A folder that is not trusted: what is in it, and its bytes, without ever following a link.

Every name is opened relative to the directory it was listed in, with O_NOFOLLOW, so swapping a
folder for a symlink between listing and reading leads to a refusal and not to somebody else's file.
A file is compared with itself before and after it is read.
"""

from __future__ import annotations

import fnmatch
import os
import stat
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from tessera.assets.content import CHUNK_SIZE, Piece
from tessera.assets.paths import MAX_DEPTH, canonical, collisions, fault_of, sort_key
from tessera.assets.refusals import BundleChanged, Problem
from tessera.errors import InputError, NotFound

__all__ = ["DEFAULT_IGNORE", "MAX_FILES", "Folder", "FoundFile", "Ignore", "Listing"]

MAX_FILES = 100_000
"""Most files in one bundle; more belong into an archive file of their own."""

DEFAULT_IGNORE = (
    ".git",
    ".hg",
    ".svn",
    ".env",
    ".venv",
    ".DS_Store",
    "Thumbs.db",
    "desktop.ini",
    "__pycache__",
    "*.pyc",
    ".ipynb_checkpoints",
    ".mypy_cache",
    ".pytest_cache",
    ".ruff_cache",
    "*.swp",
    "*~",
)
"""Names that never enter a bundle: history, caches, editors' leavings, and secrets."""

_OPEN_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
# O_NONBLOCK: a fifo that takes a file's place must not hang us before it is recognised.
_OPEN_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


@dataclass(frozen=True, slots=True)
class Ignore:
    """Which names to leave out.

    Attributes
    ----------
    patterns
        Shell patterns. One without a slash is compared with each name, at any depth; one with a
        slash with the whole relative path, where `*` also matches slashes.
    """

    patterns: tuple[str, ...] = DEFAULT_IGNORE

    def matches(self, path: str) -> bool:
        """Whether the file or folder at `path` is left out."""
        name = path.rpartition("/")[2]
        return any(
            fnmatch.fnmatchcase(path if "/" in pattern else name, pattern.strip("/"))
            for pattern in self.patterns
        )


@dataclass(frozen=True, slots=True)
class FoundFile:
    """A regular file in a folder.

    Attributes
    ----------
    path
        Relative POSIX path in NFC: the one that is hashed.
    on_disk
        The same path as the file system spells it.
    size
        Bytes, when it was listed.
    """

    path: str
    on_disk: str
    size: int


@dataclass(frozen=True, slots=True)
class Listing:
    """What is in a folder, and what should not be.

    Attributes
    ----------
    files
        Regular files, in the order of their paths' bytes.
    problems
        Links, devices, illegal or colliding names. A listing with problems must not be hashed.
    """

    files: tuple[FoundFile, ...]
    problems: tuple[Problem, ...]

    @property
    def size(self) -> int:
        """Bytes of all files."""
        return sum(file.size for file in self.files)


class Folder:
    """An open folder; closes its descriptor on exit.

    Parameters
    ----------
    path
        The folder. It may itself be reached through a link: that is its owner's choice. Nothing
        below it may.

    Raises
    ------
    NotFound
        There is no such folder.
    InputError
        It is no folder or cannot be read.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            self._fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except FileNotFoundError as error:
            raise NotFound(
                f"folder {path}", found="nothing", wanted="a folder", next_step="check the path"
            ) from error
        except OSError as error:
            raise InputError(
                f"folder {path}", found=error.strerror, wanted="a folder that can be read"
            ) from error

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        os.close(self._fd)

    def list(self, ignore: Ignore | None = None) -> Listing:
        """Walk the folder.

        Parameters
        ----------
        ignore
            What to leave out; by default nothing, so that whatever lies in the folder counts.
        """
        walk = _Walk(ignore or Ignore(()))
        walk.directory(self._fd, "")
        for one, other in collisions(file.on_disk for file in walk.files):
            walk.problems.append(
                Problem(
                    where=other,
                    found=f"a name that equals {one!r} on some file systems",
                    wanted="names that differ in more than case or Unicode spelling",
                    next_step="rename one of them",
                )
            )
        return Listing(
            files=tuple(sorted(walk.files, key=lambda file: sort_key(file.path))),
            problems=tuple(walk.problems),
        )

    def read(self, path: str, limit: int) -> bytes:
        """Read one small file.

        Raises
        ------
        FileNotFoundError
            There is none, or a part of the path is no folder.
        BundleChanged
            It is no regular file, exceeds `limit` bytes, or changed meanwhile.
        """
        fd = self._open(path)
        try:
            before = os.fstat(fd)
            if not stat.S_ISREG(before.st_mode):
                raise BundleChanged(path, f"a {_kind(before.st_mode)}")
            if before.st_size > limit:
                raise BundleChanged(path, f"{before.st_size} bytes, more than {limit}")
            parts: list[bytes] = []
            missing = limit + 1
            while missing and (part := os.read(fd, missing)):
                parts.append(part)
                missing -= len(part)
            _compare(path, before, os.fstat(fd))
        finally:
            os.close(fd)
        return b"".join(parts)

    def pieces(self, files: Sequence[FoundFile]) -> Iterator[Piece]:
        """Open the files one after the other, for `measure`.

        Raises
        ------
        BundleChanged
            While iterating: a file vanished, became something else, or changed while it was read.
        """
        buffer = memoryview(bytearray(CHUNK_SIZE))
        for file in files:
            yield Piece(file.path, file.size, self._chunks(file, buffer))

    def _chunks(self, file: FoundFile, buffer: memoryview) -> Iterator[memoryview]:
        try:
            fd = self._open(file.on_disk)
        except PermissionError as error:
            raise InputError(
                file.path,
                found=error.strerror,
                wanted="a file that may be read",
                next_step="change its mode or exclude it",
            ) from error
        except OSError as error:
            raise BundleChanged(file.path, error.strerror or "no file") from error
        try:
            before = os.fstat(fd)
            if not stat.S_ISREG(before.st_mode):
                raise BundleChanged(file.path, f"a {_kind(before.st_mode)}")
            if before.st_size != file.size:
                raise BundleChanged(file.path, f"{before.st_size} bytes, before {file.size}")
            while filled := _fill(fd, buffer):
                yield buffer[:filled]
                if filled < len(buffer):
                    break
            _compare(file.path, before, os.fstat(fd))
        finally:
            os.close(fd)

    def _open(self, path: str) -> int:
        *parents, name = path.split("/")
        held = self._fd
        try:
            for parent in parents:
                inner = os.open(parent, _OPEN_DIRECTORY, dir_fd=held)
                if held != self._fd:
                    os.close(held)
                held = inner
            return os.open(name, _OPEN_FILE, dir_fd=held)
        finally:
            if held != self._fd:
                os.close(held)


class _Walk:
    """One pass over a folder, gathering files and problems."""

    def __init__(self, ignore: Ignore) -> None:
        self.files: list[FoundFile] = []
        self.problems: list[Problem] = []
        self._ignore = ignore
        self._full = False

    def directory(self, fd: int, prefix: str) -> None:
        found: list[tuple[str, os.stat_result]] = []
        with os.scandir(fd) as entries:
            for entry in entries:
                try:
                    found.append((entry.name, entry.stat(follow_symlinks=False)))
                except FileNotFoundError as error:
                    raise BundleChanged(f"{prefix}{entry.name}", "no file any more") from error
        for name, status in sorted(found, key=lambda each: each[0]):
            if self._full:
                return
            path = f"{prefix}{name}"
            if not self._ignore.matches(path):
                self._entry(fd, name, path, status)

    def _entry(self, fd: int, name: str, path: str, status: os.stat_result) -> None:
        fault = fault_of(path)
        if fault is not None:
            self._refuse(path, f"a path that {fault}", _PATH_RULE, "rename or exclude it")
        elif stat.S_ISDIR(status.st_mode):
            self._descend(fd, name, path)
        elif stat.S_ISREG(status.st_mode):
            self._file(path, status.st_size)
        else:
            self._refuse(
                path,
                f"a {_kind(status.st_mode)}",
                "regular files and folders only",
                "put a copy of the file in its place, or exclude it",
            )

    def _descend(self, fd: int, name: str, path: str) -> None:
        if path.count("/") + 2 > MAX_DEPTH:
            self._refuse(path, "a folder too deep", _PATH_RULE, "move or exclude it")
            return
        try:
            inner = os.open(name, _OPEN_DIRECTORY, dir_fd=fd)
        except OSError as error:
            self._refuse(path, error.strerror or "an error", "a folder that can be read", "")
            return
        try:
            self.directory(inner, f"{path}/")
        finally:
            os.close(inner)

    def _file(self, path: str, size: int) -> None:
        if len(self.files) >= MAX_FILES:
            self._full = True
            self._refuse(
                path,
                f"more than {MAX_FILES} files",
                f"at most {MAX_FILES}",
                "pack them into one archive file, or exclude some",
            )
            return
        self.files.append(FoundFile(canonical(path), path, size))

    def _refuse(self, path: str, found: str, wanted: str, next_step: str) -> None:
        # surrogateescape keeps undecodable bytes in names; a message must be printable.
        shown = path.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
        shown = "".join(each if each.isprintable() else f"\\u{ord(each):04x}" for each in shown)
        self.problems.append(Problem(shown, found, wanted, next_step))


_PATH_RULE = (
    f"printable UTF-8 names, at most {MAX_DEPTH} deep, without backslashes or direction marks"
)


def _fill(fd: int, buffer: memoryview) -> int:
    """Read until the buffer is full or the file ends; a read may be short for no reason."""
    filled = 0
    while filled < len(buffer):
        count = os.readv(fd, [buffer[filled:]])
        if count == 0:
            break
        filled += count
    return filled


def _compare(path: str, before: os.stat_result, after: os.stat_result) -> None:
    if (before.st_size, before.st_mtime_ns, before.st_ctime_ns) != (
        after.st_size,
        after.st_mtime_ns,
        after.st_ctime_ns,
    ):
        raise BundleChanged(path, "a file that was written to meanwhile")


def _kind(mode: int) -> str:
    names = (
        (stat.S_ISLNK, "symbolic link"),
        (stat.S_ISDIR, "folder"),
        (stat.S_ISFIFO, "named pipe"),
        (stat.S_ISSOCK, "socket"),
        (stat.S_ISCHR, "device"),
        (stat.S_ISBLK, "device"),
    )
    return next((name for test, name in names if test(mode)), "special file")
