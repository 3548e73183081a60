"""How much an operator serves before the chain has it, and what it settles when; all of it pure.

What is at stake with a payer is what he was charged beyond what is final on the chain, and the most
that his calls in flight may cost. `Exposures` bounds that before a call is served. `plan` decides
what to settle: by time and by amount at a fee that is a small part of what a settlement brings; and
in haste, up to all that it brings, where a withdrawal or the end of a grant comes near.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Hashable, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

from tessera.errors import RiskReached
from tessera.units import BPS

__all__ = ["NO_LIMITS", "Due", "Exposures", "GasPrice", "Group", "Plan", "RiskRules", "plan"]

BATCH_GAS: Final = 75_000
"""Of a settlement, whatever it holds; `bench/figures.md` has one voucher alone at 93,851."""

VOUCHER_GAS: Final = 20_000
LINE_GAS: Final = 25_000
"""Of each voucher, and of each further line of one: of the first time that one is settled."""

_WEI: Final = 10**18
_HASTE_BPS: Final = 5_000
_LEAST_MARGIN_S: Final = 600
_MARGIN_PART: Final = 5
_CAP_NEAR_BPS: Final = 8_000


class GasPrice(NamedTuple):
    """What gas costs.

    Attributes
    ----------
    wei
        Of one gas.
    coin_units
        What 10^18 wei are worth, base units of the currency; 0 says that gas costs nothing.
    """

    wei: int
    coin_units: int

    def cost_ceil(self, gas: int) -> int:
        """Return base units, rounded up: what looks too dear waits."""
        return -(-gas * self.wei * self.coin_units // _WEI)

    def ceiling(self, gas: int, units: int) -> int | None:
        """Return the wei per gas at which so much gas costs so many base units; None: any."""
        return units * _WEI // (gas * self.coin_units) if self.coin_units else None


@dataclass(frozen=True, slots=True)
class RiskRules:
    """What an operator risks, and what it pays for settling.

    Attributes
    ----------
    channel_units, payer_units
        The most at stake on one channel, and with one payer; base units. 0 sets no limit.
    at_risk_units, every_s
        Settle when so much is due in all, and at least so often.
    fee_bps
        Part of what a settlement brings that it may cost while there is no haste.
    delay_s
        From a payer's wish to withdraw to the money.
    """

    channel_units: int
    payer_units: int
    at_risk_units: int
    every_s: float
    fee_bps: int
    delay_s: int

    @property
    def margin_s(self) -> int:
        """How long before a withdrawal is possible it should be settled."""
        return max(_LEAST_MARGIN_S, self.delay_s // _MARGIN_PART)


NO_LIMITS: Final = RiskRules(0, 0, 0, 0.0, BPS, 0)


@dataclass(frozen=True, slots=True)
class Due:
    """A channel with something to settle.

    Attributes
    ----------
    channel, payer
        Which, and whose.
    value
        Charged and not settled, base units.
    at_stake
        That, what is settled but not final, and the most that calls in flight may cost.
    lines, first_gas
        How many the voucher has, and what the first one adds to a settlement.
    leaves_at
        When a requested withdrawal is possible, unix seconds; 0 if none was requested.
    grant_ends
        When the first grant of a line with something due ends; 0 where the signer has no limits.
    """

    channel: int
    payer: Hashable
    value: int
    at_stake: int
    lines: int = 1
    leaves_at: int = 0
    grant_ends: int = 0
    first_gas: int = VOUCHER_GAS

    @property
    def gas(self) -> int:
        """What its voucher adds to a settlement."""
        return self.first_gas + (self.lines - 1) * LINE_GAS


@dataclass(frozen=True, slots=True)
class Group:
    """Channels to settle together.

    Attributes
    ----------
    channels
        In the order in which they are to be sent.
    value
        What that brings, base units.
    fee_ceiling
        Wei per gas above which it costs more than it may; None for no limit.
    """

    channels: tuple[int, ...]
    value: int
    fee_ceiling: int | None


@dataclass(frozen=True, slots=True)
class Plan:
    """What to do now.

    Attributes
    ----------
    groups
        To settle, the most urgent first.
    too_dear
        Channels for which settling would cost more than it may; they wait, some for ever.
    """

    groups: tuple[Group, ...] = ()
    too_dear: tuple[int, ...] = ()


def plan(
    dues: Sequence[Due],
    now: float,
    since_last_s: float,
    price: GasPrice,
    rules: RiskRules,
    *,
    waiting: Collection[Hashable] = (),
    batch_gas: int = BATCH_GAS,
) -> Plan:
    """Decide what to settle.

    Parameters
    ----------
    dues
        All channels with something due.
    now
        Unix seconds, as the chain's deadlines go.
    since_last_s
        Seconds since the last time that everything was looked at and could be paid for.
    price
        Of gas, now.
    rules
        The operator's.
    waiting
        Payers who were refused for what is at stake with them.
    batch_gas
        Of a settlement, whatever it holds.
    """
    haste = {due.channel: _haste_bps(due, now, rules) for due in dues}
    urgent = [due for due in dues if haste[due.channel]]
    calm = [due for due in dues if not haste[due.channel]]
    if not _is_time(dues, since_last_s, rules):
        calm = _near_their_caps(calm, dues, rules, waiting)
    urgent.sort(key=lambda due: (_deadline(due, rules), -due.at_stake, due.channel))
    calm.sort(key=lambda due: (-due.at_stake, due.channel))
    groups: list[Group] = []
    too_dear: list[int] = []
    for chosen in (urgent, calm):
        allowed = [due.value * (haste[due.channel] or rules.fee_bps) // BPS for due in chosen]
        taken = _affordable(chosen, allowed, price, batch_gas)
        too_dear += [due.channel for at, due in enumerate(chosen) if at not in taken]
        if taken:
            gas = batch_gas + sum(chosen[at].gas for at in taken)
            groups.append(
                Group(
                    tuple(due.channel for at, due in enumerate(chosen) if at in taken),
                    sum(chosen[at].value for at in taken),
                    price.ceiling(gas, sum(allowed[at] for at in taken)),
                )
            )
    return Plan(tuple(groups), tuple(too_dear))


def _is_time(dues: Sequence[Due], since_last_s: float, rules: RiskRules) -> bool:
    return since_last_s >= rules.every_s or sum(due.value for due in dues) >= rules.at_risk_units


def _near_their_caps(
    calm: Sequence[Due], dues: Sequence[Due], rules: RiskRules, waiting: Collection[Hashable]
) -> list[Due]:
    payers: Counter[Hashable] = Counter()
    for due in dues:
        payers[due.payer] += due.at_stake
    return [
        due
        for due in calm
        if due.payer in waiting
        or _is_near(due.at_stake, rules.channel_units)
        or _is_near(payers[due.payer], rules.payer_units)
    ]


def _is_near(at_stake: int, cap: int) -> bool:
    return cap > 0 and at_stake * BPS >= cap * _CAP_NEAR_BPS


def _deadline(due: Due, rules: RiskRules) -> float:
    """Until when it should be final."""
    ends = []
    if due.leaves_at:
        ends.append(due.leaves_at - rules.margin_s)
    if due.grant_ends:
        ends.append(due.grant_ends - _LEAST_MARGIN_S)
    return min(ends, default=float("inf"))


def _haste_bps(due: Due, now: float, rules: RiskRules) -> int:
    """Return what part of its value settling it may cost for haste; 0 where there is none.

    From the request for a withdrawal on it rises from the calm part to a half; behind the margin
    anything is right that brings more than it costs. A grant is in haste when it would not last
    until the next settlement by time.
    """
    left = _deadline(due, rules) - now
    span = max(1.0, rules.delay_s - rules.margin_s if due.leaves_at else rules.every_s)
    if not due.leaves_at and left > span:
        return 0
    if left <= 0:
        return BPS
    part = 1.0 - min(1.0, left / span)
    most = max(_HASTE_BPS, rules.fee_bps)
    return max(1, rules.fee_bps + int((most - rules.fee_bps) * part))


def _affordable(
    dues: Sequence[Due], allowed: Sequence[int], price: GasPrice, batch_gas: int
) -> set[int]:
    """Return the places of the most that can be settled in one transaction, each paying its way.

    Whoever can bear most of what the transaction itself costs comes first, as that is shared.
    """
    whole = price.cost_ceil(batch_gas)
    bears = [most - price.cost_ceil(due.gas) for due, most in zip(dues, allowed, strict=True)]
    order = sorted(range(len(dues)), key=lambda at: -bears[at])
    for count in range(len(order), 0, -1):
        if bears[order[count - 1]] >= -(-whole // count):
            return set(order[:count])
    return set()


class Exposures:
    """What is at stake with each payer, over all his channels of whatever kind.

    Parameters
    ----------
    rules
        The limits.
    retry_after_s
        What to tell who has to wait for a settlement.
    """

    def __init__(self, rules: RiskRules = NO_LIMITS, *, retry_after_s: float = 15.0) -> None:
        self.rules = rules
        self._retry_after_s = max(1, int(retry_after_s))
        self._payers: dict[Hashable, int] = {}
        self._channels: dict[Hashable, int] = {}
        self._on_reached: Callable[[], None] = lambda: None
        self._waiting: set[Hashable] = set()

    def on_reached(self, call: Callable[[], None]) -> None:
        """Have `call` settle when a limit is reached."""
        self._on_reached = call

    @property
    def total(self) -> int:
        """At stake with all payers, base units."""
        return sum(self._payers.values())

    @property
    def waiting(self) -> Collection[Hashable]:
        """Payers whom a settlement would help: they were refused, and nothing of theirs ended."""
        return self._waiting

    def of_payer(self, payer: Hashable) -> int:
        """Return what is at stake with one payer."""
        return self._payers.get(payer, 0)

    def note(self, payer: Hashable, channel: Hashable, at_stake: int) -> None:
        """Say what is at stake on a channel now; a channel is one payer's for good."""
        self.move(payer, channel, at_stake - self._channels.get(channel, 0))

    def move(self, payer: Hashable, channel: Hashable, by: int) -> None:
        """Say by how much more or less is at stake on a channel now."""
        if by < 0:
            self._waiting.discard(payer)
        for of, key in ((self._channels, channel), (self._payers, payer)):
            there = of.get(key, 0) + by
            if there:
                of[key] = there
            else:
                # What is settled takes no memory.
                of.pop(key, None)

    def check(self, payer: Hashable, channel: Hashable, more: int) -> None:
        """Refuse to put more at stake than is risked.

        Raises
        ------
        RiskReached
            A settlement has been asked for; the operands say when to come back.
        """
        rules = self.rules
        for what, of, key, cap in (
            ("this channel", self._channels, channel, rules.channel_units),
            ("this payer", self._payers, payer, rules.payer_units),
        ):
            at_stake = of.get(key, 0)
            if cap and more and at_stake + more > cap:
                if more <= cap:
                    self._waiting.add(payer)
                    self._on_reached()
                raise RiskReached(
                    f"call that may cost {more} base units",
                    found=f"{at_stake} at stake with {what} already",
                    wanted=f"at most {cap} together until they are settled",
                    next_step="ask again when the operator has settled"
                    if more <= cap
                    else "ask for less at once; no settlement makes room for so much",
                    retry_after_s=self._retry_after_s,
                )
