"""Uniswap v2: a pair, alone and with its router, from the bytecode in its npm packages."""

from __future__ import annotations

from bench.gas.chain import ZERO_ADDRESS, Chain, Contract, MeasurementFailed, account, read_code
from bench.gas.dollar import UNIT, Dollar
from bench.gas.peers.packages import MODULES, compiled
from bench.gas.rows import Action, Row

_WHO = "Uniswap v2"
_CORE = MODULES / "@uniswap" / "v2-core" / "build"
_PERIPHERY = MODULES / "@uniswap" / "v2-periphery" / "build"
_UNLIMITED = 2**256 - 1
_TOKENS = 10**23
_DOLLARS = 2 * 10**5 * UNIT
_ROUTED = "router swapExactTokensForTokens"
_EARNS_NOTHING = "router and pair, both transfers; the token earns nothing"


def measure(chain: Chain, dollar: Dollar) -> list[Row]:
    """Measure a swap through the router, through two pairs, and by the pair alone."""
    market = _Market(chain, dollar)
    token, other = market.token(), market.token()
    added_first, added = market.add(token), market.add(token)
    market.add(other)
    removed = market.remove(token)
    path, back = [dollar.address, token.address], [token.address, dollar.address]
    first, warm = (market.swap(path, UNIT) for _ in "12")
    sold = market.swap(back, 10**17)
    through_first, through = (
        market.swap([token.address, dollar.address, other.address], 10**17) for _ in "12"
    )
    alone = market.swap_alone(token)
    chain.transact(market.trader, dollar.contract, "approve", market.router.address, 10**12)
    finite = [market.swap(path, UNIT) for _ in "12"][1]
    return [
        Row(Action.SWAP, _WHO, _ROUTED, f"dollars for tokens; {_EARNS_NOTHING}", warm, first),
        Row(Action.SWAP, _WHO, _ROUTED, f"tokens for dollars; {_EARNS_NOTHING}", sold),
        Row(
            Action.SWAP,
            _WHO,
            "pair swap",
            "the pair alone: no limit, no deadline; the transfer in comes before it, uncounted",
            alone,
        ),
        Row(Action.SWAP_FINITE, _WHO, _ROUTED, f"dollars for tokens; {_EARNS_NOTHING}", finite),
        Row(
            Action.SWAP_TWO,
            _WHO,
            _ROUTED,
            "two pairs, with a transfer between",
            through,
            through_first,
        ),
        Row(
            Action.ADD_LIQUIDITY,
            _WHO,
            "router addLiquidity",
            "both sides; the first makes the pair",
            added,
            added_first,
        ),
        Row(Action.REMOVE_LIQUIDITY, _WHO, "router removeLiquidity", "both sides", removed),
    ]


class _Market:
    """Factory, router, and a trader who lets the router take everything."""

    def __init__(self, chain: Chain, dollar: Dollar) -> None:
        self.chain, self.dollar = chain, dollar
        self.provider, self.trader = account("uniswap provider"), account("uniswap trader")
        self.factory = chain.deploy(
            self.provider, read_code(_CORE / "UniswapV2Factory.json"), self.provider.address
        )
        # The second argument is wrapped ether, which nothing here touches.
        self.router = chain.deploy(
            self.provider,
            read_code(_PERIPHERY / "UniswapV2Router02.json"),
            self.factory.address,
            ZERO_ADDRESS,
        )
        for person in (self.provider, self.trader):
            dollar.give(person.address, 10**7 * UNIT)
            dollar.approve(person, self.router.address)

    def token(self) -> Contract:
        """Deploy a plain token, half with the provider and half with the trader."""
        token = self.chain.deploy(self.provider, compiled()["PlainToken"], 10 * _TOKENS)
        self.chain.transact(self.provider, token, "transfer", self.trader.address, 5 * _TOKENS)
        for person in (self.provider, self.trader):
            self.chain.transact(person, token, "approve", self.router.address, _UNLIMITED)
        return token

    def pair(self, token: Contract) -> Contract:
        """Find the pair of a token and the dollar."""
        address = self.chain.read(self.factory, "getPair", token.address, self.dollar.address)
        return Contract("pair", address, read_code(_CORE / "UniswapV2Pair.json").abi)

    def add(self, token: Contract) -> int:
        """Add liquidity; the first time it makes the pair."""
        sides = (token.address, self.dollar.address, _TOKENS, _DOLLARS, 1, 1)
        return self.chain.transact(
            *(self.provider, self.router, "addLiquidity", *sides),
            *(self.provider.address, self.chain.now + 1_000),
        ).gas

    def remove(self, token: Contract) -> int:
        """Remove a part of it."""
        self.chain.transact(
            self.provider, self.pair(token), "approve", self.router.address, _UNLIMITED
        )
        sides = (token.address, self.dollar.address, 10**15, 1, 1)
        return self.chain.transact(
            *(self.provider, self.router, "removeLiquidity", *sides),
            *(self.provider.address, self.chain.now + 1_000),
        ).gas

    def swap(self, path: list[str], amount: int) -> int:
        """Swap an exact amount in along a path."""
        return self.chain.transact(
            *(self.trader, self.router, "swapExactTokensForTokens", amount, 1, path),
            *(self.trader.address, self.chain.now + 1_000),
        ).gas

    def swap_alone(self, token: Contract) -> int:
        """Swap at the pair, after a transfer of the dollars to it."""
        pair = self.pair(token)
        reserves = self.chain.read(pair, "getReserves")
        dollar_first = int(self.dollar.address, 16) < int(token.address, 16)
        money, tokens = reserves[:2] if dollar_first else reserves[1::-1]
        out = tokens * UNIT * 997 // (money * 1_000 + UNIT * 997)
        if not out:
            raise MeasurementFailed("pair swap", found="nothing comes out", wanted="tokens")
        self.chain.transact(self.trader, self.dollar.contract, "transfer", pair.address, UNIT)
        amounts = (0, out) if dollar_first else (out, 0)
        return self.chain.transact(
            self.trader, pair, "swap", *amounts, self.trader.address, b""
        ).gas
