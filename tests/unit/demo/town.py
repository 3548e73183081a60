"""A small town's books, written by the twins: one parent, one child, one channel, a few claims."""

from __future__ import annotations

from collections import Counter
from typing import Any

from tessera.bindings import channels, registry, share, test_dollar
from tessera.bindings.calls import Event
from tessera.demo.accountant import (
    ChannelKey,
    Entry,
    Facts,
    LineKey,
    PaidCall,
    ShareFacts,
    TermsKey,
)
from tessera.spec.revenue import ShareModel
from tessera.spec.signatures import address_of
from tessera.spec.split import SplitModel, SplitTerms

NOBODY, CURRENCY, CHANNELS, REGISTRY = (f"0x{number:040d}" for number in range(4))
CONSUMER, OPERATOR, COMMONS, VALIDATORS, PUBLISHER, HOLDER = (
    f"0x{number:040d}" for number in range(10, 16)
)
PARENT, CHILD = 1, 2
SHARES = {PARENT: f"0x{21:040d}", CHILD: f"0x{22:040d}"}
CHANNEL = 77
SUPPLY, PERIOD = 10**18 + 7, 10
DEPOSIT = 5_000_000
COSTS = (1_001, 2_003, 777, 15_220)
GIFT = 10_007


class Town:
    """Writes events as the contracts would, and keeps what they would hold."""

    def __init__(self) -> None:
        self.now = 1_000
        self.tx = 0
        self.entries: list[Entry] = []
        self.balances: Counter[str] = Counter()
        self.credit: Counter[str] = Counter()
        self.pending: Counter[int] = Counter()
        self.split = SplitModel(SplitTerms(100, 1_000, ((PARENT, 500),)))
        self.shares: dict[int, ShareModel] = {}
        self.calls: list[PaidCall] = []
        self.charged = self.settled = self.left = self.obligations = 0

    def say(self, address: str, event: Event) -> None:
        self.entries.append(Entry(event, address, self.now, f"0x{self.tx:064x}"))

    def pay(self, sender: str, receiver: str, amount: int) -> None:
        if sender != NOBODY:
            self.balances[sender] -= amount
        self.balances[receiver] += amount
        self.say(CURRENCY, test_dollar.Transfer(sender, receiver, amount))

    def found(self) -> None:
        self.say(
            REGISTRY,
            registry.NetworkSet(fee_bps=100, commons=COMMONS, validators=VALIDATORS),
        )
        for asset, parents in ((PARENT, ()), (CHILD, (registry.Parent(PARENT, 500),))):
            self.tx += 1
            self.say(
                REGISTRY,
                registry.AssetRegistered(
                    asset=asset, creator=PUBLISHER, number=asset, kind=registry.Kind.MODEL,
                    slug=f"model-{asset}", contributions=bytes(32), parents=parents,
                ),
            )  # fmt: skip
            self.say(
                REGISTRY,
                registry.EndpointSet(
                    asset=asset, operator=OPERATOR, terms=1, cut_bps=1_000, fee_bps=100,
                    price=registry.Price(0, 1_000, 1_000), url="",
                ),
            )  # fmt: skip
            self.say(
                REGISTRY,
                registry.VersionReleased(
                    asset=asset, version=1, root=bytes(32), runner=0, uri=""
                ),
            )  # fmt: skip
            self.tx += 1
            address = SHARES[asset]
            self.shares[asset] = ShareModel(SUPPLY, PERIOD, address_of(PUBLISHER), self.now)
            # As the chain logs it: the transfers before the event that explains them.
            self.say(address, share.Transfer(NOBODY, address, SUPPLY))
            self.say(address, share.Transfer(address, PUBLISHER, SUPPLY))
            self.say(
                REGISTRY,
                registry.Tokenized(
                    asset=asset, share=address, receiver=PUBLISHER, supply=SUPPLY, floor_bps=0,
                    max_discount_bps=0, period=PERIOD,
                ),
            )  # fmt: skip

    def open_channel(self) -> None:
        self.tx += 1
        self.pay(NOBODY, CONSUMER, DEPOSIT + GIFT)
        self.pay(CONSUMER, CHANNELS, DEPOSIT)
        self.left += DEPOSIT
        self.obligations += DEPOSIT
        self.say(
            CHANNELS,
            channels.ChannelOpened(
                operator=OPERATOR, payer=CONSUMER, channel=CHANNEL, signer=CONSUMER,
                restricted=False,
            ),
        )  # fmt: skip
        self.say(CHANNELS, channels.Deposited(OPERATOR, CHANNEL, DEPOSIT))

    def call(self, cost: int) -> None:
        self.charged += cost
        line = LineKey(OPERATOR, CHANNEL, CHILD, 1)
        name = f"receipt-{len(self.calls)}"
        # A unit costs a base unit here.
        self.calls.append(PaidCall(name, line, self.charged, cost, self.now, cost, 1))

    def settle(self) -> None:
        self.tx += 1
        amount = self.charged - self.settled
        self.settled, self.left = self.charged, self.left - amount
        self.say(CHANNELS, channels.VouchersSettled(OPERATOR, (CHANNEL | amount << 64,)))
        commons = self._divide(amount)
        self.say(CHANNELS, channels.Settled(CHILD, OPERATOR, 1, amount, commons))

    def give(self) -> None:
        self.tx += 1
        self.pay(CONSUMER, CHANNELS, GIFT)
        self.obligations += GIFT
        self._divide(GIFT)
        self.say(CHANNELS, channels.IncomeReceived(CHILD, OPERATOR, 1, GIFT))

    def flush(self, asset: int) -> None:
        self.tx += 1
        amount, address = self.pending.pop(asset, 0), SHARES[asset]
        self.obligations -= amount
        self.pay(CHANNELS, address, amount)
        model = self.shares[asset]
        model.absorb(self.balances[address], self.now)
        self.say(address, share.RevenueDistributed(CHANNELS, amount, model.stream.end))
        self.say(CHANNELS, channels.Flushed(asset, address, amount))

    def hand_over(self, amount: int) -> None:
        self.tx += 1
        self.shares[CHILD].transfer(address_of(PUBLISHER), address_of(HOLDER), amount, self.now)
        self.say(SHARES[CHILD], share.Transfer(PUBLISHER, HOLDER, amount))

    def claim(self, asset: int, holder: str) -> None:
        self.tx += 1
        amount = self.shares[asset].claim(address_of(holder), self.now)
        self.say(SHARES[asset], share.RevenueClaimed(holder, amount))
        self.pay(SHARES[asset], holder, amount)

    def withdraw_credit(self, account: str) -> None:
        self.tx += 1
        amount = self.credit.pop(account, 0)
        self.obligations -= amount
        self.pay(CHANNELS, account, amount)
        self.say(CHANNELS, channels.CreditWithdrawn(account, account, amount))

    def withdraw(self) -> None:
        self.tx += 1
        amount, self.left = self.left, 0
        self.obligations -= amount
        self.pay(CHANNELS, CONSUMER, amount)
        self.say(CHANNELS, channels.Withdrawn(OPERATOR, CHANNEL, CONSUMER, amount))

    def facts(self, **changes: Any) -> Facts:
        shares = {
            SHARES[asset]: ShareFacts(
                balances={
                    holder: model.account_of(address_of(holder)).balance
                    for holder in (PUBLISHER, HOLDER)
                },
                claimable={
                    holder: model.claimable(address_of(holder), self.now)
                    for holder in (PUBLISHER, HOLDER)
                },
                stream=model.stream,
                paid=model.paid,
                obligations=model.obligations(),
            )
            for asset, model in self.shares.items()
        }
        known: dict[str, Any] = {
            "time": self.now,
            "currency": CURRENCY,
            "channels": CHANNELS,
            "contracts": frozenset({CURRENCY, CHANNELS, REGISTRY, *SHARES.values()}),
            "entries": tuple(self.entries),
            "balances": dict(self.balances),
            "supply": DEPOSIT + GIFT,
            "channel_balances": {ChannelKey(OPERATOR, CHANNEL): self.left},
            "lines": {LineKey(OPERATOR, CHANNEL, CHILD, 1): self.settled},
            "gross": {TermsKey(CHILD, OPERATOR, 1): self.split.gross},
            "pending": dict(self.pending),
            "credit": dict(self.credit),
            "obligations": self.obligations,
            "shares": shares,
            "calls": tuple(self.calls),
        }
        return Facts(**(known | changes))

    def _divide(self, amount: int) -> int:
        parts = self.split.credit(amount)
        self.credit[COMMONS] += parts.commons
        self.credit[VALIDATORS] += parts.validators
        self.credit[OPERATOR] += parts.operator
        self.pending[CHILD] += parts.asset
        self.pending[PARENT] += parts.parents[0][1]
        return parts.commons


def a_year_in_town() -> Town:
    """Play a story to its end, with a transfer in the middle of a stream."""
    town = Town()
    town.found()
    town.open_channel()
    for cost in COSTS[:2]:
        town.call(cost)
    town.settle()
    town.flush(CHILD)
    town.now += PERIOD // 2
    town.hand_over(SUPPLY // 3)
    town.now += 1
    town.claim(CHILD, PUBLISHER)
    for cost in COSTS[2:]:
        town.call(cost)
    town.settle()
    town.give()
    town.flush(CHILD)
    town.flush(PARENT)
    town.now += 2 * PERIOD
    for asset, holder in ((CHILD, PUBLISHER), (CHILD, HOLDER), (PARENT, PUBLISHER)):
        town.claim(asset, holder)
    for account in (COMMONS, VALIDATORS, OPERATOR):
        town.withdraw_credit(account)
    town.withdraw()
    return town
