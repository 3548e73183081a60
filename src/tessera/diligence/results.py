"""What a measure answers: a value with its status, window, inputs, coverage and evidence.

Missing data is never turned into a zero or into a pass: a metric has a value exactly where its
status is `ok`, and says in a sentence why where it has none. Whether a value is good or bad is a
second step (`thresholds.py`), over values alone.
"""

from __future__ import annotations

import enum
import hashlib
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final, Self

from tessera.errors import InputError, InvariantViolation

__all__ = [
    "DAY_S",
    "WHOLE",
    "Coverage",
    "Evidence",
    "Flag",
    "Metric",
    "Severity",
    "Status",
    "Step",
    "Value",
    "Window",
    "hash_inputs",
]

DAY_S: Final = 86_400

Value = int | float | str | bool
"""What a metric may be; an `int` is exact, a `float` is a statistic."""


class Step(enum.StrEnum):
    """The five questions a buyer has."""

    REVENUE = "revenue"
    PERFORMANCE = "performance"
    DISTRIBUTION = "distribution"
    DEVELOPERS = "developers"
    VELOCITY = "velocity"


class Status(enum.StrEnum):
    """Whether a metric has a value, and why not."""

    OK = "ok"
    UNKNOWN = "unknown"
    """The facts do not say."""
    NOT_APPLICABLE = "not_applicable"
    """It has no meaning for this token."""
    INSUFFICIENT = "insufficient"
    """There are facts, and too few for the method."""


class Severity(enum.StrEnum):
    """What a red flag says."""

    CLEAR = "clear"
    FLAG = "flag"
    SEVERE = "severe"
    UNDECIDED = "undecided"
    """The facts do not say; it is no pass."""


@dataclass(frozen=True, slots=True, order=True)
class Window:
    """Seconds since 1970-01-01 UTC, from `start` on and before `end`.

    Raises
    ------
    InputError
        It ends before it starts.
    """

    start: int
    end: int

    def __post_init__(self) -> None:
        if self.end < self.start:
            raise InputError(
                "window",
                found=f"{self.start} to {self.end}",
                wanted="a start that is not after the end",
            )

    def __contains__(self, moment: int) -> bool:
        return self.start <= moment < self.end

    @property
    def seconds(self) -> int:
        """How long it is."""
        return self.end - self.start

    @classmethod
    def last(cls, days: float, end: int) -> Self:
        """The `days` before `end`."""
        return cls(end - round(days * DAY_S), end)

    @classmethod
    def month(cls, year: int, month: int) -> Self:
        """A calendar month."""
        following = (year + 1, 1) if month == 12 else (year, month + 1)
        return cls(
            int(datetime(year, month, 1, tzinfo=UTC).timestamp()),
            int(datetime(*following, 1, tzinfo=UTC).timestamp()),
        )

    @classmethod
    def month_of(cls, moment: int) -> Self:
        """The calendar month that a moment lies in."""
        day = datetime.fromtimestamp(moment, UTC)
        return cls.month(day.year, day.month)

    def months(self) -> list[Window]:
        """The calendar months that it touches, whole, in order."""
        months, at = [], self.start
        while at < self.end:
            months.append(Window.month_of(at))
            at = months[-1].end
        return months


@dataclass(frozen=True, slots=True)
class Evidence:
    """One thing that anybody can look up.

    Attributes
    ----------
    what
        In words.
    where
        A transaction, a block with its log, an address, a commit, a file with its line.
    value
        What was found there.
    """

    what: str
    where: str = ""
    value: Value | None = None


@dataclass(frozen=True, slots=True)
class Coverage:
    """How much of what a metric asks for the facts hold.

    Attributes
    ----------
    share
        Between 0 and 1; None where nobody can say.
    missing
        What is not there, in words.
    """

    share: float | None
    missing: tuple[str, ...] = ()


WHOLE: Final = Coverage(1.0)
"""Nothing that the metric asks for is missing."""


@dataclass(frozen=True, slots=True)
class Metric:
    """One answer.

    Attributes
    ----------
    name
        As the specification calls it, in snake_case.
    value
        None exactly where `status` is not `ok`.
    unit
        Of the value: "base units", "share", "days", "USD/month", "" for a plain number.
    window
        None for what holds at one moment: the facts' head.
    inputs_hash
        `hash_inputs` of all that it was computed from; "" where there was nothing.
    text
        The answer in a sentence, or why there is none.
    parts
        What belongs to it and is shown beside it: the raw figure, the excluded share, each month.
    """

    name: str
    step: Step
    value: Value | None
    unit: str
    status: Status
    text: str
    window: Window | None = None
    inputs_hash: str = ""
    coverage: Coverage = WHOLE
    evidence: tuple[Evidence, ...] = ()
    parts: Mapping[str, object] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if (self.value is None) == (self.status is Status.OK):
            raise InvariantViolation(
                f"metric {self.name}",
                found=f"status {self.status} with value {self.value!r}",
                wanted="a value exactly where the status is ok",
            )
        if isinstance(self.value, float) and not math.isfinite(self.value):
            raise InvariantViolation(
                f"metric {self.name}", found=self.value, wanted="a number that is finite"
            )

    @classmethod
    def without(
        cls,
        name: str,
        step: Step,
        status: Status,
        why: str,
        *,
        unit: str = "",
        window: Window | None = None,
        inputs_hash: str = "",
        missing: tuple[str, ...] = (),
        evidence: tuple[Evidence, ...] = (),
    ) -> Self:
        """No value, and the reason in a sentence."""
        return cls(
            name=name,
            step=step,
            value=None,
            unit=unit,
            status=status,
            text=why,
            window=window,
            inputs_hash=inputs_hash,
            coverage=Coverage(0.0 if missing else None, missing),
            evidence=evidence,
        )


@dataclass(frozen=True, slots=True)
class Flag:
    """One of the four fears, decided or not.

    Attributes
    ----------
    name
        "RF1" to "RF4".
    verdict
        The decision's own word: "coded_prorata", "unverifiable", "circular", ...
    """

    name: str
    title: str
    severity: Severity
    verdict: str
    text: str
    evidence: tuple[Evidence, ...] = ()
    metrics: tuple[Metric, ...] = ()
    parts: Mapping[str, object] = field(default_factory=dict)


def hash_inputs(*parts: str | int | bytes | None) -> str:
    """SHA-256 over parts, each with its kind and length, so that no two lists collide.

    Returns
    -------
    str
        64 hexadecimal digits.
    """
    digest = hashlib.sha256()
    for part in parts:
        kind = type(part).__name__.encode()
        content = part if isinstance(part, bytes) else str(part).encode()
        digest.update(b"%s %d:" % (kind, len(content)) + content)
    return digest.hexdigest()
