"""Whether every contract holds what it owes, after each step; and what is left in the end."""

from __future__ import annotations

from collections.abc import Iterator

from bench.simulation.evm import Contract
from bench.simulation.market import Asset, Market
from tessera.errors import InvariantViolation


class Books:
    """The promises that can be checked at any moment, by name."""

    def __init__(self, market: Market) -> None:
        self.market = market
        self.checked = 0
        self._index = {asset.number: 0 for asset in market.assets}
        # Tokens x currency and the square of all liquidity, when a pool was last looked at.
        self._pools: dict[str, tuple[int, int]] = {}

    def check(self) -> None:
        """Check every promise.

        Raises
        ------
        InvariantViolation
            One of them is broken; the message names it.
        """
        self.market.ledger.check_touched()
        for contract, what, held, owed in self._obligations():
            self.checked += 1
            if held < owed:
                raise InvariantViolation(
                    f"solvent: {what} in {contract}", found=held, wanted=f"at least {owed}"
                )
        for asset in self.market.assets:
            self._check_index(asset)
            self._check_price(asset.name, asset.share)
        self._check_price("licences", self.market.licence)

    def _obligations(self) -> Iterator[tuple[Contract, str, int, int]]:
        """Each contract with what it holds and what it owes, currency and shares."""
        market, ledger = self.market, self.market.ledger
        currency, system = market.system.currency, market.system
        money = 0
        for asset in market.assets:
            share = asset.share
            yield share, "currency", ledger.of(currency, share.address), share.read("obligations")
            tokens, pooled = market.reserves(asset)
            shares = ledger.of(share, system.exchange.address)
            yield system.exchange, f"shares of {asset.name}", shares, tokens
            if tokens:
                received, paid = system.exchange.read("revenue_of", share.address)
                money += pooled + received - paid
            locked = system.governor.read("locked_total", asset.number)
            yield (
                *(system.governor, f"shares of {asset.name}"),
                *(ledger.of(share, system.governor.address), locked),
            )
            yield from self._sale(asset)
        units, pooled = system.exchange.read("reserves_of", market.licence.address)
        held = ledger.of(market.licence, system.exchange.address)
        yield system.exchange, "licences", held, units
        money += pooled
        channels = system.channels
        owed = channels.read("obligations")
        yield channels, "currency", ledger.of(currency, channels.address), owed
        yield system.exchange, "currency", ledger.of(currency, system.exchange.address), money
        reserved = system.governor.read("reserved", currency.address)
        yield system.governor, "currency", ledger.of(currency, system.governor.address), reserved
        for product in (market.product, market.licence):
            backing = product.read("backing")
            yield product, "currency", ledger.of(currency, product.address), backing

    def _sale(self, asset: Asset) -> Iterator[tuple[Contract, str, int, int]]:
        market, sale = self.market, asset.sale
        money = market.ledger.of(market.system.currency, sale.address)
        shares = market.ledger.of(asset.share, sale.address)
        if sale.name == "Curve":
            over = sale.read("graduated")
            yield sale, "currency", money, sale.read("proceeds" if over else "raised")
            yield sale, "shares", shares, sale.read("unsold")
            return
        revenue = sale.read("received") - sale.read("distributed")
        if not sale.read("final"):
            raised = sale.read("raised")
        else:
            raised = sale.read("proceeds")
            if not sale.read("pool_opened"):
                raised += sale.read("raised") * sale.read("conditions")[1] // 10_000
        yield sale, "currency", money, raised + revenue
        kept = sum(sale.read(part) for part in ("unsold", "escrowed", "pooled"))
        yield sale, "shares", shares, kept

    def _check_index(self, asset: Asset) -> None:
        index = asset.share.read("revenue_index")
        if index < self._index[asset.number]:
            raise InvariantViolation(
                f"index_never_falls: {asset.name}",
                found=index,
                wanted=f"at least {self._index[asset.number]}",
            )
        self._index[asset.number] = index

    def _check_price(self, name: str, token: Contract) -> None:
        """Tokens x currency for the square of the liquidity: trades and rounding only raise it."""
        exchange = self.market.system.exchange
        tokens, money = exchange.read("reserves_of", token.address)
        if not tokens:
            return
        now = (tokens * money, exchange.read("liquidity_of", token.address))
        before = self._pools.setdefault(token.address, now)
        if now[0] * before[1] ** 2 < before[0] * now[1] ** 2:
            raise InvariantViolation(
                f"price_honest: pool of {name}",
                found=f"{tokens} raw units and {money} for {now[1]} of liquidity",
                wanted=f"no less than {before[0]} behind {before[1]}",
            )
        self._pools[token.address] = now
