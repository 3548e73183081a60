# pragma version 0.4.3
# pragma evm-version cancun
# pragma nonreentrancy on
"""
@title Auction
@license Apache-2.0
@notice A first sale whose price falls in a straight line until the bids buy everything, or until its end. Everybody
        pays the same price: the one at which the bids bought everything, or the lowest if they never did.
@dev One clone for each sale; its terms are in its code. A bid is money. All bids wait here until `close`, which anyone
     may call once the auction is over; a bid that takes the last share closes by itself. Until then all shares here
     earn for the publisher, from then on those of a bidder earn for the bidder. Twin: `tessera.spec.auction`.
@custom:security Being faster than others buys nothing cheaper: there is one price, never above the one that was shown
     when a bid was made. So there is nothing to snipe but being in before it is sold out. A bid cannot be taken back,
     or a bidder could hold the price up and leave; and nobody sees more of the shares than the bids pay for.
     Tokens per bid round down; what remains of that, below one raw share for each bidder, goes to the publisher when
     the last bidder has collected. The publisher can bid with a second address, which only means to buy own shares
     at a price of one's own making; the lowest price and the soft cap bind all the same.
@custom:invariant solvent, escrow_until_final, can_always_claim, conserved
@custom:pause Nothing here can be paused.
"""
from ethereum.ercs import IERC20
from .modules import accruals
from .modules import clones
from .modules import merkle
from .modules import sales

initializes: accruals


interface ILaunchpad:
    def report(left: uint256, back: uint256, closes: bool, priced: bool): nonpayable


event Bid:
    bidder: indexed(address)
    amount: uint256


event Closed:
    final: bool
    sold: uint256
    raised: uint256


event Collected:
    bidder: indexed(address)
    amount: uint256
    cost: uint256


event Refunded:
    bidder: indexed(address)
    receiver: indexed(address)
    amount: uint256


event ProceedsWithdrawn:
    publisher: indexed(address)
    receiver: indexed(address)
    amount: uint256


event UnsoldReturned:
    publisher: indexed(address)
    amount: uint256


event RevenueClaimed:
    account: indexed(address)
    receiver: indexed(address)
    amount: uint256


# Arguments of the clone as in `modules/sales.vy`; 2 first price (128) | lowest price (128), base units for 10^18 raw
# shares; 3 for sale (96), raw shares | soft cap (96), base units; 4 is in base units.
WHOLE_SHARE: constant(uint256) = 10**18
MASK_96: constant(uint256) = 2**96 - 1
MASK_128: constant(uint256) = 2**128 - 1

LAUNCHPAD: immutable(address)
EXCHANGE: immutable(address)

# Bids that were neither collected nor refunded, base units.
bid_of: public(HashMap[address, uint256])
# All bids.
raised: public(uint256)
# Bids that were not collected yet.
uncollected: public(uint256)
closed: public(bool)
# Whether the soft cap was reached; known when it is closed.
final: public(bool)
sold: public(uint256)
proceeds: public(uint256)
# Raw shares here: the publisher's, the bidders', and those kept for the pool.
unsold: public(uint256)
escrowed: public(uint256)
pooled: public(uint256)
pool_opened: public(bool)


@deploy
def __init__(launchpad: address, exchange: address):
    """
    @param launchpad Makes every clone, and is told what leaves it.
    @param exchange Where the pool is opened.
    """
    LAUNCHPAD = launchpad
    EXCHANGE = exchange


@external
def initialize():
    """
    @notice Take stock of the shares. The Launchpad calls it in the transaction that makes the clone; anyone may, and
            once is enough, since it only believes what it holds.
    """
    assert self.unsold == 0 and not self.closed, "auction: initialized already"
    for_sale: uint256 = self._for_sale()
    for_pool: uint256 = sales._pool_part(for_sale)
    assert (
        staticcall IERC20(sales._share()).balanceOf(self) >= for_sale + for_pool
    ), "auction: shares are not here"
    self.unsold = for_sale
    self.pooled = for_pool


# --- Bidders --------------------------------------------------------------------------------------------------------


@external
def bid(
    amount: uint256,
    receiver: address = msg.sender,
    most: uint256 = 0,
    proof: DynArray[bytes32, merkle.MAX_PROOF] = [],
) -> uint256:
    """
    @notice Bid up to `amount` base units for `receiver`. If less buys all that is left at the present price, only that
            much is taken, and the auction is over.
    @param most The receiver's part of the list of buyers, in base units, with its `proof`; of no meaning without one.
    @return How much was taken.
    """
    now: uint256 = block.timestamp
    assert now >= sales._start(), "auction: not open yet"
    raised: uint256 = self.raised
    worth: uint256 = self._worth_at(now)
    assert now < sales._end() and not self.closed and raised < worth, "auction: over"
    taken: uint256 = min(amount, worth - raised)
    assert taken != 0, "auction: a bid of nothing"
    in_all: uint256 = self.bid_of[receiver] + taken
    sales._check_buyer(receiver, in_all, most, proof)
    # One account cannot be both: its unsold shares and its bought ones would share one index.
    assert receiver != sales._publisher(), "auction: the publisher cannot bid"
    self.bid_of[receiver] = in_all
    raised += taken
    self.raised = raised
    log Bid(bidder=receiver, amount=taken)
    sales._take_in(taken)
    if raised == worth:
        self._close()
    return taken


@external
def close():
    """
    @notice Fix the price once the auction is over. Anyone may call it.
    """
    assert not self.closed, "auction: closed already"
    assert self._is_over(), "auction: not over yet"
    self._close()


@external
def collect(bidder: address) -> uint256:
    """
    @notice Send a bidder the shares. Anyone may call it, once the auction is closed.
    @return Raw shares, rounded down.
    """
    assert self.final, "auction: not final"
    cost: uint256 = self.bid_of[bidder]
    assert cost != 0, "auction: nothing to collect"
    amount: uint256 = self._bought_for(cost)
    assert (
        self._pull() or msg.sender == bidder
    ), "auction: revenue is held up; only the bidder may forgo it"
    self._settle(bidder, amount)
    self.bid_of[bidder] = 0
    self.escrowed -= amount
    self.uncollected -= cost
    if self.uncollected == 0:
        # What rounding left is the publisher's.
        self._settle_publisher()
        self.unsold += self.escrowed
        self.escrowed = 0
    sales._deliver(bidder, amount)
    extcall ILaunchpad(LAUNCHPAD).report(amount, 0, False, False)
    log Collected(bidder=bidder, amount=amount, cost=cost)
    return amount


@external
def refund(receiver: address = msg.sender) -> uint256:
    """
    @notice After an auction that missed its soft cap: pay the caller's bids back, to `receiver`.
    """
    return self._refund(msg.sender, receiver)


@external
def refund_for(bidder: address) -> uint256:
    """
    @notice As `refund`, to the bidder; anyone may call it.
    """
    return self._refund(bidder, bidder)


# --- The publisher --------------------------------------------------------------------------------------------------


@external
def withdraw_proceeds(receiver: address = msg.sender) -> uint256:
    """
    @notice Pay out what the auction brought, without the part for the pool.
    """
    assert msg.sender == sales._publisher(), "auction: only the publisher"
    amount: uint256 = self.proceeds
    self.proceeds = 0
    sales._pay(receiver, amount)
    log ProceedsWithdrawn(publisher=msg.sender, receiver=receiver, amount=amount)
    return amount


@external
def return_unsold() -> uint256:
    """
    @notice Give the publisher the shares here that belong neither to a bidder nor to the pool, once it is closed.
            Anyone may call it.
    """
    assert self.closed, "auction: not closed"
    publisher: address = sales._publisher()
    assert (
        self._pull() or msg.sender == publisher
    ), "auction: revenue is held up; only the publisher may forgo it"
    self._settle_publisher()
    left: uint256 = self.unsold
    self.unsold = 0
    # The real balance, so that shares somebody sent here by mistake are not lost.
    amount: uint256 = (
        staticcall IERC20(sales._share()).balanceOf(self) - self.escrowed - self.pooled
    )
    assert amount != 0, "auction: nothing to return"
    sales._deliver(publisher, amount)
    extcall ILaunchpad(LAUNCHPAD).report(left, 0, False, False)
    log UnsoldReturned(publisher=publisher, amount=amount)
    return amount


@external
def open_pool():
    """
    @notice Once closed and final, open the share's pool with the part of the proceeds and of the shares that is kept
            for it. Anyone may call it.
    """
    assert self.final and sales._liquidity_bps() != 0, "auction: no pool to open"
    assert not self.pool_opened, "auction: pool opened already"
    assert (
        self._pull() or msg.sender == sales._publisher()
    ), "auction: revenue is held up; only the publisher may forgo it"
    self._settle_publisher()
    self.pool_opened = True
    shares: uint256 = self.pooled
    self.pooled = 0
    sales._open_pool(EXCHANGE, shares, sales._pool_part(self.raised))
    extcall ILaunchpad(LAUNCHPAD).report(shares, 0, True, True)


# --- Revenue --------------------------------------------------------------------------------------------------------


@external
def claim(receiver: address = msg.sender) -> uint256:
    """
    @notice Pay the revenue of the caller's shares here: the publisher's, or a bidder's once it is closed.
    @return Base units, rounded down; the rest stays on the account.
    """
    publisher: address = sales._publisher()
    assert self.final or msg.sender == publisher, "auction: not final"
    pulled: bool = self._pull()
    if msg.sender == publisher:
        self._settle_publisher()
    else:
        self._settle(msg.sender, self._bought_for(self.bid_of[msg.sender]))
    amount: uint256 = accruals._take(sales._share(), msg.sender)
    sales._pay(receiver, amount)
    log RevenueClaimed(account=msg.sender, receiver=receiver, amount=amount)
    return amount


@internal
def _pull() -> bool:
    return accruals._pull(sales._share(), self._earning_here(), sales._publisher())


@internal
def _settle(account: address, earning: uint256):
    accruals._settle(sales._share(), account, earning)


@internal
def _settle_publisher():
    self._settle(sales._publisher(), self.unsold + self.pooled)


@internal
@view
def _earning_here() -> uint256:
    """
    @dev Until it is closed nobody knows whose the shares are, so what comes in is the publisher's, and the index does
         not move: every bidder starts from the same one.
    """
    return self.unsold + self.escrowed + self.pooled if self.closed else 0


@internal
def _close():
    # Bids must not wait for a currency that holds revenue up, but what came before them is the publisher's.
    if not self._pull():
        accruals._keep_for_heir(sales._share())
    raised: uint256 = self.raised
    for_sale: uint256 = self._for_sale()
    self.closed = True
    if raised >= clones._argument(self, 3) >> 96:
        sold: uint256 = for_sale
        if raised < self._worth_at(min(block.timestamp, sales._end())):
            # At the end, and not sold out: everybody pays the lowest price.
            sold = raised * WHOLE_SHARE // self._lowest_price()
        for_pool: uint256 = sales._pool_part(sold)
        self.final = True
        self.sold = sold
        self.unsold = for_sale - sold + self.pooled - for_pool
        self.escrowed = sold
        self.pooled = for_pool
        self.uncollected = raised
        self.proceeds = raised - sales._pool_part(raised)
    else:
        self.unsold += self.pooled
        self.pooled = 0
    log Closed(final=self.final, sold=self.sold, raised=raised)
    extcall ILaunchpad(LAUNCHPAD).report(
        0, 0, self.pooled == 0, self.final and sales._is_much(self.sold, for_sale)
    )


@internal
def _refund(bidder: address, receiver: address) -> uint256:
    assert self.closed and not self.final, "auction: no refunds"
    amount: uint256 = self.bid_of[bidder]
    assert amount != 0, "auction: nothing to refund"
    self.bid_of[bidder] = 0
    sales._pay(receiver, amount)
    log Refunded(bidder=bidder, receiver=receiver, amount=amount)
    return amount


# --- Views ----------------------------------------------------------------------------------------------------------


@external
@view
@reentrant
def price_at(time: uint256) -> uint256:
    """
    @notice Base units for 10^18 raw shares at a time, rounded up.
    """
    return self._price_at(time)


@external
@view
@reentrant
def is_over() -> bool:
    """
    @notice Whether it takes no more bids, closed or not.
    """
    return self.closed or self._is_over()


@external
@view
@reentrant
def preview_bid(amount: uint256) -> (uint256, uint256):
    """
    @return How much of a bid would be taken now, and the fewest raw shares that it would get: the price can only be
            lower in the end.
    """
    now: uint256 = block.timestamp
    if now < sales._start() or self.closed or self._is_over():
        return 0, 0
    taken: uint256 = min(amount, self._worth_at(now) - self.raised)
    return taken, taken * WHOLE_SHARE // self._price_at(now)


@external
@view
@reentrant
def bought_by(bidder: address) -> uint256:
    """
    @notice Raw shares that wait for a bidder; 0 until it is closed.
    """
    return self._bought_for(self.bid_of[bidder]) if self.final else 0


@external
@view
@reentrant
def claimable(account: address) -> uint256:
    """
    @notice Revenue that `claim` would pay an account now. A bidder's is 0 until it is closed.
    """
    publisher: address = sales._publisher()
    if not self.final and account != publisher:
        return 0
    earning: uint256 = self.unsold + self.pooled
    if account != publisher:
        earning = self._bought_for(self.bid_of[account])
    return accruals._claimable(sales._share(), account, earning, self._earning_here(), publisher)


@external
@view
@reentrant
def received() -> uint256:
    """
    @notice Revenue that came in through the Share, in base units.
    """
    return accruals.received[sales._share()]


@external
@view
@reentrant
def distributed() -> uint256:
    """
    @notice What was paid out of `received`.
    """
    return accruals.distributed[sales._share()]


@external
@view
@reentrant
def terms() -> (address, address, uint256, uint256, uint256, uint256, uint256, uint256, uint256):
    """
    @return Share, publisher, first and lowest price (base units for 10^18 raw shares), shares for sale (raw), soft cap
            and most for one buyer (base units), start and end (unix seconds).
    """
    return (
        sales._share(),
        sales._publisher(),
        self._first_price(),
        self._lowest_price(),
        self._for_sale(),
        clones._argument(self, 3) >> 96,
        clones._argument(self, 4),
        sales._start(),
        sales._end(),
    )


@external
@view
@reentrant
def conditions() -> (bytes32, uint256, uint256, uint256):
    """
    @return Root of the allowed buyers (zero: everybody), and of the pool: the part of the proceeds that opens it (bps),
            its tier, and for how many seconds that liquidity is locked.
    """
    return sales._conditions()


@internal
@view
def _is_over() -> bool:
    if block.timestamp >= sales._end():
        return True
    raised: uint256 = self.raised
    return raised != 0 and raised >= self._worth_at(block.timestamp)


@internal
@view
def _worth_at(time: uint256) -> uint256:
    """
    @dev What buys everything at the price of that time, rounded down.
    """
    return self._for_sale() * self._price_at(time) // WHOLE_SHARE


@internal
@view
def _price_at(time: uint256) -> uint256:
    first: uint256 = self._first_price()
    start: uint256 = sales._start()
    end: uint256 = sales._end()
    if time <= start:
        return first
    if time >= end:
        return self._lowest_price()
    return first - (first - self._lowest_price()) * (time - start) // (end - start)


@internal
@view
def _bought_for(cost: uint256) -> uint256:
    """
    @dev A part of what was sold, in proportion to the bid; rounded down.
    """
    return cost * self.sold // self.raised if cost != 0 else 0


@internal
@view
def _first_price() -> uint256:
    return clones._argument(self, 2) & MASK_128


@internal
@view
def _lowest_price() -> uint256:
    return clones._argument(self, 2) >> 128


@internal
@view
def _for_sale() -> uint256:
    return clones._argument(self, 3) & MASK_96
