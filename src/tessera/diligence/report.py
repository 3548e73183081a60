"""What came of an inquiry: every answer, what the limits say of it, and one word over all."""

from __future__ import annotations

import dataclasses
import enum
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from tessera.diligence.results import Flag, Metric, Severity, Status, Step
from tessera.diligence.subject import Subject
from tessera.diligence.thresholds import Finding, worst
from tessera.diligence.token import Token
from tessera.diligence.wording import shown_tokens, shown_value
from tessera.facts import Coverage, Head, Origin

__all__ = ["FORMAT", "Failure", "Report", "plain"]

FORMAT: Final = 1
"""Of the JSON; a change that breaks its readers counts it up."""

# Beyond 2**53 - 1 a JSON number loses digits in most readers, so larger integers travel as strings.
_JSON_SAFE_INTEGER: Final = 2**53 - 1


@dataclass(frozen=True, slots=True)
class Failure:
    """A part of the inquiry that could not be done.

    Attributes
    ----------
    part
        What it was to find out.
    code, text
        Of the error.
    ours
        Whether it is a mistake of the program rather than of the facts.
    """

    part: str
    code: str
    text: str
    ours: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """All that is known of a token as of a block.

    Attributes
    ----------
    known_at
        Unix seconds; nothing that was learnt after is in it.
    origin
        Where the facts come from.
    coverage
        Which blocks of the token's history were looked at; None where none was.
    transfers
        How many of the token.
    flags
        RF1 to RF4, decided or not.
    findings
        What each limit says.
    seconds
        How long each part took.
    """

    token: Token
    subject: Subject
    chain_id: int
    head: Head
    known_at: int
    origin: tuple[Origin, ...]
    coverage: Coverage | None
    transfers: int
    metrics: tuple[Metric, ...]
    flags: tuple[Flag, ...]
    findings: tuple[Finding, ...]
    failures: tuple[Failure, ...]
    seconds: Mapping[str, float]

    @property
    def severity(self) -> Severity:
        """The word over all; undecided while anything that applies is.

        And where balances do not follow from transfers: else a token would be spared every limit of
        who holds it, for no more than a false answer about one balance.
        """
        said = [flag.severity for flag in self.flags]
        replayed = self.metric("replay")
        if replayed is not None and replayed.status is not Status.OK:
            said.append(Severity.UNDECIDED)
        said += [finding.severity for finding in self.findings if finding.applies]
        said += [Severity.UNDECIDED for _ in self.failures]
        return worst(said)

    @property
    def fired(self) -> tuple[Finding, ...]:
        """The limits that are passed."""
        return tuple(finding for finding in self.findings if finding.fired)

    @property
    def doubt(self) -> str:
        """Why there may be no token at all, in words; "" where it was seen to move."""
        if self.transfers:
            return ""
        return "no transfer of it was seen: it may be no ERC-20, or live on another chain"

    def metric(self, name: str) -> Metric | None:
        """The metric of that name; None where nothing measured it."""
        return next((each for each in self.metrics if each.name == name), None)

    def shown(self, metric: Metric) -> str:
        """Write a metric's value with its unit; base units of the token as whole tokens."""
        of_token = metric.step in {Step.DISTRIBUTION, Step.VELOCITY}
        if metric.unit == "base units" and of_token and isinstance(metric.value, int):
            return shown_tokens(metric.value, self.token.decimals, self.token.symbol)
        return shown_value(metric)

    def finding(self, metric: str) -> Finding | None:
        """What a limit says of a metric: the first that fired, else the first there is."""
        about = [each for each in self.findings if each.limit.metric == metric]
        return next((each for each in about if each.fired), about[0] if about else None)

    def of(self, step: Step) -> tuple[Metric, ...]:
        """The answers to one question."""
        return tuple(each for each in self.metrics if each.step is step)

    def summary(self) -> str:
        """One sentence over all: how much fired, and how much nobody can say."""
        applying = [each for each in self.findings if each.applies]
        undecided = [each for each in applying if each.severity is Severity.UNDECIDED]
        open_flags = [each.name for each in self.flags if each.severity is Severity.UNDECIDED]
        raised = [
            each.name for each in self.flags if each.severity in {Severity.FLAG, Severity.SEVERE}
        ]
        parts = [
            f"{len(self.fired)} of {len(applying)} limits fired, {len(undecided)} undecided",
            f"red flags: {', '.join(raised) or 'none'}",
        ]
        if open_flags:
            parts.append(f"undecided: {', '.join(open_flags)}")
        return "; ".join(parts)

    def as_json(self) -> dict[str, object]:
        """All of it as JSON values; integers beyond 2**53 - 1 as decimal strings."""
        return {
            "format": FORMAT,
            "verdict": str(self.severity),
            "summary": self.summary(),
            "token": plain(self.token),
            "asset": None if self.subject.asset is None else str(self.subject.asset),
            "chain_id": self.chain_id,
            "as_of_block": self.head.block,
            "as_of_time": self.head.time,
            "known_at": self.known_at,
            "origin": plain(self.origin),
            "coverage": plain(self.coverage),
            "transfers": self.transfers,
            "flags": [plain(flag) for flag in self.flags],
            "findings": [
                {
                    "limit": each.limit.name,
                    "metric": each.limit.metric,
                    "side": str(each.limit.side),
                    "bound": each.limit.bound,
                    "given": plain(each.limit.given),
                    "source": each.limit.source,
                    "severity": str(each.severity),
                    "text": each.limit.text,
                }
                for each in self.findings
            ],
            "metrics": [plain(metric) for metric in self.metrics],
            "failures": [plain(each) for each in self.failures],
            "seconds": {part: round(took, 3) for part, took in self.seconds.items()},
        }


def plain(value: object) -> object:
    """Return JSON values that say the same."""
    if isinstance(value, enum.Enum):
        return str(value)
    if value is None or isinstance(value, bool | str):
        return value
    if isinstance(value, int):
        return value if abs(value) <= _JSON_SAFE_INTEGER else str(value)
    if isinstance(value, float):
        # NaN and the infinities are no JSON; a metric has none, parts of it may.
        return value if value - value == 0.0 else None
    if isinstance(value, Mapping):
        return {str(plain(key)): plain(item) for key, item in value.items()}
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {each.name: plain(getattr(value, each.name)) for each in dataclasses.fields(value)}
    if isinstance(value, Sequence):
        return [plain(item) for item in value]
    return str(value)
