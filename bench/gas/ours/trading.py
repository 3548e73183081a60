"""Pools: swaps of shares that earn, quiet and while revenue streams, and their liquidity."""

from __future__ import annotations

from bench.gas.chain import Contract, account
from bench.gas.dollar import UNIT
from bench.gas.ours.market import DAY, WHO, Market, code
from bench.gas.rows import Action, Row

_UNLIMITED = 2**256 - 1
_TOKENS = 10**23
_DOLLARS = 2 * 10**5 * UNIT
_STANDARD = 1
_SWAP = "Exchange.swap_exact_in"


def measure(market: Market) -> list[Row]:
    """Measure swaps with each kind of approval, two pools, and coming and going of liquidity."""
    floor = _Floor(market)
    dollar = market.dollar.address
    share, other = floor.share(), floor.share()
    opened_first, opened = floor.open(share), floor.open(other)
    # The second change of a pool in its period of ten minutes: nothing is written to its history.
    bought_first, _, bought = (floor.swap(dollar, share.address, UNIT) for _ in "123")
    _, sold = (floor.swap(share.address, dollar, 10**17) for _ in "12")
    market.chain.pass_time(600)
    observed = floor.swap(dollar, share.address, UNIT)
    floor.swap(dollar, other.address, UNIT)
    _, through = (floor.swap(share.address, other.address, 10**17) for _ in "12")
    floor.approve(10**12)
    _, finite = (floor.swap(dollar, share.address, UNIT) for _ in "12")
    floor.pay(share)
    _, finite_streaming = (floor.swap(dollar, share.address, UNIT) for _ in "12")
    floor.approve(_UNLIMITED)
    _, bought_streaming = (floor.swap(dollar, share.address, UNIT) for _ in "12")
    _, sold_streaming = (floor.swap(share.address, dollar, 10**17) for _ in "12")
    added_first, added = (floor.add(share) for _ in "12")
    claimed_first = floor.claim(share)
    claimed = floor.claim(share)
    removed = floor.remove(share)
    quiet, streaming = "no revenue streams", "while revenue streams"
    return [
        Row(Action.SWAP, WHO, _SWAP, f"dollars for shares; {quiet}", bought, bought_first),
        Row(Action.SWAP, WHO, _SWAP, f"shares for dollars; {quiet}", sold),
        Row(Action.SWAP, WHO, _SWAP, f"dollars for shares; {streaming}", bought_streaming),
        Row(Action.SWAP, WHO, _SWAP, f"shares for dollars; {streaming}", sold_streaming),
        Row(Action.SWAP_FINITE, WHO, _SWAP, f"dollars for shares; {quiet}", finite),
        Row(Action.SWAP_FINITE, WHO, _SWAP, f"dollars for shares; {streaming}", finite_streaming),
        Row(
            Action.SWAP_TWO,
            WHO,
            _SWAP,
            "shares for shares through two pools, no transfer between",
            through,
        ),
        Row(
            Action.SWAP_OBSERVED,
            WHO,
            _SWAP,
            "a new slot of history; 17,100 less once the ring of 1,024 has gone round",
            observed,
        ),
        Row(
            Action.OPEN_POOL,
            WHO,
            "Exchange.open_pool",
            "both sides; liquidity, first price, first observation",
            opened,
            opened_first,
        ),
        Row(
            Action.ADD_LIQUIDITY,
            WHO,
            "Exchange.add_liquidity",
            "both sides; the pool's revenue fetched and spread",
            added,
            added_first,
        ),
        Row(
            Action.REMOVE_LIQUIDITY,
            WHO,
            "Exchange.remove_liquidity",
            "both sides; the pool's revenue fetched and spread",
            removed,
        ),
        Row(
            Action.CLAIM_POOL,
            WHO,
            "Exchange.claim",
            "fetched from the Share, spread, and paid out",
            claimed,
            claimed_first,
        ),
    ]


class _Floor:
    """An Exchange, its pools, and a trader."""

    def __init__(self, market: Market) -> None:
        self.market, self.chain = market, market.chain
        founder = account("founder")
        registry, channels = market.registry.address, market.channels.address
        dollar = market.dollar.address
        access = self.chain.deploy(founder, code("Access"), dollar, channels, registry)
        storefront = self.chain.deploy(
            founder, code("Storefront"), registry, channels, access.address
        )
        self.exchange = self.chain.deploy(
            *(founder, code("Exchange"), dollar, registry),
            *(market.launchpad.address, storefront.address),
        )
        self.publisher, self.trader = account("publisher"), account("trader")
        for person in (self.publisher, self.trader):
            market.fund(person, self.exchange)

    def share(self) -> Contract:
        """Tokenize an asset; publisher and trader let the Exchange take its shares."""
        asset, _ = self.market.publish()
        share, _ = self.market.tokenize(asset, self.publisher.address)
        for person in (self.publisher, self.trader):
            self.chain.transact(person, share, "approve", self.exchange.address, _UNLIMITED)
        return share

    def approve(self, amount: int) -> None:
        """Let the Exchange take so much of the trader's money."""
        self.chain.transact(
            self.trader, self.market.dollar.contract, "approve", self.exchange.address, amount
        )

    def open(self, share: Contract) -> int:
        """Open a pool as the publisher."""
        to = self.publisher.address
        plan = (share.address, _TOKENS, _DOLLARS, _STANDARD, to, 0)
        return self.chain.transact(self.publisher, self.exchange, "open_pool", *plan).gas

    def swap(self, token_in: str, token_out: str, amount: int) -> int:
        """Swap an exact amount in, with a limit and a deadline."""
        to = self.trader.address
        plan = (token_in, token_out, amount, 1, to, self.chain.now + 1_000)
        return self.chain.transact(self.trader, self.exchange, "swap_exact_in", *plan).gas

    def pay(self, share: Contract) -> None:
        """Let revenue stream for a day."""
        payer = account("payer")
        self.market.fund(payer, share)
        self.chain.transact(payer, share, "distributeRevenue", 100 * UNIT)

    def add(self, share: Contract) -> int:
        """Add liquidity as the publisher."""
        plan = (share.address, 10**20, _DOLLARS, 1, self.publisher.address, self.chain.now + 1_000)
        return self.chain.transact(self.publisher, self.exchange, "add_liquidity", *plan).gas

    def remove(self, share: Contract) -> int:
        """Remove a part of it."""
        plan = (share.address, 10**18, 1, 1, self.publisher.address, self.chain.now + 1_000)
        return self.chain.transact(self.publisher, self.exchange, "remove_liquidity", *plan).gas

    def claim(self, share: Contract) -> int:
        """Claim what the publisher's liquidity earned in half a day."""
        self.chain.pass_time(DAY // 4)
        return self.chain.transact(self.publisher, self.exchange, "claim", share.address).gas
