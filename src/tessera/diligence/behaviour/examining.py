"""One contract examined: functions, what each does, who is paid, and the verdict."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass, field

from tessera.diligence.behaviour.currencies import acquaint
from tessera.diligence.behaviour.ground import Ground
from tessera.diligence.behaviour.profiles import Profile, profile_all
from tessera.diligence.behaviour.proxies import Behind, look_behind
from tessera.diligence.behaviour.runs import Exhausted, Limits
from tessera.diligence.behaviour.safety import Safety, look_for_dangers
from tessera.diligence.behaviour.search import Stage
from tessera.diligence.behaviour.trial import ERC20, RATIO, Payout, find_payouts, seed
from tessera.diligence.behaviour.verdicts import Decision, Kind, Verdict, decide

__all__ = ["Examination", "examine"]

_PUSHES = range(0x60, 0x80)
_MOVERS = {0xF1, 0xF2, 0xF4, 0xFF}  # CALL, CALLCODE, DELEGATECALL, SELFDESTRUCT


@dataclass(frozen=True, slots=True)
class Examination:
    """What was found about one contract.

    Parameters
    ----------
    functions
        How many its code dispatches to.
    safety
        What privileged accounts can do to holders.
    """

    address: str
    decision: Decision
    functions: int
    behind: Behind | None = None
    profiles: dict[bytes, Profile] = field(default_factory=dict)
    payouts: tuple[Payout, ...] = ()
    safety: Safety = field(default_factory=Safety)


def can_move_money(code: bytes) -> bool:
    """Whether `code` has an opcode by which money could leave it."""
    at = 0
    while at < len(code):
        opcode = code[at]
        if opcode in _MOVERS:
            return True
        at += 1 + (opcode - 0x5F if opcode in _PUSHES else 0)
    return False


def examine(
    ground: Ground,
    address: str,
    limits: Limits | None = None,
    *,
    holders: Sequence[str] = (),
) -> Examination:
    """Examine the contract at `address`.

    Parameters
    ----------
    ground
        Code and slots that were observed; what it answers None for is assumed, and said so.
    address
        Lower case.
    limits
        Bounds of the sandbox; a contract that needs more is `unknown`, never `none`.
    holders
        Accounts known to hold the token, lower case, the largest first.
    """
    code = ground.code(address)
    if not code:
        why = "its code was not observed" if code is None else "there is no code at this address"
        return Examination(address, Decision(Verdict.UNKNOWN, Kind.NONE, why), 0)
    behind = look_behind(ground, address)
    if behind.missing is not None:
        what = "has no code" if behind.nothing else "was not observed"
        why = f"{behind.kind}: {behind.missing}, to which it hands every call, {what}"
        return Examination(address, Decision(Verdict.UNKNOWN, Kind.NONE, why), 0, behind)
    stage = Stage(ground, address, limits, holders, behind.functions)
    if not stage.functions:
        why = "no function was found in its code"
        return Examination(address, Decision(Verdict.UNKNOWN, Kind.NONE, why), 0)
    profiles: dict[bytes, Profile] = {}
    payouts: list[Payout] = []
    unsettled: list[str] = []
    try:
        acquaint(stage)
        seeded = seed(stage, RATIO)
        if stage.has_balances and not seeded:
            unsettled.append("the slots of its balances were not found")
        profile_all(stage, profiles)
        if can_move_money(code) or behind.implementations:
            find_payouts(stage, profiles, payouts)
    except Exhausted:
        unsettled.append("the steps for trying it were spent")
    endless = [
        p.function.name
        for p in profiles.values()
        if p.stopped and not p.works and not p.gated and p.function.selector not in ERC20
    ]
    if endless:
        unsettled.append(f"{endless[0]} did not end within its bound")
    blind = sorted(set().union(*(p.blind for p in profiles.values())) if profiles else ())
    if blind:
        unsettled.append(f"it runs the code of {blind[0]}, which was not observed")
    decision = decide(stage, profiles, payouts, unsettled=unsettled)
    safety = Safety(proxy=behind.kind.changeable)
    with contextlib.suppress(Exhausted):  # what was not tried stays None: not known
        safety = look_for_dangers(stage, profiles, behind)
    return Examination(
        address, decision, len(stage.functions), behind, profiles, tuple(payouts), safety
    )
