# pragma version ~=0.4.3
"""
@title Sales
@license Apache-2.0
@notice What every kind of sale has in common: terms in the clone's code, the list of allowed buyers, money in and out,
        and the pool that a part of the proceeds opens.
@dev Arguments of a clone: 0 share, 1 publisher, 2 and 3 by kind, 4 most for one buyer, 5 start (40) | end (40) |
     part for the pool, bps (16) | tier of the pool (8) | seconds its liquidity is locked (40) | by kind (112),
     6 root of the allowed buyers, or zero for everybody.
@custom:security A leaf of the list is (buyer, most): whoever shows it buys for that buyer, up to `most` in all, so a
     proof that is copied or used twice gains nothing. The list keeps out who is not on it; without one, a cap for
     each buyer is a courtesy, and one person with many addresses is many buyers.
"""
from ethereum.ercs import IERC20
from . import clones
from . import merkle


interface IShare:
    def currency() -> address: view


interface IExchange:
    def open_pool(
        token: address,
        tokens: uint256,
        currency_amount: uint256,
        tier: uint256,
        provider: address,
        locked_until: uint256,
    ) -> uint256: nonpayable


event PoolOpened:
    shares: uint256
    amount: uint256
    locked_until: uint256


BPS: constant(uint256) = 10_000
MASK_16: constant(uint256) = 2**16 - 1
MASK_40: constant(uint256) = 2**40 - 1
MASK_160: constant(uint256) = 2**160 - 1


@internal
@view
def _check_buyer(
    buyer: address,
    in_all: uint256,
    most: uint256,
    proof: DynArray[bytes32, merkle.MAX_PROOF],
):
    """
    @param in_all What the buyer would have in all, with what is to be bought now.
    @param most The buyer's part of the list; of no meaning without one.
    """
    assert buyer != empty(address), "sale: receiver is the zero address"
    assert in_all <= clones._argument(self, 4), "sale: above the cap for one buyer"
    root: bytes32 = convert(clones._argument(self, 6), bytes32)
    if root != empty(bytes32):
        leaf: bytes32 = merkle._leaf(abi_encode(buyer, most))
        assert merkle._leads_to(leaf, proof, root), "sale: not on the list"
        assert in_all <= most, "sale: above the buyer's part of the list"


@internal
def _take_in(amount: uint256):
    """
    @notice Take base units from the caller, all of which must arrive.
    """
    currency: IERC20 = IERC20(self._currency())
    before: uint256 = staticcall currency.balanceOf(self)
    assert extcall currency.transferFrom(
        msg.sender, self, amount, default_return_value=True
    ), "sale: currency refused the transfer"
    assert staticcall currency.balanceOf(self) - before == amount, "sale: currency takes a fee"


@internal
def _pay(receiver: address, amount: uint256):
    if amount != 0:
        assert extcall IERC20(self._currency()).transfer(
            receiver, amount, default_return_value=True
        ), "sale: currency refused the transfer"


@internal
def _deliver(receiver: address, amount: uint256):
    assert extcall IERC20(self._share()).transfer(
        receiver, amount
    ), "sale: share refused the transfer"


@internal
def _open_pool(exchange: address, tokens: uint256, amount: uint256):
    """
    @notice Open the share's pool with both, as liquidity of the publisher that is locked from now on.
    """
    share: address = self._share()
    currency: address = self._currency()
    packed: uint256 = clones._argument(self, 5) >> 96
    locked_until: uint256 = block.timestamp + ((packed >> 8) & MASK_40)
    extcall IERC20(share).approve(exchange, tokens)
    extcall IERC20(currency).approve(exchange, amount, default_return_value=True)
    liquidity: uint256 = extcall IExchange(exchange).open_pool(
        share, tokens, amount, packed & 255, self._publisher(), locked_until
    )
    log PoolOpened(shares=tokens, amount=amount, locked_until=locked_until)


@internal
@pure
def _is_much(sold: uint256, for_sale: uint256) -> bool:
    """
    @notice Whether what was sold says something about the price: a tenth. One raw share does not, where there is no
            soft cap.
    """
    return sold * 10 >= for_sale


@internal
@view
def _pool_part(whole: uint256) -> uint256:
    """
    @notice The part of the proceeds, or of the shares sold, that goes to the pool; rounded down.
    """
    return whole * self._liquidity_bps() // BPS


@internal
@view
def _conditions() -> (bytes32, uint256, uint256, uint256):
    packed: uint256 = clones._argument(self, 5) >> 96
    return (
        convert(clones._argument(self, 6), bytes32),
        self._liquidity_bps(),
        packed & 255,
        (packed >> 8) & MASK_40,
    )


@internal
@view
def _liquidity_bps() -> uint256:
    return (clones._argument(self, 5) >> 80) & MASK_16


@internal
@view
def _start() -> uint256:
    return clones._argument(self, 5) & MASK_40


@internal
@view
def _end() -> uint256:
    return (clones._argument(self, 5) >> 40) & MASK_40


@internal
@view
def _share() -> address:
    return convert(clones._argument(self, 0) & MASK_160, address)


@internal
@view
def _publisher() -> address:
    return convert(clones._argument(self, 1) & MASK_160, address)


@internal
@view
def _currency() -> address:
    return staticcall IShare(self._share()).currency()
