"""RF3: how much of what users pay, and of what is traded, goes in circles; and the verdict."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from tessera.diligence.circular import statistics
from tessera.diligence.circular.composite import Circular, Ring
from tessera.diligence.circular.payments import Payments
from tessera.diligence.circular.picture import picture
from tessera.diligence.circular.views import TRADE_DAYS, circular_by_currency, circular_trades
from tessera.diligence.money.flows import Flows
from tessera.diligence.money.prices import worth
from tessera.diligence.money.takings import Takings, circular_of, entities_by_id, takings_of
from tessera.diligence.results import (
    DAY_S,
    Coverage,
    Evidence,
    Flag,
    Metric,
    Severity,
    Status,
    Step,
    Window,
    hash_inputs,
)
from tessera.diligence.view import View
from tessera.facts import ABSENT

__all__ = ["judge"]

TITLE: Final = "volume that goes in circles"
LEAST_PAYMENTS: Final = 50
LEAST_DAYS: Final = 30
CIRCULAR: Final = 0.5
"""From this share on, volume is mostly circular."""
FEW_PAYERS: Final = 10
CONCENTRATED: Final = 0.8
_SHOWN_RINGS: Final = 5


@dataclass(frozen=True, slots=True)
class _Paid:
    """What users paid in one currency, and what of it counts.

    Attributes
    ----------
    circular
        Mask over the flows.
    returned, clean, whole
        Given back to who paid; left without that, what is circular and what insiders paid; all.
    found
        The methods' answers over all transfers of the currency; None of an asset of our own, of
        which books say to the unit what came back.
    """

    flows: Flows
    circular: NDArray[np.bool_]
    returned: int
    clean: int
    whole: int
    found: Circular | None

    @property
    def enough(self) -> bool:
        """Whether it is so much that something can be said."""
        time = self.flows.time
        return len(time) >= LEAST_PAYMENTS and int(time[-1]) - int(time[0]) >= LEAST_DAYS * DAY_S

    @property
    def share(self) -> float:
        """Of all that was paid, by value, what came back to who paid."""
        back = self.returned if self.found is None else self.flows.amount[self.circular].total()
        return back / self.whole


def judge(view: View) -> Flag:
    """Decide RF3.

    Raises
    ------
    TesseraError
        The facts do not hold what was asked for.
    """
    trades, looked = _trades(view)
    takings = takings_of(view)
    if takings is None:
        why = "nobody said where users pay: payments.contracts of the description"
        payments = [_without("circular_payments", Status.UNKNOWN, why)]
        return _verdict(view, [*payments, *trades], None, looked)
    paid = _main(view, takings)
    if paid is None:
        why = (
            "users paid nothing" if not len(takings.payments) else "not all payments are transfers"
        )
        payments = [_without("circular_payments", Status.UNKNOWN, why)]
        return _verdict(view, [*payments, *trades], None, looked)
    return _verdict(view, [*_payments(view, takings, paid), *trades], paid, looked)


def _without(name: str, status: Status, why: str) -> Metric:
    return Metric.without(name, Step.REVENUE, status, why, unit="share")


def _main(view: View, takings: Takings) -> _Paid | None:
    """The currency in which most was paid; None where nobody can say what is circular."""
    flows = takings.payments
    if not len(flows):
        return None
    rows = circular_of(view, takings)
    if rows is None:
        return None
    main = _main_currency(flows, takings)
    of_main = flows.currency == main
    kept = of_main & ~rows & ~takings.insiders
    back = [each for each in takings.refunded if of_main[each.row]]
    returned = sum(each.amount for each in back)
    clean = flows.amount[kept].total() - sum(each.amount for each in back if kept[each.row])
    chosen = flows.select(of_main)
    whole = chosen.amount.total()
    found = (
        None
        if takings.books is not None
        else circular_by_currency(view).get(flows.currencies[main])
    )
    if not whole or (found is None and takings.books is None):
        return None
    return _Paid(chosen, rows[of_main], returned, clean, whole, found)


def _main_currency(flows: Flows, takings: Takings) -> int:
    """By value, so that many small payments in one currency hide no large ones in another.

    By their number where one of them has no price.
    """
    values = []
    for index, token in enumerate(flows.currencies):
        rows, money = flows.currency == index, takings.monies[token]
        alone = np.zeros(int(rows.sum()), np.int64)
        found = worth(
            money.quotes, money.decimals, flows.amount[rows], flows.time[rows], alone, 1
        )  # fmt: skip
        if found.unpriced[0]:
            return int(np.argmax(np.bincount(flows.currency, minlength=len(flows.currencies))))
        values.append(found.atoms[0])
    return values.index(max(values))


def _payments(view: View, takings: Takings, paid: _Paid) -> list[Metric]:
    flows = paid.flows
    window = Window(int(flows.time[0]), view.head.time + 1)
    if not paid.enough:
        why = (
            f"{len(flows):,} payments over {(flows.time[-1] - flows.time[0]) / DAY_S:.0f} days; "
            f"{LEAST_PAYMENTS} over {LEAST_DAYS} days say something"
        )
        return [_without("circular_payments", Status.INSUFFICIENT, why)]
    found = paid.found
    if found is None:
        return [
            Metric(
                name="circular_payments",
                step=Step.REVENUE,
                value=paid.share,
                unit="share",
                status=Status.OK,
                text=f"{paid.share:.1%} of what users paid came back to who paid, by the books",
                window=window,
                inputs_hash=hash_inputs("circular 1", flows.digest()),
            )
        ]
    moved = found.transfers
    users = _paid_by_users(found, flows)
    lower, upper = found.share(found.lower, users), found.share(found.upper, users)
    made = _as_payments(found, users)
    unit = 10.0 ** takings.monies[flows.currencies[int(flows.currency[0])]].decimals
    seen = [
        statistics.benford(made),
        statistics.rounding(made, unit),
        statistics.tail(made),
        statistics.regularity(made),
    ]
    missing = list(takings.missing)
    others = len(np.unique(takings.payments.currency)) - 1
    if others:
        noun = "currency" if others == 1 else "currencies"
        missing.append(f"what users paid in {others} other {noun}")
    if found.linked is None:
        missing.append("who funded the payers: no transactions were observed")
    if not found.loops.whole:
        missing.append("rings that draw new wallets each time, among so many payments")
    metric = Metric(
        name="circular_payments",
        step=Step.REVENUE,
        value=paid.share,
        unit="share",
        status=Status.OK,
        text=f"{paid.share:.1%} of what users paid went in circles "
        f"(at least {lower:.1%} by arithmetic, at most {upper:.1%} by any method)",
        window=window,
        inputs_hash=hash_inputs("circular 1", moved.digest(), flows.digest()),
        coverage=Coverage(None if missing else 1.0, tuple(missing)),
        evidence=_evidence(found),
        parts={
            "lower": lower,
            "upper": upper,
            "confidence": _confidence(found, seen),
            "circulated": found.circulated(),
            "chance": max(found.loops.chance, default=0.0),
            "rings": [_ring(found, each) for each in found.rings[:_SHOWN_RINGS]],
            "statistics": [
                {
                    "name": each.name,
                    "status": str(each.status),
                    "value": each.value,
                    "text": each.text,
                }
                for each in seen
            ],
        },
    )
    return [metric]


def _paid_by_users(found: Circular, flows: Flows) -> NDArray[np.bool_]:
    """Which transfers are the payments."""
    moved = found.transfers
    key = moved.block * (1 << 31) + moved.log
    users = np.zeros(len(moved), dtype=np.bool_)
    wanted = flows.block * (1 << 31) + flows.log
    places = np.minimum(np.searchsorted(key, wanted), max(len(key) - 1, 0))
    users[places[key[places] == wanted]] = True
    return users


def _as_payments(found: Circular, rows: NDArray[np.bool_]) -> Payments:
    moved = found.transfers
    return Payments(
        found.source[rows],
        found.target[rows],
        moved.time[rows],
        moved.amount[rows].approximate(),
        len(moved.addresses),
    )


def _trades(view: View) -> tuple[list[Metric], Circular | None]:
    """What of the token's own transfers is circular."""
    name = "circular_volume"
    found = circular_trades(view)
    moved = found.transfers
    count = int(found.counted.sum())
    whole = view.transfers
    days = (view.head.time - int(whole.time[0])) / DAY_S if len(whole) else 0.0
    if count < LEAST_PAYMENTS or days < LEAST_DAYS:
        why = (
            f"{count:,} transfers, {days:.0f} days since the first; {LEAST_PAYMENTS} and "
            f"{LEAST_DAYS} days say something"
        )
        return [_without(name, Status.INSUFFICIENT, why)], None
    share = found.share(found.rows)
    lower, upper = found.share(found.lower), found.share(found.upper)
    missing = () if found.loops.whole else ("rings that draw new wallets each time",)
    metric = Metric(
        name=name,
        step=Step.VELOCITY,
        value=share,
        unit="share",
        status=Status.OK,
        text=f"{share:.1%} of what was transferred in {TRADE_DAYS} days went in circles "
        f"(at least {lower:.1%} by arithmetic, at most {upper:.1%} by any method)",
        window=Window.last(TRADE_DAYS, view.head.time + 1),
        inputs_hash=hash_inputs("circular 1", moved.digest()),
        coverage=Coverage(None if missing else 1.0, missing),
        evidence=_evidence(found),
        parts={
            "lower": lower,
            "upper": upper,
            "circulated": found.circulated(),
            "rings": [_ring(found, each) for each in found.rings[:_SHOWN_RINGS]],
        },
    )
    return [metric], found


def _ring(found: Circular, ring: Ring) -> dict[str, object]:
    addresses = found.transfers.addresses
    return {
        "members": addresses.texts(np.array(ring.members)),
        "loops": ring.loops,
        "circulated": ring.circulated,
        "paid": ring.paid,
    }


def _evidence(found: Circular) -> tuple[Evidence, ...]:
    """One loop of each of the largest rings, by its last payment."""
    moved = found.transfers
    shown = []
    for ring in found.rings[:_SHOWN_RINGS]:
        last = ring.last
        shown.append(
            Evidence(
                f"value went around {len(ring.members)} wallets {ring.loops:,} times",
                f"block {moved.block[last]}, log {moved.log[last]}",
                ring.circulated,
            )
        )
    themselves = np.flatnonzero(found.themselves & found.counted)
    if len(themselves):
        last = int(themselves[-1])
        what = f"{len(themselves):,} payments between wallets of one owner"
        shown.append(Evidence(what, f"block {moved.block[last]}, log {moved.log[last]}"))
    return tuple(shown)


def _confidence(found: Circular, seen: list[statistics.Statistic]) -> str:
    """High where methods that know nothing of each other agree, or statistics do."""
    rows = found.rows
    if not rows.any():
        return "high" if found.linked is not None else "medium"
    methods = [found.wash, found.loops.payments, found.themselves]
    if found.linked is not None:
        methods.append(found.linked & found.conserved)
    agreeing = sum(found.share(each, rows) > CIRCULAR for each in methods)
    agreeing += any(each.suspicious for each in seen)
    return ("low", "medium", "high")[min(agreeing, 2)]


def _verdict(
    view: View, metrics: list[Metric], paid: _Paid | None, trades: Circular | None
) -> Flag:
    decided = [each for each in metrics if each.value is not None]
    reasons = [
        each.text for each in decided if isinstance(each.value, float) and each.value >= CIRCULAR
    ]
    parts: dict[str, object] = {}
    if paid is not None and paid.enough:
        if paid.found is not None:
            parts = picture(view, paid.found.transfers.token)
        reasons += _few(view, paid)
        if paid.clean < CIRCULAR * paid.whole:
            reasons.append(
                f"{paid.clean / paid.whole:.1%} of the fees is left without what is circular, "
                "the team's own or given back"
            )
    if not decided:
        text = "; ".join(each.text for each in metrics)
        return Flag("RF3", TITLE, Severity.UNDECIDED, "unknown", text, (), tuple(metrics), parts)
    evidence = tuple(each for metric in decided for each in metric.evidence)
    if reasons:
        text = "; ".join(reasons)
        return Flag("RF3", TITLE, Severity.FLAG, "circular", text, evidence, tuple(metrics), parts)
    text = "; ".join(each.text for each in metrics)
    # Trades alone say nothing of what users pay, where somebody pays.
    payments = metrics[0]
    severity = Severity.CLEAR if payments.value is not None else Severity.UNDECIDED
    verdict = "not_circular" if severity is Severity.CLEAR else "unknown"
    return Flag("RF3", TITLE, severity, verdict, text, evidence, tuple(metrics), parts)


def _few(view: View, paid: _Paid) -> list[str]:
    """Whether fewer than ten pay four fifths or more; payers that nobody knows are not counted."""
    flows = paid.flows
    known = flows.party != ABSENT
    if not known.all():
        return []
    payers = np.unique(entities_by_id(view, flows.party))
    if len(payers) >= FEW_PAYERS:
        return []
    # So few are the ten largest all together, whose share is 1, above `CONCENTRATED`.
    return [f"{len(payers)} payers pay everything"]
