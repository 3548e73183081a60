"""All questions about a token, asked at once.

Each part of an inquiry stands alone: one that cannot be done says why, and the others go on. So a
token whose maker managed to break one measure is not spared the rest; and a report says what it
does not know.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from typing import Final

from tessera.diligence import (
    claims,
    developers,
    distribution,
    ledger,
    money,
    performance,
    training,
    velocity,
)
from tessera.diligence.behaviour import flag as behaviour_flag
from tessera.diligence.circular import measures as circular
from tessera.diligence.report import Failure, Report
from tessera.diligence.results import Flag, Metric, Severity
from tessera.diligence.thresholds import LIMITS, Limit, judge
from tessera.diligence.view import View
from tessera.errors import InvariantViolation, NotFound, TesseraError
from tessera.facts import Coverage

__all__ = ["Part", "Progress", "inquire"]

Progress = Callable[[int, int], None]
"""Told how many parts are done, and of how many."""

_MOST_WORKERS: Final = 4
_FEARS: Final = {
    "RF1": "performance that nobody can verify",
    "RF2": "a share in revenue that no code pays",
    "RF3": "volume that goes in circles",
    "RF4": "training that nobody can show",
}


@dataclass(frozen=True, slots=True)
class Part:
    """One part of an inquiry.

    Attributes
    ----------
    name
        In words; what a failure of it is called.
    find
        Measures, or decides a flag.
    flag
        "RF1" to "RF4" where it decides one.
    """

    name: str
    find: Callable[[View], Iterable[Metric] | Flag]
    flag: str = ""


def parts() -> tuple[Part, ...]:
    """All parts, those that take longest first."""
    return (
        Part("what developers do", developers.measure),
        Part("revenue", money.measure),
        Part("the history and the supply", ledger.measure),
        Part("how long it is held", velocity.measure),
        Part("who holds it", distribution.measure),
        Part("what goes in circles", circular.judge, flag="RF3"),
        Part("performance", performance.measure),
        Part("claims of performance", claims.judge, flag="RF1"),
        Part("whether code pays holders", behaviour_flag.judge, flag="RF2"),
        Part("claims of training", training.judge, flag="RF4"),
    )


def inquire(
    view: View,
    limits: Iterable[Limit] = LIMITS,
    *,
    progress: Progress | None = None,
    asked: Iterable[Part] | None = None,
) -> Report:
    """Ask all questions about a token.

    Parameters
    ----------
    limits
        What counts as bad.
    progress
        Called in this thread whenever a part is done.
    asked
        The parts to do; by default all.

    Raises
    ------
    Unprocessable
        There is no contract at the address.
    NotFound
        Nobody looked at the token.
    """
    view.refuse_no_token()
    chosen = tuple(parts() if asked is None else asked)
    transfers = view.transfers
    # Reading takes the most memory of all, so it is over before anything else begins.
    transfers.digest()
    outcomes = _run(view, chosen, progress or (lambda done, total: None))
    metrics: list[Metric] = []
    flags: dict[str, Flag] = {}
    failures: list[Failure] = []
    for found, _ in outcomes:
        if isinstance(found, Failure):
            failures.append(found)
        elif isinstance(found, Flag):
            flags[found.name] = found
            metrics.extend(found.metrics)
        else:
            metrics.extend(found)
    return Report(
        token=view.token,
        subject=view.subject,
        chain_id=view.facts.chain_id,
        head=view.head,
        known_at=view.facts.known_at,
        origin=view.facts.origin,
        coverage=_coverage(view),
        transfers=len(transfers),
        metrics=tuple(metrics),
        flags=tuple(flags.get(name) or _open(name, chosen, failures) for name in _FEARS),
        findings=tuple(judge(metrics, limits)),
        failures=tuple(failures),
        seconds={part.name: took for part, (_, took) in zip(chosen, outcomes, strict=True)},
    )


def _run(
    view: View, chosen: tuple[Part, ...], progress: Progress
) -> list[tuple[list[Metric] | Flag | Failure, float]]:
    workers = max(1, min(os.cpu_count() or 1, _MOST_WORKERS, len(chosen)))
    pool = ThreadPoolExecutor(workers, thread_name_prefix="diligence")
    try:
        progress(0, len(chosen))
        running = [pool.submit(_done, part, view) for part in chosen]
        left: set[Future[tuple[list[Metric] | Flag | Failure, float]]] = set(running)
        while left:
            _, left = wait(left, return_when=FIRST_COMPLETED)
            progress(len(chosen) - len(left), len(chosen))
        return [each.result() for each in running]
    finally:
        # Whoever interrupts does not wait for parts that nobody will read.
        pool.shutdown(wait=False, cancel_futures=True)


def _done(part: Part, view: View) -> tuple[list[Metric] | Flag | Failure, float]:
    began = time.monotonic()
    found: list[Metric] | Flag | Failure
    try:
        answer = part.find(view)
        found = answer if isinstance(answer, Flag) else list(answer)
    except InvariantViolation as error:
        found = Failure(part.name, error.code, error.message, ours=True)
    except TesseraError as error:
        found = Failure(part.name, error.code, error.message)
    except Exception as error:  # noqa: BLE001 - shown in the report; one part spares no other
        found = Failure(part.name, "unexpected", f"{type(error).__name__}: {error}", ours=True)
    return found, time.monotonic() - began


def _open(name: str, chosen: tuple[Part, ...], failures: list[Failure]) -> Flag:
    """A fear that nothing decided."""
    parts_of = {part.name for part in chosen if part.flag == name}
    why = next((each.text for each in failures if each.part in parts_of), "nobody looked")
    return Flag(name, _FEARS[name], Severity.UNDECIDED, "unknown", why)


def _coverage(view: View) -> Coverage | None:
    try:
        return view.facts.coverage(view.subject.token)
    except NotFound:
        return None
