"""A stranger's repository, opened so that nothing of it runs.

Git believes a repository's own configuration, and that can name programs. So git is never started
in it: its references are read here, as text, and git works in an empty folder of ours that borrows
nothing but the objects. Whatever else lies in the stranger's folder, it is not looked at.

A repository at a URL is first copied, whole and bare, into a folder that is thrown away.
"""

from __future__ import annotations

import contextlib
import os
import re
import stat
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import unquote, urlsplit

from tessera.diligence.developers.child import Limits, git
from tessera.diligence.wording import legible
from tessera.errors import DataError, InputError, TooLarge

__all__ = ["Repository", "Tag", "is_url", "open_repository"]

_PROTOCOLS: Final = ("https", "http", "git")
_HEX: Final = re.compile(r"[0-9a-f]{40}(?:[0-9a-f]{24})?")
_SHA256_DIGITS: Final = 64
_MOST_REFERENCE_BYTES: Final = 4096
_MOST_TABLE_BYTES: Final = 64 << 20
_MOST_LINKS: Final = 5
_MOST_DEPTH: Final = 16
# Written by git whenever a repository is fetched into, committed to or checked out.
_TOUCHED: Final = ("FETCH_HEAD", "ORIG_HEAD", "HEAD", "packed-refs", "logs/HEAD")


@dataclass(frozen=True, slots=True)
class Tag:
    """A name that a release may have; `target` is what it points at, a tag object or a commit."""

    name: str
    target: str


@dataclass(frozen=True, slots=True)
class Repository:
    """What git may be asked about.

    Attributes
    ----------
    where
        As the analyst named it.
    folder
        A git directory of ours that borrows the objects.
    head
        Newest commit of the branch that the repository shows first; None where it has no commit.
    tags
        In the order of their names.
    shallow
        Commits at which somebody cut the history off; empty where it is whole.
    snapshot
        When this copy was last brought up to date, seconds since 1970 UTC.
    limits
        What reading it may cost.
    """

    where: str
    folder: Path
    head: str | None
    tags: tuple[Tag, ...]
    shallow: tuple[str, ...]
    snapshot: int
    limits: Limits


def is_url(where: str) -> bool:
    """Whether a repository would have to be fetched from elsewhere."""
    return "://" in where and not where.startswith("file://")


@contextlib.contextmanager
def open_repository(where: str, *, now: int, limits: Limits | None = None) -> Iterator[Repository]:
    """Open a folder with a repository, or copy one from a URL.

    Parameters
    ----------
    where
        A folder with a checkout, a bare git directory, or a URL with https, http or git.
    now
        Seconds since 1970 UTC: when a copy is fetched, and the latest time a copy may claim.

    Raises
    ------
    InputError
        There is no repository, or it is of a kind that is not read.
    DataError
        Its references are broken, or it could not be fetched.
    TooLarge
        It is over a limit.
    """
    limits = limits or Limits()
    with tempfile.TemporaryDirectory(prefix="tessera-git-") as scratch:
        place = Path(scratch)
        if is_url(where):
            source, snapshot = _clone(where, place, limits), now
        else:
            source = _git_directory(_path_of(where))
            snapshot = None
        shared = _common(source)
        head = _head(source, shared)
        snapshot = min(now, _last_touched(source) if snapshot is None else snapshot)
        shallow = _shallow(shared)
        folder = _borrowing(place / "reading", shared, head, shallow)
        yield Repository(where, folder, head, _tags(shared, limits), shallow, snapshot, limits)


def _path_of(where: str) -> Path:
    if where.startswith("file://"):
        where = unquote(urlsplit(where).path)
    if not where or "\0" in where or "\n" in where:
        raise InputError("repository", found=where, wanted="a folder or a URL")
    return Path(where)


def _clone(url: str, place: Path, limits: Limits) -> Path:
    protocol = urlsplit(url).scheme
    if protocol not in _PROTOCOLS:
        raise InputError(
            "repository",
            found=legible(url),
            wanted=f"a folder, or a URL with {', '.join(_PROTOCOLS)}",
            next_step="clone it yourself and give the folder",
        )
    target = place / "fetched"
    # The whole history, its files too: changed lines cannot be counted without them.
    arguments = ("clone", "--quiet", "--bare", "--template=", "--no-hardlinks", "--", url)
    allowed = ":".join(_PROTOCOLS)
    settings = {f"protocol.{name}.allow": "always" for name in _PROTOCOLS}
    for _ in git(
        place,
        (*arguments, str(target)),
        limits,
        settings=settings,
        protocols=allowed,
        writes=True,
        watch=place,
    ):
        pass
    return target


def _git_directory(folder: Path) -> Path:
    """Find the git directory of a checkout, a bare repository, a worktree or a submodule."""
    place = folder.expanduser()
    if _is_git_directory(place):
        return place.resolve()
    for _ in range(_MOST_LINKS):
        inside = place / ".git"
        if _is_git_directory(inside):
            return inside.resolve()
        link = _read(inside, _MOST_REFERENCE_BYTES) if inside.is_file() else None
        if link is None or not link.startswith("gitdir:"):
            break
        named = inside.parent / link.removeprefix("gitdir:").strip()
        if _is_git_directory(named):
            return named.resolve()
        place = named
    raise InputError(
        "repository",
        found=legible(str(folder)),
        wanted="a folder with a git repository, or a URL",
        next_step="git clone it first, or leave it out: the developers are then unknown",
    )


def _is_git_directory(place: Path) -> bool:
    return (place / "HEAD").is_file() and (
        (place / "objects").is_dir() or (place / "commondir").is_file()
    )


def _common(source: Path) -> Path:
    """Return the folder with objects and references: a worktree has them elsewhere."""
    named = _read(source / "commondir", _MOST_REFERENCE_BYTES)
    shared = source if named is None else (source / named.strip()).resolve()
    if not (shared / "objects").is_dir():
        raise InputError("repository", found=legible(str(source)), wanted="one with its objects")
    if (shared / "reftable").is_dir():
        raise InputError(
            "repository",
            found="references in a table (reftable)",
            wanted="references in files",
            next_step="git clone --bare --ref-format=files it, and give that folder",
        )
    if "\n" in str(shared):
        raise InputError("repository", found="a line break in its path", wanted="a plain path")
    return shared


def _head(source: Path, shared: Path) -> str | None:
    text = _read(source / "HEAD", _MOST_REFERENCE_BYTES)
    for _ in range(_MOST_LINKS):
        if text is None:
            return None
        text = text.strip()
        if not text.startswith("ref:"):
            if _HEX.fullmatch(text):
                return text
            raise DataError("repository: HEAD", found=legible(text), wanted="a commit or a branch")
        name = text.removeprefix("ref:").strip()
        if not _is_reference(name):
            raise DataError("repository: HEAD", found=legible(name), wanted="a branch")
        text = _read(shared / name, _MOST_REFERENCE_BYTES) or _packed(shared).get(name)
    raise DataError("repository: HEAD", found="references to references", wanted="a commit")


def _is_reference(name: str) -> bool:
    return (
        name.startswith("refs/")
        and ".." not in name
        and all(name.split("/"))
        and legible(name, _MOST_REFERENCE_BYTES) == name
    )


def _packed(shared: Path) -> dict[str, str]:
    table = _read(shared / "packed-refs", _MOST_TABLE_BYTES) or ""
    found = {}
    for line in table.splitlines():
        commit, _, name = line.partition(" ")
        if _HEX.fullmatch(commit) and name:
            found[name] = commit
    return found


def _tags(shared: Path, limits: Limits) -> tuple[Tag, ...]:
    prefix = "refs/tags/"
    found = {name: at for name, at in _packed(shared).items() if name.startswith(prefix)}
    waiting = [(shared / "refs" / "tags", prefix, 0)]
    while waiting:
        folder, name, depth = waiting.pop()
        with contextlib.suppress(FileNotFoundError), os.scandir(folder) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False) and depth < _MOST_DEPTH:
                    waiting.append((Path(entry.path), f"{name}{entry.name}/", depth + 1))
                elif entry.is_file(follow_symlinks=False):
                    text = (_read(Path(entry.path), _MOST_REFERENCE_BYTES) or "").strip()
                    if _HEX.fullmatch(text):
                        found[f"{name}{entry.name}"] = text
                if len(found) > limits.tags:
                    break
    if len(found) > limits.tags:
        raise TooLarge(
            "repository", found=f"more than {limits.tags} tags", wanted="tags that are releases"
        )
    return tuple(Tag(name.removeprefix(prefix), found[name]) for name in sorted(found))


def _shallow(shared: Path) -> tuple[str, ...]:
    lines = (_read(shared / "shallow", _MOST_TABLE_BYTES) or "").split()
    return tuple(line for line in lines if _HEX.fullmatch(line))


def _last_touched(source: Path) -> int:
    moments = []
    for name in _TOUCHED:
        with contextlib.suppress(OSError):
            moments.append(int((source / name).lstat().st_mtime))
    return max(moments, default=0)


def _read(file: Path, most: int) -> str | None:
    """Read a small file of a stranger's; None where there is none.

    A pipe or a device in its place would never end, so only ordinary files are read.
    """
    try:
        handle = os.open(file, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise DataError(
            f"repository: {legible(file.name)}",
            found=error.strerror,
            wanted="a file that can be read",
        ) from error
    with os.fdopen(handle, "rb") as opened:
        if not stat.S_ISREG(os.fstat(handle).st_mode):
            return None
        content = opened.read(most + 1)
    if len(content) > most:
        raise TooLarge(
            f"repository: {legible(file.name)}",
            found=f"more than {most} bytes",
            wanted="what git writes there",
        )
    return content.decode("utf-8", "surrogateescape")


def _borrowing(folder: Path, shared: Path, head: str | None, shallow: tuple[str, ...]) -> Path:
    (folder / "objects" / "info").mkdir(parents=True)
    (folder / "refs").mkdir()
    (folder / "HEAD").write_text("ref: refs/heads/none\n")
    config = "[core]\n\tbare = true\n\trepositoryformatversion = 0\n"
    if head is not None and len(head) == _SHA256_DIGITS:
        config = (
            "[core]\n\tbare = true\n\trepositoryformatversion = 1\n"
            "[extensions]\n\tobjectformat = sha256\n"
        )
    (folder / "config").write_text(config)
    (folder / "objects" / "info" / "alternates").write_bytes(
        _quoted(os.fsencode(shared / "objects")) + b"\n"
    )
    if shallow:
        (folder / "shallow").write_text("".join(f"{commit}\n" for commit in shallow))
    return folder


def _quoted(path: bytes) -> bytes:
    """Quote a path as git's list of other places for objects wants it."""
    if not path.startswith((b'"', b"#")):
        return path
    return b'"' + path.replace(b"\\", b"\\\\").replace(b'"', b'\\"') + b'"'
