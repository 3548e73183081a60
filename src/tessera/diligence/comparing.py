"""Two reports side by side: two tokens, or one token at two moments."""

from __future__ import annotations

from dataclasses import dataclass

from tessera.diligence.report import Report, plain
from tessera.diligence.results import Flag, Metric, Severity, Step
from tessera.diligence.thresholds import Limit

__all__ = ["Change", "Pair", "changes", "side_by_side"]


@dataclass(frozen=True, slots=True)
class Pair:
    """One metric of both; None where one report lacks it."""

    name: str
    step: Step
    left: Metric | None
    right: Metric | None
    limit: Limit | None
    left_severity: Severity | None
    right_severity: Severity | None


@dataclass(frozen=True, slots=True)
class Change:
    """What is different from before.

    Attributes
    ----------
    name
        Of a metric or a flag.
    before, after
        As they are written for people: the caller's to choose, by `shown`.
    severity_before, severity_after
        None where no limit looks at it.
    """

    name: str
    before: Metric | Flag | None
    after: Metric | Flag | None
    severity_before: Severity | None
    severity_after: Severity | None

    @property
    def worse(self) -> bool:
        """Whether something fires now that did not before."""
        bad = {Severity.FLAG, Severity.SEVERE}
        return self.severity_after in bad and self.severity_before != self.severity_after

    def as_json(self) -> dict[str, object]:
        """Return all of it as JSON values."""
        return {
            "name": self.name,
            "worse": self.worse,
            "before": plain(self.before),
            "after": plain(self.after),
            "severity_before": plain(self.severity_before),
            "severity_after": plain(self.severity_after),
        }


def side_by_side(left: Report, right: Report) -> list[Pair]:
    """Each metric of either, in the order of the questions."""
    names = dict.fromkeys([*(each.name for each in left.metrics), *(m.name for m in right.metrics)])
    pairs = []
    for name in names:
        one, other = left.metric(name), right.metric(name)
        known = one or other
        assert known is not None
        ours, theirs = left.finding(name), right.finding(name)
        finding = ours or theirs
        pairs.append(
            Pair(
                name,
                known.step,
                one,
                other,
                finding.limit if finding else None,
                ours.severity if ours else None,
                theirs.severity if theirs else None,
            )
        )
    order = list(Step)
    return sorted(pairs, key=lambda pair: order.index(pair.step))


def changes(before: Report, after: Report) -> list[Change]:
    """What of one token is different: values, statuses, what limits say, flags.

    A metric whose inputs changed and whose answer did not is no change.
    """
    found = [
        Change(pair.name, pair.left, pair.right, pair.left_severity, pair.right_severity)
        for pair in side_by_side(before, after)
        if _answer(pair.left) != _answer(pair.right) or pair.left_severity != pair.right_severity
    ]
    olds = {flag.name: flag for flag in before.flags}
    for flag in after.flags:
        old = olds.get(flag.name)
        if old is None or (old.severity, old.verdict) != (flag.severity, flag.verdict):
            found.append(Change(flag.name, old, flag, old.severity if old else None, flag.severity))
    return sorted(found, key=lambda change: not change.worse)


def _answer(metric: Metric | None) -> tuple[object, ...] | None:
    return None if metric is None else (metric.status, metric.value)
