"""The Exchange: every trade, provider and claim again, by `tessera.spec.exchange`."""

from __future__ import annotations

from collections import Counter

from tessera.bindings import exchange, share
from tessera.demo.accountant.checks import Checks
from tessera.demo.accountant.facts import Entry, Facts
from tessera.errors import TransactionReverted
from tessera.spec.exchange import BURNT, ExchangeModel, bought_for, cost_of, needed_for, proceeds_of
from tessera.spec.signatures import ZERO_ADDRESS_TEXT, address_of, address_text

__all__ = ["check_pools"]


class _Replay:
    def __init__(self, facts: Facts, checks: Checks) -> None:
        self._facts = facts
        self._checks = checks
        self.model = ExchangeModel(address_of(facts.currency))
        # What a Share paid the Exchange, until the event that it was fetched for.
        self._fetched: Counter[str] = Counter()
        self.providers: dict[str, set[str]] = {}

    def take(self, entry: Entry) -> None:
        event = entry.event
        if isinstance(event, share.RevenueClaimed) and event.holder == self._facts.exchange:
            self._fetched[entry.address] += event.amount
        if entry.address != self._facts.exchange:
            return
        try:
            self._take(entry)
        except TransactionReverted as refused:
            self._checks.refused("the Exchange", refused)

    def _take(self, entry: Entry) -> None:
        event, now = entry.event, entry.time
        match event:
            case exchange.PoolOpened():
                liquidity = self.model.open_pool(
                    address_of(event.token), event.tokens, event.currency_amount, event.tier,
                    address_of(event.provider), event.locked_until, now=now,
                )  # fmt: skip
                self.providers[event.token] = {event.provider}
                self._same("liquidity is the twin's", event.token, event.liquidity, liquidity)
            case exchange.Bought():
                pool = self.model.pool_of(address_of(event.token)).pool
                # A trade names what comes in, or what comes out; the other follows.
                fair = event.tokens == bought_for(pool, event.cost) or event.cost == cost_of(
                    pool, event.tokens
                )
                self._same("a purchase has the pool's price, bit for bit", event.token, fair, True)
                self._store(event.token, -event.tokens, event.cost, now)
            case exchange.Sold():
                pool = self.model.pool_of(address_of(event.token)).pool
                fair = event.proceeds == proceeds_of(
                    pool, event.tokens
                ) or event.tokens == needed_for(pool, event.proceeds)
                self._same("a sale has the pool's price, bit for bit", event.token, fair, True)
                self._store(event.token, event.tokens, -event.proceeds, now)
            case exchange.LiquidityAdded():
                self.providers[event.token].add(event.provider)
                liquidity, tokens, money = self.model.add_liquidity(
                    address_of(event.token), event.tokens, event.currency_amount, 0,
                    address_of(event.provider), now=now, deadline=now,
                    revenue=self._fetched.pop(event.token, 0),
                )  # fmt: skip
                self._same("liquidity is the twin's", event.token, event.liquidity, liquidity)
                self._same("liquidity costs its part of the pool", event.token,
                           event.tokens, tokens)  # fmt: skip
                self._same("liquidity costs its part of the pool", event.token,
                           event.currency_amount, money)  # fmt: skip
            case exchange.LiquidityRemoved():
                tokens, money = self.model.remove_liquidity(
                    address_of(event.token), event.liquidity, 0, 0, address_of(event.provider),
                    now=now, deadline=now, revenue=self._fetched.pop(event.token, 0),
                )  # fmt: skip
                self._same("liquidity is worth its part of the pool", event.token,
                           event.tokens, tokens)  # fmt: skip
                self._same("liquidity is worth its part of the pool", event.token,
                           event.currency_amount, money)  # fmt: skip
            case exchange.Transfer() if ZERO_ADDRESS_TEXT not in (event.sender, event.receiver):
                token = address_text(event.token_id.to_bytes(20, "big"))
                self.providers[token].add(event.receiver)
                self.model.transfer(
                    address_of(token), address_of(event.sender), address_of(event.receiver),
                    event.amount, now=now, revenue=self._fetched.pop(token, 0),
                )  # fmt: skip
            case exchange.RevenueClaimed():
                amount = self.model.claim(
                    address_of(event.token), address_of(event.provider),
                    revenue=self._fetched.pop(event.token, 0),
                )  # fmt: skip
                self._checks.same(
                    "a provider's revenue is the twin's, bit for bit",
                    self._facts.name(event.provider), event.amount, amount,
                )  # fmt: skip
            case _:
                pass

    def _store(self, token: str, tokens: int, money: int, now: int) -> None:
        model = self.model.pool_of(address_of(token))
        model.store(model.pool.tokens + tokens, model.pool.currency + money, now)

    def _same(self, rule: str, token: str, found: int, wanted: int) -> None:
        self._checks.same(rule, f"pool of {self._facts.name(token)}", found, wanted)


def check_pools(facts: Facts, checks: Checks) -> dict[str, int]:
    """Every pool holds its reserves, and what its providers have not claimed yet.

    Returns
    -------
    dict
        By what it is: base units that lie in the Exchange.
    """
    if not facts.exchange:
        return {}
    replay = _Replay(facts, checks)
    for entry in facts.entries:
        replay.take(entry)
    found: dict[str, int] = {}
    for token, providers in replay.providers.items():
        about = facts.name(token)
        model = replay.model.pool_of(address_of(token))
        tokens, money = facts.reserves.get(token, (0, 0))
        checks.same("a pool's shares", about, tokens, model.pool.tokens)
        checks.same("a pool's money", about, money, model.pool.currency)
        held = facts.shares[token].balances if token in facts.shares else facts.units[token]
        checks.same(
            "the Exchange holds a pool's tokens", about, held.get(facts.exchange, 0), tokens
        )
        positions = {who: model.positions[address_of(who)] for who in providers}
        checks.same_all(
            "liquidity of a provider", facts.positions.get(token, {}), positions, facts.name
        )
        checks.same("liquidity is its providers' and what is burnt", about,
                    sum(positions.values()) + BURNT, model.total)  # fmt: skip
        left = model.accruals.received - model.accruals.distributed
        checks.within("providers have claimed all but dust", about, left, 0, len(providers))
        found[f"reserves of {about}"] = model.pool.currency
        found[f"revenue dust of the pool of {about}"] = left
    checks.same(
        "the Exchange holds reserves and dust",
        "Exchange",
        facts.balances.get(facts.exchange, 0),
        sum(found.values()),
    )
    return found
