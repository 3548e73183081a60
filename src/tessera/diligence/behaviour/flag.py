"""RF2: a share in revenue that no code pays, decided by trying the code."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING, Final

from tessera.diligence.behaviour.ground import Head
from tessera.diligence.ledger import ledger_of
from tessera.diligence.results import Evidence, Flag, Severity, Status
from tessera.diligence.view import View
from tessera.errors import InputError, NotFound
from tessera.facts import Facts

if TYPE_CHECKING:
    from tessera.diligence.behaviour.examining import Examination

__all__ = ["judge"]

_DANGERS: Final = {
    "anybody_mints": "anybody can make more of it",
    "mintable": "more of it can be made",
    "pausable": "all transfers can be stopped",
    "blacklist": "one holder's transfers can be stopped",
    "tax_changeable": "what a transfer costs can be changed",
    "hidden_owner": "a privileged account is kept where nobody sees it",
    "proxy": "its code can be replaced",
}
_TITLE: Final = "a share in revenue that no code pays"
_MOST_CONTRACTS: Final = 6
_LARGE_SHARE: Final = 100  # a contract that holds more than one in so many is tried, too
_STEPS: Final = 2_500_000  # a quarter of a minute of one core for a contract
_SHOWN_HOLDERS: Final = 5
_SHOWN_ASSUMPTIONS: Final = 6
_SLOTS_ASKED: Final = 32
_ADDRESS_BITS: Final = 160


class _Observed:
    """Facts as the sandbox asks for them."""

    def __init__(self, facts: Facts) -> None:
        self._facts = facts
        self.head = Head(facts.chain_id, facts.head.block, facts.head.time)

    def code(self, address: str) -> bytes | None:
        return self._facts.code(address)

    def slot(self, address: str, key: int) -> int | None:
        return self._facts.slot(address, key)


def judge(view: View) -> Flag:
    """Decide the second red flag.

    Tried are the token, the distributors that its documents name, what received revenue, and
    contracts that hold more than a hundredth of it. The best of their verdicts is the token's; but
    a contract that only holds some, and does not know the token, clears nothing.

    Raises
    ------
    InputError
        The extra is not installed.
    """
    try:
        from tessera.diligence.behaviour.examining import examine
        from tessera.diligence.behaviour.runs import Limits
    except ImportError as error:
        raise InputError(
            "trying contracts",
            found=f"no {error.name}",
            wanted="the extra `analysis`",
            next_step="pip install 'tessera-market[analysis]'",
        ) from error

    holders = _holders(view)
    named = [*view.subject.holders.distributors, *view.subject.payments.contracts]
    asked = list(dict.fromkeys([view.subject.token, *named, *_large(view, holders)]))
    ground = _Observed(view.facts)
    tried = [
        examine(ground, address, Limits(total_steps=_STEPS), holders=holders[:_SHOWN_HOLDERS])
        for address in asked[:_MOST_CONTRACTS]
        if view.facts.code(address) != b""
    ]
    by_hand = [
        address for address in view.subject.holders.distributors if view.facts.code(address) == b""
    ]
    unrelated = {
        each.address
        for each in tried
        if each.address not in {view.subject.token, *named}
        and str(each.decision.verdict).startswith("coded_")
        and not _knows_token(ground, each, view.subject.token)
    }
    return _decided(view, tried, by_hand, left=asked[_MOST_CONTRACTS:], unrelated=unrelated)


def _knows_token(ground: _Observed, examination: Examination, token: str) -> bool:
    """Whether a contract keeps the token's address in its code or in its first slots.

    Anybody can send a hundredth of a token to a stranger's contract that pays its own users, so
    that a contract holds the token says nothing.
    """
    number = int(token, 16)
    behind = examination.behind
    places = [examination.address, *(behind.implementations if behind is not None else ())]
    if any(bytes.fromhex(token[2:]) in (ground.code(place) or b"") for place in places):
        return True
    words = (ground.slot(examination.address, key) or 0 for key in range(_SLOTS_ASKED))
    return any(word % (1 << _ADDRESS_BITS) == number for word in words)


def _decided(
    view: View,
    tried: Sequence[Examination],
    by_hand: Sequence[str],
    left: Sequence[str],
    unrelated: Collection[str],
) -> Flag:
    promise = view.subject.holders.promise.strip()
    best = min((each for each in tried if each.address not in unrelated), key=_rank, default=None)
    verdict = "none" if best is None else str(best.decision.verdict)
    text = "no contract was tried" if best is None else best.decision.reason
    if left and verdict in {"none", "offchain_only"}:
        verdict = "unknown"
        text = f"{len(left)} more contracts were not tried, {left[0]} among them; {text}"
    if unrelated and not verdict.startswith("coded_"):
        verdict = "unknown"
        text = f"{min(unrelated)} pays and holds some, but nothing shows that it pays for the token"
    if by_hand and verdict == "none":
        verdict = "offchain_only"
        text = f"{by_hand[0]}, which is to pay holders, is an account without code"
    if verdict == "none" and view.subject.asset is not None:
        # A Share pays from what its books hold. With a state that was assumed, that it paid nobody
        # says nothing of the one that it has.
        verdict = "unknown"
        text = f"its storage was not observed, and with one that was assumed {text}"
    if verdict == "unknown":
        severity = Severity.UNDECIDED
    elif verdict == "coded_prorata" or not promise:
        severity = Severity.CLEAR
    else:
        severity = Severity.FLAG
    if best is not None and verdict == "coded_prorata" and best.decision.caveats:
        text += "; but " + "; ".join(best.decision.caveats)
    if not promise and verdict != "coded_prorata":
        text = f"nothing is promised to holders, and nothing found: {text}"
    own = next((each for each in tried if each.address == view.subject.token), None)
    dangers = [] if own is None else _dangers(own)
    if dangers:
        text += f"; of the token: {', '.join(what for what, _ in dangers)}"
    return Flag(
        "RF2",
        _TITLE,
        severity,
        verdict,
        text,
        (
            *_evidence(tried, by_hand),
            *(Evidence(what, view.subject.token, function) for what, function in dangers),
        ),
        (),
        {
            "promise": promise,
            "contracts": [_said(each) for each in tried],
            "paid_by_hand": list(by_hand),
            "not_tried": list(left),
            "unrelated": sorted(unrelated),
        },
    )


def _rank(examination: Examination) -> tuple[int, str]:
    order = ("coded_prorata", "coded_discretionary", "unknown", "offchain_only", "none")
    return order.index(str(examination.decision.verdict)), examination.address


def _evidence(tried: Sequence[Examination], by_hand: Sequence[str]) -> list[Evidence]:
    found = []
    for each in tried:
        decision = each.decision
        found.append(
            Evidence(f"{decision.kind}: {decision.reason}", each.address, decision.verdict)
        )
        found += [Evidence("who can", each.address, gate) for gate in decision.gates]
        if each.behind is not None and each.behind.kind.changeable:
            where = each.behind.implementations[-1] if each.behind.implementations else each.address
            found.append(Evidence(f"its code can be replaced: {each.behind.kind}", where))
    found += [Evidence("pays holders by hand: no code", address) for address in by_hand]
    return found


def _dangers(examination: Examination) -> list[tuple[str, str]]:
    """Tell what can be done to holders, and by which function; what could not be tried is left out.

    Each was done in the sandbox: a word here is no reading of a name.
    """
    safety, by = examination.safety, dict(examination.safety.by)
    found = [
        (what, by.get(name, ""))
        for name, what in _DANGERS.items()
        if getattr(safety, name) is True and not (name == "mintable" and safety.anybody_mints)
    ]
    if safety.tax:
        found.append((f"{safety.tax:.1%} of a transfer does not arrive", by.get("tax", "")))
    if safety.sellable is False:
        found.append(("it cannot be sold to a contract", by.get("sellable", "")))
    return found


def _said(examination: Examination) -> dict[str, object]:
    decision = examination.decision
    payout = decision.payout
    said: dict[str, object] = {
        "address": examination.address,
        "verdict": str(decision.verdict),
        "kind": str(decision.kind),
        "reason": decision.reason,
        "caveats": [str(caveat) for caveat in decision.caveats],
        "gates": list(decision.gates),
        "functions": examination.functions,
        "proxy": str(examination.behind.kind) if examination.behind else None,
        "safety": {
            name: getattr(examination.safety, name)
            for name in examination.safety.__dataclass_fields__
            if name != "by"
        }
        | {"by": dict(examination.safety.by)},
    }
    if payout is not None:
        said["experiment"] = {
            "claim": payout.claim.name,
            "feed": payout.feed.name if payout.feed else None,
            "paid": [str(amount) for amount in payout.amounts],
            "held": [str(weight) for weight in payout.weights],
            "currency": payout.currency,
            "assumed": [
                {"contract": where, "slot": hex(key), "word": hex(word)}
                for (where, key), word in sorted(payout.assumed.items())[:_SHOWN_ASSUMPTIONS]
            ],
            "assumptions": len(payout.assumed),
        }
    return said


def _holders(view: View) -> list[str]:
    """Who holds it, the largest first; nobody where the history does not say."""
    try:
        ledger = ledger_of(view)
    except NotFound:
        return []
    if ledger.status is not Status.OK:
        return []
    addresses = ledger.transfers.addresses
    return [addresses[int(number)] for number in ledger.order()[: 10 * _LARGE_SHARE]]


def _large(view: View, holders: Sequence[str]) -> list[str]:
    """Contracts that hold more than a hundredth."""
    if not holders:
        return []
    ledger = ledger_of(view)
    order = ledger.order()[: len(holders)]
    least = ledger.supply // _LARGE_SHARE
    return [
        address
        for address, number in zip(holders, order, strict=True)
        if ledger.balances[int(number)] > least and view.facts.code(address)
    ][:_MOST_CONTRACTS]
