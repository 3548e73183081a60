"""Who earned what: every Share's revenue computed again by `tessera.spec.revenue`."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from tessera.bindings import channels, registry, share, vesting
from tessera.bindings.launchpad import VestingOpened
from tessera.demo.accountant.checks import Checks
from tessera.demo.accountant.facts import Entry, Facts, ShareFacts
from tessera.spec.revenue import ShareModel, revenue_at
from tessera.spec.signatures import ZERO_ADDRESS_TEXT, address_of
from tessera.spec.vesting import Schedule, unlocked_at

__all__ = ["Earnings", "check_shares", "check_vestings"]


@dataclass(slots=True)
class Earnings:
    """What one Share passed on; base units.

    Attributes
    ----------
    share
        Its address.
    distributed
        That came in.
    claimed
        By who held the shares; a Vesting or an Offering counts as itself.
    dust
        That is left: less than one unit for each account.
    balances
        Raw shares at the end.
    """

    share: str = ""
    distributed: int = 0
    claimed: Counter[str] = field(default_factory=Counter)
    dust: int = 0
    balances: dict[str, int] = field(default_factory=dict)


class _Replay:
    """One Share's events, through the twin."""

    def __init__(self, event: registry.Tokenized, time: int, facts: Facts, checks: Checks) -> None:
        self.address = event.share
        self.model = ShareModel(event.supply, event.period, address_of(event.receiver), time)
        self.earnings = Earnings(event.share)
        self._names = facts
        self._checks = checks
        self._accounts = {event.receiver}

    def take(self, entry: Entry) -> None:
        event, now = entry.event, entry.time
        about = self._names.name(self.address)
        match event:
            # The first two transfers make the shares and hand them to the receiver.
            case share.Transfer(sender=sender) if sender in (ZERO_ADDRESS_TEXT, self.address):
                pass
            case share.Transfer():
                self._accounts.add(event.receiver)
                self.model.transfer(
                    address_of(event.sender), address_of(event.receiver), event.value, now
                )
            case share.RevenueDistributed():
                self.earnings.distributed += event.amount
                self.model.absorb(self.model.obligations() + event.amount, now)
                self._checks.same(
                    "a stream ends when the twin says",
                    about,
                    event.streams_until,
                    self.model.stream.end,
                )
            case share.RevenueClaimed():
                self.earnings.claimed[event.holder] += event.amount
                self._checks.same(
                    "a claim is the twin's, bit for bit",
                    f"{about}, {self._names.name(event.holder)}",
                    event.amount,
                    self.model.claim(address_of(event.holder), now),
                )
            case _:
                pass

    def close(self, found: ShareFacts, held: int, now: int) -> Earnings:
        checks, about = self._checks, self._names.name(self.address)
        for holder in sorted(self._accounts):
            at = f"{about}, {self._names.name(holder)}"
            account = self.model.account_of(address_of(holder))
            self.earnings.balances[holder] = account.balance
            checks.same("shares held", at, found.balances.get(holder, 0), account.balance)
            left = self.model.claimable(address_of(holder), now)
            checks.same("claimable", at, found.claimable.get(holder, 0), left)
            checks.same("everybody has claimed", at, left, 0)
        checks.same(
            "conserved: balances are the supply",
            about,
            sum(self.earnings.balances.values()),
            self.model.supply,
        )
        checks.same("stream", about, found.stream.word(), self.model.stream.word())
        checks.same("paid", about, found.paid, self.model.paid)
        checks.same("obligations", about, found.obligations, self.model.obligations())
        checks.same(
            "the stream has ended",
            about,
            revenue_at(self.model.stream, now),
            self.model.stream.total,
        )
        checks.same("a Share holds what it owes", about, held, found.obligations)
        self.earnings.dust = self.model.obligations()
        checks.within(
            "what is left is less than a unit for each account",
            about,
            self.earnings.dust,
            0,
            len(self._accounts) - 1,
        )
        checks.same(
            "revenue is claims and dust",
            about,
            self.earnings.distributed,
            sum(self.earnings.claimed.values()) + self.earnings.dust,
        )
        return self.earnings


def check_shares(facts: Facts, checks: Checks) -> dict[int, Earnings]:
    """Replay every Share to the last bit.

    Returns
    -------
    dict
        By asset.
    """
    replays: dict[str, _Replay] = {}
    assets: dict[str, int] = {}
    flushed: Counter[str] = Counter()
    for entry in _tokenized_first(facts.entries):
        event = entry.event
        if isinstance(event, registry.Tokenized):
            assets[event.share] = event.asset
            replays[event.share] = _Replay(event, entry.time, facts, checks)
        elif isinstance(event, channels.Flushed):
            flushed[event.receiver] += event.amount
        elif entry.address in replays:
            replays[entry.address].take(entry)
    found: dict[int, Earnings] = {}
    for address, replay in replays.items():
        held = facts.balances.get(address, 0)
        earnings = replay.close(facts.shares[address], held, facts.time)
        checks.same(
            "what Channels flushed is what the Share distributed",
            facts.name(address),
            earnings.distributed,
            flushed[address],
        )
        found[assets[address]] = earnings
    return found


def check_vestings(facts: Facts, checks: Checks) -> None:
    """No grant released more than its schedule allows at that moment (`never_early`)."""
    schedules: dict[str, Schedule] = {}
    released: Counter[str] = Counter()
    for entry in facts.entries:
        event = entry.event
        if isinstance(event, VestingOpened):
            each = event.schedule
            schedules[event.vesting] = Schedule(each.amount, each.start, each.cliff, each.duration)
        elif isinstance(event, vesting.Released):
            released[entry.address] += event.amount
            checks.within(
                "never_early: nothing vests before its time",
                facts.name(entry.address),
                released[entry.address],
                0,
                unlocked_at(schedules[entry.address], entry.time),
            )


def _tokenized_first(entries: tuple[Entry, ...]) -> list[Entry]:
    # `Tokenized` is logged behind the transfers of the same transaction.
    made = {entry.tx for entry in entries if isinstance(entry.event, registry.Tokenized)}
    found: list[Entry] = []
    waiting: list[Entry] = []
    for entry in entries:
        if isinstance(entry.event, registry.Tokenized):
            found += [entry, *waiting]
            waiting = []
        elif entry.tx in made and isinstance(entry.event, share.Transfer):
            waiting.append(entry)
        else:
            found.append(entry)
    return found
