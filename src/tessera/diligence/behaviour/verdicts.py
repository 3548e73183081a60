"""What the experiment amounts to: one word, one kind, and the sentences that carry them."""

from __future__ import annotations

import enum
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tessera.diligence.behaviour.keys import KeyBook
from tessera.diligence.behaviour.profiles import Profile
from tessera.diligence.behaviour.runs import Exhausted, Paid
from tessera.diligence.behaviour.safety import works_twice
from tessera.diligence.behaviour.search import Stage
from tessera.diligence.behaviour.solutions import Gate
from tessera.diligence.behaviour.tracing import ARGUMENT
from tessera.diligence.behaviour.trial import Payout

__all__ = ["Caveat", "Decision", "Kind", "Verdict", "decide"]


class Verdict(enum.StrEnum):
    """Whether money reaches holders by code (metrics.md, section 6, RF2)."""

    CODED_PRORATA = "coded_prorata"
    CODED_DISCRETIONARY = "coded_discretionary"
    OFFCHAIN_ONLY = "offchain_only"
    NONE = "none"
    UNKNOWN = "unknown"


class Kind(enum.StrEnum):
    """How it pays, or what it does instead."""

    SPLITTER = "pull splitter"
    ACCUMULATOR = "dividends per share"
    STAKING = "staking rewards"
    EPOCH = "epoch fee distributor"
    OPERATOR_LIST = "operator-allocated list"
    CREDIT = "credits of its own users"
    BURN = "burn"
    VESTING = "vesting"
    AIRDROP = "airdrop"
    NONE = "none"


class Caveat(enum.StrEnum):
    """What a holder should know although the code pays."""

    FUNDING_GATED = "only a privileged account brings the money in"
    FUNDING_ASSUMED = "no function was found that brings the money in"
    ONCE = "a second distribution was not paid"
    TWICE = "who hands the token on lets the receiver claim for the same money again"
    CLAWBACK = "a privileged account can take the money out"
    STOPPABLE = "a privileged account can stop claims"
    OUTSIDER = "one who holds nothing was paid"
    ASSUMED = "the state was assumed, not observed"


@dataclass(frozen=True, slots=True)
class Decision:
    """The verdict on one contract.

    Parameters
    ----------
    reason
        One sentence with the experiment's figures.
    payout
        The payout that decided, None where none did.
    caveats
        In the order of `Caveat`.
    gates
        Who can stop, take or bring the money, by what it is: "function: place".
    """

    verdict: Verdict
    kind: Kind
    reason: str
    payout: Payout | None = None
    caveats: tuple[Caveat, ...] = ()
    gates: tuple[str, ...] = ()


def decide(
    stage: Stage,
    profiles: Mapping[bytes, Profile],
    payouts: Sequence[Payout],
    *,
    unsettled: Sequence[str] = (),
) -> Decision:
    """The verdict from what was found; `unsettled` says why nothing found is not nothing there."""
    keys = stage.machine.keys
    shares = [payout for payout in payouts if payout.prorata and not payout.consumed]
    by_code = [p for p in shares if not _by_operator(keys, p, profiles)]
    if by_code:
        best = max(by_code, key=lambda p: (p.fed, not p.by_entry, p.claim.selector))
        return _prorata(stage, best, profiles)
    listed = [p for p in payouts if _by_operator(keys, p, profiles)]
    if listed:
        writers = _writers(keys, listed[0], profiles)
        return Decision(
            Verdict.CODED_DISCRETIONARY,
            Kind.OPERATOR_LIST,
            f"{listed[0].claim.name} pays what {_names(writers)} wrote: "
            f"who calls that names the receivers and the amounts",
            listed[0],
            _assumed(listed[0]),
            _gate_words(keys, writers),
        )
    handouts = [p for p in profiles.values() if p.gated and _to_several(stage, p)]
    if handouts:
        return Decision(
            Verdict.CODED_DISCRETIONARY,
            Kind.AIRDROP,
            f"{_names(handouts)} pays whom a privileged account names",
            gates=_gate_words(keys, handouts),
        )
    if unsettled:
        return Decision(Verdict.UNKNOWN, Kind.NONE, "; ".join(unsettled))
    kind, why = _instead(stage, profiles, payouts)
    return Decision(Verdict.NONE, kind, why)


def _prorata(stage: Stage, payout: Payout, profiles: Mapping[bytes, Profile]) -> Decision:
    keys = stage.machine.keys
    feeder = profiles.get(payout.feed.selector) if payout.feed is not None else None
    takers = [p for p in profiles.values() if p.gated and _takes(stage, p, payout)]
    stoppers = [
        p
        for p in profiles.values()
        if p.gated and p.written & payout.loads and p not in takers and p is not feeder
        if _goes_on(stage, p)
    ]
    found = {
        Caveat.FUNDING_GATED: feeder is not None and feeder.gated,
        Caveat.FUNDING_ASSUMED: not payout.fed,
        Caveat.ONCE: payout.again is False,
        Caveat.TWICE: payout.twice is True,
        Caveat.CLAWBACK: bool(takers),
        Caveat.STOPPABLE: bool(stoppers),
        Caveat.OUTSIDER: payout.outsider > 0,
        Caveat.ASSUMED: bool(_assumed(payout)) or bool(stage.clocks),
    }
    first, second = payout.amounts
    brought = f" after {payout.feed.name}" if payout.feed is not None else ""
    money = "wei" if payout.currency == "ether" else f"base units of {payout.currency}"
    return Decision(
        Verdict.CODED_PRORATA,
        _kind(stage, payout, profiles),
        f"{payout.claim.name}{brought} paid {first} and {second} {money} "
        f"to holders of {payout.weights[0]} and {payout.weights[1]}",
        payout,
        tuple(caveat for caveat in Caveat if found.get(caveat)),
        _gate_words(keys, [p for p in (feeder, *takers, *stoppers) if p is not None and p.gated]),
    )


def _goes_on(stage: Stage, profile: Profile) -> bool:
    """Whether it can be called again, or that could not be found out."""
    try:
        return works_twice(stage, profile)
    except Exhausted:
        return True


def _kind(stage: Stage, payout: Payout, profiles: Mapping[bytes, Profile]) -> Kind:
    keys = stage.machine.keys
    if payout.by_entry:
        return Kind.STAKING if _writers(keys, payout, profiles) else Kind.SPLITTER
    if not stage.has_balances:
        return Kind.EPOCH
    transferable = any(f.selector == bytes.fromhex("a9059cbb") for f in stage.functions)
    return Kind.ACCUMULATOR if transferable else Kind.STAKING


def _writers(keys: KeyBook, payout: Payout, profiles: Mapping[bytes, Profile]) -> list[Profile]:
    """Functions other than the claim that write the entry a claim is paid by."""
    wanted = {keys.name(key) for key in payout.keys}
    return [
        profile
        for profile in profiles.values()
        if profile.function.selector != payout.claim.selector
        and any(keys.name(key) in wanted for key in profile.written)
    ]


def _by_operator(keys: KeyBook, payout: Payout, profiles: Mapping[bytes, Profile]) -> bool:
    """Whether somebody decides what the holder's entry is.

    Either only privileged accounts write it, or it is used up by the claim and whoever fills it
    names the receiver and the amount. A deposit that its owner takes out is not that: its owner
    can make it, too.
    """
    if not payout.by_entry:
        return False
    writers = _writers(keys, payout, profiles)
    if not writers:
        return False
    if all(profile.gated for profile in writers):
        return True
    return payout.consumed and all(
        profile.named and any("address" in kind for kind in profile.function.types)
        for profile in writers
    )


def _takes(stage: Stage, profile: Profile, payout: Payout) -> bool:
    """Whether a privileged function takes money of the payout's kind out."""
    currency = None if payout.currency == "ether" else payout.currency
    return profile.destroys or any(
        paid.currency == currency or (currency and paid.currency) for paid in profile.paid
    )


def _to_several(stage: Stage, profile: Profile) -> bool:
    """Whether one call paid both holders money that is not the token itself."""
    cast = stage.cast
    reached = {paid.target for paid in profile.paid}
    return {"0x" + cast.first.hex(), "0x" + cast.second.hex()} <= reached


def _instead(
    stage: Stage, profiles: Mapping[bytes, Profile], payouts: Sequence[Payout]
) -> tuple[Kind, str]:
    """What it does where it pays no holder."""
    if payouts:
        used = next((payout for payout in payouts if payout.consumed), None)
        if used is not None:
            why = f"{used.claim.name} pays, and uses up what it pays for: a withdrawal, no share"
            return Kind.CREDIT, why
        why = f"{payouts[0].claim.name} pays, but not by what holders have in two experiments"
        return Kind.NONE, why
    for profile in profiles.values():
        fixed = [paid for paid in profile.paid if not _named(paid)]
        if profile.timed and fixed and not profile.gated and not profile.ether:
            return (
                Kind.VESTING,
                f"{profile.function.name} pays by the clock, to whom it was set for",
            )
    cast = stage.cast
    for profile in profiles.values():
        if profile.gated and min(profile.own.get(a, 0) for a in (cast.first, cast.second)) > 0:
            return (
                Kind.AIRDROP,
                f"{profile.function.name} hands out the token itself, to whom an owner names",
            )
    count = len(profiles)
    return Kind.NONE, f"none of {count} functions that write paid a holder"


def _named(paid: Paid) -> bool:
    """Whether the caller names who is paid."""
    origin = paid.target_origin
    return origin is not None and any(part.where == ARGUMENT for part in origin.fields)


def _assumed(payout: Payout) -> tuple[Caveat, ...]:
    return (Caveat.ASSUMED,) if payout.assumed else ()


def _names(profiles: Sequence[Profile]) -> str:
    return ", ".join(profile.function.name for profile in profiles[:3])


def _gate_words(keys: KeyBook, profiles: Sequence[Profile]) -> tuple[str, ...]:
    return tuple(
        f"{profile.function.name}: {gate_name(keys, gate)}"
        for profile in profiles
        for gate in profile.gates[:1]
    )


def gate_name(keys: KeyBook, gate: Gate) -> str:
    """Who passes a gate, in words."""
    if gate.field is None:
        return f"only {gate.account}, written in the code"
    place = keys.name(gate.field.key)
    if gate.listed:
        return f"only accounts listed in the {place}"
    return f"only {gate.account} (in {place})" if gate.account else f"only the account in {place}"
