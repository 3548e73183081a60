# pragma version 0.4.3
# pragma evm-version cancun
# pragma nonreentrancy on
"""
@title Registry
@license Apache-2.0
@notice One row per asset: who controls it, its versions, its parents and their royalties, who serves it on what terms,
        and its Share.
@dev An asset's id is a hash of the chain, this contract, its creator, its content and a salt: a reorg cannot give it
     to something else. Its registration number comes from order, and a parent's is lower than its child's, so lineage
     has no loops. Texts that no contract reads (slug, URIs, addresses of servers) are in events only.
     Before an asset is tokenized its owner decides about it; from then on the Governor does, for good. A terms row
     remembers how many parents it knew, so a parent that is added later changes no money of calls already made. A
     discount is a terms row of its own: fee, cut and royalties are raised in it by what the price is lowered, so that
     in money they stay what they were and the holders bear it.
@custom:security The network's owner (a timelock in production) sets the network fee of terms yet to be written, up to
     5 %, and names who receives it. It cannot touch an asset, a balance, or terms that exist. Who may use the terms
     of a discount is checked by the operator, who answers for its price: an operator that charges the full price under
     them takes the raised cut, down to the holders' floor; a payer without a lock should not sign them.
@custom:invariant holders_floor, terms_at_call
@custom:pause Nothing here can be paused.
"""
from ethereum.ercs import IERC165
from .modules import clones
from .modules import erc721
from .modules import rescues

implements: IERC165

initializes: erc721
exports: (
    erc721.ownerOf,
    erc721.balanceOf,
    erc721.getApproved,
    erc721.isApprovedForAll,
    erc721.approve,
    erc721.setApprovalForAll,
    erc721.transferFrom,
    erc721.safeTransferFrom,
    erc721.supportsInterface,
)


interface IShare:
    def initialize(receiver: address): nonpayable
    def floor_bps() -> uint256: view
    def max_discount_bps() -> uint256: view


flag Kind:
    MODEL
    DATASET
    SERVICE
    WORKFLOW
    COMPUTE


struct Parent:
    asset: uint256
    royalty_bps: uint256


struct Release:
    root: bytes32
    runner: uint8
    uri: String[256]


struct Publication:
    slug: String[64]
    kind: Kind
    salt: bytes32
    contributions: bytes32
    parents: DynArray[Parent, 8]
    release: Release


# What one call costs: a fixed part, and a part for each 1,000 units that go in and come out. Base units of the currency.
struct Price:
    per_call: uint256
    per_1k_in: uint256
    per_1k_out: uint256


struct EndpointTerms:
    operator: address
    cut_bps: uint256
    price: Price
    url: String[256]


struct Tokenization:
    name: String[32]
    symbol: String[32]
    supply: uint256
    period: uint256
    floor_bps: uint256
    max_discount_bps: uint256
    receiver: address


event AssetRegistered:
    asset: indexed(uint256)
    creator: indexed(address)
    number: uint256
    kind: Kind
    slug: String[64]
    contributions: bytes32
    parents: DynArray[Parent, 8]


event VersionReleased:
    asset: indexed(uint256)
    version: indexed(uint256)
    root: bytes32
    runner: uint8
    uri: String[256]


event EndpointSet:
    asset: indexed(uint256)
    operator: indexed(address)
    terms: uint256
    cut_bps: uint256
    fee_bps: uint256
    price: Price
    url: String[256]


event EndpointClosed:
    asset: indexed(uint256)
    operator: indexed(address)


event ParentAdded:
    asset: indexed(uint256)
    parent: indexed(uint256)
    royalty_bps: uint256


event TermsRenewed:
    asset: indexed(uint256)
    operator: indexed(address)
    terms: uint256


# Terms for whoever locked `min_locked` raw shares of the asset; a discount of 0 is the end of one.
event DiscountSet:
    asset: indexed(uint256)
    operator: indexed(address)
    terms: uint256
    discount_bps: uint256
    min_locked: uint256


event Tokenized:
    asset: indexed(uint256)
    share: indexed(address)
    receiver: indexed(address)
    supply: uint256
    floor_bps: uint256
    max_discount_bps: uint256
    period: uint256


event ControlHandedOver:
    asset: indexed(uint256)
    controller: indexed(address)


event NetworkSet:
    fee_bps: uint256
    commons: indexed(address)
    validators: indexed(address)


event OwnerNominated:
    nominee: indexed(address)


event OwnerChanged:
    owner: indexed(address)


BPS: constant(uint256) = 10_000
FEE_CAP_BPS: constant(uint256) = 500
DEFAULT_FEE_BPS: constant(uint256) = 100
MIN_SUPPLY: constant(uint256) = 10**18
MAX_SUPPLY: constant(uint256) = 2**96 - 1
MAX_PERIOD: constant(uint256) = 365 * 86_400
MAX_PRICE: constant(uint256) = 2**72 - 1
MAX_PARENTS: constant(uint256) = 8
MASK_96: constant(uint256) = 2**96 - 1
MASK_72: constant(uint256) = 2**72 - 1
MASK_32: constant(uint256) = 2**32 - 1
MASK_16: constant(uint256) = 2**16 - 1
MASK_40: constant(uint256) = 2**40 - 1
ACTIVE: constant(uint256) = 2**255
EXISTS: constant(uint256) = 2**255

SHARE_IMPLEMENTATION: immutable(address)
GOVERNOR: immutable(address)
TERMS_GRACE: immutable(uint256)

owner: public(address)
nominated_owner: public(address)
commons: public(address)
validators: public(address)
fee_bps: public(uint256)
asset_count: public(uint256)

# number (32) | kind (8) | versions (32) | parents (8) | royalties bps (16) | largest cut ever listed, bps (16) | registered (40)
# | parents at registration (8)
rows: HashMap[uint256, uint256]
contributions_of: public(HashMap[uint256, bytes32])
# asset (240) << 16 | royalty bps (16)
parents: HashMap[uint256, HashMap[uint256, uint256]]
roots: HashMap[uint256, HashMap[uint256, bytes32]]
# price per call (72) | per 1k in (72) | per 1k out (72) | terms (32) | - | active (1)
endpoints: HashMap[uint256, HashMap[address, uint256]]
# fee bps (16) | cut bps (16) | when the cut lapses (40), 0 while these are the present terms | parents known (8)
# | discount bps (16), by which fee and cut here are raised already | - | exists (1)
terms_rows: HashMap[uint256, HashMap[address, HashMap[uint256, uint256]]]
# discount bps (16), 0 once it ended | its terms (32) | raw shares to be locked (96)
discounts: HashMap[uint256, HashMap[address, uint256]]
share_of: public(HashMap[uint256, address])


@deploy
def __init__(
    share_implementation: address,
    governor: address,
    owner: address,
    commons: address,
    terms_grace: uint256,
):
    """
    @param share_implementation What every Share is a clone of.
    @param governor Decides about every asset that has a Share.
    @param owner Sets the network fee and its receivers; a timelock in production.
    @param commons Receives the commons half of the network fee.
    @param terms_grace Seconds in which an operator can still settle with its cut after its terms were replaced.
    """
    assert terms_grace <= MAX_PERIOD, "registry: grace out of range"
    assert (
        governor != empty(address) and owner != empty(address) and commons != empty(address)
    ), "registry: zero address"
    SHARE_IMPLEMENTATION = share_implementation
    GOVERNOR = governor
    TERMS_GRACE = terms_grace
    self.owner = owner
    self.commons = commons
    self.validators = commons
    self.fee_bps = DEFAULT_FEE_BPS
    log OwnerChanged(owner=owner)
    log NetworkSet(fee_bps=DEFAULT_FEE_BPS, commons=commons, validators=commons)


# --- Publishing -----------------------------------------------------------------------------------------------------


@external
def publish(publication: Publication, endpoint: EndpointTerms) -> uint256:
    """
    @notice Register an asset with its first version and its first endpoint. The caller owns it.
    @param publication What it is. `salt` lets one creator register the same bytes twice.
    @param endpoint Who serves it and for what; with the zero address as operator nobody does yet.
    @return The asset's id.
    """
    asset: uint256 = self._asset_id(msg.sender, publication.release.root, publication.salt)
    assert publication.release.root != empty(bytes32), "registry: content root is empty"
    assert len(publication.slug) != 0, "registry: slug is empty"
    kind: uint256 = convert(publication.kind, uint256)
    assert kind != 0 and kind & (kind - 1) == 0, "registry: kind is not one kind"
    number: uint256 = self.asset_count + 1
    self.asset_count = number
    royalties_bps: uint256 = 0
    index: uint256 = 0
    for parent: Parent in publication.parents:
        assert self.rows[parent.asset] != 0, "registry: no such parent"
        assert parent.royalty_bps != 0, "registry: a parent without royalty"
        for earlier: uint256 in range(index, bound=8):
            assert (
                self.parents[asset][earlier] >> 16 != parent.asset
            ), "registry: parent named twice"
        royalties_bps += parent.royalty_bps
        assert royalties_bps <= BPS - FEE_CAP_BPS, "registry: royalties too high"
        self.parents[asset][index] = (parent.asset << 16) | parent.royalty_bps
        index += 1
    self.rows[asset] = (
        number
        | (kind << 32)
        | (1 << 40)
        | (index << 72)
        | (royalties_bps << 80)
        | (block.timestamp << 112)
        | (index << 152)
    )
    self.roots[asset][1] = publication.release.root
    if publication.contributions != empty(bytes32):
        self.contributions_of[asset] = publication.contributions
    erc721._mint(msg.sender, asset)
    log AssetRegistered(
        asset=asset,
        creator=msg.sender,
        number=number,
        kind=publication.kind,
        slug=publication.slug,
        contributions=publication.contributions,
        parents=publication.parents,
    )
    log VersionReleased(
        asset=asset,
        version=1,
        root=publication.release.root,
        runner=publication.release.runner,
        uri=publication.release.uri,
    )
    if endpoint.operator != empty(address):
        self._set_endpoint(asset, endpoint)
    return asset


@external
def release(asset: uint256, version: Release) -> uint256:
    """
    @notice Append a version. Earlier ones stay what they were.
    @return The version's number.
    """
    self._only_controller(asset)
    assert version.root != empty(bytes32), "registry: content root is empty"
    row: uint256 = self.rows[asset]
    number: uint256 = ((row >> 40) & MASK_32) + 1
    assert number <= MASK_32, "registry: too many versions"
    self.rows[asset] = row + (1 << 40)
    self.roots[asset][number] = version.root
    log VersionReleased(
        asset=asset, version=number, root=version.root, runner=version.runner, uri=version.uri
    )
    return number


@external
def set_endpoint(asset: uint256, endpoint: EndpointTerms):
    """
    @notice Say who serves the asset, for what price and with what cut. New bps make a new terms row; calls made under
            the old row are settled under the old row, and its cut lapses `terms_grace` seconds later.
    """
    self._only_controller(asset)
    assert endpoint.operator != empty(address), "registry: operator is the zero address"
    self._set_endpoint(asset, endpoint)


@external
def close_endpoint(asset: uint256, operator: address):
    """
    @notice Take an operator off the list. Its cut lapses `terms_grace` seconds later: time to settle what was served.
    """
    self._only_controller(asset)
    endpoint: uint256 = self.endpoints[asset][operator]
    assert endpoint & ACTIVE != 0, "registry: no such endpoint"
    self.endpoints[asset][operator] = endpoint ^ ACTIVE
    self._let_lapse(asset, operator, (endpoint >> 216) & MASK_32)
    self._end_discount(asset, operator)
    log EndpointClosed(asset=asset, operator=operator)


@external
def add_parent(asset: uint256, parent: uint256, royalty_bps: uint256):
    """
    @notice Owe a further parent a royalty, from terms yet to be written on. Never taken back, never changed.
    @dev Under the dearest cut ever listed too, so that `renew_terms` can bind every operator to it.
    """
    self._only_controller(asset)
    row: uint256 = self.rows[asset]
    parent_row: uint256 = self.rows[parent]
    assert parent_row != 0, "registry: no such parent"
    assert parent_row & MASK_32 < row & MASK_32, "registry: a parent is older than its child"
    assert royalty_bps != 0, "registry: a parent without royalty"
    count: uint256 = (row >> 72) & 255
    assert count < MAX_PARENTS, "registry: too many parents"
    for earlier: uint256 in range(count, bound=8):
        assert self.parents[asset][earlier] >> 16 != parent, "registry: parent named twice"
    royalties_bps: uint256 = (row >> 80) & MASK_16
    assert royalty_bps <= BPS and (
        royalties_bps + royalty_bps + ((row >> 96) & MASK_16) + FEE_CAP_BPS + self._floor_bps(asset)
        <= BPS
    ), "registry: royalties too high"
    self.parents[asset][count] = (parent << 16) | royalty_bps
    self.rows[asset] = row + (1 << 72) + (royalty_bps << 80)
    log ParentAdded(asset=asset, parent=parent, royalty_bps=royalty_bps)


@external
def renew_terms(asset: uint256, operator: address) -> uint256:
    """
    @notice Bind an operator to the parents that were added since its terms were written; all else stays as it is.
            Anyone may call it. Ends a discount, whose terms know no more parents than the old ones.
    @return The number of the new terms.
    """
    endpoint: uint256 = self.endpoints[asset][operator]
    assert endpoint & ACTIVE != 0, "registry: no such endpoint"
    terms: uint256 = (endpoint >> 216) & MASK_32
    terms_row: uint256 = self.terms_rows[asset][operator][terms]
    known: uint256 = (self.rows[asset] >> 72) & 255
    assert (terms_row >> 72) & 255 != known, "registry: the terms know every parent"
    renewed: uint256 = self._write_terms(
        asset, operator, terms, (terms_row & MASK_32) | (known << 72) | EXISTS
    )
    self.endpoints[asset][operator] = (endpoint & ~(MASK_32 << 216)) | (renewed << 216)
    log TermsRenewed(asset=asset, operator=operator, terms=renewed)
    return renewed


@external
def set_discount(
    asset: uint256, operator: address, discount_bps: uint256, min_locked: uint256
) -> uint256:
    """
    @notice Give whoever locked at least `min_locked` raw shares a lower price, out of the holders' part. 0 ends it.
    @dev A terms row of its own: every other part is divided by what is left of the price, rounded up.
    @return The number of its terms, 0 where it only ends one.
    """
    self._only_controller(asset)
    endpoint: uint256 = self.endpoints[asset][operator]
    assert endpoint & ACTIVE != 0, "registry: no such endpoint"
    last: uint256 = self._end_discount(asset, operator)
    if discount_bps == 0:
        return 0
    share: address = self.share_of[asset]
    assert share != empty(address), "registry: not tokenized"
    assert discount_bps < BPS and (
        discount_bps <= staticcall IShare(share).max_discount_bps()
    ), "registry: discount above the bound"
    assert min_locked != 0 and min_locked <= MASK_96, "registry: discount without a lock"
    terms: uint256 = (endpoint >> 216) & MASK_32
    terms_row: uint256 = self.terms_rows[asset][operator][terms]
    known: uint256 = (terms_row >> 72) & 255
    fee_bps: uint256 = self._raised(terms_row & MASK_16, discount_bps)
    cut_bps: uint256 = self._raised((terms_row >> 16) & MASK_16, discount_bps)
    spoken_for: uint256 = fee_bps + cut_bps
    for i: uint256 in range(known, bound=8):
        spoken_for += self._raised(self.parents[asset][i] & MASK_16, discount_bps)
    assert spoken_for + self._floor_bps(asset) <= BPS, "registry: discount leaves too little"
    terms = max(terms, last) + 1
    assert terms <= MASK_32, "registry: too many terms"
    self.terms_rows[asset][operator][terms] = (
        fee_bps | (cut_bps << 16) | (known << 72) | (discount_bps << 80) | EXISTS
    )
    self.discounts[asset][operator] = discount_bps | (terms << 16) | (min_locked << 48)
    log DiscountSet(
        asset=asset,
        operator=operator,
        terms=terms,
        discount_bps=discount_bps,
        min_locked=min_locked,
    )
    return terms


@internal
def _set_endpoint(asset: uint256, endpoint: EndpointTerms):
    price: Price = endpoint.price
    assert (
        price.per_call <= MAX_PRICE
        and price.per_1k_in <= MAX_PRICE
        and price.per_1k_out <= MAX_PRICE
    ), "registry: price too high"
    row: uint256 = self.rows[asset]
    royalties_bps: uint256 = (row >> 80) & MASK_16
    # The cap, not today's fee: the holders' floor must hold under every fee that the network may ever set.
    assert endpoint.cut_bps <= BPS and (
        endpoint.cut_bps + royalties_bps + FEE_CAP_BPS + self._floor_bps(asset) <= BPS
    ), "registry: cut leaves too little"
    if endpoint.cut_bps > (row >> 96) & MASK_16:
        self.rows[asset] = (row & ~(MASK_16 << 96)) | (endpoint.cut_bps << 96)
    fee_bps: uint256 = self.fee_bps
    terms: uint256 = (self.endpoints[asset][endpoint.operator] >> 216) & MASK_32
    terms_row: uint256 = fee_bps | (endpoint.cut_bps << 16) | (((row >> 72) & 255) << 72) | EXISTS
    if terms == 0 or self.terms_rows[asset][endpoint.operator][terms] != terms_row:
        terms = self._write_terms(asset, endpoint.operator, terms, terms_row)
    self.endpoints[asset][endpoint.operator] = (
        price.per_call
        | (price.per_1k_in << 72)
        | (price.per_1k_out << 144)
        | (terms << 216)
        | ACTIVE
    )
    log EndpointSet(
        asset=asset,
        operator=endpoint.operator,
        terms=terms,
        cut_bps=endpoint.cut_bps,
        fee_bps=fee_bps,
        price=price,
        url=endpoint.url,
    )


@internal
def _write_terms(asset: uint256, operator: address, terms: uint256, terms_row: uint256) -> uint256:
    """
    @dev Replace the operator's present terms, and end the discount that was made from them.
    @return The number of the new ones: above every number that the operator ever had here.
    """
    last: uint256 = terms
    if terms != 0:
        self._let_lapse(asset, operator, terms)
        last = max(terms, self._end_discount(asset, operator))
    assert last < MASK_32, "registry: too many terms"
    self.terms_rows[asset][operator][last + 1] = terms_row
    return last + 1


@internal
def _end_discount(asset: uint256, operator: address) -> uint256:
    """
    @return The number of its terms, or of the last there was; 0 where there never was one.
    """
    word: uint256 = self.discounts[asset][operator]
    terms: uint256 = (word >> 16) & MASK_32
    if word & MASK_16 != 0:
        self._let_lapse(asset, operator, terms)
        self.discounts[asset][operator] = terms << 16
        log DiscountSet(asset=asset, operator=operator, terms=terms, discount_bps=0, min_locked=0)
    return terms


@internal
@view
def _floor_bps(asset: uint256) -> uint256:
    share: address = self.share_of[asset]
    if share == empty(address):
        return 0
    return staticcall IShare(share).floor_bps()


@internal
@pure
def _raised(bps: uint256, discount_bps: uint256) -> uint256:
    """
    @dev Bps of a discounted price that are worth `bps` of the full one; rounded up, so that the holders bear it.
    """
    left_bps: uint256 = BPS - discount_bps
    return (bps * BPS + left_bps - 1) // left_bps


@internal
def _let_lapse(asset: uint256, operator: address, terms: uint256):
    """
    @dev Without this an operator that was dismissed could go on under its old cut for as long as payers sign for it.
    """
    row: uint256 = self.terms_rows[asset][operator][terms]
    if row != 0 and (row >> 32) & MASK_40 == 0:
        self.terms_rows[asset][operator][terms] = row | ((block.timestamp + TERMS_GRACE) << 32)


# --- Ownership ------------------------------------------------------------------------------------------------------


@external
def tokenize(asset: uint256, request: Tokenization) -> address:
    """
    @notice Make the asset's Share, once. From then on its revenue belongs to the holders, and the Governor decides
            about it.
    @param request `supply` in raw units, in [10^18, 2^96); `period` in seconds; the holders' part of what is settled
           never falls below `floor_bps`, and governance never gives a discount above `max_discount_bps`.
    @return The Share.
    """
    assert self.share_of[asset] == empty(address), "registry: tokenized already"
    self._only_controller(asset)
    assert (
        request.supply >= MIN_SUPPLY and request.supply <= MAX_SUPPLY
    ), "registry: supply out of range"
    assert request.period != 0 and request.period <= MAX_PERIOD, "registry: period out of range"
    assert len(request.name) != 0 and len(request.symbol) != 0, "registry: name or symbol is empty"
    assert request.max_discount_bps <= BPS, "registry: discount out of range"
    row: uint256 = self.rows[asset]
    # Terms already written stay good for ever, so the floor must hold under the dearest of them.
    spoken_for: uint256 = ((row >> 80) & MASK_16) + ((row >> 96) & MASK_16) + FEE_CAP_BPS
    assert request.floor_bps <= BPS and (
        request.floor_bps + spoken_for <= BPS
    ), "registry: floor above what terms leave"
    share: address = clones._clone(
        SHARE_IMPLEMENTATION,
        concat(
            convert(
                request.supply
                | (request.period << 96)
                | (request.floor_bps << 128)
                | (request.max_discount_bps << 144),
                bytes32,
            ),
            convert(asset, bytes32),
            self._padded(request.name),
            self._padded(request.symbol),
        ),
        convert(asset, bytes32),
    )
    self.share_of[asset] = share
    extcall IShare(share).initialize(request.receiver)
    log Tokenized(
        asset=asset,
        share=share,
        receiver=request.receiver,
        supply=request.supply,
        floor_bps=request.floor_bps,
        max_discount_bps=request.max_discount_bps,
        period=request.period,
    )
    log ControlHandedOver(asset=asset, controller=GOVERNOR)
    return share


@internal
@pure
def _padded(text: String[32]) -> bytes32:
    """
    @dev The text's bytes, zeros behind. Readers stop at the first zero.
    """
    digits: uint256 = convert(convert(text, Bytes[32]), uint256)
    return convert(digits << (8 * (32 - len(text))), bytes32)


# --- The network's owner --------------------------------------------------------------------------------------------


@external
def set_network(fee_bps: uint256, commons: address, validators: address):
    """
    @notice Set the fee of terms yet to be written, and who receives the two halves of every fee.
    """
    assert msg.sender == self.owner, "registry: only the network's owner"
    assert fee_bps <= FEE_CAP_BPS, "registry: fee above the cap"
    assert commons != empty(address) and validators != empty(address), "registry: zero address"
    self.fee_bps = fee_bps
    self.commons = commons
    self.validators = validators
    log NetworkSet(fee_bps=fee_bps, commons=commons, validators=validators)


@external
def nominate_owner(nominee: address):
    """
    @notice First of two steps to a new owner of the network.
    """
    assert msg.sender == self.owner, "registry: only the network's owner"
    self.nominated_owner = nominee
    log OwnerNominated(nominee=nominee)


@external
def accept_ownership():
    """
    @notice Second step, by the one nominated.
    """
    assert msg.sender == self.nominated_owner, "registry: not nominated"
    self.owner = msg.sender
    self.nominated_owner = empty(address)
    log OwnerChanged(owner=msg.sender)


@external
def rescue(token: address) -> uint256:
    """
    @notice Send a token that was sent to this contract by mistake to the network's owner.
    """
    return rescues._rescue(token, self.owner)


# --- Views ----------------------------------------------------------------------------------------------------------


@external
@view
@reentrant
def terms_of(asset: uint256, operator: address, terms: uint256) -> (uint256, uint256, uint256):
    """
    @return Fee bps, cut bps, and when the cut lapses (0 while the terms are the operator's present ones).
    """
    row: uint256 = self._terms_row(asset, operator, terms)
    lapses: uint256 = (self.terms_rows[asset][operator][terms] >> 32) & MASK_40
    return row & MASK_16, (row >> 16) & MASK_16, lapses


@external
@view
@reentrant
def name() -> String[14]:
    return "Tessera Assets"


@external
@view
@reentrant
def symbol() -> String[7]:
    return "TESSERA"


@external
@view
@reentrant
def asset_id(creator: address, root: bytes32, salt: bytes32) -> uint256:
    """
    @notice The id that `creator` would get for this content. Below 2^240.
    """
    return self._asset_id(creator, root, salt)


@external
@view
@reentrant
def controller_of(asset: uint256) -> address:
    """
    @notice Who decides about the asset: its owner, or the Governor once it has a Share.
    """
    return self._controller_of(asset)


@external
@view
@reentrant
def asset_row(asset: uint256) -> (uint256, Kind, uint256, uint256, uint256):
    """
    @return Registration number, kind, versions, royalties of all parents in bps, and when it was registered.
    """
    row: uint256 = self.rows[asset]
    assert row != 0, "registry: no such asset"
    return (
        row & MASK_32,
        convert((row >> 32) & 255, Kind),
        (row >> 40) & MASK_32,
        (row >> 80) & MASK_16,
        (row >> 112) & MASK_40,
    )


@external
@view
@reentrant
def root_of(asset: uint256, version: uint256) -> bytes32:
    """
    @notice Content root of a version; version 0 means the newest.
    """
    number: uint256 = version
    if number == 0:
        number = (self.rows[asset] >> 40) & MASK_32
    root: bytes32 = self.roots[asset][number]
    assert root != empty(bytes32), "registry: no such version"
    return root


@external
@view
@reentrant
def parents_of(asset: uint256) -> DynArray[Parent, 8]:
    """
    @notice Parents with their royalties: those of registration, then those that were added. None ever changes.
    """
    found: DynArray[Parent, 8] = []
    for i: uint256 in range((self.rows[asset] >> 72) & 255, bound=8):
        word: uint256 = self.parents[asset][i]
        found.append(Parent(asset=word >> 16, royalty_bps=word & MASK_16))
    return found


@external
@view
@reentrant
def endpoint_of(asset: uint256, operator: address) -> (bool, uint256, uint256, uint256, Price):
    """
    @return Whether the operator is listed, its present terms number, fee bps and cut bps under it, and the price.
    """
    word: uint256 = self.endpoints[asset][operator]
    terms: uint256 = (word >> 216) & MASK_32
    terms_row: uint256 = self._terms_row(asset, operator, terms)
    return (
        word & ACTIVE != 0,
        terms,
        terms_row & MASK_16,
        (terms_row >> 16) & MASK_16,
        Price(
            per_call=word & MASK_72,
            per_1k_in=(word >> 72) & MASK_72,
            per_1k_out=(word >> 144) & MASK_72,
        ),
    )


@external
@view
@reentrant
def discount_of(asset: uint256, operator: address) -> (uint256, uint256, uint256):
    """
    @return Discount in bps, the number of its terms, and the raw shares that a payer must have locked; zeros for none.
    """
    word: uint256 = self.discounts[asset][operator]
    if word & MASK_16 == 0:
        return 0, 0, 0
    return word & MASK_16, (word >> 16) & MASK_32, word >> 48


@external
@view
@reentrant
def largest_cut_of(asset: uint256) -> uint256:
    """
    @notice The largest cut, in bps, that any operator of the asset was ever listed with.
    """
    return (self.rows[asset] >> 96) & MASK_16


@external
@view
@reentrant
def governor() -> address:
    return GOVERNOR


@external
@view
@reentrant
def split_of(
    asset: uint256, operator: address, terms: uint256
) -> (uint256, uint256, DynArray[uint256, 8], address, address):
    """
    @notice Everything that Channels needs to split a payment.
    @dev One call instead of five. Terms 0 are an unlisted operator's: the default fee, no cut, and the parents of
         registration.
    @return Fee bps, cut bps, parents as asset << 16 | royalty bps, and who gets the two halves of the fee.
    """
    terms_row: uint256 = self._terms_row(asset, operator, terms)
    discount_bps: uint256 = (terms_row >> 80) & MASK_16
    royalties: DynArray[uint256, 8] = []
    for i: uint256 in range((terms_row >> 72) & 255, bound=8):
        royalty: uint256 = self.parents[asset][i]
        if discount_bps != 0:
            royalty = (royalty & ~MASK_16) | self._raised(royalty & MASK_16, discount_bps)
        royalties.append(royalty)
    return terms_row & MASK_16, (
        terms_row >> 16
    ) & MASK_16, royalties, self.commons, self.validators


@internal
@view
def _terms_row(asset: uint256, operator: address, terms: uint256) -> uint256:
    if terms == 0:
        asset_row: uint256 = self.rows[asset]
        assert asset_row != 0, "registry: no such asset"
        return DEFAULT_FEE_BPS | ((asset_row >> 152) << 72)
    row: uint256 = self.terms_rows[asset][operator][terms]
    assert row != 0, "registry: no such terms"
    lapses: uint256 = (row >> 32) & MASK_40
    if lapses != 0 and block.timestamp >= lapses:
        return row & ~(MASK_16 << 16)
    return row


@internal
@view
def _asset_id(creator: address, root: bytes32, salt: bytes32) -> uint256:
    digest: bytes32 = keccak256(abi_encode(chain.id, self, creator, root, salt))
    return convert(digest, uint256) >> 16


@internal
@view
def _controller_of(asset: uint256) -> address:
    if self.share_of[asset] != empty(address):
        return GOVERNOR
    return erc721._owner_of(asset)


@internal
@view
def _only_controller(asset: uint256):
    assert msg.sender == self._controller_of(asset), "registry: only the asset's controller"
