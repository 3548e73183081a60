"""Whether holders are really paid: how many of them, how evenly, and when last."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Final

import numpy as np

from tessera.diligence.entities import entities_of
from tessera.diligence.ledger import BURN, ledger_of
from tessera.diligence.money.answers import is_at, without
from tessera.diligence.money.payouts import Distribution, distributions, fit
from tessera.diligence.money.prices import SCALE
from tessera.diligence.money.statement import months_between
from tessera.diligence.money.takings import Takings
from tessera.diligence.own.holders import Earned, earned_by
from tessera.diligence.own.subject import observed_events
from tessera.diligence.results import Evidence, Metric, Status, Step, Window, hash_inputs
from tessera.diligence.view import View

__all__ = ["distributed"]

_COVERAGE: Final = "payout_coverage"
_SINCE: Final = "months_since_distribution"
_LONG_MONTHS: Final = 6
"""So long without a payout is an answer, whatever was before."""


def distributed(view: View, takings: Takings) -> list[Metric]:
    """Say who of those that hold the token was paid, and when last."""
    if takings.books is not None:
        return _own(view, takings)
    holders = view.subject.holders
    if not holders.distributors:
        status = Status.UNKNOWN if holders.promise else Status.NOT_APPLICABLE
        why = "nobody said who pays holders" if holders.promise else "no payout is advertised"
        return [without(_COVERAGE, status, why), without(_SINCE, status, why)]
    token = view.transfers
    excluded = np.zeros(len(token.addresses), np.bool_)
    people = view.subject.people
    project = {*people.team, *people.treasury, *([people.deployer] if people.deployer else ())}
    out = token.addresses.ids_of(
        {*holders.distributors, *view.subject.payments.contracts, view.subject.token, *BURN}
    )
    excluded[out[out >= 0]] = True
    # What the project pays itself is no payout to holders.
    ours = token.addresses.ids_of(project)
    excluded |= np.isin(entities_of(view).entity, entities_of(view).entity[ours[ours > 0]])
    rounds = distributions(takings.payouts, token, excluded)
    inputs = hash_inputs(takings.payouts.digest(), token.digest())
    ledger = ledger_of(view)
    real = [each for each in rounds if each.paid_eligible and not _dust(each, takings)]
    paid_at = max((each.window.end - 1 for each in real), default=None)
    since = _since(view, takings.launched, paid_at, inputs)
    if ledger.status is not Status.OK:
        return [without(_COVERAGE, ledger.status, ledger.why, unit="share"), since]
    return [_coverage_of(rounds, inputs), since]


def _dust(payout: Distribution, takings: Takings) -> bool:
    """Tell whether a payout is less than a dollar: sent to stop a clock, not to pay anybody."""
    money = takings.monies.get(payout.currency)
    if money is None or money.quotes is None:
        return payout.total < payout.eligible
    row = int(money.quotes.rows_at(np.array([payout.window.start]))[0])
    price = money.quotes.prices[row] if row >= 0 else 0
    return bool(price) and payout.total * price < SCALE * 10**money.decimals


def _own(view: View, takings: Takings) -> list[Metric]:
    """Of a Share: what the twin of its code says that each holder earned, against what it took."""
    books = takings.books
    assert books is not None
    earned = earned_by(observed_events(view.facts), books.share, view.head.time)
    inputs = hash_inputs(takings.payouts.digest(), view.transfers.digest(), repr(sorted(earned)))
    paid_at = books.distributed[-1].time if books.distributed else None
    return [_coverage_of_share(earned, inputs), _since(view, takings.launched, paid_at, inputs)]


def _coverage_of_share(earned: dict[str, Earned], inputs: str) -> Metric:
    entitled = [each for each in earned.values() if each.entitled]
    if not entitled:
        return without(_COVERAGE, Status.INSUFFICIENT, "nothing was distributed yet", unit="share")
    took = [each for each in entitled if each.claimed]
    right = sum(each.claimed == each.expected for each in entitled)
    line = fit(
        np.array([float(each.expected) for each in took]),
        np.array([float(each.claimed) for each in took]),
    )
    parts: dict[str, object] = {
        "holders": len(entitled),
        "took": len(took),
        "to_the_unit": right,
        "claimed": sum(each.claimed for each in entitled),
        "expected": sum(each.expected for each in entitled),
        "claimable": sum(each.claimable for each in entitled),
        "r2": None if line is None else line.r2,
        "slope": None if line is None else line.slope,
    }
    share = len(took) / len(entitled)
    text = f"{share:.1%} of {len(entitled)} holders took their part; {right} got it to the unit"
    return is_at(_COVERAGE, share, "share", text, None, inputs, parts)


def _coverage_of(rounds: Sequence[Distribution], inputs: str) -> Metric:
    if not rounds:
        return without(_COVERAGE, Status.INSUFFICIENT, "nothing was paid out yet", unit="share")
    last = rounds[-1]
    if not last.eligible:
        return without(
            _COVERAGE, Status.UNKNOWN, "no balances from before the payout", unit="share"
        )
    share = last.paid_eligible / last.eligible
    how = "how evenly is not known: fewer than 3 holders, or all alike"
    if last.fit is not None:
        how = f"pro rata, R2 {last.fit.r2:.4f}" if last.fit.pro_rata else "at somebody's discretion"
    parts: dict[str, object] = {
        "paid": [each.paid for each in rounds],
        "eligible": [each.eligible for each in rounds],
        "total": [each.total for each in rounds],
        "r2": [None if each.fit is None else each.fit.r2 for each in rounds],
        "slope": [None if each.fit is None else each.fit.slope for each in rounds],
        "pro_rata": None if last.fit is None else last.fit.pro_rata,
    }
    evidence = tuple(
        Evidence(f"{each.total} base units to {each.paid} holders", f"block {each.first_block}")
        for each in rounds[-3:]
    )
    text = f"{share:.1%} of {last.eligible} holders were paid last time; {how}"
    return Metric(
        name=_COVERAGE, step=Step.REVENUE, value=share, unit="share", status=Status.OK, text=text,
        window=last.window, inputs_hash=inputs, evidence=evidence, parts=parts,
    )  # fmt: skip


def _since(view: View, launched: int, paid_at: int | None, inputs: str) -> Metric:
    """Count the whole months without a payout, since the last one or since the launch."""
    since = launched if paid_at is None else paid_at
    between = months_between(since, view.head.time)
    # Neither the month of the payout, nor the one that is not over.
    over = view.head.time + 1 >= between[-1].end
    count = max(0, len(between) - 1 - (0 if over else 1)) if len(between) > 1 else 0
    cut = view.subject.launched is None and not view.facts.coverage(view.subject.token).complete
    if paid_at is None and cut and count < _LONG_MONTHS:
        why = f"no payout in {count} whole months; before them nobody looked"
        return without(_SINCE, Status.UNKNOWN, why, unit="months", inputs=inputs)
    day = datetime.fromtimestamp(since, UTC).strftime("%Y-%m-%d")
    said = f"the last payout was on {day}" if paid_at is not None else f"no payout since {day}"
    text = f"{count} whole months without a payout: {said}"
    parts = {"paid_at": paid_at, "launched": launched}
    window = Window(since, max(since, view.head.time + 1))
    return is_at(_SINCE, count, "months", text, window, inputs, parts)
