"""Two payers and the gateways that they ask: one whom everybody knows, and one whom nobody knows.

Whoever serves a model wrote in the Registry where, and that address is a stranger's. Which of a
model's operators is asked in an epoch follows from the epoch's seed and the validator, so no
operator knows before whether it will be.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable
from contextlib import AsyncExitStack
from http import HTTPStatus
from pathlib import Path
from types import TracebackType
from typing import Final, Literal, Self

import httpx

from tessera.app.copies import version_of
from tessera.app.world import World
from tessera.assets.directory import AssetRecord, EndpointRecord
from tessera.client import Client
from tessera.client.gateway import GatewayView, ModelCard
from tessera.client.paying_side import PayingSide
from tessera.errors import BackendFailed, InputError, NotFound, TesseraError, WrongVersionServed
from tessera.payments.onchain import channels_domain
from tessera.spec.signatures import Domain, address_of, keccak
from tessera.validation.endpoints import PaidEndpoint
from tessera.validation.fetching import FETCH_ERRORS, fetched
from tessera.validation.reaching import open_http, require_public
from tessera.validation.survey import Subject

__all__ = ["KNOWN", "UNKNOWN", "Askers", "Side", "may_reach_private"]

Side = Literal[0, 1]
KNOWN: Final = 0
UNKNOWN: Final = 1

_NAMES: Final = ("known", "unknown")
_LOOK_S: Final = 10.0
_LIST_BYTES: Final = 4 << 20


class Askers:
    """Reaches models' gateways and pays them; use it as an async context manager.

    Parameters
    ----------
    world
        The chain, and the keys.
    known, unknown
        Names of keys.
    calls
        Folder where a payer's calls are kept with their receipts.
    """

    def __init__(
        self, world: World, known: str, unknown: str, calls: Callable[[str], Path]
    ) -> None:
        self._world = world
        self._accounts = world.account(known), world.account(unknown)
        if self._accounts[0].address == self._accounts[1].address:
            raise InputError(
                "--unknown",
                found=f"{unknown}, the key that everybody knows",
                wanted="another one",
                next_step=f"tessera account create {unknown}-2, and fund it from elsewhere",
            )
        self._calls = calls
        self._sides: dict[Side, PayingSide] = {}
        self._clients: dict[tuple[Side, str, str], Client] = {}
        self._cards: dict[tuple[str, str, str], ModelCard] = {}
        self._stack = AsyncExitStack()
        self._http: httpx.AsyncClient

    async def __aenter__(self) -> Self:
        self._http = await self._stack.enter_async_context(
            open_http(private=may_reach_private(self._world), timeout_s=_LOOK_S)
        )
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._stack.aclose()
        for client in self._clients.values():
            await asyncio.to_thread(client.close)
        for side in self._sides.values():
            await asyncio.to_thread(side.close)

    @property
    def addresses(self) -> tuple[str, str]:
        """Of the known and of the unknown payer."""
        return self._accounts[0].address, self._accounts[1].address

    async def look(self, record: AssetRecord, uid: int, seed: bytes) -> Subject:
        """Find who serves a model: its operators in a drawn order, until one lists it.

        Raises
        ------
        NotFound
            Nobody is named who serves it, or none of them lists it.
        TesseraError, httpx.TransportError
            The last of them cannot be asked.
        """
        drawn = seed + address_of(self.addresses[KNOWN])
        order = sorted(
            (each for each in record.listed if each.url),
            key=lambda each: keccak(drawn + address_of(each.operator)),
        )
        trouble: Exception = NotFound(
            f"model {record.slug}", found="nobody who serves it", wanted="a gateway in the Registry"
        )
        for endpoint in order:
            try:
                card = await self._card(record, endpoint)
            except (TesseraError, httpx.TransportError) as error:
                trouble = error
                continue
            root = version_of(record, str(card.version)).root.hex()
            return Subject(
                uid, str(record.asset), card.id, card.version, f"0x{root}",
                endpoint.operator, endpoint.url,
            )  # fmt: skip
        raise trouble

    def quote(self, subject: Subject) -> PaidEndpoint:
        """Return an endpoint that says what questions cost, and is never asked."""
        return PaidEndpoint(self._http, self._listed(subject), self._domain)

    async def endpoint(self, side: Side, subject: Subject) -> PaidEndpoint:
        """Return what asks a model and pays; opens a channel, or finds one.

        Raises
        ------
        InputError, ChainError
            The payer has not enough, or the chain cannot be reached.
        """
        card, key = self._listed(subject), (side, subject.operator, subject.url)
        if not may_reach_private(self._world):
            await require_public(subject.url)
        if key not in self._clients:
            self._clients[key] = client = self._client(side, subject)
            if subject.most[side]:
                # What is wrong with our own money is found before anybody is blamed.
                await asyncio.to_thread(client.open)
        http = self._clients[key].async_http()
        await self._stack.enter_async_context(http)
        return PaidEndpoint(http, card, self._domain)

    async def again(self, record: AssetRecord, subject: Subject) -> None:
        """Look whether a model that was begun is listed as it was.

        Raises
        ------
        WrongVersionServed
            It has another version now.
        TesseraError, httpx.TransportError
            Its gateway cannot be asked.
        """
        if _place(subject) in self._cards:
            return
        named = record.endpoints.get(subject.operator)
        if named is None or not named.listed or named.url != subject.url:
            raise NotFound(
                f"model {record.slug}", found="its operator has gone", wanted="it until it is asked"
            )
        card = await self._card(record, named)
        if card.version != subject.version:
            raise WrongVersionServed(
                f"model {record.slug}",
                found=f"version {card.version}",
                wanted=f"version {subject.version} until all is asked",
            )

    @property
    def _domain(self) -> Domain:
        return channels_domain(self._world.deployment)

    def _listed(self, subject: Subject) -> ModelCard:
        return self._cards[_place(subject)]

    async def _card(self, record: AssetRecord, endpoint: EndpointRecord) -> ModelCard:
        try:
            view = GatewayView(
                endpoint.url,
                self._domain,
                address_of(self._world.currency.address),
                address_of(endpoint.operator),
            )
            uri = str(view.models_request().url)
            data = await fetched(self._http, uri, most_bytes=_LIST_BYTES, within_s=_LOOK_S)
        except (*FETCH_ERRORS, UnicodeError) as error:
            raise BackendFailed(
                f"gateway {ascii(endpoint.url)[1:-1]}",
                found=str(error) or type(error).__name__,
                wanted="its models",
            ) from error
        view.take_models(httpx.Response(HTTPStatus.OK, content=data))
        for card in view.cards():
            if card.key.asset == record.asset:
                self._cards[str(record.asset), endpoint.operator, endpoint.url] = card
                return card
        raise NotFound(
            f"gateway {view.url}", found=f"no {record.slug}", wanted="what the Registry says"
        )

    def _client(self, side: Side, subject: Subject) -> Client:
        world, most = self._world, max(subject.most[side], 1)
        if side not in self._sides:
            self._sides[side] = PayingSide(self._accounts[side], world.deployment, world.reader.url)
        # Two deposits of one amount at one time would show who is who.
        deposit = most + (secrets.randbelow(most) if side == UNKNOWN else 0)
        return Client(
            subject.url,
            account=self._accounts[side],
            deployment=world.deployment,
            rpc_url=world.reader.url,
            state_dir=world.config.data_dir / "purses",
            deposit=deposit,
            top_up=deposit,
            max_call_cost=most,
            operator=subject.operator,
            keep=self._calls(_NAMES[side]),
            side=self._sides[side],
        )


def may_reach_private(world: World) -> bool:
    """Return whether strangers' addresses may lead into private networks.

    On a development chain there are no strangers, and all there is runs on this machine.
    """
    return world.deployment.has_faucet or world.config.private_addresses


def _place(subject: Subject) -> tuple[str, str, str]:
    return subject.asset, subject.operator, subject.url
