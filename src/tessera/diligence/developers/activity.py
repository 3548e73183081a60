"""What a history says of the people behind a token: the metrics of the fourth step.

Programs, merges and whatever is an upstream's are left out before anything is counted. All dates
and names are their authors' own claims; each metric says what it does about that.
"""

from __future__ import annotations

import hashlib
import math
import statistics
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from fractions import Fraction
from typing import Any, Final

from tessera.diligence.developers.forks import Shared
from tessera.diligence.developers.history import Change, Commit, History
from tessera.diligence.developers.paths import Kind
from tessera.diligence.results import (
    DAY_S,
    WHOLE,
    Coverage,
    Evidence,
    Metric,
    Status,
    Step,
    Window,
    hash_inputs,
)

__all__ = ["NAMES", "Found", "absence_factor", "measure_history", "without"]

NAMES: Final[Mapping[str, str]] = {
    "commits_month": "commits",
    "authors_month": "people",
    "absence_factor": "people",
    "days_since_last": "days",
    "days_since_code": "days",
    "doc_only_share": "share",
    "doc_only_repo": "",
    "data_only_share": "share",
    "infra_only_share": "share",
    "churn_quality": "share",
    "bot_share": "share",
    "fork_share": "share",
    "release_age": "days",
}
"""The metrics in their order, each with its unit."""

_RECENT: Final = frozenset({
    "commits_month", "authors_month", "days_since_last", "days_since_code", "release_age",
})  # fmt: skip
_STALE_DAYS: Final = 30
_QUARTER_DAYS: Final = 90
_YEAR_DAYS: Final = 365
_MONTHS_SHOWN: Final = 12
_FALSE_AUTHOR_DATE_DAYS: Final = 30
_HASH_SHOWN: Final = 12


@dataclass(frozen=True, slots=True)
class Found:
    """All that the metrics are made of.

    Attributes
    ----------
    changes
        Lines by commit, of the newest commits of the last year; None where this copy lacks the
        files' contents.
    shared
        With the upstreams; None where none was named.
    upstreams
        Newest commit of each.
    behind_days
        By how many the copy is older than the moment that is asked about.
    """

    history: History
    changes: Mapping[str, Change] | None
    shared: Shared | None
    upstreams: tuple[str, ...] = ()
    behind_days: int = 0


def without(status: Status, why: str, *, names: Iterable[str] = NAMES) -> list[Metric]:
    """Return metrics without a value, all for one reason."""
    return [Metric.without(name, Step.DEVELOPERS, status, why, unit=NAMES[name]) for name in names]


def absence_factor(work: Mapping[str, Fraction]) -> int:
    """Return the smallest number of authors with half of the work or more (CHAOSS).

    Parameters
    ----------
    work
        Of each author, not all zero: a commit is one, shared by those who signed it.

    Examples
    --------
    >>> absence_factor({"one": Fraction(5), "two": Fraction(3), "three": Fraction(2)})
    1
    """
    half, reached = sum(work.values(), Fraction(0)) / 2, Fraction(0)
    for count, one in enumerate(sorted(work.values(), reverse=True), start=1):
        reached += one
        if reached >= half:
            return count
    raise AssertionError("the sum of all is no less than its half")


def measure_history(found: Found) -> list[Metric]:
    """Return the metrics of one history, each in its place."""
    history = found.history
    if history.shallow:
        return without(
            Status.UNKNOWN,
            f"the history of {history.where} was cut off (a shallow copy), so it says nothing "
            "about before; git fetch --unshallow",
        )
    if history.head is None:
        return without(
            Status.INSUFFICIENT,
            f"no commit as of {_day(history.at)} in the repository {history.where}",
        )
    measures = _Measures(found)
    by_name: dict[str, Callable[[], Metric]] = {
        "commits_month": measures.commits_month,
        "authors_month": measures.authors_month,
        "absence_factor": measures.absence_factor,
        "days_since_last": measures.days_since_last,
        "days_since_code": measures.days_since_code,
        "doc_only_share": lambda: measures.only("doc_only_share", Kind.DOCUMENTS, "documents"),
        "doc_only_repo": measures.doc_only_repo,
        "data_only_share": lambda: measures.only("data_only_share", Kind.DATA, "data files"),
        "infra_only_share": lambda: measures.only(
            "infra_only_share", Kind.INFRASTRUCTURE, "configuration"
        ),
        "churn_quality": measures.churn_quality,
        "bot_share": measures.bot_share,
        "fork_share": measures.fork_share,
        "release_age": measures.release_age,
    }
    if found.behind_days <= _STALE_DAYS:
        return [by_name[name]() for name in NAMES]
    # Who hands over an old copy would be judged as of the day on which there still was work.
    why = f"this copy is {found.behind_days} days old: git fetch, or give its URL"
    return [
        measures.none(name, Status.UNKNOWN, why, missing=("what happened since",))
        if name in _RECENT
        else by_name[name]()
        for name in NAMES
    ]


class _Measures:
    def __init__(self, found: Found) -> None:
        self.found = found
        self.history = found.history
        upstream: Collection[str] = found.shared.commits if found.shared else ()
        self.own = [one for one in self.history.commits if one.id not in upstream]
        self.people = [one for one in self.own if not one.bot]
        self.year = Window.last(_YEAR_DAYS, self.history.at + 1)
        self.of_year = _within(self.people, self.year)
        this = Window.month_of(self.history.at)
        self.month = Window.month_of(this.start - 1)
        self.of_month = _within(self.people, self.month)
        ids = hashlib.sha256()
        for commit in sorted(one.id for one in self.history.commits):
            ids.update(commit.encode())
        self.inputs = hash_inputs(ids.hexdigest(), self.history.at, *found.upstreams)
        self.coverage = WHOLE
        if found.shared and found.shared.compared < 1:
            self.coverage = Coverage(
                found.shared.compared, ("the oldest changes were not held against upstream's",)
            )

    def made(
        self,
        name: str,
        value: float | bool,
        text: str,
        window: Window | None = None,
        evidence: tuple[Evidence, ...] = (),
        coverage: Coverage | None = None,
        inputs: str | None = None,
        **parts: object,
    ) -> Metric:
        return Metric(
            name=name,
            step=Step.DEVELOPERS,
            value=value,
            unit=NAMES[name],
            status=Status.OK,
            text=text,
            window=window,
            inputs_hash=inputs or self.inputs,
            coverage=coverage or self.coverage,
            evidence=evidence,
            parts=parts,
        )

    def none(
        self,
        name: str,
        status: Status,
        why: str,
        window: Window | None = None,
        missing: tuple[str, ...] = (),
    ) -> Metric:
        return Metric.without(
            name, Step.DEVELOPERS, status, why,
            unit=NAMES[name], window=window, inputs_hash=self.inputs, missing=missing,
        )  # fmt: skip

    def commits_month(self) -> Metric:
        """Count commits of the last whole month by committer date."""
        name = "commits_month"
        if not self.people or min(one.committed for one in self.people) >= self.month.end:
            return self.none(name, Status.INSUFFICIENT, self._too_young(), self.month)
        months = self._by_month(len)
        moved = sum(
            abs(one.committed - one.authored) > _FALSE_AUTHOR_DATE_DAYS * DAY_S
            for one in self.people
        )
        count = len(self.of_month)
        text = f"{_many(count, 'commit')} by people in {_month(self.month)}"
        evidence = [_seen("newest of them", one) for one in self.of_month[:1]]
        if self.history.postdated:
            text += (
                f"; {_many(self.history.postdated, 'commit')} dated after this copy was made, "
                "so falsely, left out"
            )
        return self.made(
            name, count, text, self.month, tuple(evidence),
            months=months,
            merges_left_out=self.history.merges,
            upstreams_left_out=len(self.history.commits) - len(self.own),
            bots_left_out=len(_within(self.own, self.month)) - count,
            postdated_left_out=self.history.postdated,
            author_date_over_30_days_off=moved,
        )  # fmt: skip

    def authors_month(self) -> Metric:
        """Count people, co-authors among them, of the last whole month."""
        name = "authors_month"
        if not self.people or min(one.committed for one in self.people) >= self.month.end:
            return self.none(name, Status.INSUFFICIENT, self._too_young(), self.month)
        authors = {one.author for one in self.of_month}
        signed = {other for one in self.of_month for other in one.others}
        everybody = authors | signed
        text = f"{_many(len(everybody), 'person', 'people')} in {_month(self.month)}"
        if signed - authors:
            text += (
                f", {len(signed - authors)} of them only by Co-authored-by, which anybody can add"
            )
        return self.made(
            name, len(everybody), text, self.month,
            authors=len(authors),
            only_co_authors=len(signed - authors),
            months=self._by_month(_count_people),
        )  # fmt: skip

    def absence_factor(self) -> Metric:
        """Find how few wrote half of the last year's commits."""
        name = "absence_factor"
        if not self.of_year:
            return self.none(name, Status.INSUFFICIENT, self._nothing(), self.year)
        value = absence_factor(_work(self.of_year))
        text = (
            f"{_many(value, 'person wrote', 'people wrote')} half of the last year's "
            f"{_many(len(self.of_year), 'commit')}"
        )
        names = {one.author: one.name for one in reversed(self.of_year)}
        ranked = sorted(_work(self.of_year).items(), key=lambda each: (-each[1], each[0]))
        evidence = tuple(
            Evidence("share of the commits", names.get(author, ""), float(done / len(self.of_year)))
            for author, done in ranked[:value][:3]
        )
        whole = absence_factor(_work(self.people))
        return self.made(name, value, text, self.year, evidence, ever=whole, people=len(ranked))

    def days_since_last(self) -> Metric:
        """Count days since a person's newest commit."""
        quarter = _within(self.people, Window.last(_QUARTER_DAYS, self.history.at + 1))
        return self._days(
            "days_since_last", self.people, "a person committed", last_90_days=len(quarter)
        )

    def days_since_code(self) -> Metric:
        """Count days since a person's newest commit to something that is no document."""
        coding = [one for one in self.people if one.kinds & ~Kind.DOCUMENTS]
        source = [one.committed for one in self.people if one.kinds & Kind.SOURCE]
        since = (self.history.at - max(source)) // DAY_S if source else None
        return self._days("days_since_code", coding, "anything but documents changed", source=since)

    def only(self, name: str, kind: Kind, words: str) -> Metric:
        """Find which share of the last year's commits touches one kind of file alone."""
        if not self.of_year:
            return self.none(name, Status.INSUFFICIENT, self._nothing(), self.year)
        such = [one for one in self.of_year if one.kinds == kind]
        share = len(such) / len(self.of_year)
        text = f"{_percent(share)} of the last year's commits touch nothing but {words}"
        evidence = tuple(_seen("newest of them", one) for one in such[:1])
        return self.made(
            name, share, text, self.year, evidence, commits=len(such), of=len(self.of_year)
        )

    def doc_only_repo(self) -> Metric:
        """Say whether there is any source at all."""
        name, files = "doc_only_repo", self.history.files
        if files is None or files.source is None:
            return self.none(
                name, Status.UNKNOWN,
                "this copy holds names of files without the files (a partial clone)",
                missing=("the files' sizes",),
            )  # fmt: skip
        text = (
            f"{_many(files.source, 'source file')} among {_many(files.all, 'file')}"
            if files.source
            else f"not one source file among {_many(files.all, 'file')}"
        )
        where = f"commit {str(self.history.head)[:_HASH_SHOWN]}"
        return self.made(
            name, files.source == 0, text, None, (Evidence("files", where, files.all),),
            inputs=hash_inputs(self.history.head, files.source, files.all),
            source_files=files.source, files=files.all,
        )  # fmt: skip

    def churn_quality(self) -> Metric:
        """Find which share of the last year's commits really changes source."""
        name, changes = "churn_quality", self.found.changes
        if not self.of_year:
            return self.none(name, Status.INSUFFICIENT, self._nothing(), self.year)
        if changes is None:
            return self.none(
                name, Status.UNKNOWN,
                "changed lines cannot be counted: this copy holds names of files without the files "
                "(a partial clone)",
                self.year, ("the files' contents",),
            )  # fmt: skip
        counted = [one for one in self.of_year if one.id in changes]
        if not counted:
            return self.none(name, Status.UNKNOWN, "no lines were counted", self.year)
        real = [one for one in counted if changes[one.id].lines and not one.returns]
        share = len(real) / len(counted)
        hours = Counter(one.committed % DAY_S // 3600 for one in counted)
        sets = Counter(one.paths for one in counted)
        median = statistics.median([changes[one.id].lines for one in real]) if real else 0
        text = f"{_percent(share)} of the last year's commits change lines of source" + (
            f", {median:g} in the middle" if real else ""
        )
        back = sum(one.returns for one in counted)
        if back:
            text += f"; {back} lead back to files as they were before"
        coverage = self.coverage
        if len(counted) < len(self.of_year):
            coverage = Coverage(
                len(counted) / len(self.of_year),
                (f"the lines of {len(self.of_year) - len(counted)} older commits",),
            )
        return self.made(
            name, share, text, self.year, tuple(_seen("newest of them", one) for one in real[:1]),
            coverage,
            commits=len(real), of=len(counted), median_lines=float(median),
            hour_entropy_bits=_entropy(hours), back_to_before=back,
            same_files_share=max(sets.values()) / len(counted),
        )  # fmt: skip

    def bot_share(self) -> Metric:
        """Find which share of the last year's commits names a program as its author."""
        name = "bot_share"
        of_year = _within(self.own, self.year)
        if not of_year:
            return self.none(name, Status.INSUFFICIENT, self._nothing(), self.year)
        bots = [one for one in of_year if one.bot]
        share = len(bots) / len(of_year)
        text = f"{_percent(share)} of the last year's commits are by programs; they count nowhere"
        evidence = tuple(_seen("newest of them", one) for one in bots[:1])
        return self.made(name, share, text, self.year, evidence, commits=len(bots), of=len(of_year))

    def fork_share(self) -> Metric:
        """Find which share of all commits is an upstream's."""
        name, shared = "fork_share", self.found.shared
        if shared is None:
            return self.none(
                name, Status.UNKNOWN,
                "no upstream was named to compare with: upstreams in about.toml",
                missing=("an upstream",),
            )  # fmt: skip
        total = len(self.history.commits)
        if not total:
            return self.none(name, Status.INSUFFICIENT, self._nothing())
        count = len(shared.commits)
        text = f"{_percent(count / total)} of all commits are upstream's"
        if shared.of_files:
            text += (
                f", and so are {_percent(shared.files / shared.of_files)} of today's source files"
            )
        return self.made(
            name, count / total, text, None, (),
            by_hash=len(shared.by_hash), by_patch=len(shared.by_patch), of=total,
            files=shared.files, of_files=shared.of_files,
        )  # fmt: skip

    def release_age(self) -> Metric:
        """Count days since the newest tag with new source in it."""
        name, releases = "release_age", self.history.releases
        upstream: Collection[str] = self.found.shared.commits if self.found.shared else ()
        own = [one for one in releases if one.commit not in upstream]
        real = [one for one in own if one.code]
        inputs = hash_inputs(
            self.inputs, *(part for one in releases for part in (one.name, one.commit, one.at))
        )
        if not real:
            why = "no tag" if not own else f"none of {_many(len(own), 'tag')} has new source"
            return self.none(name, Status.INSUFFICIENT, f"nothing was released: {why}")
        newest = max(real, key=lambda one: (one.at, one.name))
        days = (self.history.at - newest.at) // DAY_S
        text = f"{_many(days, 'day')} since release {newest.name}"
        if len(own) > len(real):
            text += f"; {_many(len(own) - len(real), 'tag')} without new source left out"
        evidence = (
            Evidence(newest.name, f"commit {newest.commit[:_HASH_SHOWN]}", _day(newest.at)),
        )
        return self.made(
            name, days, text, None, evidence, inputs=inputs, releases=len(real), tags=len(own)
        )

    def _days(self, name: str, commits: Sequence[Commit], what: str, **parts: Any) -> Metric:
        if not commits:
            return self.none(name, Status.INSUFFICIENT, f"there is no commit in which {what}")
        newest = max(commits, key=lambda one: (one.committed, one.id))
        days = (self.history.at - newest.committed) // DAY_S
        text = f"{_many(days, 'day')} since {what}, as of {_day(self.history.at)}"
        return self.made(
            name, days, text, None, (_seen("newest", newest),),
            snapshot_time=self.history.snapshot, **parts,
        )  # fmt: skip

    def _by_month(self, value: Callable[[Sequence[Commit]], int]) -> dict[str, int]:
        months: list[Window] = [self.month]
        while len(months) < _MONTHS_SHOWN:
            months.append(Window.month_of(months[-1].start - 1))
        return {_month(month): value(_within(self.people, month)) for month in reversed(months)}

    def _too_young(self) -> str:
        if not self.people:
            return "no person has committed anything"
        first = min(one.committed for one in self.people)
        return f"people's first commit is of {_day(first)}: no whole month has passed since"

    def _nothing(self) -> str:
        return f"no person committed anything in the year before {_day(self.history.at)}"


def _within(commits: Iterable[Commit], window: Window) -> list[Commit]:
    return [one for one in commits if one.committed in window]


def _count_people(commits: Iterable[Commit]) -> int:
    return len({who for one in commits for who in (one.author, *one.others)})


def _work(commits: Iterable[Commit]) -> dict[str, Fraction]:
    work: dict[str, Fraction] = {}
    for one in commits:
        signed = (one.author, *one.others)
        for who in signed:
            work[who] = work.get(who, Fraction(0)) + Fraction(1, len(signed))
    return work


def _entropy(counts: Counter[int]) -> float:
    total = sum(counts.values())
    return abs(-sum(each / total * math.log2(each / total) for each in counts.values()))


def _seen(what: str, commit: Commit) -> Evidence:
    return Evidence(what, f"commit {commit.id[:_HASH_SHOWN]}", _day(commit.committed))


def _many(count: int, one: str, many: str = "") -> str:
    return f"{count} {one if count == 1 else many or one + 's'}"


def _percent(share: float) -> str:
    return f"{share:.0%}"


def _day(moment: int) -> str:
    return datetime.fromtimestamp(moment, UTC).strftime("%Y-%m-%d")


def _month(window: Window) -> str:
    return datetime.fromtimestamp(window.start, UTC).strftime("%Y-%m")
