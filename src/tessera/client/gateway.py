"""What a client knows about a gateway: its models, their prices, and whom it pays."""

from __future__ import annotations

import threading
from dataclasses import dataclass, replace
from typing import Annotated, Final

import httpx
import msgspec

from tessera.errors import NotFound, ServingError, WrongChain
from tessera.serving.bodies import TokenLimits
from tessera.spec.prices import MAX_PRICE, Price
from tessera.spec.signatures import Address, Domain, address_of, address_of_key, address_text
from tessera.spec.vouchers import TillKey

__all__ = ["GatewayView", "ModelCard"]

_OK = 200


@dataclass(frozen=True, slots=True)
class ModelCard:
    """A model as the gateway lists it.

    Attributes
    ----------
    id
        What to call it.
    key
        Asset and terms that a call is charged on.
    version
        Served now.
    price
        Base units.
    limits
        Of the length of answers.
    tasks
        What it can be asked.
    urn
        The asset's, across chains.
    note
        What its publisher wants every reader to know.
    holders
        The same model under the terms of those who locked enough of its shares; None for none.
    """

    id: str
    key: TillKey
    version: int
    price: Price
    limits: TokenLimits
    tasks: tuple[str, ...]
    urn: str
    note: str | None
    holders: ModelCard | None = None


class _PriceWire(msgspec.Struct):
    per_call: str
    per_1k_in: str
    per_1k_out: str


_Terms = Annotated[int, msgspec.Meta(ge=0, lt=2**32)]
_Version = Annotated[int, msgspec.Meta(ge=0, lt=2**32)]
_MAX_ASSET: Final = 2**256 - 1


class _DiscountWire(msgspec.Struct):
    terms: _Terms
    price: _PriceWire


class _CardWire(msgspec.Struct):
    asset: str
    urn: str
    version: _Version
    terms: _Terms
    price: _PriceWire
    tasks: tuple[str, ...]
    limits: TokenLimits
    note: str | None = None
    discount: _DiscountWire | None = None


class _ModelWire(msgspec.Struct):
    id: str
    tessera: _CardWire


class _TermsWire(msgspec.Struct):
    chain_id: int
    channels: str
    operator: str
    currency: str
    operator_key: str | None = None


class _ModelsWire(msgspec.Struct):
    data: list[_ModelWire]
    tessera: _TermsWire


class GatewayView:
    """A gateway as its own list of models shows it, held against what we know of the chain.

    Parameters
    ----------
    url
        Without the trailing `/v1`.
    domain
        Chain and Channels contract, from the deployments file.
    currency
        From the same file.
    operator
        Whom we mean to pay; None believes the first answer, and from then on only that.
    """

    def __init__(
        self, url: str, domain: Domain, currency: Address, operator: Address | None = None
    ) -> None:
        self.url = httpx.URL(url.rstrip("/").removesuffix("/v1"))
        self.operator = operator
        self.operator_key: bytes | None = None
        self._domain = domain
        self._currency = currency
        self._lock = threading.Lock()
        self._cards: dict[str, ModelCard] = {}
        self.known = False

    def path_of(self, url: httpx.URL) -> str:
        """Return a URL's path below the gateway's; empty where it is another server's."""
        if (url.scheme, url.host, url.port) != (self.url.scheme, self.url.host, self.url.port):
            return ""
        return url.path.removeprefix(self.url.path.rstrip("/"))

    def request(self, path: str) -> httpx.Request:
        """Make a GET request."""
        base = str(self.url).rstrip("/")
        return httpx.Request("GET", base + path, headers={"accept": "application/json"})

    def models_request(self) -> httpx.Request:
        """Make the request for the list of models."""
        return self.request("/v1/models")

    def take_models(self, response: httpx.Response) -> None:
        """Read the list of models.

        Raises
        ------
        WrongChain
            The gateway wants to be paid elsewhere: another chain, contract, currency, operator.
        ServingError
            It did not answer as a gateway does.
        """
        if response.status_code != _OK:
            raise ServingError(
                f"gateway {self.url}", found=f"status {response.status_code}", wanted="its models"
            )
        try:
            found = msgspec.json.decode(response.content, type=_ModelsWire)
            operator = address_of(found.tessera.operator)
            shown = found.tessera.operator_key
            key = None if shown is None else bytes.fromhex(shown.removeprefix("0x"))
            place = (
                found.tessera.chain_id,
                address_of(found.tessera.channels),
                address_of(found.tessera.currency),
            )
            cards = {model.id: _card(model) for model in found.data}
        except (msgspec.MsgspecError, ValueError, RecursionError) as error:
            raise ServingError(
                f"gateway {self.url}", found=str(error), wanted="the list of a Tessera gateway"
            ) from error
        wanted = (self._domain.chain_id, self._domain.contract, self._currency)
        if place != wanted:
            raise WrongChain(
                f"gateway {self.url}",
                found=_place(*place),
                wanted=_place(*wanted),
                next_step="use the deployments file of the chain that the gateway is on",
            )
        if key is not None and address_of_key(key) != operator:
            raise ServingError(
                f"gateway {self.url}: operator_key",
                found=f"the key of {address_text(address_of_key(key))}",
                wanted=f"that of its operator {address_text(operator)}",
            )
        with self._lock:
            if self.operator is not None and self.operator != operator:
                raise WrongChain(
                    f"gateway {self.url}",
                    found=f"operator {address_text(operator)}",
                    wanted=f"operator {address_text(self.operator)}",
                    next_step="it is somebody else's now; name the new operator if that is right",
                )
            self.operator = operator
            self.operator_key = key
            self._cards = cards
            self.known = True

    def forget(self) -> None:
        """Ask for the list again before the next call: prices or terms have changed."""
        self.known = False

    def card(self, model: str) -> ModelCard:
        """Return a model by its name, `name@version` or URN.

        Raises
        ------
        NotFound
            The gateway lists no such model.
        """
        with self._lock:
            for card in self._cards.values():
                if model in {card.id, f"{card.id}@{card.version}", card.urn}:
                    return card
            raise NotFound.among("model", model, self._cards)

    def cards(self) -> list[ModelCard]:
        """Return all models, in the gateway's order."""
        with self._lock:
            return list(self._cards.values())


def _card(model: _ModelWire) -> ModelCard:
    wire = model.tessera
    if min(wire.limits.default, wire.limits.highest) < 0:
        raise ValueError("limits below 0")
    card = ModelCard(
        id=model.id,
        key=TillKey(_number(wire.asset, _MAX_ASSET), wire.terms),
        version=wire.version,
        price=_price(wire.price),
        limits=wire.limits,
        tasks=wire.tasks,
        urn=wire.urn,
        note=wire.note,
    )
    if wire.discount is None:
        return card
    key = TillKey(card.key.asset, wire.discount.terms)
    return replace(card, holders=replace(card, key=key, price=_price(wire.discount.price)))


def _price(wire: _PriceWire) -> Price:
    parts = (wire.per_call, wire.per_1k_in, wire.per_1k_out)
    return Price(*(_number(part, MAX_PRICE) for part in parts))


def _number(text: str, most: int) -> int:
    # What is signed is computed from these, so none may be what the chain could not hold.
    number = int(text)
    if not 0 <= number <= most:
        raise ValueError(f"{text[:90]} is not from 0 to {most}")
    return number


def _place(chain_id: int, contract: Address, currency: Address) -> str:
    return f"chain {chain_id}, Channels {address_text(contract)}, currency {address_text(currency)}"
