"""The acts about rights to use: packs of calls, a licence that is rented out, a unit resold."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AsyncExitStack
from types import TracebackType
from typing import Final, Self

from tessera.bindings import Access
from tessera.client.consumer import Client
from tessera.demo.market import Listed
from tessera.demo.stage import Stage
from tessera.demo.telling import Narrator
from tessera.demo.traffic import Inputs
from tessera.errors import InvariantViolation, ServingError
from tessera.ownership import access as rights
from tessera.ownership import orders as book
from tessera.units import Units, UnixSeconds

__all__ = ["Shop"]

_WINDOW_S: Final = 3_600
_RENT_S: Final = 60
_PROVED_WITHIN_S: Final = 30
_DAY_S: Final = 86_400
_PACK_CALLS: Final = 20
_PACKS: Final = 2
_CENT: Final = 10_000
_LICENCE_PRICE: Final = 200 * _CENT
_RESOLD_FOR: Final = 250 * _CENT
_SECONDS_PRICE: Final = _CENT
_ROYALTY_BPS: Final = 1_000
_BUYER, _LICENSEE, _SECOND_HAND, _RENTER = (f"consumer-{number}" for number in range(1, 5))


class Shop:
    """Products of three models, and what becomes of the units; an async context manager.

    Parameters
    ----------
    stage
        Where it plays.
    market
        By slug.
    inputs
        What consumers may ask about.
    """

    def __init__(self, stage: Stage, market: Mapping[str, Listed], inputs: Inputs) -> None:
        self._stage = stage
        self._world = stage.world
        self._market = market
        self._inputs = inputs
        self._stack = AsyncExitStack()
        self._clients: list[tuple[Access, int, Client]] = []
        self._products = {
            slug: listed.access for slug, listed in market.items() if listed.access is not None
        }
        self._rentable = 0
        self._unserved = 0
        self._unserved_until = 0

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._stack.aclose()

    def names(self) -> dict[str, str]:
        """Name the products, by address."""
        return {access.address: f"units of {slug}" for slug, access in self._products.items()}

    def uses(self) -> list[tuple[str, int, bytes, bytes]]:
        """Return every receipt that a consumer keeps of an order, as the accountant reads them."""
        return [
            (access.address, number, signed.receipt.request, signed.receipt.response)
            for access, number, client in self._clients
            for signed in client.receipts
        ]

    @property
    def refundable_at(self) -> int:
        """When the order that nobody served may be refunded, unix seconds."""
        return self._unserved_until + 1

    async def play(self, narrator: Narrator) -> None:
        """Play the chapter."""
        with narrator.step(f"{_BUYER} orders calls that nobody will serve") as step:
            await self._open()
            step.note = "the money waits in the product"
        with narrator.step(f"{_BUYER} buys packs of calls and uses them") as step:
            step.note = await self._use_packs()
        with narrator.step(f"{_LICENSEE} buys two licences, and resells one") as step:
            step.note = await self._resell()
        with narrator.step("the operator proves what it served") as step:
            step.note = await self._prove()
        with narrator.step(f"{_LICENSEE} rents the other licence out") as step:
            step.note = await self._rent()
        with narrator.step("the royalty of the rent becomes income") as step:
            step.note = self._world.currency.shown(await self._flush_royalties())

    async def refund(self) -> Units:
        """Take back the money of the order that nobody served; base units."""
        amount, _ = await rights.refund(
            self._world.sender(_BUYER), self._products["sentiment"], self._unserved
        )
        return amount

    async def _open(self) -> None:
        # Nobody will ever ask for this one to be served.
        self._unserved = await self._order(_BUYER, "sentiment", 1)
        product, reader = self._products["sentiment"], self._world.reader
        order = await rights.read_order(reader, product, self._unserved)
        view = await rights.read_product(reader, product)
        self._unserved_until = order.ordered_at + view.serve_window

    async def _order(self, who: str, slug: str, units: int) -> int:
        sender, access = self._world.sender(who), self._products[slug]
        currency = self._world.deployment.currency
        cost, _ = await rights.preview_buy(
            self._world.reader, access, currency, units,
            buyer=sender.address, receiver=sender.address, order=True,
        )  # fmt: skip
        _, number, _ = await rights.buy(
            sender, access, currency, units, max_cost=cost, receiver=sender.address, order=True
        )
        if number is None:
            raise InvariantViolation(f"order of {who}", wanted="a number")
        return number

    async def _use_packs(self) -> str:
        order = await self._order(_BUYER, "digits", _PACKS)
        client = self._client(_BUYER, "digits", order)
        calls = _PACKS * _PACK_CALLS
        for number in range(calls):
            await self._call(client, "digits", number)
        try:
            await self._call(client, "digits", calls)
        except ServingError:
            return f"{_PACKS} packs, {calls} calls; one more is refused"
        raise InvariantViolation("a pack of calls", found=f"{calls + 1} calls", wanted=str(calls))

    async def _resell(self) -> str:
        world, access = self._world, self._products["lsa-embed"]
        orders, currency = world.deployment.orders, world.deployment.currency
        seller, taker = world.sender(_LICENSEE), world.sender(_SECOND_HAND)
        await rights.buy(
            seller, access, currency, 2,
            max_cost=Units(2 * _LICENCE_PRICE), receiver=seller.address, order=False,
        )  # fmt: skip
        own, _ = await rights.redeem(seller, access, 1, owner=seller.address)
        self._rentable = own
        await self._call(self._client(_LICENSEE, "lsa-embed", own), "lsa-embed", 0)
        entry, _ = await book.sell(
            seller, world.account(_LICENSEE), orders, currency, access, 1, _RESOLD_FOR,
            expires=UnixSeconds(world.now() + _WINDOW_S),
        )  # fmt: skip
        _, _, effects = await book.preview_fill(
            world.reader, orders, currency, entry, 1, taker=taker.address
        )
        await book.fill(taker, orders, currency, entry, 1, max_paid=_RESOLD_FOR)
        number, _ = await rights.redeem(taker, access, 1, owner=taker.address)
        await self._call(self._client(_SECOND_HAND, "lsa-embed", number), "lsa-embed", 1)
        royalty = effects[-1].change
        return (
            f"{_SECOND_HAND} pays {world.currency.shown(_RESOLD_FOR)} through a signed order, "
            f"{world.currency.shown(royalty)} of it to the model"
        )

    async def _prove(self) -> str:
        """See every order proved that was served; the operator's own rounds may be first."""
        reader, deadline = self._world.reader, self._world.now() + _PROVED_WITHIN_S
        orders = {(access.address, number): access for access, number, _ in self._clients}
        paid = 0
        for (_, number), access in orders.items():
            while not (order := await rights.read_order(reader, access, number)).proved:
                if self._world.now() > deadline:
                    raise InvariantViolation(
                        f"order {number}", found="not proved", wanted="a proof of its service"
                    )
                await self._stage.operator.prove()
            paid += order.units * (await rights.read_product(reader, access)).price
        return f"{len(orders)} orders, {self._world.currency.shown(Units(paid))} go to the models"

    async def _rent(self) -> str:
        world, access = self._world, self._products["lsa-embed"]
        owner, renter = world.sender(_LICENSEE), world.sender(_RENTER)
        await rights.offer_rent(
            owner, access, self._rentable,
            daily_price=Units(_SECONDS_PRICE * _DAY_S), most_seconds=_DAY_S,
        )  # fmt: skip
        currency = world.deployment.currency
        cost, until, _ = await rights.rent(
            renter, access, currency, self._rentable, _RENT_S,
            max_cost=Units(_SECONDS_PRICE * _RENT_S),
        )  # fmt: skip
        await self._call(self._client(_RENTER, "lsa-embed", self._rentable), "lsa-embed", 2)
        try:
            await self._call(self._client(_LICENSEE, "lsa-embed", self._rentable), "lsa-embed", 3)
        except ServingError:
            left = max(0, until - world.now())
            return (
                f"to {_RENTER} for {_RENT_S} s and {world.currency.shown(cost)}; "
                f"the owner is refused for {left} s more"
            )
        raise InvariantViolation("a rented order", found="served its owner", wanted="its renter")

    async def _flush_royalties(self) -> Units:
        channels, reader = self._world.deployment.channels, self._world.reader
        found = 0
        for slug, access in self._products.items():
            view = await rights.read_product(reader, access)
            waiting = await reader.read(self._world.deployment.currency.balanceOf(view.till))
            if waiting:
                sender = self._world.sender(self._market[slug].plan.publisher)
                await sender.send(channels.flush_till(view.asset, view.operator, view.terms))
                found += waiting
        return Units(found)

    def _client(self, who: str, slug: str, order: int) -> Client:
        access = self._products[slug]
        client = Client(
            self._stage.url,
            account=self._world.account(who),
            deployment=self._world.deployment,
            rpc_url=self._world.reader.url,
            access=(access.address, order),
            operator=self._stage.operator.account.address,
            state_dir=None,
        )
        self._stack.callback(client.close)
        self._clients.append((access, order, client))
        return client

    async def _call(self, client: Client, slug: str, number: int) -> None:
        pictures, texts = self._inputs.pictures, self._inputs.texts
        async with client.async_http() as http:
            asked: dict[str, object] = {"model": slug}
            if slug == "digits":
                path, asked["rows"] = "/v1/predict", [list(pictures[number % len(pictures)])]
            else:
                path, asked["input"] = "/v1/embeddings", texts[number % len(texts)]
            response = await http.post(path, json=asked)
        if not response.is_success:
            raise ServingError(
                f"call to {slug} by an order", found=response.text[:200], wanted="an answer"
            )
