# pragma version 0.4.3
# pragma evm-version cancun
# pragma nonreentrancy on
"""
@title Orders
@license Apache-2.0
@notice Limit orders for what trades too seldom for a pool: signed off chain, filled on chain in parts, cancelled one by
        one or all at once. Shares and Access tokens against the currency, at a fixed price.
@dev Nothing is ever held here: a fill moves both sides straight between maker and taker, within what they approved.
     The book is public without a server: `list` writes a signed order into an event, once its signature was checked.
     Where the token is an Access, its creator's royalty (EIP-2981) comes out of what the seller gets. Every part of a
     fill is rounded against the taker. Twin: `tessera.spec.orders`.
@custom:security A maker risks what was signed and approved, at no worse price, to nobody but the taker if one is named,
     until it expires or is cancelled; cancelling is final, also for signatures that nobody saw yet. A listed order may
     be unfunded: the fill then fails as a whole. Only tokens that the Registry or the Storefront made are traded, so no
     token's own code runs here but ours and the currency's. A sale outside of here pays no royalty.
@custom:invariant conserved, settled_once
@custom:pause Nothing here can be paused.
"""
from ethereum.ercs import IERC20
from .modules import signatures


interface IRegistry:
    def share_of(asset: uint256) -> address: view


interface IStorefront:
    def is_access(token: address) -> bool: view


interface IShare:
    def asset() -> uint256: view


interface IAccess:
    def royaltyInfo(token_id: uint256, sale_price: uint256) -> (address, uint256): view


# The maker gives up to `sell_amount` of `sell` and gets at least `buy_amount` of `buy` for all of it.
struct Order:
    maker: address
    sell: address
    sell_amount: uint256
    buy: address
    buy_amount: uint256
    taker: address
    series: uint256
    salt: bytes32
    expires: uint256


event Listed:
    maker: indexed(address)
    token: indexed(address)
    digest: indexed(bytes32)
    order: Order
    r: uint256
    vs: uint256


event Filled:
    maker: indexed(address)
    taker: indexed(address)
    digest: indexed(bytes32)
    sold: uint256
    paid: uint256
    royalty: uint256


event Cancelled:
    maker: indexed(address)
    digest: indexed(bytes32)


event SeriesCancelled:
    maker: indexed(address)
    series: uint256


NAME_HASH: constant(bytes32) = keccak256("Tessera Orders")
VERSION_HASH: constant(bytes32) = keccak256("1")
ORDER_TYPEHASH: constant(bytes32) = keccak256(
    "Order(address maker,address sell,uint256 sell_amount,address buy,uint256 buy_amount,address taker,uint256 series,bytes32 salt,uint256 expires)"
)
MAX_AMOUNT: constant(uint256) = 2**128 - 1

CURRENCY: immutable(address)
REGISTRY: immutable(address)
STOREFRONT: immutable(address)
CACHED_CHAIN_ID: immutable(uint256)
CACHED_DOMAIN: immutable(bytes32)

# Of `sell_amount`, by the digest of the order; 2^256 - 1 once it is cancelled.
filled: public(HashMap[bytes32, uint256])
# Orders of earlier series count no more.
series_of: public(HashMap[address, uint256])


@deploy
def __init__(currency: address, registry: address, storefront: address):
    CURRENCY = currency
    REGISTRY = registry
    STOREFRONT = storefront
    CACHED_CHAIN_ID = chain.id
    CACHED_DOMAIN = signatures._domain_separator(NAME_HASH, VERSION_HASH)


@external
def list(order: Order, r: uint256, vs: uint256) -> bytes32:
    """
    @notice Publish a signed order. Anyone may; it must be one that could be filled, funds aside.
    @return The order's digest.
    """
    digest: bytes32 = self._checked(order, r, vs)
    assert self.filled[digest] < order.sell_amount, "orders: filled or cancelled"
    log Listed(
        maker=order.maker,
        token=order.buy if order.sell == CURRENCY else order.sell,
        digest=digest,
        order=order,
        r=r,
        vs=vs,
    )
    return digest


@external
def fill(
    order: Order,
    r: uint256,
    vs: uint256,
    amount: uint256,
    most_paid: uint256,
    receiver: address = msg.sender,
) -> uint256:
    """
    @notice Take `amount` of what the maker sells, for `receiver`, and pay for it from the caller's account.
    @param most_paid The most of the other token that the caller gives.
    @return What the caller gave, rounded up.
    """
    digest: bytes32 = self._checked(order, r, vs)
    assert order.taker == empty(address) or order.taker == msg.sender, "orders: for another taker"
    # Who trades alone would write prices that nobody paid.
    assert msg.sender != order.maker, "orders: maker and taker are one"
    done: uint256 = self.filled[digest]
    assert done < order.sell_amount, "orders: filled or cancelled"
    assert amount != 0 and amount <= order.sell_amount - done, "orders: not that much left"
    paid: uint256 = self._cost(order, amount)
    assert paid <= most_paid, "orders: dearer than the limit"
    self.filled[digest] = done + amount
    royalty: uint256 = 0
    till: address = empty(address)
    if order.sell == CURRENCY:
        # The taker sells a token; the royalty comes out of the money that the taker gets.
        if staticcall IStorefront(STOREFRONT).is_access(order.buy):
            till, royalty = staticcall IAccess(order.buy).royaltyInfo(0, amount)
        log Filled(
            maker=order.maker,
            taker=msg.sender,
            digest=digest,
            sold=amount,
            paid=paid,
            royalty=royalty,
        )
        self._move(order.buy, msg.sender, order.maker, paid)
        self._move(CURRENCY, order.maker, till, royalty)
        self._move(CURRENCY, order.maker, receiver, amount - royalty)
    else:
        # The maker sells a token; the royalty comes out of the money that the maker gets.
        if staticcall IStorefront(STOREFRONT).is_access(order.sell):
            till, royalty = staticcall IAccess(order.sell).royaltyInfo(0, paid)
        log Filled(
            maker=order.maker,
            taker=msg.sender,
            digest=digest,
            sold=amount,
            paid=paid,
            royalty=royalty,
        )
        self._move(CURRENCY, msg.sender, till, royalty)
        self._move(CURRENCY, msg.sender, order.maker, paid - royalty)
        self._move(order.sell, order.maker, receiver, amount)
    return paid


@external
def cancel(order: Order):
    """
    @notice End one order for good. The maker only; its signature is not needed.
    """
    assert msg.sender == order.maker, "orders: only the maker"
    digest: bytes32 = self._digest(order)
    self.filled[digest] = max_value(uint256)
    log Cancelled(maker=msg.sender, digest=digest)


@external
def cancel_series() -> uint256:
    """
    @notice End all orders of the caller that were signed for the present series, listed or not.
    @return The series that new orders must name.
    """
    series: uint256 = self.series_of[msg.sender] + 1
    self.series_of[msg.sender] = series
    log SeriesCancelled(maker=msg.sender, series=series)
    return series


@internal
@view
def _checked(order: Order, r: uint256, vs: uint256) -> bytes32:
    """
    @return The order's digest, once its signature, time, series, amounts and tokens were found good.
    """
    assert block.timestamp <= order.expires, "orders: expired"
    assert order.series == self.series_of[order.maker], "orders: of a cancelled series"
    assert (
        order.sell_amount != 0
        and order.sell_amount <= MAX_AMOUNT
        and order.buy_amount != 0
        and order.buy_amount <= MAX_AMOUNT
    ), "orders: amount out of range"
    assert (order.sell == CURRENCY) != (
        order.buy == CURRENCY
    ), "orders: one side must be the currency"
    token: address = order.buy if order.sell == CURRENCY else order.sell
    assert self._is_ours(token), "orders: no such share or access"
    digest: bytes32 = self._digest(order)
    signer: address = signatures._recover_compact(digest, r, vs)
    assert (signer != empty(address) and signer == order.maker), "orders: not signed by the maker"
    return digest


@internal
@view
def _is_ours(token: address) -> bool:
    if staticcall IStorefront(STOREFRONT).is_access(token):
        return True
    if not token.is_contract:
        return False
    # A stranger's contract may name any asset; the Registry says which token is that asset's Share.
    answered: bool = False
    answer: Bytes[32] = b""
    answered, answer = raw_call(
        token,
        method_id("asset()"),
        max_outsize=32,
        is_static_call=True,
        revert_on_failure=False,
    )
    if not answered or len(answer) != 32:
        return False
    return staticcall IRegistry(REGISTRY).share_of(convert(answer, uint256)) == token


@internal
def _move(token: address, sender: address, receiver: address, amount: uint256):
    if amount != 0 and sender != receiver:
        before: uint256 = staticcall IERC20(token).balanceOf(receiver)
        assert extcall IERC20(token).transferFrom(
            sender, receiver, amount, default_return_value=True
        ), "orders: token refused the transfer"
        assert (
            staticcall IERC20(token).balanceOf(receiver) - before == amount
        ), "orders: token takes a fee"


# --- Views ----------------------------------------------------------------------------------------------------------


@external
@view
@reentrant
def digest_of(order: Order) -> bytes32:
    """
    @notice What the maker signs; the order's name in events.
    """
    return self._digest(order)


@external
@view
@reentrant
def left_of(order: Order) -> uint256:
    """
    @notice What can still be filled of an order, its signature and funds aside; 0 if it is cancelled or expired.
    """
    if block.timestamp > order.expires or order.series != self.series_of[order.maker]:
        return 0
    done: uint256 = self.filled[self._digest(order)]
    return order.sell_amount - done if done < order.sell_amount else 0


@external
@view
@reentrant
def preview_fill(order: Order, amount: uint256) -> (uint256, uint256):
    """
    @return What a fill would cost the taker, and the royalty that the seller would pay, both rounded up.
    """
    paid: uint256 = self._cost(order, amount)
    royalty: uint256 = 0
    till: address = empty(address)
    token: address = order.buy if order.sell == CURRENCY else order.sell
    if staticcall IStorefront(STOREFRONT).is_access(token):
        till, royalty = staticcall IAccess(token).royaltyInfo(
            0, amount if order.sell == CURRENCY else paid
        )
    return paid, royalty


@external
@view
@reentrant
def DOMAIN_SEPARATOR() -> bytes32:
    return self._domain_separator()


@external
@view
@reentrant
def eip712Domain() -> (
    bytes1, String[14], String[1], uint256, address, bytes32, DynArray[uint256, 1]
):
    """
    @notice EIP-5267: which fields the domain has (name, version, chain id, contract) and their values.
    """
    return 0x0f, "Tessera Orders", "1", chain.id, self, empty(bytes32), []


@internal
@pure
def _cost(order: Order, amount: uint256) -> uint256:
    """
    @dev Rounded up: in however many parts an order is filled, the taker gives at least the price. What a seller of
         Access gets is less by the royalty, which each part rounds up to a base unit for the Till: a hundred units for
         a hundred base units, filled one by one, leave nothing of them.
    """
    return (amount * order.buy_amount + order.sell_amount - 1) // order.sell_amount


@internal
@view
def _digest(order: Order) -> bytes32:
    return signatures._typed_digest(
        self._domain_separator(), keccak256(abi_encode(ORDER_TYPEHASH, order))
    )


@internal
@view
def _domain_separator() -> bytes32:
    if chain.id == CACHED_CHAIN_ID:
        return CACHED_DOMAIN
    return signatures._domain_separator(NAME_HASH, VERSION_HASH)
