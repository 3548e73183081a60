"""From a repository's name to the metrics of the fourth step."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Collection, Sequence

from tessera.diligence.developers.activity import Found, measure_history, without
from tessera.diligence.developers.child import Limits
from tessera.diligence.developers.forks import find_shared
from tessera.diligence.developers.history import Change, History, read_changes, read_history
from tessera.diligence.developers.releases import newer_release
from tessera.diligence.developers.repository import Repository, is_url, open_repository
from tessera.diligence.results import DAY_S, Metric, Status, Window
from tessera.diligence.subject import Subject
from tessera.diligence.view import View
from tessera.diligence.wording import legible
from tessera.errors import DataError, TooLarge

__all__ = ["measure", "measure_repository"]

_YEAR_DAYS = 365


def measure(view: View, *, clock: Callable[[], float] = time.time) -> list[Metric]:
    """Measure the developers of a token, as of the block that is looked at.

    Raises
    ------
    InputError
        The repository that was named is none, or git is not installed.
    """
    subject = view.subject
    where = view.repository
    if where is None and subject.repository is not None:
        where = _from(subject, subject.repository)
    metrics = measure_repository(
        where,
        now=int(clock()),
        at=view.head.time,
        upstreams=[_from(subject, upstream) for upstream in subject.upstreams],
    )
    return [newer_release(view, each) if each.name == "release_age" else each for each in metrics]


def measure_repository(
    where: str | None,
    *,
    now: int,
    at: int | None = None,
    upstreams: Sequence[str] = (),
    limits: Limits | None = None,
) -> list[Metric]:
    """Measure the developers' activity in a repository.

    Parameters
    ----------
    where
        A folder with a git repository, or a URL; None where none is known.
    now
        Seconds since 1970 UTC.
    at
        The moment that is asked about; None: that of the copy.
    upstreams
        Folders or URLs of what it may be a fork of. Their commits count for nothing.

    Returns
    -------
    list of Metric
        One for each of `activity.NAMES`, in that order. What cannot be read, or is over a limit,
        is `unknown`, with git's own reason; so is what is recent in a copy that is a month old.

    Raises
    ------
    InputError
        There is no repository there, or git is not installed.
    """
    if where is None:
        return without(
            Status.UNKNOWN, "no repository was named: --repo, or repository in about.toml"
        )
    limits = limits or Limits()
    reading = where
    others: list[Repository] = []
    with contextlib.ExitStack() as stack:
        try:
            repository = stack.enter_context(open_repository(where, now=now, limits=limits))
            history = _cut(repository) if repository.shallow else read_history(repository, at)
            for reading in upstreams:
                other = open_repository(reading, now=now, limits=limits)
                others.append(stack.enter_context(other))
            reading = where
            shared = None
            if others and history.head is not None and not history.shallow:
                shared = find_shared(history, repository, others)
            changes = _changes(repository, history, shared.commits if shared else frozenset())
        except (DataError, TooLarge, OSError) as error:
            # What nobody can read must not keep the other steps from being shown.
            return without(
                Status.UNKNOWN, f"the repository {legible(reading)} cannot be read: {error}"
            )
        heads = tuple(str(other.head) for other in others)
        behind = (min(now, now if at is None else at) - repository.snapshot) // DAY_S
        return measure_history(Found(history, changes, shared, heads, max(0, behind)))


def _from(subject: Subject, where: str) -> str:
    """Return a name of the analyst's file as it is understood from anywhere."""
    return where if is_url(where) else str(subject.path(where))


def _cut(repository: Repository) -> History:
    # It is said to be one, and nothing is counted in it.
    at = repository.snapshot
    return History(legible(repository.where), repository.head, at, (), 0, 0, (), None, True, at)


def _changes(
    repository: Repository, history: History, upstream: Collection[str]
) -> dict[str, Change] | None:
    """Count lines of people's newest commits of a year; None where the files are not here."""
    year = Window.last(_YEAR_DAYS, history.at + 1)
    wanted = [
        one.id
        for one in history.commits
        if one.committed in year and not one.bot and one.id not in upstream
    ]
    try:
        return read_changes(repository, wanted[: repository.limits.changes])
    except DataError:
        return None
