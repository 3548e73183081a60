"""What a gateway offers: which models, under which terms, answered by whom."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

from tessera.assets.directory import Discount
from tessera.errors import NotFound
from tessera.serving.bodies import TokenLimits
from tessera.serving.runner import Runner
from tessera.spec.prices import Price
from tessera.spec.vouchers import TillKey

__all__ = ["Catalogue", "ListedModels", "Offer"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """One version of one asset, as this operator serves it.

    Attributes
    ----------
    slug
        The asset's name, as published.
    asset, version, terms
        Asset id, version served, and the operator's present terms row.
    urn
        `eip155:<chain>/erc721:<registry>/<id>`.
    price
        Base units.
    runner
        What answers; its `identity` goes into receipts.
    owner
        Who published it, as text.
    created
        When this version was released, unix seconds.
    limits
        Of the length of answers, for models that write text.
    discount
        For payers who locked shares; None for none.
    min_locked
        Raw shares that a payer must have locked for these terms.
    """

    slug: str
    asset: int
    version: int
    terms: int
    urn: str
    price: Price
    runner: Runner
    owner: str = ""
    created: int = 0
    limits: TokenLimits = field(default_factory=TokenLimits)
    discount: Discount | None = None
    min_locked: int = 0

    @property
    def key(self) -> TillKey:
        """The line that a call is charged on."""
        return TillKey(self.asset, self.terms)

    def under(self, terms: int) -> Offer | None:
        """Return what is offered under a number of terms: the price of all, or that of holders."""
        if terms == self.terms:
            return self
        if self.discount is None or terms != self.discount.terms:
            return None
        return replace(
            self,
            terms=terms,
            price=self.price.discounted(self.discount.bps),
            min_locked=self.discount.min_locked,
        )

    def card(self) -> dict[str, Any]:
        """Return the model as `GET /v1/models` lists it; amounts are decimal strings."""
        return {
            "id": self.slug,
            "object": "model",
            "created": self.created,
            "owned_by": self.owner,
            "tessera": {
                "asset": str(self.asset),
                "urn": self.urn,
                "version": self.version,
                "terms": self.terms,
                "price": _shown(self.price),
                "discount": self.discount
                and {
                    "bps": self.discount.bps,
                    "terms": self.discount.terms,
                    "min_locked": str(self.discount.min_locked),
                    "price": _shown(self.price.discounted(self.discount.bps)),
                },
                "tasks": sorted(self.runner.tasks),
                "identity": int(self.runner.identity),
                "note": self.runner.note,
                "limits": {"default": self.limits.default, "highest": self.limits.highest},
            },
        }


def _shown(price: Price) -> dict[str, str]:
    return {
        "per_call": str(price.per_call),
        "per_1k_in": str(price.per_1k_in),
        "per_1k_out": str(price.per_1k_out),
    }


class Catalogue(Protocol):
    """The models of a gateway; may change while it runs, as prices and versions do."""

    def find(self, model: str) -> Offer:
        """Return what a consumer calls `model`.

        Raises
        ------
        NotFound
            Nothing is called so; the message says what is near.
        """

    def offers(self) -> Sequence[Offer]:
        """Return all of them, in the order of their names."""


class ListedModels:
    """A catalogue from a list.

    Parameters
    ----------
    offers
        What is served now.
    """

    def __init__(self, offers: Iterable[Offer]) -> None:
        self._offers: tuple[Offer, ...] = ()
        self._names: dict[str, Offer] = {}
        self.replace(offers)

    def replace(self, offers: Iterable[Offer]) -> None:
        """Serve these from now on."""
        self._offers = tuple(sorted(offers, key=lambda offer: offer.slug))
        self._names = {}
        for offer in self._offers:
            for name in (offer.slug, f"{offer.slug}@{offer.version}", offer.urn):
                self._names[name] = offer

    def find(self, model: str) -> Offer:
        """Return what a consumer calls `model`: a slug, `slug@version`, or the asset's URN."""
        offer = self._names.get(model)
        if offer is None:
            raise NotFound.among("model", model, (known.slug for known in self._offers))
        return offer

    def offers(self) -> Sequence[Offer]:
        """Return all of them, in the order of their names."""
        return self._offers
