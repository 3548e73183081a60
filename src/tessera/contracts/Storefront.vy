# pragma version 0.4.3
# pragma evm-version cancun
# pragma nonreentrancy on
"""
@title Storefront
@license Apache-2.0
@notice Makes products: an Access token for each right to use an asset that somebody may sell.
@dev Who may use the asset for what is the controller's to say: its owner before tokenization; after it the Governor,
     which makes a product that the holders voted for with all its terms. They are in its clone's code, so they never
     change; another price is another product. The operator must be listed when the product is made, and what is sold
     is split under the terms it had then.
@custom:security Holds nothing and moves nothing. Only what `is_access` knows was made here; a clone of the same code
     with arguments of somebody else's choice is not.
@custom:pause Nothing here can be paused.
"""
from .modules import clones


interface IRegistry:
    def controller_of(asset: uint256) -> address: view
    def endpoint_of(asset: uint256, operator: address) -> (
        bool, uint256, uint256, uint256, Price
    ): view


interface IChannels:
    def till_of(asset: uint256, operator: address, terms: uint256) -> address: view


# What a unit is worth: calls, seconds, or the right for good.
flag Kind:
    COUNT
    PERIOD
    PERPETUAL


struct Price:
    per_call: uint256
    per_1k_in: uint256
    per_1k_out: uint256


struct Product:
    operator: address
    kind: Kind
    price: uint256
    per_unit: uint256
    cap: uint256
    most_per_account: uint256
    serve_window: uint256
    royalty_bps: uint256
    scope: uint256
    newest_version: uint256
    document: bytes32
    license: String[32]
    name: String[32]
    symbol: String[32]


event ProductCreated:
    asset: indexed(uint256)
    access: indexed(address)
    operator: indexed(address)
    terms: uint256
    product: Product


MAX_PRICE: constant(uint256) = 2**96 - 1
MAX_CAP: constant(uint256) = 2**64 - 1
MAX_PER_UNIT: constant(uint256) = 2**40 - 1
MAX_VERSION: constant(uint256) = 2**32 - 1
MAX_SERVE_WINDOW: constant(uint256) = 90 * 86_400
MAX_ROYALTY_BPS: constant(uint256) = 5_000
# Inference 1, download 2, commercial use 4, derivatives 8.
MAX_SCOPE: constant(uint256) = 15

REGISTRY: immutable(address)
CHANNELS: immutable(address)
ACCESS_IMPLEMENTATION: immutable(address)

# Makes the address of every clone different, even with equal terms.
count: public(uint256)
# 0 for an address that is no product of ours; no asset has that number.
asset_of: public(HashMap[address, uint256])


@deploy
def __init__(registry: address, channels: address, access_implementation: address):
    REGISTRY = registry
    CHANNELS = channels
    ACCESS_IMPLEMENTATION = access_implementation


@external
def create(asset: uint256, product: Product) -> address:
    """
    @notice Make a product: an ERC-20 whose units are rights to use the asset. Only the asset's controller.
    @param product `price` in base units for one unit, 0 for a free product, which must be limited for each account;
           `per_unit` calls (COUNT) or seconds (PERIOD) that a unit is good for, 0 for PERPETUAL; `cap` units in all;
           `most_per_account` units, 0 for no limit; `serve_window` seconds in which the operator must prove service or
           the money goes back; `royalty_bps` of what a unit or a rent is resold for; `scope` bits; `newest_version`
           that is covered, 0 for all; `document` the hash of the licence's text.
    @return The product's token.
    """
    assert msg.sender == staticcall IRegistry(REGISTRY).controller_of(
        asset
    ), "storefront: only the asset's controller"
    kind: uint256 = convert(product.kind, uint256)
    assert kind != 0 and kind & (kind - 1) == 0, "storefront: kind is not one kind"
    assert product.price <= MAX_PRICE, "storefront: price out of range"
    assert (product.per_unit == 0) == (
        product.kind == Kind.PERPETUAL
    ) and product.per_unit <= MAX_PER_UNIT, "storefront: what a unit is good for is out of range"
    assert product.cap != 0 and product.cap <= MAX_CAP, "storefront: cap out of range"
    assert product.most_per_account <= product.cap and (
        product.price != 0 or product.most_per_account != 0
    ), "storefront: limit for each account out of range"
    assert (
        product.serve_window != 0 and product.serve_window <= MAX_SERVE_WINDOW
    ), "storefront: serve window out of range"
    assert product.royalty_bps <= MAX_ROYALTY_BPS, "storefront: royalty out of range"
    assert product.scope != 0 and product.scope <= MAX_SCOPE, "storefront: scope out of range"
    assert product.newest_version <= MAX_VERSION, "storefront: version out of range"
    assert (
        product.document != empty(bytes32) and len(product.license) != 0
    ), "storefront: no licence"
    assert (
        len(product.name) != 0 and len(product.symbol) != 0
    ), "storefront: name or symbol is empty"
    listed: bool = False
    terms: uint256 = 0
    fee_bps: uint256 = 0
    cut_bps: uint256 = 0
    price: Price = empty(Price)
    listed, terms, fee_bps, cut_bps, price = staticcall IRegistry(REGISTRY).endpoint_of(
        asset, product.operator
    )
    assert listed, "storefront: operator is not listed"
    till: address = staticcall IChannels(CHANNELS).till_of(asset, product.operator, terms)
    self.count += 1
    access: address = clones._clone(
        ACCESS_IMPLEMENTATION,
        concat(
            convert(asset | (kind << 240) | (product.scope << 248), bytes32),
            convert(
                convert(product.operator, uint256)
                | (terms << 160)
                | (product.newest_version << 192)
                | (product.royalty_bps << 224),
                bytes32,
            ),
            convert(
                product.price
                | (product.per_unit << 96)
                | (product.cap << 160)
                | (product.serve_window << 224),
                bytes32,
            ),
            product.document,
            self._padded(product.license),
            self._padded(product.name),
            self._padded(product.symbol),
            convert(convert(till, uint256) | (product.most_per_account << 160), bytes32),
        ),
        convert(self.count, bytes32),
    )
    self.asset_of[access] = asset
    log ProductCreated(
        asset=asset, access=access, operator=product.operator, terms=terms, product=product
    )
    return access


@internal
@pure
def _padded(text: String[32]) -> bytes32:
    """
    @dev The text's bytes, zeros behind. Readers stop at the first zero.
    """
    digits: uint256 = convert(convert(text, Bytes[32]), uint256)
    return convert(digits << (8 * (32 - len(text))), bytes32)


@external
@view
@reentrant
def is_access(token: address) -> bool:
    """
    @notice Whether a token was made here.
    """
    return self.asset_of[token] != 0
