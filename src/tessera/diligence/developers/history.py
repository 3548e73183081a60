"""A repository's history as data: commits, who and what they touch, tags, and the files of today.

Read by git's own command line, in the specification's way: without merges, with the repository's
own mailmap, and with `--no-renames`, as looking for renames reads contents that a partial copy
lacks, upon which git stops in the middle. So its exit status is checked, and the commits are
counted twice.

`--raw` stands for `--name-only`: it reads no more, and its entries cannot be taken for the next
commit's heading, whatever a file is called.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from tessera.diligence.developers.child import git, printed
from tessera.diligence.developers.paths import Kind, kind_of
from tessera.diligence.developers.people import is_bot, person, signers
from tessera.diligence.developers.repository import Repository
from tessera.diligence.wording import legible
from tessera.errors import DataError, TooLarge

__all__ = ["Change", "Commit", "Files", "History", "Release", "read_changes", "read_history"]

_FIELDS: Final = (
    "%H", "%T", "%ct", "%at", "%an", "%ae", "%aN", "%aE",
    "%(trailers:key=Co-authored-by,valueonly,unfold,separator=%x1f)",
)  # fmt: skip
_FORMAT: Final = "%x00".join(_FIELDS) + "%x00"
_TAG_FORMAT: Final = "%00".join(
    f"%({field})"
    for field in (
        "refname", "objecttype", "objectname", "*objecttype", "*objectname",
        "creatordate:unix", "committerdate:unix", "*committerdate:unix",
    )
)  # fmt: skip
_MOST_OF_A_NAME: Final = 16 << 20
_LAST_MOMENT: Final = 253_402_300_799
"""End of the year 9999: later ones are no dates."""


@dataclass(frozen=True, slots=True)
class Commit:
    """A commit that is no merge.

    Attributes
    ----------
    committed, authored
        Seconds since 1970 UTC, as its makers wrote them. The second one moves with a rebase.
    author
        What its author is counted as: the address after the mailmap.
    name
        Of the author, fit to be shown.
    bot
        Whether the name before or after the mailmap is a program's: a mailmap must not hide one.
    others
        Further authors, by `Co-authored-by`; programs are left out.
    kinds
        Of all paths that it touches; `NONE` where it touches none.
    paths
        A number that is the same for the same set of paths.
    returns
        Whether it leaves all files as some commit before it had left them.
    """

    id: str
    committed: int
    authored: int
    author: str
    name: str
    bot: bool
    others: tuple[str, ...]
    kinds: Kind
    paths: int
    returns: bool


@dataclass(frozen=True, slots=True)
class Release:
    """A tag.

    Attributes
    ----------
    at
        When the tag was made, as written; its commit's moment where that is later, or where the tag
        is but a name.
    code
        Whether source changed since the tags before it.
    """

    name: str
    commit: str
    at: int
    code: bool


@dataclass(frozen=True, slots=True)
class Files:
    """What the newest commit holds, at the moment that is asked about.

    Attributes
    ----------
    source
        Source files with something in them; None where sizes are not in this copy.
    all
        Files.
    """

    source: int | None
    all: int


@dataclass(frozen=True, slots=True)
class History:
    """All that was read.

    Attributes
    ----------
    head
        Newest commit of the first branch, at the moment that is asked about; None without one.
    at
        That moment, seconds since 1970 UTC.
    commits
        Reachable from `head`, newest first, without merges, and none dated after `at`.
    merges
        How many were left out.
    postdated
        Commits left out as they are dated after this copy was made: their dates are false.
    """

    where: str
    head: str | None
    at: int
    commits: tuple[Commit, ...]
    merges: int
    postdated: int
    releases: tuple[Release, ...]
    files: Files | None
    shallow: bool
    snapshot: int


@dataclass(frozen=True, slots=True)
class Change:
    """Lines of source that a commit changed; white space and blank lines do not count."""

    added: int
    removed: int

    @property
    def lines(self) -> int:
        """Added and removed."""
        return self.added + self.removed


def read_history(repository: Repository, at: int | None = None) -> History:
    """Read everything but changed lines, as it was at a moment.

    Parameters
    ----------
    at
        Seconds since 1970 UTC; None, or a later moment than that of the copy: the copy's.

    Raises
    ------
    DataError
        Git failed, or read fewer commits than there are.
    TooLarge
        There are more than the limits allow.
    """
    at = repository.snapshot if at is None else min(at, repository.snapshot)
    head = _head_at(repository, at)
    empty = History(
        where=legible(repository.where),
        head=head,
        at=at,
        commits=(),
        merges=0,
        postdated=0,
        releases=(),
        files=None,
        shallow=bool(repository.shallow),
        snapshot=repository.snapshot,
    )
    if head is None:
        return empty
    count = _count(repository, head)
    whole = _count(repository, head, "--no-merges")
    commits = _first_of_each_state(_commits(repository, head))
    if len(commits) != whole:
        raise DataError(
            "git log",
            found=f"{len(commits)} commits",
            wanted=f"the {whole} that git rev-list counts",
            next_step="fetch the whole repository: git fetch --refetch",
        )
    kinds = {commit.id: commit.kinds for commit in commits}
    return replace(
        empty,
        commits=tuple(commit for commit in commits if commit.committed <= at),
        merges=count - whole,
        postdated=sum(commit.committed > repository.snapshot for commit in commits),
        releases=tuple(each for each in _releases(repository, head, kinds) if each.at <= at),
        files=_files(repository, head),
    )


def read_changes(repository: Repository, commits: Sequence[str]) -> dict[str, Change]:
    """Count the changed lines of source of the commits given.

    White space, blank lines, others' code, locks and files over 4 MB are left out.

    Raises
    ------
    DataError
        A file's content is not in this copy: it is a partial one.
    """
    if not commits:
        return {}
    arguments = (
        "log", "-z", "--no-walk=unsorted", "--no-renames", "--numstat", "--ignore-all-space",
        "--ignore-blank-lines", "--no-ext-diff", "--no-textconv", "--diff-algorithm=myers",
        "--format=%H", "--stdin",
    )  # fmt: skip
    feed = "".join(f"{commit}\n" for commit in commits).encode()
    found: dict[str, Change] = {}
    added = removed = 0
    current: str | None = None
    for token in _tokens(git(repository.folder, arguments, repository.limits, feed=feed)):
        # A line break parts a heading from its files, even where all of these are left out.
        entry = token.lstrip(b"\n").split(b"\t", 2)
        if len(entry) == 1:  # the next commit's heading, or an empty end
            if not entry[0]:
                continue
            if current is not None:
                found[current] = Change(added, removed)
            current, added, removed = entry[0].decode("ascii", "replace"), 0, 0
        elif entry[0] != b"-" and kind_of(entry[2]) is Kind.SOURCE:
            added, removed = added + int(entry[0]), removed + int(entry[1])
    if current is not None:
        found[current] = Change(added, removed)
    if found.keys() != set(commits):
        raise DataError(
            "git log --numstat", found=f"{len(found)} commits", wanted=f"the {len(commits)} asked"
        )
    return found


def _head_at(repository: Repository, at: int) -> str | None:
    """Return the newest commit along the first branch that is dated no later than a moment."""
    if repository.head is None:
        return None
    arguments = ("rev-list", "-1", "--first-parent", f"--min-age={at}", repository.head, "--")
    found = printed(repository.folder, arguments, repository.limits).decode().strip()
    return found or None


def _count(repository: Repository, head: str, *options: str) -> int:
    arguments = ("rev-list", "--count", *options, head, "--")
    count = int(printed(repository.folder, arguments, repository.limits))
    if count > repository.limits.commits:
        raise TooLarge(
            "repository", found=f"{count} commits", wanted=f"{repository.limits.commits} or fewer"
        )
    return count


def _commits(repository: Repository, head: str) -> Iterator[tuple[Commit, bytes]]:
    """Yield each commit with the id of its tree."""
    arguments = (
        "log", "-z", "--no-merges", "--use-mailmap", "--no-renames", "--raw", "--no-abbrev",
        "--root", "--no-ext-diff", "--topo-order", f"--format={_FORMAT}", head, "--",
    )  # fmt: skip
    settings = {"mailmap.file": "/dev/null", "mailmap.blob": f"{head}:.mailmap"}
    tokens = _tokens(git(repository.folder, arguments, repository.limits, settings=settings))
    token = next(tokens, None)
    while token is not None:
        heading = [token, *(next(tokens, b"") for _ in _FIELDS[1:])]
        kinds, paths = Kind.NONE, 0
        token = next(tokens, None)
        # The separator that closes the heading, or the empty end of a commit without files.
        while token is not None and (not token or token.lstrip(b"\n").startswith(b":")):
            if token:
                path = next(tokens, b"")
                kinds |= kind_of(path)
                paths ^= hash(path)
            token = next(tokens, None)
        yield _commit(heading, kinds, paths), heading[1]


def _commit(heading: Sequence[bytes], kinds: Kind, paths: int) -> Commit:
    texts = [field.decode("utf-8", "replace") for field in heading]
    key, _, committed, authored, raw_name, raw_mail, name, mail, trailers = texts
    others = {person(by): None for who, by in signers(trailers) if not is_bot(who, by)}
    author = person(mail)
    others.pop(author, None)
    try:
        moments = int(committed or 0), int(authored or 0)
        bytes.fromhex(key)
    except ValueError as error:
        raise DataError(
            f"commit {legible(key[:40])}", found=legible(committed), wanted="a time"
        ) from error
    return Commit(
        id=key,
        committed=max(0, min(moments[0], _LAST_MOMENT)),
        authored=max(0, min(moments[1], _LAST_MOMENT)),
        author=author,
        name=legible(name),
        bot=is_bot(raw_name, raw_mail) or is_bot(name, mail),
        others=tuple(others),
        kinds=kinds,
        paths=paths,
        returns=False,
    )


def _first_of_each_state(commits: Iterable[tuple[Commit, bytes]]) -> list[Commit]:
    """Mark commits that lead back to files as they had been: work undone, or done for show."""
    seen: set[bytes] = set()
    marked = []
    for commit, tree in reversed(list(commits)):
        marked.append(replace(commit, returns=True) if tree in seen else commit)
        seen.add(tree)
    marked.reverse()
    return marked


def _tokens(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """Split a stream at its NULs; what follows the last one is a token if it is not empty."""
    rest = b""
    for piece in pieces:
        *whole, rest = (rest + piece).split(b"\0")
        if len(rest) > _MOST_OF_A_NAME:
            raise TooLarge("repository", found="a name of many megabytes", wanted="names of files")
        yield from whole
    if rest:
        yield rest


def _releases(repository: Repository, head: str, kinds: Mapping[str, Kind]) -> tuple[Release, ...]:
    """Say of each tag whether source changed since the tags made before it."""
    if not repository.tags:
        return ()
    dated = _dated_tags(repository)
    parents: dict[str, list[str]] = {}
    feed = "".join(f"{commit}\n" for commit in [head, *(commit for _, commit, _ in dated)]).encode()
    arguments = ("rev-list", "--parents", "--topo-order", "--stdin")
    listed = printed(repository.folder, arguments, repository.limits, feed=feed)
    for line in listed.decode().splitlines():
        commit, *before = line.split()
        parents[commit] = before
    elsewhere = [one for one, before in parents.items() if one not in kinds and len(before) <= 1]
    known = {**kinds, **_kinds(repository, elsewhere)}
    seen: set[str] = set()
    releases = []
    for name, commit, at in sorted(dated, key=lambda tag: (tag[2], tag[0])):
        waiting, code = [commit], False
        while waiting:
            one = waiting.pop()
            if one in seen or one not in parents:
                continue
            seen.add(one)
            code = code or bool(known.get(one, Kind.NONE) & Kind.SOURCE)
            waiting.extend(parents[one])
        releases.append(Release(legible(name), commit, at, code))
    return tuple(releases)


def _dated_tags(repository: Repository) -> list[tuple[str, str, int]]:
    """Name, commit and moment of each tag that leads to a commit."""
    # Under numbers of ours: a name of theirs never becomes a file or an argument.
    names = {f"refs/tags/{number}": tag for number, tag in enumerate(repository.tags)}
    table = "".join(f"{tag.target} {name}\n" for name, tag in sorted(names.items()))
    (repository.folder / "packed-refs").write_text(f"# pack-refs with: sorted\n{table}")
    arguments = (
        "for-each-ref",
        f"--format={_TAG_FORMAT}",
        "refs/tags/",
    )
    listed = printed(repository.folder, arguments, repository.limits)
    found = []
    for line in listed.decode("utf-8", "replace").splitlines():
        name, kind, target, inner_kind, inner, *moments = line.split("\0")
        if "commit" not in (kind, inner_kind):
            continue
        at = min(max(int(moment or 0) for moment in moments), _LAST_MOMENT)
        found.append((names[name].name, target if kind == "commit" else inner, at))
    return found


def _kinds(repository: Repository, commits: Sequence[str]) -> dict[str, Kind]:
    """Kinds of the paths of commits that only tags lead to."""
    if not commits:
        return {}
    arguments = (
        "log", "-z", "--no-walk=unsorted", "--no-renames", "--raw", "--no-abbrev", "--root",
        "--no-ext-diff", "--format=%H", "--stdin",
    )  # fmt: skip
    feed = "".join(f"{commit}\n" for commit in commits).encode()
    tokens = _tokens(git(repository.folder, arguments, repository.limits, feed=feed))
    found: dict[str, Kind] = {}
    current = ""
    for token in tokens:
        if token.lstrip(b"\n").startswith(b":"):
            found[current] |= kind_of(next(tokens, b""))
        elif token:
            current = token.decode()
            found[current] = Kind.NONE
    return found


def _files(repository: Repository, head: str) -> Files:
    """Count a commit's files; the sources among them where this copy has their sizes."""
    arguments = ("ls-tree", "-r", "-z", "-l", head)
    source: int | None = 0
    total = 0
    for token in _tokens(git(repository.folder, arguments, repository.limits)):
        heading, _, path = token.partition(b"\t")
        mode, _, _, size = heading.split()
        if not mode.startswith(b"100"):  # a link, or another repository
            continue
        total += 1
        if not size.isdigit():  # a partial copy: the name is here, the file is not
            source = None
        elif source is not None and int(size) and kind_of(path) is Kind.SOURCE:
            source += 1
    return Files(source, total)
