"""`Registry.vy` again in plain Python: assets, versions, parents, and the terms of each operator.

Terms are rows that nobody rewrites: new bps, a further parent or a discount make a new row, and
only the cut of a row that was replaced lapses. How a row divides money is `tessera.spec.split`.
The Shares themselves and the texts that no contract reads are left out. Bps, base units, unix
seconds. What the contract reverts raises `TransactionReverted` with the same string and changes
nothing.

Invariants `terms_at_call` and `holders_floor`; held against the contract by
`test_registry_matches_spec.py` and by the machine `MarketPromises`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from tessera.errors import TransactionReverted
from tessera.spec.prices import MAX_PRICE, Price
from tessera.spec.signatures import ZERO_ADDRESS, Address, keccak
from tessera.spec.split import SplitTerms
from tessera.units import BPS

__all__ = [
    "DEFAULT_FEE_BPS",
    "FEE_CAP_BPS",
    "MAX_PARENTS",
    "AssetModel",
    "Discount",
    "Listing",
    "RegistryModel",
    "TermsRow",
    "Tokenization",
    "asset_id",
    "left_for_holders",
]

FEE_CAP_BPS: Final = 500
"""The highest fee that the network may ever set; what is given away leaves room for it."""

DEFAULT_FEE_BPS: Final = 100
MAX_PARENTS: Final = 8
MIN_SUPPLY: Final = 10**18
MAX_SUPPLY: Final = 2**96 - 1
MAX_PERIOD: Final = 365 * 86_400
_MASK_32: Final = 2**32 - 1
_ZERO_32: Final = bytes(32)

Parents = tuple[tuple[int, int], ...]


def asset_id(chain_id: int, registry: Address, creator: Address, root: bytes, salt: bytes) -> int:
    """Compute the id of `creator`'s content; below 2^240."""
    words = chain_id.to_bytes(32, "big") + bytes(12) + registry + bytes(12) + creator
    return int.from_bytes(keccak(words + root + salt), "big") >> 16


def left_for_holders(cut_bps: int, parents: Parents) -> int:
    """Return what an operator's cut and the parents leave under the highest fee there may ever be.

    Negative where they leave nothing.
    """
    return SplitTerms(FEE_CAP_BPS, cut_bps, parents).left_bps


@dataclass(slots=True)
class TermsRow:
    """How an operator's calls are paid for, as of when the row was written.

    Attributes
    ----------
    split
        Fee, cut and the parents that the row knows; raised already where it is a discount's.
    lapses
        When the cut ends, unix seconds; 0 while these are the operator's present terms.
    """

    split: SplitTerms
    lapses: int = 0

    def at(self, now: int) -> SplitTerms:
        """Return how money is divided at a time: without the cut once that lapsed."""
        if self.lapses and now >= self.lapses:
            return SplitTerms(self.split.fee_bps, 0, self.split.royalties)
        return self.split


class Discount(NamedTuple):
    """A lower price for whoever locked shares.

    Attributes
    ----------
    bps
        How much lower; 0 once it ended.
    terms
        The number of its row, or of the last that there was.
    min_locked
        Raw shares.
    """

    bps: int = 0
    terms: int = 0
    min_locked: int = 0


@dataclass(slots=True)
class Listing:
    """One operator of an asset.

    Attributes
    ----------
    active
        Whether it is listed.
    terms
        The number of its present row; 0 where it never was listed.
    price
        Base units.
    rows
        Every terms row, by number.
    discount
        The present one, or the end of the last.
    """

    active: bool = False
    terms: int = 0
    price: Price = field(default_factory=Price)
    rows: dict[int, TermsRow] = field(default_factory=dict)
    discount: Discount = field(default_factory=Discount)

    @property
    def last(self) -> int:
        """The highest number that a row of it ever had."""
        return max(self.terms, self.discount.terms)

    def let_lapse(self, terms: int, at: int) -> None:
        """End a row's cut at a time, unless it ends already; there may be no such row."""
        row = self.rows.get(terms)
        if row is not None and not row.lapses:
            row.lapses = at

    def end_discount(self, at: int) -> None:
        """End the discount, if there is one."""
        if self.discount.bps:
            self.let_lapse(self.discount.terms, at)
            self.discount = Discount(terms=self.discount.terms)

    def replace(self, split: SplitTerms, at: int) -> None:
        """Write new present terms; the old ones lapse at a time, and so does their discount."""
        _require(self.last < _MASK_32, "too many terms")
        number = self.last + 1
        self.let_lapse(self.terms, at)
        self.end_discount(at)
        self.rows[number] = TermsRow(split)
        self.terms = number


class Tokenization(NamedTuple):
    """What a Share is made of; nobody can change it.

    Attributes
    ----------
    supply
        Raw units.
    period
        Seconds in which revenue streams.
    floor_bps, max_discount_bps
        The holders' part never falls below the one, a discount is never above the other.
    named
        Whether it has a name and a symbol.
    """

    supply: int
    period: int
    floor_bps: int = 0
    max_discount_bps: int = 0
    named: bool = True


@dataclass(slots=True)
class AssetModel:
    """One asset.

    Attributes
    ----------
    number
        From 1, in the order of registration.
    kind
        One bit: model, dataset, service, workflow, compute.
    owner
        Of the ERC-721 token.
    registered
        Unix seconds.
    parents
        (asset, royalty bps), those of registration first.
    born_to
        How many of these it was registered with.
    contributions
        Root of its contributions, or zeros.
    roots, versions
        Content roots by version, from 1, and how many there are.
    largest_cut_bps
        That any operator was ever listed with.
    listings
        By operator.
    share
        Once it is tokenized.
    """

    number: int
    kind: int
    owner: Address
    registered: int
    parents: Parents
    born_to: int
    contributions: bytes
    roots: dict[int, bytes]
    versions: int = 1
    largest_cut_bps: int = 0
    listings: dict[Address, Listing] = field(default_factory=dict)
    share: Tokenization | None = None

    @property
    def floor_bps(self) -> int:
        """What terms must leave to the holders; 0 as long as there are none."""
        return self.share.floor_bps if self.share else 0

    @property
    def royalties_bps(self) -> int:
        """All parents' together."""
        return sum(bps for _, bps in self.parents)


class RegistryModel:
    """All assets of one Registry.

    Parameters
    ----------
    chain_id, address
        Which Registry it is: ids hang on both.
    governor
        Decides about tokenized assets.
    owner, commons
        Of the network.
    terms_grace
        Seconds from the end of terms to the end of their cut.
    """

    def __init__(
        self,
        chain_id: int,
        address: Address,
        *,
        governor: Address,
        owner: Address,
        commons: Address,
        terms_grace: int,
    ) -> None:
        self.chain_id = chain_id
        self.address = address
        self.governor = governor
        self.owner = owner
        self.nominated: Address = ZERO_ADDRESS
        self.commons = self.validators = commons
        self.terms_grace = terms_grace
        self.fee_bps = DEFAULT_FEE_BPS
        self.assets: dict[int, AssetModel] = {}

    # --- Publishing -----------------------------------------------------------------------------

    def publish(
        self,
        creator: Address,
        *,
        root: bytes,
        salt: bytes,
        kind: int,
        named: bool,
        parents: Sequence[tuple[int, int]],
        contributions: bytes = _ZERO_32,
        operator: Address = ZERO_ADDRESS,
        cut_bps: int = 0,
        price: Price | None = None,
        now: int,
    ) -> int:
        """Register an asset with its first version, and its first endpoint if `operator` is named.

        Returns
        -------
        int
            Its id.
        """
        asset = asset_id(self.chain_id, self.address, creator, root, salt)
        _require(root != _ZERO_32, "content root is empty")
        _require(named, "slug is empty")
        _require(kind.bit_count() == 1, "kind is not one kind")
        royalties_bps = 0
        for place, (parent, bps) in enumerate(parents):
            _require(parent in self.assets, "no such parent")
            _require(bps != 0, "a parent without royalty")
            _require(parent not in [one for one, _ in parents[:place]], "parent named twice")
            royalties_bps += bps
            _require(royalties_bps <= BPS - FEE_CAP_BPS, "royalties too high")
        _require(asset not in self.assets, "erc721: id exists")
        model = AssetModel(
            len(self.assets) + 1, kind, creator, now,
            tuple(parents), len(parents), contributions, {1: root},
        )  # fmt: skip
        if operator != ZERO_ADDRESS:
            self._list(model, operator, cut_bps, price or Price(), now)
        self.assets[asset] = model
        return asset

    def release(self, caller: Address, asset: int, root: bytes) -> int:
        """Append a version; its number."""
        model = self._controlled(caller, asset)
        _require(root != _ZERO_32, "content root is empty")
        _require(model.versions < _MASK_32, "too many versions")
        model.versions += 1
        model.roots[model.versions] = root
        return model.versions

    def add_parent(self, caller: Address, asset: int, parent: int, royalty_bps: int) -> None:
        """Owe a further parent a royalty, from terms yet to be written on."""
        model = self._controlled(caller, asset)
        _require(parent in self.assets, "no such parent")
        older = self.assets[parent].number < model.number
        _require(older, "a parent is older than its child")
        _require(royalty_bps != 0, "a parent without royalty")
        _require(len(model.parents) < MAX_PARENTS, "too many parents")
        _require(parent not in [known for known, _ in model.parents], "parent named twice")
        parents = (*model.parents, (parent, royalty_bps))
        left_bps = left_for_holders(model.largest_cut_bps, parents)
        _require(left_bps >= model.floor_bps, "royalties too high")
        model.parents = parents

    # --- Terms ----------------------------------------------------------------------------------

    def set_endpoint(
        self, caller: Address, asset: int, operator: Address, cut_bps: int, price: Price, now: int
    ) -> int:
        """List an operator, or change its terms; the number of its terms."""
        model = self._controlled(caller, asset)
        _require(operator != ZERO_ADDRESS, "operator is the zero address")
        return self._list(model, operator, cut_bps, price, now)

    def close_endpoint(self, caller: Address, asset: int, operator: Address, now: int) -> None:
        """Take an operator off the list; its cut lapses with the grace."""
        listing = self._listed(self._controlled(caller, asset), operator)
        listing.active = False
        listing.let_lapse(listing.terms, now + self.terms_grace)
        listing.end_discount(now + self.terms_grace)

    def renew_terms(self, asset: int, operator: Address, now: int) -> int:
        """Bind an operator to the parents that were added since; the number of the new terms."""
        _require(asset in self.assets, "no such endpoint")
        model = self.assets[asset]
        listing = self._listed(model, operator)
        old = listing.rows[listing.terms].split
        _require(len(old.royalties) != len(model.parents), "the terms know every parent")
        renewed = SplitTerms(old.fee_bps, old.cut_bps, model.parents)
        listing.replace(renewed, now + self.terms_grace)
        return listing.terms

    def set_discount(
        self,
        caller: Address,
        asset: int,
        operator: Address,
        discount_bps: int,
        min_locked: int,
        now: int,
    ) -> int:
        """Lower the price for whoever locked shares, out of the holders' part; 0 ends it.

        Returns
        -------
        int
            The number of its terms, 0 where it only ends one.
        """
        model = self._controlled(caller, asset)
        listing = self._listed(model, operator)
        lapses = now + self.terms_grace
        if discount_bps == 0:
            listing.end_discount(lapses)
            return 0
        share = model.share
        if share is None:
            raise _refused("not tokenized")
        within = discount_bps < BPS and discount_bps <= share.max_discount_bps
        _require(within, "discount above the bound")
        _require(0 < min_locked <= MAX_SUPPLY, "discount without a lock")
        split = listing.rows[listing.terms].split.discounted(discount_bps)
        _require(split.left_bps >= share.floor_bps, "discount leaves too little")
        _require(listing.last < _MASK_32, "too many terms")
        number = listing.last + 1
        listing.end_discount(lapses)
        listing.rows[number] = TermsRow(split)
        listing.discount = Discount(discount_bps, number, min_locked)
        return number

    def _list(
        self, model: AssetModel, operator: Address, cut_bps: int, price: Price, now: int
    ) -> int:
        dearest = max(price.per_call, price.per_1k_in, price.per_1k_out)
        _require(dearest <= MAX_PRICE, "price too high")
        left_bps = left_for_holders(cut_bps, model.parents)
        _require(left_bps >= model.floor_bps, "cut leaves too little")
        split = SplitTerms(self.fee_bps, cut_bps, model.parents)
        listing = model.listings.setdefault(operator, Listing())
        # The same terms go on, unless they lapse: those of a closed endpoint come back as new ones.
        if listing.rows.get(listing.terms) != TermsRow(split):
            listing.replace(split, now + self.terms_grace)
        listing.active, listing.price = True, price
        model.largest_cut_bps = max(model.largest_cut_bps, cut_bps)
        return listing.terms

    def _listed(self, model: AssetModel, operator: Address) -> Listing:
        listing = model.listings.get(operator)
        if listing is None or not listing.active:
            raise _refused("no such endpoint")
        return listing

    # --- Ownership ------------------------------------------------------------------------------

    def tokenize(self, caller: Address, asset: int, share: Tokenization) -> None:
        """Give the asset its Share, once; from then on the Governor decides."""
        tokenized = asset in self.assets and self.assets[asset].share is not None
        _require(not tokenized, "tokenized already")
        model = self._controlled(caller, asset)
        _require(MIN_SUPPLY <= share.supply <= MAX_SUPPLY, "supply out of range")
        _require(0 < share.period <= MAX_PERIOD, "period out of range")
        _require(share.named, "name or symbol is empty")
        _require(share.max_discount_bps <= BPS, "discount out of range")
        left_bps = left_for_holders(model.largest_cut_bps, model.parents)
        _require(share.floor_bps <= left_bps, "floor above what terms leave")
        model.share = share

    def controller_of(self, asset: int) -> Address:
        """Return who decides: the owner, or the Governor once there is a Share."""
        _require(asset in self.assets, "erc721: no such id")
        model = self.assets[asset]
        return self.governor if model.share else model.owner

    def _controlled(self, caller: Address, asset: int) -> AssetModel:
        _require(caller == self.controller_of(asset), "only the asset's controller")
        return self.assets[asset]

    # --- The network's owner --------------------------------------------------------------------

    def set_network(
        self, caller: Address, fee_bps: int, commons: Address, validators: Address
    ) -> None:
        """Set the fee of terms yet to be written, and who gets its halves."""
        _require(caller == self.owner, "only the network's owner")
        _require(fee_bps <= FEE_CAP_BPS, "fee above the cap")
        _require(ZERO_ADDRESS not in (commons, validators), "zero address")
        self.fee_bps, self.commons, self.validators = fee_bps, commons, validators

    def nominate_owner(self, caller: Address, nominee: Address) -> None:
        """First of two steps to a new owner."""
        _require(caller == self.owner, "only the network's owner")
        self.nominated = nominee

    def accept_ownership(self, caller: Address) -> None:
        """Second step, by the one nominated."""
        _require(caller == self.nominated, "not nominated")
        self.owner, self.nominated = caller, ZERO_ADDRESS

    # --- Views ----------------------------------------------------------------------------------

    def root_of(self, asset: int, version: int) -> bytes:
        """Return a version's content root; version 0 is the newest."""
        model = self.assets.get(asset)
        root = model.roots.get(version or model.versions) if model else None
        if root is None:
            raise _refused("no such version")
        return root

    def split_of(self, asset: int, operator: Address, terms: int, now: int) -> SplitTerms:
        """Return how money under some terms is divided now; terms 0 are an unlisted operator's."""
        if terms == 0:
            _require(asset in self.assets, "no such asset")
            model = self.assets[asset]
            return SplitTerms(DEFAULT_FEE_BPS, 0, model.parents[: model.born_to])
        row = self._listing(asset, operator).rows.get(terms)
        if row is None:
            raise _refused("no such terms")
        return row.at(now)

    def lapses_at(self, asset: int, operator: Address, terms: int) -> int:
        """Return when the cut of some terms ends; 0 for present ones, and where there are none."""
        row = self._listing(asset, operator).rows.get(terms)
        return row.lapses if row else 0

    def endpoint_of(
        self, asset: int, operator: Address, now: int
    ) -> tuple[bool, int, int, int, Price]:
        """Return whether an operator is listed, its terms, their fee and cut, and its price."""
        listing = self._listing(asset, operator)
        split = self.split_of(asset, operator, listing.terms, now)
        return listing.active, listing.terms, split.fee_bps, split.cut_bps, listing.price

    def discount_of(self, asset: int, operator: Address) -> Discount:
        """Return an operator's discount; zeros for none."""
        discount = self._listing(asset, operator).discount
        return discount if discount.bps else Discount()

    def _listing(self, asset: int, operator: Address) -> Listing:
        if asset not in self.assets:
            return Listing()
        return self.assets[asset].listings.get(operator, Listing())


def _refused(reason: str) -> TransactionReverted:
    words = reason if reason.startswith("erc721: ") else f"registry: {reason}"
    return TransactionReverted("Registry", words)


def _require(condition: bool, reason: str) -> None:
    if not condition:
        raise _refused(reason)
