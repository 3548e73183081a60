"""How much of a history is somebody else's: a fork inherits all of it and has done none of it.

A commit is upstream's if its hash is there, or if it makes the same change (`git patch-id`), as
after a rebase. Who copies files without their history leaves neither trace; so the files of today
are held against every file that upstream ever had.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from tessera.diligence.developers.child import git_piped, printed
from tessera.diligence.developers.history import History
from tessera.diligence.developers.paths import Kind, kind_of
from tessera.diligence.developers.repository import Repository
from tessera.errors import DataError

__all__ = ["Shared", "find_shared"]


@dataclass(frozen=True, slots=True)
class Shared:
    """What a repository has from its upstreams.

    Attributes
    ----------
    by_hash, by_patch
        Commits that are upstream's; no commit is in both.
    compared
        Share of the other commits whose changes were compared: the limits leave out the oldest.
    files
        Source files of today that upstream had too, byte for byte.
    of_files
        Source files of today.
    """

    by_hash: frozenset[str]
    by_patch: frozenset[str]
    compared: float
    files: int
    of_files: int

    @property
    def commits(self) -> frozenset[str]:
        """All commits that are upstream's."""
        return self.by_hash | self.by_patch


def find_shared(
    history: History, repository: Repository, upstreams: Sequence[Repository]
) -> Shared:
    """Find what a history has in common with others.

    Raises
    ------
    DataError
        A repository is partial, shallow or broken, so that nothing can be said.
    """
    by_hash: set[str] = set()
    by_patch: set[str] = set()
    files: set[str] = set()
    mine = dict.fromkeys(commit.id for commit in history.commits)
    blobs = _sources(repository, history.head)
    compared = 1.0
    most = repository.limits.changes
    for upstream in upstreams:
        if upstream.shallow:
            raise DataError(
                f"upstream {upstream.where}", found="a shallow copy", wanted="its whole history"
            )
        listed = _listed(upstream, "rev-list", "--no-merges", "--topo-order")
        by_hash |= mine.keys() & set(listed)
        files |= blobs.intersection(_listed(upstream, "rev-list", "--objects", "--no-object-names"))
        own = [commit for commit in mine if commit not in by_hash and commit not in by_patch]
        others = [commit for commit in listed if commit not in mine]
        compared = min(
            compared, *(min(1.0, most / len(each)) for each in (own, others) if each), 1.0
        )
        known = set(_patches(upstream, others[:most]).values())
        by_patch |= {
            one for one, patch in _patches(repository, own[:most]).items() if patch in known
        }
    return Shared(
        frozenset(by_hash), frozenset(by_patch - by_hash), compared, len(files), len(blobs)
    )


def _listed(repository: Repository, *arguments: str) -> list[str]:
    heads = {repository.head, *(tag.target for tag in repository.tags)} - {None}
    if not heads:
        return []
    feed = "".join(f"{head}\n" for head in sorted(str(head) for head in heads)).encode()
    listed = printed(repository.folder, (*arguments, "--stdin"), repository.limits, feed=feed)
    return listed.decode().split()


def _sources(repository: Repository, head: str | None) -> set[str]:
    if head is None:
        return set()
    listed = printed(repository.folder, ("ls-tree", "-r", "-z", head), repository.limits)
    found = set()
    for entry in listed.split(b"\0"):
        heading, _, path = entry.partition(b"\t")
        if heading.startswith(b"100") and kind_of(path) is Kind.SOURCE:
            found.add(heading.split()[2].decode())
    return found


def _patches(repository: Repository, commits: Iterable[str]) -> dict[str, str]:
    """Commit to the number of its change, which does not depend on where it was made."""
    feed = "".join(f"{commit}\n" for commit in commits).encode()
    if not feed:
        return {}
    shown = (
        "diff-tree", "--stdin", "--root", "-r", "-p", "--no-renames", "--no-ext-diff",
        "--no-textconv", "--diff-algorithm=myers",
    )  # fmt: skip
    pieces = git_piped(
        repository.folder, shown, ("patch-id", "--stable"), repository.limits, feed=feed
    )
    found = {}
    for line in b"".join(pieces).decode().splitlines():
        patch, commit = line.split()
        found[commit] = patch
    return found
