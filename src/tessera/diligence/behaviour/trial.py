"""The experiment: two holders, money in the contract, and a claim by whichever function pays.

A payout is pro rata when both holders are paid in the ratio of what they have, again after the
ratio is changed, and what they have is still theirs afterwards: money for which the right was used
up is a withdrawal or an allotment, not a share of revenue.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from tessera.diligence.behaviour.functions import Function
from tessera.diligence.behaviour.origins import TIME
from tessera.diligence.behaviour.profiles import Profile
from tessera.diligence.behaviour.scripts import FUND, UNIT, Step
from tessera.diligence.behaviour.search import BALANCE_OF, Stage
from tessera.diligence.behaviour.solutions import Solution

__all__ = ["EPOCH_S", "ERC20", "RATIO", "Payout", "find_payouts", "seed"]

_TRANSFER = bytes.fromhex("a9059cbb")
_TOTAL = bytes.fromhex("18160ddd")
# Calls of every ERC-20 that move what the caller owns, or allow it.
ERC20 = {
    bytes.fromhex(selector)
    for selector in (
        *("a9059cbb", "23b872dd", "095ea7b3", "39509351", "a457c2d7", "d505accf"),
        *("42842e0e", "b88d4fde", "a22cb465"),  # and of every ERC-721
    )
}
EPOCH_S = 8 * 86_400
_WEEK_S = 7 * 86_400
RATIO = (3, 7, 10)
_OTHER_RATIO = (8, 2, 5)
_ADDRESS = (1 << 160) - 1
_TOLERANCE = 1_000_000  # payouts may differ from the ratio by a millionth, for rounding


@dataclass(slots=True)
class Payout:
    """One function by which money reached two holders.

    Parameters
    ----------
    claim
        The function that paid.
    amounts, weights
        What the two got, base units, and what they had.
    currency
        ``"ether"`` or the address of the currency.
    prorata
        Paid in the ratio of the weights, in two experiments with different ratios.
    consumed
        The claim used the right up.
    by_entry
        The weight is an entry that the contract keeps beside its balances.
    keys
        Places of the first holder that had to be assumed.
    assumed
        All places assumed, with their words.
    feed
        Function that brought money in and made it claimable; None where money that lay there was
        enough, or where no such function was found.
    fed
        Whether the experiment ran with money brought in, not with an assumed sum.
    again
        A second distribution was paid as the first.
    twice
        Who claimed handed the token on, and the receiver claimed for the same distribution.
    outsider
        What one who holds nothing got.
    timed
        The amount or the right depends on the time.
    """

    claim: Function
    amounts: tuple[int, int]
    weights: tuple[int, int]
    currency: str
    prorata: bool
    consumed: bool
    by_entry: bool
    keys: frozenset[int]
    assumed: dict[tuple[str, int], int]
    loads: frozenset[int]
    feed: Function | None = None
    fed: bool = False
    again: bool | None = None
    twice: bool | None = None
    outsider: int = 0
    timed: bool = False
    blind: frozenset[str] = field(default_factory=frozenset)


def seed(stage: Stage, ratio: tuple[int, int, int]) -> bool:
    """Give the experiment's holders balances in `ratio`.

    By real transfers from an observed holder where there is one; else in the slots that
    `balanceOf` reads, found by trying each.

    Returns
    -------
    bool
        False where neither worked. What an earlier call did is undone first.
    """
    stage.machine.world.discard(stage.bare)
    stage.base = dict(stage.clocks)
    stage.balance_place = None
    stage.unit = UNIT
    if not stage.has_balances:
        stage.weigh(*(part * UNIT for part in ratio))
        return False
    return _seed_by_transfer(stage, ratio) or _seed_by_slots(stage, ratio)


def _seed_by_transfer(stage: Stage, ratio: tuple[int, int, int]) -> bool:
    transfer = next((f for f in stage.functions if f.selector == _TRANSFER), None)
    if transfer is None:
        return False
    cast, world = stage.cast, stage.machine.world
    for holder in stage.holders:
        account = bytes.fromhex(holder[2:])
        unit = min(UNIT, stage.balance_of(account) // (2 * sum(ratio)))
        if not unit:
            continue
        mark = world.record()
        shares = dict(zip((cast.first, cast.second, cast.rest), ratio, strict=True))
        moved = all(
            stage.settle(Step(transfer, account, to), (int.from_bytes(to, "big"), part * unit))
            for to, part in shares.items()
        )
        if moved and all(stage.balance_of(to) == part * unit for to, part in shares.items()):
            stage.unit = unit
            stage.weigh(*(part * unit for part in ratio))
            stage.asks_balances = True
            return True
        world.discard(mark)
    return False


def _seed_by_slots(stage: Stage, ratio: tuple[int, int, int]) -> bool:
    cast = stage.cast
    first, second, rest = (part * UNIT for part in ratio)
    stage.weigh(first, second, rest)
    wanted = {cast.first: first, cast.second: second, cast.rest: rest}
    base: dict[tuple[str, int], int] = {}
    for account, amount in wanted.items():
        found = _place_of(stage, BALANCE_OF + account.rjust(32, b"\x00"), amount, base, account)
        if found is None:
            return False
        base[found] = amount
    total = first + second + rest
    found = _place_of(stage, _TOTAL, total, base, None)
    if found is not None:
        base[found] = total
    if any(
        stage.ask(BALANCE_OF + account.rjust(32, b"\x00"), base).word != amount
        for account, amount in wanted.items()
    ):
        return False
    stage.base = base | stage.clocks
    stage.balance_place = next(iter(base))[1]
    return True


def _place_of(
    stage: Stage,
    data: bytes,
    wanted: int,
    base: Mapping[tuple[str, int], int],
    account: bytes | None,
) -> tuple[str, int] | None:
    """The slot that makes a function answer `wanted`: among those it reads, by trying each.

    An entry of one of our accounts may be set even where all storage was observed: nobody had it.
    """
    for load in stage.ask(data, base).loads:
        if account is None:
            settable = stage.machine.world.observed(*load.place) is None
        else:
            settable = stage.machine.keys.mentions(load.key, int.from_bytes(account, "big"))
        if settable and stage.ask(data, {**base, load.place: wanted}).word == wanted:
            return load.place
    return None


def find_payouts(stage: Stage, profiles: Mapping[bytes, Profile], found: list[Payout]) -> None:
    """Put into `found` every function by which both holders are paid, tried as the module says.

    Parameters
    ----------
    stage
        Seeded with `RATIO` where it has balances.
    profiles
        What functions write, for the search of what brings the money in.

    Raises
    ------
    Exhausted
        The sandbox's time is spent; what was found until then is kept.
    """
    _try_all(stage, profiles, found)
    observed = stage.machine.world.observed(stage.name, 0) is not None
    if not observed and not _shares(found) and _set_clocks(stage, profiles):
        _try_all(stage, profiles, found)
    if not _shares(found):
        _triggered(stage, profiles, found)
    for payout in _shares(found):
        if not payout.fed:
            _feed(stage, payout, profiles)
        _probe(stage, payout)


def _shares(found: Sequence[Payout]) -> list[Payout]:
    return [payout for payout in found if payout.prorata and not payout.consumed]


def _set_clocks(stage: Stage, profiles: Mapping[bytes, Profile]) -> bool:
    """Set slots that were held against the time to whole weeks ago; False where there is none.

    A contract whose clocks stand at zero believes it has slept since 1970, and spreads what it has
    over fifty years.
    """
    now = stage.machine.ground.head.timestamp
    clocks = {(stage.name, key) for profile in profiles.values() for key in profile.clocks}
    stage.clocks = dict.fromkeys(sorted(clocks), (now // _WEEK_S - 2) * _WEEK_S)
    if stage.clocks:
        seed(stage, RATIO)
    return bool(stage.clocks)


def _try_all(stage: Stage, profiles: Mapping[bytes, Profile], found: list[Payout]) -> None:
    known = {payout.claim.selector for payout in found}
    for function in stage.functions:
        if function.reads_only or function.selector in ERC20 or function.selector in known:
            continue
        profile = profiles.get(function.selector)
        # One that does not end with empty entries may end with filled ones, not the other way.
        for entries in (True,) if profile is not None and profile.stopped else (False, True):
            payout = _try(stage, function, entries=entries)
            if payout is not None:
                found.append(payout)
                break


def _triggered(stage: Stage, profiles: Mapping[bytes, Profile], found: list[Payout]) -> None:
    """Claims that pay only after another function took the money in, and time passed.

    Where everything was observed nothing can be assumed, so the function has to be called; and some
    streams need more than one word to agree.
    """
    accounts = [int.from_bytes(a, "big") for a in (stage.cast.first, stage.cast.outsider)]
    keys = stage.machine.keys
    known = {payout.claim.selector for payout in found}
    working = [p for p in profiles.values() if p.works and p.function.selector not in ERC20]
    claims = [
        p
        for p in working
        if not p.gated
        and p.function.selector not in known
        and any(keys.mentions(key, account) for key in p.loads for account in accounts)
    ]
    for claim in claims:
        for trigger in working:
            if not trigger.written & claim.loads:
                continue
            payout = _try(stage, claim.function, entries=False, feed=trigger.function)
            if payout is not None and payout.prorata and not payout.consumed:
                payout.feed, payout.fed = trigger.function, True
                found.append(payout)
                break


def _pair(stage: Stage, function: Function) -> list[Step]:
    cast = stage.cast
    return [
        Step(function, cast.first, cast.first, after=EPOCH_S, pays=True),
        Step(function, cast.second, cast.second, pays=True),
    ]


def _try(
    stage: Stage, function: Function, *, entries: bool, feed: Function | None = None
) -> Payout | None:
    before = [_bring(stage, feed)] if feed is not None else []
    script = [*before, *_pair(stage, function)]
    solution = stage.solve(script, entries=entries)
    if not solution.works:
        return None
    first, second = solution.outcomes[-2:]
    cast = stage.cast
    currency = first.currency(cast.first)
    amounts = (first.paid(cast.first), second.paid(cast.second))
    weights = (stage.weights[cast.first], stage.weights[cast.second])
    prorata = _in_ratio(amounts, weights) and currency == second.currency(cast.second)
    return Payout(
        claim=function,
        amounts=amounts,
        weights=weights,
        currency=currency or "",
        prorata=prorata and _swapped(stage, script, entries=entries),
        consumed=_consumed(stage, solution),
        by_entry=bool(solution.entries),
        keys=frozenset(key for where, key in solution.entries if where == stage.name),
        assumed=solution.assumed,
        loads=frozenset(load.key for load in first.run.loads if load.where == stage.name),
        timed=any(
            origin is not None and TIME in origin.sources
            for origin in (
                *(branch.origin for branch in first.run.branches),
                *(paid.amount_origin for paid in first.run.paid),
            )
        ),
        blind=frozenset(first.run.blind),
    )


def _in_ratio(amounts: tuple[int, int], weights: tuple[int, int]) -> bool:
    left, right = amounts[0] * weights[1], amounts[1] * weights[0]
    slack = max(left, right) // _TOLERANCE + 2 * max(weights)
    return min(amounts) > 0 and abs(left - right) <= slack


def _swapped(stage: Stage, script: Sequence[Step], *, entries: bool) -> bool:
    """Whether other weights are paid in their own ratio: equal pay or luck would not be.

    In another producer's block, too: a contract that pays only where it thinks it is watched asks
    for the block's producer, its randomness or the price of gas.
    """
    stage.machine.other_block = True
    try:
        if not seed(stage, _OTHER_RATIO) and stage.has_balances:
            return False
        solution = stage.solve(script, entries=entries)
        if not solution.works:
            return False
        first, second = solution.outcomes[-2:]
        return _in_ratio(
            (first.paid(stage.cast.first), second.paid(stage.cast.second)),
            (stage.weights[stage.cast.first], stage.weights[stage.cast.second]),
        )
    finally:
        stage.machine.other_block = False
        seed(stage, RATIO)


def _consumed(stage: Stage, solution: Solution) -> bool:
    """Whether a claim lowered what the holder had: the balance, or the assumed entry."""
    rights = solution.entries | set(stage.base)
    lowered = any(
        (store.address, store.key) in rights and store.new < store.old
        for outcome in solution.outcomes
        for store in outcome.run.stores
    )
    spent = any(
        changes.get("own", 0) < 0
        for outcome in solution.outcomes
        for account, changes in outcome.gained.items()
        if account == outcome.step.holder
    )
    return lowered or spent


def _feed(stage: Stage, payout: Payout, profiles: Mapping[bytes, Profile]) -> None:
    """Run it again with money really brought in, by the function that writes what was assumed."""
    own = {place for place in payout.assumed if place[0] == stage.name}
    sums = {
        place
        for place in own
        if place[1] not in payout.keys and payout.assumed[place] & _ADDRESS not in stage.contracts
    }
    kept = {place: word for place, word in payout.assumed.items() if place not in sums}
    feeders = [
        profile
        for profile in profiles.values()
        if profile.works
        and profile.function.selector != payout.claim.selector
        and profile.written & payout.loads
    ]
    for profile in sorted(
        feeders, key=lambda p: (-len(p.written & payout.loads), p.function.selector)
    ):
        feed = _bring(stage, profile.function)
        solution = stage.solve(
            [feed, *_pair(stage, payout.claim)], entries=payout.by_entry, fixed=kept, frozen=sums
        )
        if not solution.works:
            continue
        _, first, second = solution.outcomes
        amounts = (first.paid(stage.cast.first), second.paid(stage.cast.second))
        if sums and _in_ratio(amounts, payout.weights):
            payout.feed, payout.fed = profile.function, True
            payout.amounts, payout.assumed = amounts, solution.assumed
            return
    # No function writes what was assumed: it was set when the contract was made, and money that
    # lies in it is all that a claim needs.
    payout.fed = not any((stage.name, key) in sums for p in profiles.values() for key in p.written)


def _paid_again(stage: Stage, payout: Payout, script: Sequence[Step]) -> bool:
    again = stage.solve(script, entries=payout.by_entry, fixed=payout.assumed)
    if not again.works:
        return False
    first, second = again.outcomes[-2:]
    amounts = (first.paid(stage.cast.first), second.paid(stage.cast.second))
    return _in_ratio(amounts, payout.weights)


def _bring(stage: Stage, function: Function) -> Step:
    """The step that brings money in by `function`; who may is not asked here."""
    owner = stage.cast.owner
    value = FUND if function.mutability == "payable" else 0
    return Step(function, owner, owner, value=value, open=False)


def _probe(stage: Stage, payout: Payout) -> None:
    """A second distribution, a claim by the token's next holder, and a claim by one without any."""
    cast = stage.cast
    pair = _pair(stage, payout.claim)
    refill = Step(None, cast.owner, cast.owner, refill=True)
    feed = refill if payout.feed is None else _bring(stage, payout.feed)
    if payout.fed:
        # What brought the money in the first time may be a switch; then money alone is enough.
        payout.again = any(
            _paid_again(stage, payout, [feed, *pair, more, *pair]) for more in (feed, refill)
        )
    start = [feed] if payout.feed is not None else []
    stranger = stage.solve(
        [*start, Step(payout.claim, cast.outsider, cast.outsider, after=EPOCH_S)],
        fixed=payout.assumed,
        attempts=1,
    )
    if stranger.works:
        payout.outsider = stranger.outcomes[-1].paid(cast.outsider)
    transfer = next((f for f in stage.functions if f.selector == _TRANSFER), None)
    if transfer is not None and not payout.by_entry and (stage.base or stage.asks_balances):
        handed = stage.solve(
            [
                *start,
                pair[0],
                Step(transfer, cast.first, cast.outsider),
                Step(payout.claim, cast.outsider, cast.outsider),
            ],
            fixed=payout.assumed,
        )
        payout.twice = handed.works and handed.outcomes[-1].paid(cast.outsider) > 0
