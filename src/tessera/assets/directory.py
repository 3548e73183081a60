"""What the Registry says about every asset, read from its events alone."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from tessera.assets.references import AssetUrn, SlugReference, parse_reference
from tessera.bindings import Registry
from tessera.bindings.calls import Event
from tessera.bindings.logs import decode_event
from tessera.bindings.registry import (
    AssetRegistered,
    ControlHandedOver,
    DiscountSet,
    EndpointClosed,
    EndpointSet,
    Kind,
    Parent,
    ParentAdded,
    TermsRenewed,
    Tokenized,
    Transfer,
    VersionReleased,
)
from tessera.chain.reader import ChainReader
from tessera.errors import InputError, NotFound
from tessera.spec.prices import Price
from tessera.units import AssetId, ChainId

__all__ = ["AssetDirectory", "AssetRecord", "Discount", "EndpointRecord", "ReleaseRecord"]


@dataclass(frozen=True, slots=True)
class ReleaseRecord:
    """One version.

    Attributes
    ----------
    version
        Counted from 1.
    root
        Content root, 32 bytes.
    runner
        Number of the runner's kind: 0 none, 1 onnx, 2 python, 3 upstream.
    uri
        Where the publisher says the bundle is.
    block
        That has it.
    """

    version: int
    root: bytes
    runner: int
    uri: str
    block: int


@dataclass(frozen=True, slots=True)
class Discount:
    """What an operator's calls cost less for whoever locked enough shares.

    Attributes
    ----------
    bps
        Off the price.
    terms
        Number of the terms row that such calls are made under.
    min_locked
        Raw shares that the payer must have locked.
    """

    bps: int
    terms: int
    min_locked: int


@dataclass(frozen=True, slots=True)
class EndpointRecord:
    """Who serves an asset, and for what.

    Attributes
    ----------
    operator
        Address.
    terms
        Number of the operator's present terms row.
    cut_bps, fee_bps
        The operator's and the network's part under these terms.
    price
        Base units of the currency.
    url
        Of the operator's gateway.
    listed
        False once it was closed.
    discount
        For payers who locked shares; None for none.
    last_terms
        The highest number of a terms row that it ever had here, those of discounts included.
    """

    operator: str
    terms: int
    cut_bps: int
    fee_bps: int
    price: Price
    url: str
    listed: bool = True
    discount: Discount | None = None
    last_terms: int = 0


@dataclass(frozen=True, slots=True)
class AssetRecord:
    """One asset as the chain knows it.

    Attributes
    ----------
    asset, number
        Its id, and its registration number.
    slug, kind
        As published.
    creator, owner, controller
        Who registered it, who holds it now, and who decides about it.
    parents
        With the royalty that each is owed.
    contributions
        Root of who contributed what; zeros for none.
    versions, endpoints
        In order of number, and by operator.
    share
        Address of its Share, None until it is tokenized.
    floor_bps, supply, period_s
        Of the Share: the holders' floor, raw units, and the time over which revenue streams.
    max_discount_bps
        The largest discount that governance may give.
    """

    asset: AssetId
    number: int
    slug: str
    kind: Kind
    creator: str
    owner: str
    controller: str
    parents: tuple[Parent, ...]
    contributions: bytes
    versions: tuple[ReleaseRecord, ...] = ()
    endpoints: dict[str, EndpointRecord] = field(default_factory=dict)
    share: str | None = None
    floor_bps: int = 0
    supply: int = 0
    period_s: int = 0
    max_discount_bps: int = 0

    @property
    def latest(self) -> ReleaseRecord:
        """The newest version; every asset has one."""
        return self.versions[-1]

    @property
    def listed(self) -> list[EndpointRecord]:
        """The endpoints that are open."""
        return [endpoint for endpoint in self.endpoints.values() if endpoint.listed]

    def version_of(self, root: bytes) -> ReleaseRecord | None:
        """Return the version with these bytes, or None."""
        return next((release for release in self.versions if release.root == root), None)


class AssetDirectory:
    """The assets of one Registry; `refresh` reads what is new.

    A slug belongs to the asset that was registered under it first. Others with that slug are
    reached by their id only, so nobody takes a name over by registering it again.

    Parameters
    ----------
    reader
        Of the chain.
    registry
        The contract.
    first_block
        From which on there can be events.
    """

    def __init__(self, reader: ChainReader, registry: Registry, *, first_block: int = 0) -> None:
        self._reader = reader
        self._registry = registry
        self._first_block = first_block
        self._read_to: tuple[int, str] | None = None
        self._refreshing = asyncio.Lock()
        self._records: dict[int, AssetRecord] = {}
        self._by_slug: dict[str, AssetId] = {}

    async def refresh(self) -> bool:
        """Read what happened since the last time; begin again where the chain was replaced.

        Returns
        -------
        bool
            Whether anything was new to this call; of two at once, one has the news.
        """
        # Two that read the same blocks would count every version twice.
        async with self._refreshing:
            return await self._refresh()

    async def _refresh(self) -> bool:
        head = await self._reader.block("latest")
        if self._read_to is not None:
            number, block_hash = self._read_to
            if number > head.number or (await self._reader.block(number)).hash != block_hash:
                self._read_to, self._records, self._by_slug = None, {}, {}
        start = self._first_block if self._read_to is None else self._read_to[0] + 1
        news = False
        if start <= head.number:
            async for log in self._reader.raw_logs(
                address=self._registry.address, first=start, last=head.number
            ):
                event = decode_event(log.topics, log.data, contract="Registry")
                if event is not None:
                    self._take(event, log.block)
                    news = True
        self._read_to = (head.number, head.hash)
        return news

    def __iter__(self) -> Iterator[AssetRecord]:
        return iter(sorted(self._records.values(), key=lambda record: record.number))

    def __len__(self) -> int:
        return len(self._records)

    def get(self, asset: int) -> AssetRecord | None:
        """Return an asset by its id, or None."""
        return self._records.get(asset)

    def by_slug(self, slug: str) -> AssetRecord | None:
        """Return the asset that a slug belongs to, or None."""
        asset = self._by_slug.get(slug)
        return None if asset is None else self._records[asset]

    def urn(self, record: AssetRecord) -> AssetUrn:
        """Return an asset's full name."""
        return AssetUrn(ChainId(self._reader.chain_id), self._registry.address, record.asset)

    def find(self, name: str) -> AssetRecord:
        """Return the asset that somebody means by a slug, `slug@version`, a URN or an id.

        Raises
        ------
        NotFound
            There is none; the message says what is near.
        """
        if name.isascii() and name.isdigit():
            found = self._records.get(int(name))
        else:
            try:
                reference = parse_reference(name)
            except InputError:
                raise self._unknown(name) from None
            if isinstance(reference, SlugReference):
                found = self.by_slug(reference.slug)
            elif (reference.chain, reference.registry.lower()) != (
                self._reader.chain_id,
                self._registry.address.lower(),
            ):
                raise NotFound(
                    "asset",
                    found=name,
                    wanted=f"one of eip155:{self._reader.chain_id}/erc721:{self._registry.address}",
                )
            else:
                found = self._records.get(reference.asset)
        if found is None:
            raise self._unknown(name)
        return found

    def _unknown(self, name: str) -> NotFound:
        return NotFound.among("asset", name, self._by_slug, next_step="see: tessera assets list")

    def _take(self, event: Event, block: int) -> None:
        if isinstance(event, AssetRegistered):
            self._records[event.asset] = AssetRecord(
                asset=AssetId(event.asset),
                number=event.number,
                slug=event.slug,
                kind=event.kind,
                creator=event.creator,
                owner=event.creator,
                controller=event.creator,
                parents=event.parents,
                contributions=event.contributions,
            )
            self._by_slug.setdefault(event.slug, AssetId(event.asset))
            return
        asset = event.token_id if isinstance(event, Transfer) else getattr(event, "asset", None)
        record = self._records.get(asset) if asset is not None else None
        if record is not None:
            self._records[record.asset] = _changed(record, event, block)


def _changed(record: AssetRecord, event: Event, block: int) -> AssetRecord:
    match event:
        case VersionReleased():
            release = ReleaseRecord(event.version, event.root, event.runner, event.uri, block)
            return replace(record, versions=(*record.versions, release))
        case EndpointSet():
            price = Price(event.price.per_call, event.price.per_1k_in, event.price.per_1k_out)
            # A discount that ended with the old terms has said so before.
            known = record.endpoints.get(event.operator)
            endpoint = EndpointRecord(
                event.operator, event.terms, event.cut_bps, event.fee_bps, price, event.url,
                discount=None if known is None else known.discount,
                last_terms=max(event.terms, 0 if known is None else known.last_terms),
            )  # fmt: skip
            return replace(record, endpoints={**record.endpoints, event.operator: endpoint})
        case EndpointClosed():
            closed = replace(record.endpoints[event.operator], listed=False)
            return replace(record, endpoints={**record.endpoints, event.operator: closed})
        case TermsRenewed():
            renewed = replace(
                record.endpoints[event.operator], terms=event.terms, last_terms=event.terms
            )
            return replace(record, endpoints={**record.endpoints, event.operator: renewed})
        case DiscountSet():
            bps, terms = event.discount_bps, event.terms
            given = Discount(bps, terms, event.min_locked) if bps else None
            known = record.endpoints[event.operator]
            last = max(terms, known.last_terms)
            changed = replace(known, discount=given, last_terms=last)
            return replace(record, endpoints={**record.endpoints, event.operator: changed})
        case ParentAdded():
            added = Parent(event.parent, event.royalty_bps)
            return replace(record, parents=(*record.parents, added))
        case Tokenized():
            return replace(
                record,
                share=event.share,
                floor_bps=event.floor_bps,
                supply=event.supply,
                period_s=event.period,
                max_discount_bps=event.max_discount_bps,
            )
        case ControlHandedOver():
            return replace(record, controller=event.controller)
        case Transfer():
            # Control stays with the contract it was handed to, whoever owns the asset.
            controller = event.receiver if record.controller == record.owner else record.controller
            return replace(record, owner=event.receiver, controller=controller)
        case _:
            return record
