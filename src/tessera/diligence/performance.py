"""Step 2: how well the model scores, against which others, by whose word, and what that word risks.

A score is one that was computed again from outputs (`claims.py`), or the median that bonded
validators of our own network revealed. What its maker says is a claim, and never a score.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from tessera.bindings import approvals, bond, network_token
from tessera.diligence.claims import Assessed, ClaimStatus, assess, assess_claim
from tessera.diligence.money.circulation import circulating
from tessera.diligence.results import Evidence, Metric, Status, Step, Value, hash_inputs
from tessera.diligence.view import View
from tessera.facts import Event, Kind
from tessera.units import format_amount
from tessera.validation.claims import wilson
from tessera.validation.report import read_report

__all__ = ["Gap", "measure", "paired_gap"]

_MILLION: Final = 10**6
_RESAMPLES: Final = 2_000
_CONFIDENCE: Final = 0.95
_ORDER: Final = (
    ClaimStatus.CONTRADICTED,
    ClaimStatus.UNVERIFIABLE,
    ClaimStatus.UNMEASURED,
    ClaimStatus.VERIFIED,
    ClaimStatus.ABSENT,
)
"""The worst first: a project is as good as the worst of its claims."""


@dataclass(frozen=True, slots=True)
class Gap:
    """How much better one model scores than another on the same items; statistics, so floats.

    Attributes
    ----------
    mean
        Mean difference of scores, -1 to 1.
    low, high
        Of a paired bootstrap: items are drawn again, each with both its scores.
    items
        On which both were scored.
    """

    mean: float
    low: float
    high: float
    items: int


def measure(view: View) -> list[Metric]:
    """Answer step 2.

    Raises
    ------
    TesseraError
        The facts do not hold what was asked for.
    """
    assessed = assess(view)
    events = view.facts.events() if Kind.EVENTS in view.facts.kinds else ()
    return [
        _score(view, assessed, events),
        _gap(view, assessed),
        _claim_status(assessed),
        _stake_at_risk(view, events),
    ]


def paired_gap(ours: NDArray[np.float64], theirs: NDArray[np.float64], seed: bytes) -> Gap:
    """Return how far apart two models are.

    Parameters
    ----------
    ours, theirs
        Scores of the same items, of shape (n,), n 1 or more.
    seed
        Makes the resamples; the same inputs give the same interval.
    """
    difference = ours - theirs
    rng = np.random.default_rng(int.from_bytes(hashlib.sha256(seed).digest()[:8], "big"))
    count = len(difference)
    means = np.array([difference[rng.integers(0, count, count)].mean() for _ in range(_RESAMPLES)])
    tail = (1 - _CONFIDENCE) / 2
    low, high = np.quantile(means, [tail, 1 - tail])
    return Gap(float(difference.mean()), float(low), float(high), count)


def _score(view: View, assessed: Sequence[Assessed], events: Sequence[Event]) -> Metric:
    scored = [each for each in assessed if each.score is not None and each.interval is not None]
    if scored:
        best = max(scored, key=lambda each: (each.items, each.root))
        assert best.score is not None
        assert best.interval is not None
        return _said(
            "score", best.score, "share",
            f"{best.score:.1%} of {best.items} items, {best.interval.low:.1%} to "
            f"{best.interval.high:.1%} with 95 %: computed again from its outputs",
            hash_inputs(best.root),
            (Evidence(best.claim.text, f"report {best.root}", best.score),),
            {"low": best.interval.low, "high": best.interval.high, "items": best.items},
        )  # fmt: skip
    found = None if view.subject.asset is None else _approved(events, view.subject.asset)
    if found is None:
        why = "no outputs that could be scored again, and no validators scored it"
        return _none("score", Status.UNKNOWN, why)
    event, opened, items = found
    said = event.event
    assert isinstance(said, approvals.Closed)
    score = said.score / _MILLION
    parts: dict[str, object] = {"listed": said.listed, "items": items, "by": "bonded validators"}
    text = f"{score:.1%}, the median of bonded validators; {'' if said.listed else 'not '}listed"
    if items:
        interval = wilson(score, items)
        parts |= {"low": interval.low, "high": interval.high}
        text = f"{score:.1%} of {items} items, the median of bonded validators"
    return _said(
        "score", score, "share", text,
        hash_inputs(opened.round, said.score, said.weight, items),
        (Evidence("a round of approval closed", f"block {event.block}, log {event.log}", score),),
        parts,
    )  # fmt: skip


def _approved(
    events: Sequence[Event], asset: int
) -> tuple[Event, approvals.RoundOpened, int] | None:
    """Return the last round about an asset that closed with votes, and its number of items.

    Of the network's own Approvals: the first that validators put their bonds at the risk of.
    Anybody may deploy a copy, and approve anything in it.
    """
    home = _bond_of(events)
    risks = [
        event.event.slasher.lower()
        for event in events
        if event.address == home and isinstance(event.event, bond.Enlisted)
    ]
    judges = {each.address for each in events if each.contract == approvals.Approvals.CONTRACT}
    judge = next((slasher for slasher in risks if slasher in judges), None)
    rounds: dict[bytes, approvals.RoundOpened] = {}
    items: dict[bytes, int] = {}
    found = None
    for event in events:
        if event.address != judge:
            continue
        match event.event:
            case approvals.SetCommitted() as said:
                items[said.test_set] = said.items
            case approvals.RoundOpened() as said if said.asset == asset:
                rounds[said.round] = said
            case approvals.Closed() as said if said.round in rounds and said.weight:
                opened = rounds[said.round]
                found = event, opened, items.get(opened.test_set, 0)
            case _:
                pass
    return found


def _gap(view: View, assessed: Sequence[Assessed]) -> Metric:
    """Hold the best-covered claim against the best reference on the same items."""
    candidates = [each for each in assessed if each.root and each.claim.references]
    if not candidates:
        return _none("gap", Status.UNKNOWN, "no reference was scored on the same items")
    best = max(candidates, key=lambda each: (each.items, each.root))
    assert best.claim.report is not None
    ours = _items(view, best.claim.report)
    gaps: list[tuple[Gap, str]] = []
    why = ""
    for name in best.claim.references:
        # The reference's own score is believed as little as the claim's.
        other = assess_claim(
            msgspec.structs.replace(best.claim, report=name, score=0.0), view.subject
        )
        if not other.root:
            why = other.why
            continue
        theirs = _items(view, name)
        shared = sorted(ours.keys() & theirs.keys())
        if not shared:
            why = f"{name} has none of the same items"
            continue
        mine = np.array([ours[item] for item in shared])
        its = np.array([theirs[item] for item in shared])
        gaps.append((paired_gap(mine, its, f"{best.root} {other.root}".encode()), name))
    if not gaps:
        return _none("gap", Status.UNKNOWN, f"no reference that counts: {why}")
    gap, name = min(gaps, key=lambda each: (each[0].mean, each[1]))
    sure = "" if gap.low > 0 or gap.high < 0 else ", which may be chance"
    text = (
        f"{gap.mean:+.1%} against the best of {len(gaps)} references "
        f"({gap.low:+.1%} to {gap.high:+.1%}){sure}"
    )
    parts: dict[str, object] = {
        "low": gap.low, "high": gap.high, "items": gap.items,
        "references": {name: each.mean for each, name in gaps},
    }  # fmt: skip
    return _said("gap", gap.mean, "", text, hash_inputs(best.root, name), (), parts)


def _items(view: View, report: str) -> dict[str, float]:
    """Return the scores of a report's items by what each item is."""
    content = read_report(view.subject.path(report))
    return {
        item["digest"]: float(item["score"])
        for item in content["items"]
        if item["score"] is not None
    }


def _claim_status(assessed: Sequence[Assessed]) -> Metric:
    if not assessed:
        return _said("claim_status", str(ClaimStatus.ABSENT), "", "it claims no score", "", ())
    worst = min(assessed, key=lambda each: _ORDER.index(each.status))
    counts = {str(each): sum(one.status is each for one in assessed) for each in _ORDER}
    text = f"{worst.status}: {worst.why}"
    evidence = tuple(
        Evidence(each.claim.text, each.root or each.claim.report or "", str(each.status))
        for each in assessed
    )
    inputs = hash_inputs(*(f"{each.claim.text} {each.status} {each.root}" for each in assessed))
    return _said("claim_status", str(worst.status), "", text, inputs, evidence, dict(counts))


def _stake_at_risk(view: View, events: Sequence[Event]) -> Metric:
    """Say which part of the circulating supply validators lose if they lie.

    Bond holds every stake and nothing else, so its balance is what could be slashed.
    """
    name = "stake_at_risk"
    home = _bond_of(events)
    tokens = {
        event.address for event in events if event.contract == network_token.NetworkToken.CONTRACT
    }
    slashed = [
        event for event in events if isinstance(event.event, bond.Slashed) and event.address == home
    ]
    if view.subject.token not in tokens or home is None:
        if view.subject.asset is not None:
            why = "who validates it stakes the network's token, and none of this one"
            return _none(name, Status.NOT_APPLICABLE, why)
        why = "nobody said what validators of this token lose; a chain may slash nobody"
        return _none(name, Status.UNKNOWN, why)
    transfers = view.transfers
    place = transfers.addresses.id_of(home)
    staked = (
        0
        if place is None
        else transfers.amount[transfers.target == place].total()
        - transfers.amount[transfers.source == place].total()
    )
    supply = circulating(view).at(view.head.time)
    if not supply:
        return _none(name, Status.UNKNOWN, "nothing circulates")
    ever = sum(event.event.taken for event in slashed if isinstance(event.event, bond.Slashed))
    decimals = view.token.decimals or 0
    text = (
        f"{staked / supply:.1%} of what circulates could be slashed; it happened {len(slashed)} "
        f"times, {format_amount(ever, decimals=decimals, grouped=True)} in all"
    )
    return _said(
        name, staked / supply, "share", text, hash_inputs(transfers.digest(), len(slashed)),
        tuple(
            Evidence("slashed", f"block {event.block}, log {event.log}") for event in slashed[-3:]
        ),
        {"staked": str(staked), "slashed": str(ever), "slashings": len(slashed)},
    )  # fmt: skip


def _bond_of(events: Sequence[Event]) -> str | None:
    """Return the address of the network's Bond: the first to speak, as anybody may deploy more."""
    return next((each.address for each in events if each.contract == bond.Bond.CONTRACT), None)


def _said(
    name: str,
    value: Value,
    unit: str,
    text: str,
    inputs: str,
    evidence: tuple[Evidence, ...],
    parts: dict[str, object] | None = None,
) -> Metric:
    return Metric(
        name=name, step=Step.PERFORMANCE, value=value, unit=unit, status=Status.OK, text=text,
        inputs_hash=inputs, evidence=evidence, parts=parts or {},
    )  # fmt: skip


def _none(name: str, status: Status, why: str) -> Metric:
    return Metric.without(name, Step.PERFORMANCE, status, why)
