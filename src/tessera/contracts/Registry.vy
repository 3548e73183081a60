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
@custom:security The network's owner (a timelock in production) sets the network fee of terms yet to be written, up to
     5 %, and names who receives it. It cannot touch an asset, a balance, or terms that exist.
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
MASK_72: constant(uint256) = 2**72 - 1
MASK_32: constant(uint256) = 2**32 - 1
MASK_16: constant(uint256) = 2**16 - 1
MASK_40: constant(uint256) = 2**40 - 1
ACTIVE: constant(uint256) = 2**255
EXISTS: constant(uint256) = 2**255

SHARE_IMPLEMENTATION: immutable(address)
TERMS_GRACE: immutable(uint256)

owner: public(address)
nominated_owner: public(address)
commons: public(address)
validators: public(address)
fee_bps: public(uint256)
asset_count: public(uint256)

# number (32) | kind (8) | versions (32) | parents (8) | royalties bps (16) | largest cut ever listed, bps (16) | registered (40)
rows: HashMap[uint256, uint256]
contributions_of: public(HashMap[uint256, bytes32])
# asset (240) << 16 | royalty bps (16)
parents: HashMap[uint256, HashMap[uint256, uint256]]
roots: HashMap[uint256, HashMap[uint256, bytes32]]
# price per call (72) | per 1k in (72) | per 1k out (72) | terms (32) | - | active (1)
endpoints: HashMap[uint256, HashMap[address, uint256]]
# fee bps (16) | cut bps (16) | when the cut lapses (40), 0 while these are the present terms | - | exists (1)
terms_rows: HashMap[uint256, HashMap[address, HashMap[uint256, uint256]]]
share_of: public(HashMap[uint256, address])
handed_to: HashMap[uint256, address]


@deploy
def __init__(share_implementation: address, owner: address, commons: address, terms_grace: uint256):
    """
    @param share_implementation What every Share is a clone of.
    @param owner Sets the network fee and its receivers; a timelock in production.
    @param commons Receives the commons half of the network fee.
    @param terms_grace Seconds in which an operator can still settle with its cut after its terms were replaced.
    """
    assert terms_grace <= MAX_PERIOD, "registry: grace out of range"
    assert owner != empty(address) and commons != empty(address), "registry: zero address"
    SHARE_IMPLEMENTATION = share_implementation
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
    log EndpointClosed(asset=asset, operator=operator)


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
    floor_bps: uint256 = 0
    share: address = self.share_of[asset]
    if share != empty(address):
        floor_bps = staticcall IShare(share).floor_bps()
    assert endpoint.cut_bps <= BPS and (
        endpoint.cut_bps + royalties_bps + FEE_CAP_BPS + floor_bps <= BPS
    ), "registry: cut leaves too little"
    if endpoint.cut_bps > (row >> 96) & MASK_16:
        self.rows[asset] = (row & ~(MASK_16 << 96)) | (endpoint.cut_bps << 96)
    fee_bps: uint256 = self.fee_bps
    terms: uint256 = (self.endpoints[asset][endpoint.operator] >> 216) & MASK_32
    terms_row: uint256 = fee_bps | (endpoint.cut_bps << 16) | EXISTS
    if terms == 0 or self.terms_rows[asset][endpoint.operator][terms] != terms_row:
        self._let_lapse(asset, endpoint.operator, terms)
        terms += 1
        assert terms <= MASK_32, "registry: too many terms"
        self.terms_rows[asset][endpoint.operator][terms] = terms_row
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
    @notice Make the asset's Share, once. From then on its revenue belongs to the holders.
    @param request `supply` in raw units, in [10^18, 2^96); `period` in seconds; the holders' part of what is settled
           never falls below `floor_bps`, and governance never gives a discount above `max_discount_bps`.
    @return The Share.
    """
    self._only_controller(asset)
    assert self.share_of[asset] == empty(address), "registry: tokenized already"
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
    return share


@external
def hand_over(asset: uint256, controller: address):
    """
    @notice Hand control of a tokenized asset to a contract of its holders. Once, and never back.
    """
    self._only_controller(asset)
    assert self.share_of[asset] != empty(address), "registry: not tokenized"
    assert self.handed_to[asset] == empty(address), "registry: handed over already"
    assert controller.is_contract, "registry: controller is not a contract"
    self.handed_to[asset] = controller
    log ControlHandedOver(asset=asset, controller=controller)


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
    @notice Who decides about the asset: its owner, or the contract that control was handed to.
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
        row >> 112,
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
    @notice Parents with their royalties, frozen when the asset was registered.
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
def split_of(
    asset: uint256, operator: address, terms: uint256
) -> (uint256, uint256, DynArray[uint256, 8], address, address):
    """
    @notice Everything that Channels needs to split a payment.
    @dev One call instead of five. Terms 0 are an unlisted operator's: the default fee and no cut.
    @return Fee bps, cut bps, parents as asset << 16 | royalty bps, and who gets the two halves of the fee.
    """
    row: uint256 = self.rows[asset]
    assert row != 0, "registry: no such asset"
    terms_row: uint256 = self._terms_row(asset, operator, terms)
    royalties: DynArray[uint256, 8] = []
    for i: uint256 in range((row >> 72) & 255, bound=8):
        royalties.append(self.parents[asset][i])
    return terms_row & MASK_16, (
        terms_row >> 16
    ) & MASK_16, royalties, self.commons, self.validators


@internal
@view
def _terms_row(asset: uint256, operator: address, terms: uint256) -> uint256:
    if terms == 0:
        return DEFAULT_FEE_BPS
    row: uint256 = self.terms_rows[asset][operator][terms]
    assert row != 0, "registry: no such terms"
    lapses: uint256 = (row >> 32) & MASK_40
    if lapses != 0 and block.timestamp >= lapses:
        return row & MASK_16
    return row


@internal
@view
def _asset_id(creator: address, root: bytes32, salt: bytes32) -> uint256:
    digest: bytes32 = keccak256(abi_encode(chain.id, self, creator, root, salt))
    return convert(digest, uint256) >> 16


@internal
@view
def _controller_of(asset: uint256) -> address:
    controller: address = self.handed_to[asset]
    if controller == empty(address):
        controller = erc721._owner_of(asset)
    return controller


@internal
@view
def _only_controller(asset: uint256):
    assert msg.sender == self._controller_of(asset), "registry: only the asset's controller"
