"""Claims of performance against what there is to show for them: the first red flag.

A number counts as verified only by a report whose outputs were scored again here, on a whole hashed
list of 200 items or more. A report's own score is believed by nobody, and neither is one on items
that its maker drew: a seed can be tried until it flatters.
"""

from __future__ import annotations

import asyncio
import enum
import re
import unicodedata
from collections.abc import Coroutine
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any, Final, TypeVar

from tessera.diligence.results import Evidence, Flag, Severity
from tessera.diligence.subject import BenchmarkClaim, Subject
from tessera.diligence.view import View
from tessera.errors import InputError, NotAllowed, NotFound, ServingError
from tessera.validation.claims import Claim, Interval, Standing, judge_claim
from tessera.validation.refusals import ReportWrong
from tessera.validation.report import check_against, read_report
from tessera.validation.task import Benchmark, find_benchmarks, open_benchmark

__all__ = ["Assessed", "ClaimKind", "ClaimStatus", "assess", "assess_claim", "judge", "kind_of"]

_TITLE: Final = "performance that nobody can verify"
_MOST_REPORT_BYTES: Final = 256 << 20
_T = TypeVar("_T")

_SUPERLATIVE: Final = re.compile(
    r"state[ -]of[ -]the[ -]art|\bsota\b|\bbest[ -](?:in|performing|model|ai|of)|\bworld'?s? best\b"
    r"|\b(?:beats|outperforms?|surpass(?:es)?|exceeds?|superior to|better than|ahead of)\b"
    r"|\b(?:most (?:accurate|powerful|advanced|capable)|unmatched|unrivall?ed|leading model)\b"
    r"|\bnumber one\b|#\s?1\b|\b(?:human|gpt|claude|gemini|llama)[ -]?\d*(?:\.\d)?[ -]level\b"
)
_NUMBER: Final = re.compile(
    r"\d\s?%|\bpercent\b"
    r"|\b(?:accuracy|precision|recall|f1|auc|bleu|rouge|mmlu|gsm8k|humaneval|elo|win rate)\b[^.]*\d"
    r"|\d+(?:\.\d+)?\s?(?:x|times)\s(?:faster|better|cheaper|more)"
)
_PRIVATE: Final = re.compile(
    r"\b(?:proprietary|in[ -]house|internal|private|undisclosed|confidential|own)\s+"
    r"(?:\w+\s+){0,2}(?:benchmarks?|metrics?|tests?|evals?|evaluations?|scores?|index)\b"
)


class ClaimKind(enum.StrEnum):
    """What a claim says."""

    NUMBER = "number"
    SUPERLATIVE = "superlative"
    PRIVATE = "private metric"
    """A number of which only its maker knows what it measures."""
    VAGUE = "vague"
    """Nothing that could be so or not so."""


class ClaimStatus(enum.StrEnum):
    """What may be said about a claim."""

    VERIFIED = "verified"
    CONTRADICTED = "contradicted"
    UNVERIFIABLE = "unverifiable"
    UNMEASURED = "unmeasured"
    """There is an endpoint to ask, and nobody has asked it."""
    ABSENT = "absent"
    """It claims nothing that could be checked."""


@dataclass(frozen=True, slots=True)
class Assessed:
    """A claim, and what came of holding it against evidence.

    Attributes
    ----------
    score
        Found by scoring the report's outputs again; None where that could not be done.
    items
        So many.
    root
        Of the report that it was held against; "" without one.
    why
        The status in a sentence.
    """

    claim: BenchmarkClaim
    kind: ClaimKind
    status: ClaimStatus
    why: str
    score: float | None = None
    items: int = 0
    interval: Interval | None = None
    root: str = ""


def kind_of(claim: BenchmarkClaim) -> ClaimKind:
    """Say what a claim claims; the way it is written hides nothing.

    Examples
    --------
    >>> kind_of(BenchmarkClaim(text="State-of-the-art reasoning")).value
    'superlative'
    """
    text = _folded(claim.text)
    if _PRIVATE.search(text) and not claim.benchmark:
        return ClaimKind.PRIVATE
    if claim.score is not None:
        return ClaimKind.NUMBER
    if _SUPERLATIVE.search(text):
        return ClaimKind.SUPERLATIVE
    return ClaimKind.NUMBER if _NUMBER.search(text) else ClaimKind.VAGUE


def assess(view: View) -> tuple[Assessed, ...]:
    """Assess every claim of a benchmark, once for all who ask."""
    return view.kept("claims", lambda: _assess_all(view.subject))


def assess_claim(claim: BenchmarkClaim, subject: Subject) -> Assessed:
    """Hold one claim against the report that it names.

    Parameters
    ----------
    subject
        Whose file the claim is in: its paths start from there.
    """
    kind = kind_of(claim)
    if kind is ClaimKind.VAGUE:
        return Assessed(claim, kind, ClaimStatus.ABSENT, "it says nothing that could be checked")
    if kind is ClaimKind.PRIVATE:
        why = "only its maker knows what is measured"
        return Assessed(claim, kind, ClaimStatus.UNVERIFIABLE, why)
    if claim.report is None:
        if claim.endpoint is not None and claim.benchmark:
            why = "there is an endpoint, and nobody measured it: tessera benchmark run --url"
            return Assessed(claim, kind, ClaimStatus.UNMEASURED, why)
        why = "there are no outputs" + (
            ", and no benchmark is named to ask its endpoint" if claim.endpoint else " to score"
        )
        return Assessed(claim, kind, ClaimStatus.UNVERIFIABLE, why)
    if claim.score is None:
        why = "it names no number that its report could be held against"
        return Assessed(claim, kind, ClaimStatus.UNVERIFIABLE, why)
    try:
        found, root = _scored(claim, claim.score, subject)
    except (ReportWrong, InputError, NotAllowed, ServingError, OSError) as error:
        return Assessed(claim, kind, ClaimStatus.UNVERIFIABLE, f"its report is no proof: {error}")
    return Assessed(
        claim,
        kind,
        ClaimStatus(found.standing),
        found.why,
        found.score,
        found.items,
        found.interval,
        root,
    )


def judge(view: View) -> Flag:
    """Decide the first red flag: a claim of performance that nobody can verify."""
    assessed = assess(view)
    checkable = [each for each in assessed if each.status is not ClaimStatus.ABSENT]
    evidence = tuple(_shown(each) for each in assessed)
    parts: dict[str, object] = {
        "claims": [
            {
                "text": each.claim.text,
                "kind": str(each.kind),
                "status": str(each.status),
                "claimed": each.claim.score,
                "score": each.score,
                "items": each.items,
            }
            for each in assessed
        ]
    }

    def decided(severity: Severity, verdict: str, text: str) -> Flag:
        return Flag("RF1", _TITLE, severity, verdict, text, evidence, (), parts)

    def count(status: ClaimStatus) -> int:
        return sum(each.status is status for each in checkable)

    of = f"of {len(checkable)} {'claim' if len(checkable) == 1 else 'claims'}"
    if not checkable:
        why = (
            "no claim of performance is listed" if not assessed else "only vague claims are listed"
        )
        return decided(Severity.UNDECIDED, "absent", f"{why}: [[claims]] in about.toml")
    if wrong := count(ClaimStatus.CONTRADICTED):
        text = f"{wrong} {of} {'is' if wrong == 1 else 'are'} contradicted by its outputs"
        return decided(Severity.SEVERE, "contradicted", text)
    if unproved := count(ClaimStatus.UNVERIFIABLE):
        return decided(
            Severity.FLAG, "unverifiable", f"{unproved} {of} cannot be verified by anybody"
        )
    if unasked := count(ClaimStatus.UNMEASURED):
        text = f"{unasked} {of} could be measured, and nobody did"
        return decided(Severity.UNDECIDED, "unmeasured", text)
    return decided(
        Severity.CLEAR, "verified", f"all of {len(checkable)} claims are verified by their outputs"
    )


def _assess_all(subject: Subject) -> tuple[Assessed, ...]:
    claims = [each for each in subject.claims if isinstance(each, BenchmarkClaim)]
    return tuple(assess_claim(claim, subject) for claim in claims)


def _scored(claim: BenchmarkClaim, claimed: float, subject: Subject) -> tuple[Claim, str]:
    """Score the outputs of a claim's report again."""
    assert claim.report is not None
    file = subject.path(claim.report)
    if not file.is_file():  # a pipe would be read for ever
        raise NotFound(f"report {file.name}", found="nothing", wanted="a file")
    if file.stat().st_size > _MOST_REPORT_BYTES:
        raise InputError(
            f"report {file.name}",
            found=f"{file.stat().st_size} bytes",
            wanted=f"{_MOST_REPORT_BYTES} or fewer",
        )
    report = read_report(file)
    task = _benchmark(claim.benchmark, subject)
    _complete(check_against(report, task))
    core = report["core"]
    # The same item many times is one item.
    items = min(core["scored"], len(set(task.digests)))
    found = judge_claim(claimed, core["score"], items, proportion=core["proportion"])
    if core.get("draw") is not None and found.standing is Standing.VERIFIED:
        why = "its items were drawn by a seed that its maker could try until it flatters"
        found = replace(found, standing=Standing.UNVERIFIABLE, why=why)
    return found, str(report["root"])


def _benchmark(name: str, subject: Subject) -> Benchmark:
    """Open the benchmark that a claim names: a folder, or one that is installed."""
    if not name:
        raise InputError(
            "benchmark", found="none named", wanted="the one that its outputs are scored by"
        )
    folder = subject.path(name)
    if folder.is_dir():
        return open_benchmark(folder)
    installed = find_benchmarks()
    if name not in installed:
        raise NotFound.among(
            "benchmark", name, installed, next_step="give its folder, to score the outputs again"
        )
    return open_benchmark(installed[name])


def _complete(work: Coroutine[Any, Any, _T]) -> _T:
    """Run to the end, whether or not a loop runs in this thread."""
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(asyncio.run, work).result()


def _folded(text: str) -> str:
    """Undo disguises: full-width letters, invisible marks, odd hyphens and spaces."""
    plain = unicodedata.normalize("NFKC", text)
    kept = (
        "-" if unicodedata.category(c) == "Pd" else c
        for c in plain
        if unicodedata.category(c) not in {"Cf", "Mn"}
    )
    return " ".join("".join(kept).casefold().split())


def _shown(each: Assessed) -> Evidence:
    where = f"report {each.root}" if each.root else (each.claim.report or each.claim.endpoint or "")
    return Evidence(f"{each.claim.text}: {each.status}, {each.why}", where, each.score)
