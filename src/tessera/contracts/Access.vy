# pragma version 0.4.3
# pragma evm-version cancun
# pragma nonreentrancy on
"""
@title Access
@license Apache-2.0
@notice The right to use an asset, as a token: bought at one price, traded like any ERC-20, redeemed for an order that
        the operator's gateway honours. If the operator never serves, the buyer takes the money back.
@dev One clone for each product; its terms are in its code. A unit is whole (0 decimals), because a unit is what an
     order is made of and nothing smaller can be redeemed. All units of a product have one price, so all are alike and
     each is backed by that price here, until an order made of it was served or given up. Orders are numbered records:
     `redeem` burns units and writes one. An order is proved by one use that its owner signed, which the operator
     hands in with the hash of the answer; then its money may flow to the Till of (asset, operator, terms), and from
     there as all income does. Twin: `tessera.spec.access`.
@custom:security The operator's word is the proof's other half: a signed request shows that the owner asked, the hash of
     the answer is what the operator stakes its name on. One use proves the whole order, also a pack of many calls.
     An order is proved within the window or refunded after it, never both: the two times do not meet. Units that are
     never redeemed stay backed and never become income. A royalty is paid where a unit changes hands through Orders or
     an order is rented out here; a plain transfer pays none and cannot be made to.
     Currency on top of what backs units is income of the asset; units sent to this contract are lost to their sender.
@custom:invariant solvent, conserved, settled_once, escrow_until_final, can_always_claim
@custom:pause The controller can stop and resume sales. Nobody can stop a redemption, a refund or a rent.
"""
from ethereum.ercs import IERC20
from .modules import allowances
from .modules import clones
from .modules import erc20
from .modules import signatures

initializes: allowances
initializes: erc20[allowances := allowances]
exports: (
    allowances.approve,
    allowances.allowance,
    allowances.nonces,
    erc20.balanceOf,
    erc20.totalSupply,
    erc20.transfer,
    erc20.transferFrom,
)


interface IRegistry:
    def controller_of(asset: uint256) -> address: view


interface IChannels:
    def flush_till(asset: uint256, operator: address, terms: uint256) -> uint256: nonpayable


# A request that the owner of an order signed, and the hash of the answer that the operator gave.
struct Use:
    order: uint256
    call: bytes16
    request: bytes32
    deadline: uint256
    response: bytes32
    r: uint256
    vs: uint256


# `user` may use the order now, until `user_until`; `calls` and times are 2^64 - 1 and 2^40 - 1 where nothing ends them.
struct OrderView:
    owner: address
    user: address
    units: uint256
    ordered_at: uint256
    valid_until: uint256
    user_until: uint256
    calls: uint256
    proved: bool
    void: bool


struct Terms:
    asset: uint256
    operator: address
    terms: uint256
    kind: uint256
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
    till: address


event Bought:
    buyer: indexed(address)
    receiver: indexed(address)
    amount: uint256
    cost: uint256


event Ordered:
    order: indexed(uint256)
    owner: indexed(address)
    units: uint256


event Proved:
    order: indexed(uint256)
    call: bytes16
    request: bytes32
    response: bytes32


event UseSkipped:
    order: indexed(uint256)
    call: bytes16


event Refunded:
    order: indexed(uint256)
    owner: indexed(address)
    receiver: address
    amount: uint256
    declined: bool


event RentOffered:
    order: indexed(uint256)
    daily_price: uint256
    most_seconds: uint256


event Rented:
    order: indexed(uint256)
    renter: indexed(address)
    until: uint256
    cost: uint256
    royalty: uint256


event SaleSwitched:
    on: bool


# Arguments of the clone: 0 asset (240) | kind (8) | scope (8), 1 operator (160) | terms (32) | newest version (32) |
# royalty bps (32), 2 price (96) | calls or seconds for each unit (64) | cap (64) | serve window (32), 3 hash of the
# licence's text, 4 its short name, 5 name, 6 symbol, 7 till (160) | most for each account (64).
COUNT: constant(uint256) = 1
PERIOD: constant(uint256) = 2
BPS: constant(uint256) = 10_000
DAY: constant(uint256) = 86_400
MAX_USES: constant(uint256) = 64
MASK_240: constant(uint256) = 2**240 - 1
MASK_160: constant(uint256) = 2**160 - 1
MASK_96: constant(uint256) = 2**96 - 1
MASK_64: constant(uint256) = 2**64 - 1
MASK_40: constant(uint256) = 2**40 - 1
MASK_32: constant(uint256) = 2**32 - 1
PROVED: constant(uint256) = 2**232
VOID: constant(uint256) = 2**233
AT_ONCE: constant(uint256) = 2**234
CLOSED: constant(uint256) = 2**255

NAME_HASH: constant(bytes32) = keccak256("Tessera Access")
VERSION_HASH: constant(bytes32) = keccak256("1")
USE_TYPEHASH: constant(bytes32) = keccak256(
    "Use(uint256 order,bytes16 call,bytes32 request,uint64 deadline)"
)
ERC165_ID: constant(bytes4) = 0x01ffc9a7
ERC2981_ID: constant(bytes4) = 0x2a55205a

CURRENCY: immutable(address)
CHANNELS: immutable(address)
REGISTRY: immutable(address)

decimals: public(constant(uint8)) = 0
version: public(constant(String[1])) = "1"

# sold and not refunded (64) | orders made (63) << 64 | units in orders not yet proved or given up (64) << 127 | closed
book: uint256
# owner (160) | units (32) | time (40) | proved (1) | void (1) | made by the purchase itself (1)
orders: HashMap[uint256, uint256]
# renter (160) | until (40)
renters: HashMap[uint256, uint256]
# price of a day (96) | most seconds (40)
offers: HashMap[uint256, uint256]
# Units that an account bought here and did not give back in the order it bought; kept only where there is a limit.
bought_by: public(HashMap[address, uint256])


@deploy
def __init__(currency: address, channels: address, registry: address):
    CURRENCY = currency
    CHANNELS = channels
    REGISTRY = registry


# --- Buying and redeeming -------------------------------------------------------------------------------------------


@external
def buy(amount: uint256, receiver: address = msg.sender) -> uint256:
    """
    @notice Buy units for `receiver`. The money waits here until an order made of them was served. Where each account
            may have so many only, it buys them itself.
    @return What it cost, in base units.
    """
    cost: uint256 = self._sell(amount, receiver, 0)
    erc20._mint(receiver, amount)
    self._take(cost)
    return cost


@external
def redeem(units: uint256, owner: address = msg.sender) -> uint256:
    """
    @notice Turn units of the caller into an order of `owner`.
    @return The order's number.
    """
    balance: uint256 = erc20.balanceOf[msg.sender]
    assert balance >= units, "erc20: balance too low"
    erc20.balanceOf[msg.sender] = unsafe_sub(balance, units)
    erc20.totalSupply -= units
    log erc20.Transfer(sender=msg.sender, receiver=empty(address), value=units)
    book: uint256 = self.book + (1 << 64) + (units << 127)
    self.book = book
    return self._order(book, units, owner, 0)


@external
def buy_and_redeem(units: uint256, owner: address = msg.sender) -> uint256:
    """
    @notice Buy units and make an order of `owner` from them. No token moves, since none would stay. Where each account
            may have so many only, it buys them itself; what it gets back in time it may buy again.
    @return The order's number.
    """
    cost: uint256 = self._sell(units, owner, (1 << 64) + (units << 127))
    order: uint256 = self._order(self.book, units, owner, AT_ONCE)
    self._take(cost)
    return order


@internal
def _sell(amount: uint256, receiver: address, more: uint256) -> uint256:
    """
    @dev Count units as sold, and add `more` to the book in the same write.
    """
    numbers: uint256 = clones._argument(self, 2)
    limits: uint256 = clones._argument(self, 7) >> 160
    book: uint256 = self.book
    assert book & CLOSED == 0, "access: not on sale"
    assert receiver != empty(address), "access: receiver is the zero address"
    assert (
        amount != 0 and amount <= ((numbers >> 160) & MASK_64) - (book & MASK_64)
    ), "access: not that many units left"
    if limits != 0:
        # Else a stranger could use up what an account may have.
        assert msg.sender == receiver, "access: with a limit, accounts buy for themselves"
        in_all: uint256 = self.bought_by[receiver] + amount
        assert in_all <= limits, "access: above the limit for one account"
        self.bought_by[receiver] = in_all
    self.book = book + amount + more
    # At most 2^64 units of at most 2^96.
    cost: uint256 = unsafe_mul(amount, numbers & MASK_96)
    log Bought(buyer=msg.sender, receiver=receiver, amount=amount, cost=cost)
    return cost


@internal
def _order(book: uint256, units: uint256, owner: address, marks: uint256) -> uint256:
    """
    @dev Write an order; the book counts it and its units already.
    """
    assert owner != empty(address), "access: owner is the zero address"
    assert units != 0 and units <= MASK_32, "access: units out of range"
    assert units == 1 or self._kind() & (COUNT | PERIOD) != 0, "access: a licence is one unit"
    number: uint256 = (book >> 64) & (2**63 - 1)
    self.orders[number] = (
        convert(owner, uint256) | (units << 160) | (block.timestamp << 192) | marks
    )
    log Ordered(order=number, owner=owner, units=units)
    return number


@internal
def _take(cost: uint256):
    if cost != 0:
        before: uint256 = staticcall IERC20(CURRENCY).balanceOf(self)
        assert extcall IERC20(CURRENCY).transferFrom(
            msg.sender, self, cost, default_return_value=True
        ), "access: currency refused the transfer"
        assert (
            staticcall IERC20(CURRENCY).balanceOf(self) - before == cost
        ), "access: currency takes a fee"


# --- Service or refund ----------------------------------------------------------------------------------------------


@external
def prove(uses: DynArray[Use, MAX_USES]) -> uint256:
    """
    @notice The operator shows that it served orders: for each one use that the order's owner signed. What does not
            count is skipped: an order that is unknown, proved, void or past its window, or another's signature.
    @return How many orders were proved; their money may flow from now on.
    """
    assert msg.sender == self._operator(), "access: only the operator"
    window: uint256 = clones._argument(self, 2) >> 224
    domain: bytes32 = signatures._domain_separator(NAME_HASH, VERSION_HASH)
    proved: uint256 = 0
    units: uint256 = 0
    for use: Use in uses:
        word: uint256 = self.orders[use.order]
        signer: address = signatures._recover_compact(
            signatures._typed_digest(
                domain,
                keccak256(abi_encode(USE_TYPEHASH, use.order, use.call, use.request, use.deadline)),
            ),
            use.r,
            use.vs,
        )
        if (
            word == 0
            or word & (PROVED | VOID) != 0
            or block.timestamp > ((word >> 192) & MASK_40) + window
            or signer == empty(address)
            or convert(signer, uint256) != word & MASK_160
        ):
            log UseSkipped(order=use.order, call=use.call)
            continue
        self.orders[use.order] = word | PROVED
        proved += 1
        units += (word >> 160) & MASK_32
        log Proved(order=use.order, call=use.call, request=use.request, response=use.response)
    self.book -= units << 127
    return proved


@external
def flush() -> uint256:
    """
    @notice Send what backs nothing any more to the Till and on to the asset's accounts. Anyone may call it.
    @return Base units.
    """
    amount: uint256 = staticcall IERC20(CURRENCY).balanceOf(self) - self._backing()
    if amount != 0:
        assert extcall IERC20(CURRENCY).transfer(
            self._till(), amount, default_return_value=True
        ), "access: currency refused the transfer"
        extcall IChannels(CHANNELS).flush_till(
            clones._argument(self, 0) & MASK_240,
            self._operator(),
            (clones._argument(self, 1) >> 160) & MASK_32,
        )
    return amount


@external
def refund(order: uint256, receiver: address = msg.sender) -> uint256:
    """
    @notice Take the money of an order back that was not served within the window. Its owner only.
    """
    word: uint256 = self._refundable(order)
    assert convert(msg.sender, uint256) == word & MASK_160, "access: only the order's owner"
    return self._give_back(order, word, receiver, False)


@external
def refund_for(order: uint256) -> uint256:
    """
    @notice As `refund`, to the order's owner; anyone may call it.
    """
    word: uint256 = self._refundable(order)
    return self._give_back(order, word, convert(word & MASK_160, address), False)


@external
def decline(order: uint256) -> uint256:
    """
    @notice The operator gives the money of an order back at once, because it will not serve it.
    """
    assert msg.sender == self._operator(), "access: only the operator"
    word: uint256 = self._open_order(order)
    return self._give_back(order, word, convert(word & MASK_160, address), True)


@internal
@view
def _refundable(order: uint256) -> uint256:
    word: uint256 = self._open_order(order)
    assert (
        block.timestamp > ((word >> 192) & MASK_40) + (clones._argument(self, 2) >> 224)
    ), "access: the operator may still serve"
    return word


@internal
@view
def _open_order(order: uint256) -> uint256:
    word: uint256 = self.orders[order]
    assert word != 0, "access: no such order"
    assert word & PROVED == 0, "access: served already"
    assert word & VOID == 0, "access: given up already"
    return word


@internal
def _give_back(order: uint256, word: uint256, receiver: address, declined: bool) -> uint256:
    units: uint256 = (word >> 160) & MASK_32
    self.orders[order] = word | VOID
    # Not sold after all: they may be sold again, and no order waits for them.
    self.book -= units + (units << 127)
    if word & AT_ONCE != 0 and clones._argument(self, 7) >> 160 != 0:
        # Nor counted against the limit of its owner, who bought them; units that came by hand were counted elsewhere.
        self.bought_by[convert(word & MASK_160, address)] -= units
    amount: uint256 = units * (clones._argument(self, 2) & MASK_96)
    log Refunded(
        order=order,
        owner=convert(word & MASK_160, address),
        receiver=receiver,
        amount=amount,
        declined=declined,
    )
    if amount != 0:
        assert extcall IERC20(CURRENCY).transfer(
            receiver, amount, default_return_value=True
        ), "access: currency refused the transfer"
    return amount


# --- Rent -----------------------------------------------------------------------------------------------------------


@external
def offer_rent(order: uint256, daily_price: uint256, most_seconds: uint256):
    """
    @notice Offer an order for rent, at base units for a day; `most_seconds` 0 ends the offer. A rent that runs goes on.
    """
    word: uint256 = self.orders[order]
    assert (
        word != 0 and convert(msg.sender, uint256) == word & MASK_160
    ), "access: only the order's owner"
    assert self._kind() != COUNT, "access: calls are not rented, sell the units"
    assert (daily_price <= MASK_96 and most_seconds <= MASK_40), "access: rent out of range"
    self.offers[order] = daily_price | (most_seconds << 96)
    log RentOffered(order=order, daily_price=daily_price, most_seconds=most_seconds)


@external
def rent(
    order: uint256, duration: uint256, most_cost: uint256, renter: address = msg.sender
) -> uint256:
    """
    @notice Rent an order for `duration` seconds. Until then only `renter` may use it; it ends by itself.
    @param most_cost What the caller is ready to pay, in base units: the owner may have changed the price.
    @return When it ends.
    """
    word: uint256 = self.orders[order]
    offer: uint256 = self.offers[order]
    assert renter != empty(address), "access: renter is the zero address"
    assert (duration != 0 and duration <= offer >> 96), "access: not for rent, or not for so long"
    assert word & (PROVED | VOID) == PROVED, "access: not served yet"
    assert (block.timestamp >= self.renters[order] >> 160), "access: rented already"
    until: uint256 = block.timestamp + duration
    assert until <= self._valid_until(word), "access: the right ends before the rent"
    cost: uint256 = self._rent_cost(offer, duration)
    assert cost <= most_cost, "access: dearer than the limit"
    royalty: uint256 = self._royalty(cost)
    self.renters[order] = convert(renter, uint256) | (until << 160)
    log Rented(order=order, renter=renter, until=until, cost=cost, royalty=royalty)
    self._pay(self._till(), royalty)
    self._pay(convert(word & MASK_160, address), cost - royalty)
    return until


@internal
def _pay(receiver: address, amount: uint256):
    if amount != 0 and receiver != msg.sender:
        before: uint256 = staticcall IERC20(CURRENCY).balanceOf(receiver)
        assert extcall IERC20(CURRENCY).transferFrom(
            msg.sender, receiver, amount, default_return_value=True
        ), "access: currency refused the transfer"
        assert (
            staticcall IERC20(CURRENCY).balanceOf(receiver) - before == amount
        ), "access: currency takes a fee"


# --- The controller -------------------------------------------------------------------------------------------------


@external
def set_on_sale(on: bool):
    """
    @notice Stop or resume the sale of units. What was sold stays good. Only the asset's controller.
    """
    asset: uint256 = clones._argument(self, 0) & MASK_240
    assert msg.sender == staticcall IRegistry(REGISTRY).controller_of(
        asset
    ), "access: only the asset's controller"
    book: uint256 = self.book & ~CLOSED
    if not on:
        book |= CLOSED
    self.book = book
    log SaleSwitched(on=on)


@external
def permit(
    owner: address,
    spender: address,
    amount: uint256,
    deadline: uint256,
    v: uint8,
    r: bytes32,
    s: bytes32,
):
    """
    @notice EIP-2612. The domain is that of `eip712Domain`, not the token's name.
    """
    allowances._permit(
        signatures._domain_separator(NAME_HASH, VERSION_HASH),
        owner,
        spender,
        amount,
        deadline,
        v,
        r,
        s,
    )


# --- Views ----------------------------------------------------------------------------------------------------------


@external
@view
@reentrant
def order_of(order: uint256) -> OrderView:
    """
    @notice All that a gateway must know of an order.
    """
    word: uint256 = self._known(order)
    owner: address = convert(word & MASK_160, address)
    valid_until: uint256 = self._valid_until(word)
    user: address = owner
    user_until: uint256 = valid_until
    rented: uint256 = self.renters[order]
    if block.timestamp < rented >> 160:
        user = convert(rented & MASK_160, address)
        user_until = rented >> 160
    return OrderView(
        owner=owner,
        user=user,
        units=(word >> 160) & MASK_32,
        ordered_at=(word >> 192) & MASK_40,
        valid_until=valid_until,
        user_until=user_until,
        calls=self._calls(word),
        proved=word & PROVED != 0,
        void=word & VOID != 0,
    )


@external
@view
@reentrant
def user_of(order: uint256) -> address:
    """
    @notice Who may use the order now: its renter, else its owner.
    """
    word: uint256 = self._known(order)
    rented: uint256 = self.renters[order]
    if block.timestamp < rented >> 160:
        return convert(rented & MASK_160, address)
    return convert(word & MASK_160, address)


@external
@view
@reentrant
def valid_until(order: uint256) -> uint256:
    """
    @notice Unix seconds before which the order is good; 0 if it was given up, 2^40 - 1 if it is good for ever.
    """
    return self._valid_until(self._known(order))


@external
@view
@reentrant
def units_of(order: uint256) -> uint256:
    """
    @notice Calls that the order is good for in all; 0 if it was given up, 2^64 - 1 if they are not counted.
    """
    return self._calls(self._known(order))


@external
@view
@reentrant
def rent_of(order: uint256) -> (address, uint256, uint256, uint256):
    """
    @return Who rented it last and until when, the price of a day, and the most seconds (0: not for rent).
    """
    self._known(order)
    rented: uint256 = self.renters[order]
    offer: uint256 = self.offers[order]
    return (convert(rented & MASK_160, address), rented >> 160, offer & MASK_96, offer >> 96)


@external
@view
@reentrant
def preview_rent(order: uint256, duration: uint256) -> (uint256, uint256):
    """
    @return What a rent would cost, and the royalty in it, in base units, both rounded up.
    """
    cost: uint256 = self._rent_cost(self.offers[order], duration)
    return cost, self._royalty(cost)


@external
@view
@reentrant
def terms() -> Terms:
    """
    @notice What the product is. `kind`: 1 calls, 2 seconds, 4 for good.
    """
    what: uint256 = clones._argument(self, 0)
    who: uint256 = clones._argument(self, 1)
    numbers: uint256 = clones._argument(self, 2)
    where: uint256 = clones._argument(self, 7)
    return Terms(
        asset=what & MASK_240,
        operator=convert(who & MASK_160, address),
        terms=(who >> 160) & MASK_32,
        kind=(what >> 240) & 255,
        price=numbers & MASK_96,
        per_unit=(numbers >> 96) & MASK_64,
        cap=(numbers >> 160) & MASK_64,
        most_per_account=where >> 160,
        serve_window=numbers >> 224,
        royalty_bps=who >> 224,
        scope=what >> 248,
        newest_version=(who >> 192) & MASK_32,
        document=convert(clones._argument(self, 3), bytes32),
        license=self._text(4),
        till=convert(where & MASK_160, address),
    )


@external
@view
@reentrant
def state() -> (uint256, uint256, uint256, bool):
    """
    @return Units sold and not refunded, orders made, units in orders that wait for service, and whether units are sold.
    """
    book: uint256 = self.book
    return (
        book & MASK_64,
        (book >> 64) & (2**63 - 1),
        (book >> 127) & MASK_64,
        book & CLOSED == 0,
    )


@external
@view
@reentrant
def backing() -> uint256:
    """
    @notice Money that may have to be refunded: the price of every unit, and of every order that waits for service.
    """
    return self._backing()


@external
@view
@reentrant
def royaltyInfo(token_id: uint256, sale_price: uint256) -> (address, uint256):
    """
    @notice EIP-2981: who gets how much of a resale. All units are alike, so the id counts for nothing.
    @return The Till, and its part of the price, rounded up.
    """
    return self._till(), self._royalty(sale_price)


@external
@view
@reentrant
def supportsInterface(interface_id: bytes4) -> bool:
    return interface_id in [ERC165_ID, ERC2981_ID]


@external
@view
@reentrant
def name() -> String[32]:
    return self._text(5)


@external
@view
@reentrant
def symbol() -> String[32]:
    return self._text(6)


@external
@view
@reentrant
def DOMAIN_SEPARATOR() -> bytes32:
    return signatures._domain_separator(NAME_HASH, VERSION_HASH)


@external
@view
@reentrant
def eip712Domain() -> (
    bytes1, String[14], String[1], uint256, address, bytes32, DynArray[uint256, 1]
):
    """
    @notice EIP-5267: which fields the domain has (name, version, chain id, contract) and their values.
    """
    return 0x0f, "Tessera Access", "1", chain.id, self, empty(bytes32), []


@internal
@view
def _known(order: uint256) -> uint256:
    word: uint256 = self.orders[order]
    assert word != 0, "access: no such order"
    return word


@internal
@view
def _valid_until(word: uint256) -> uint256:
    if word & VOID != 0:
        return 0
    if self._kind() != PERIOD:
        return MASK_40
    # At most 2^32 units of 2^40 seconds.
    seconds: uint256 = unsafe_mul((word >> 160) & MASK_32, self._per_unit())
    return min(unsafe_add((word >> 192) & MASK_40, seconds), MASK_40)


@internal
@view
def _calls(word: uint256) -> uint256:
    if word & VOID != 0:
        return 0
    if self._kind() != COUNT:
        return MASK_64
    return min(unsafe_mul((word >> 160) & MASK_32, self._per_unit()), MASK_64)


@internal
@view
def _backing() -> uint256:
    units: uint256 = erc20.totalSupply + ((self.book >> 127) & MASK_64)
    return units * (clones._argument(self, 2) & MASK_96)


@internal
@pure
def _rent_cost(offer: uint256, duration: uint256) -> uint256:
    """
    @dev Rounded up: the owner never gets less than the price.
    """
    return ((offer & MASK_96) * duration + DAY - 1) // DAY


@internal
@view
def _royalty(price: uint256) -> uint256:
    """
    @dev Rounded up, so that a sale in many small parts never pays less than one in one part.
    """
    bps: uint256 = clones._argument(self, 1) >> 224
    return (price // BPS) * bps + ((price % BPS) * bps + BPS - 1) // BPS


@internal
@view
def _kind() -> uint256:
    return (clones._argument(self, 0) >> 240) & 255


@internal
@view
def _per_unit() -> uint256:
    return (clones._argument(self, 2) >> 96) & MASK_64


@internal
@view
def _operator() -> address:
    return convert(clones._argument(self, 1) & MASK_160, address)


@internal
@view
def _till() -> address:
    return convert(clones._argument(self, 7) & MASK_160, address)


@internal
@view
def _text(word: uint256) -> String[32]:
    """
    @dev The text of an argument: its bytes up to the first zero.
    """
    digits: uint256 = clones._argument(self, word)
    length: uint256 = 0
    for i: uint256 in range(32):
        if (digits >> (8 * (31 - i))) & 255 == 0:
            break
        length = i + 1
    padded: bytes32 = convert(digits, bytes32)
    return convert(slice(padded, 0, length), String[32])
