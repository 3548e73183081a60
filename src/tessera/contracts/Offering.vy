# pragma version 0.4.3
# pragma evm-version cancun
# pragma nonreentrancy on
"""
@title Offering
@license Apache-2.0
@notice The first sale of shares at a fixed price. Below the soft cap every buyer gets the money back; from the soft cap
        on every purchase is final. A part of the proceeds may open the share's pool at that price, as locked liquidity.
@dev One clone for each sale; its terms are in its code. Until the soft cap is reached, shares and money wait here.
     Shares here earn: what is not sold earns for the publisher, what is bought earns for its buyer. Revenue comes in
     through the Share and is divided by `modules/accruals.vy`.
     Twin: `tessera.spec.offering`.
@custom:security The publisher cannot change a term, take money before the soft cap, or unsold shares before the end.
     A publisher can reach the soft cap by buying with a second address: it shows that money came in, not whose. It
     takes nothing from a buyer: each has the shares for the price, and the part for the pool stays locked.
     Tokens other than the share that are sent here by mistake stay here.
     The price is fixed, so being earlier or later in a block changes nothing but whether shares are left.
     The part for the pool leaves only as the pool's first liquidity. `open_pool` is anyone's, so it waits for nobody;
     until then the sale counts as open, and no one else can open that pool at another price.
     While the currency keeps the share from paying this address, nothing is sold: what was earned before is not the
     buyer's.
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


event Bought:
    buyer: indexed(address)
    amount: uint256
    cost: uint256


event BecameFinal:
    sold: uint256
    raised: uint256


event Collected:
    buyer: indexed(address)
    amount: uint256


event Refunded:
    buyer: indexed(address)
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


# Arguments of the clone as in `modules/sales.vy`; 2 price (base units for 10^18 raw shares), 3 for sale (96) | soft cap
# (96), raw shares; 4 is in raw shares too.
WHOLE_SHARE: constant(uint256) = 10**18
MASK_96: constant(uint256) = 2**96 - 1

LAUNCHPAD: immutable(address)
EXCHANGE: immutable(address)

# Bought before the soft cap was reached and not collected yet.
bought: public(HashMap[address, uint256])
# Everything a buyer ever bought here, for the cap.
bought_in_all: public(HashMap[address, uint256])
# What a refund would pay.
paid_by: public(HashMap[address, uint256])
sold: public(uint256)
raised: public(uint256)
final: public(bool)
proceeds: public(uint256)
returned: public(bool)

# Shares that earn here too: not yet sold, and bought but not collected.
unsold: public(uint256)
escrowed: public(uint256)
# Shares kept for the pool; they earn for the publisher.
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
    assert (
        self.unsold == 0 and self.sold == 0 and not self.returned
    ), "offering: initialized already"
    for_sale: uint256 = clones._argument(self, 3) & MASK_96
    assert (
        staticcall IERC20(sales._share()).balanceOf(self) >= for_sale + sales._pool_part(for_sale)
    ), "offering: shares are not here"
    self.unsold = for_sale
    self.pooled = sales._pool_part(for_sale)


# --- Buyers ---------------------------------------------------------------------------------------------------------


@external
def buy(
    wanted: uint256,
    receiver: address = msg.sender,
    most: uint256 = 0,
    proof: DynArray[bytes32, merkle.MAX_PROOF] = [],
    least: uint256 = max_value(uint256),
) -> (uint256, uint256):
    """
    @notice Buy `wanted` raw shares for `receiver`, or all that are left. Delivered at once if the sale is final, else
            kept for `collect`.
    @param most The receiver's part of the list of buyers, in raw shares, with its `proof`; of no meaning without one.
    @param least The fewest raw shares to accept; without it, no fewer than `wanted`.
    @return Raw shares, and what they cost, in base units, rounded up.
    """
    now: uint256 = block.timestamp
    assert now >= sales._start(), "offering: not open yet"
    assert now < sales._end(), "offering: over"
    # Whoever buys all that is left cannot be kept from it by a purchase of one raw share before.
    amount: uint256 = min(wanted, self.unsold)
    assert amount != 0 and amount >= min(wanted, least), "offering: not that many shares left"
    in_all: uint256 = self.bought_in_all[receiver] + amount
    sales._check_buyer(receiver, in_all, most, proof)
    cost: uint256 = self._cost(amount)
    publisher: address = sales._publisher()
    # One account cannot be both: its unsold shares and its bought ones would share one index.
    assert receiver != publisher, "offering: the publisher cannot buy"
    # Revenue that the currency holds up is shared later by whoever is here then, and must not be sold with the shares.
    assert self._pull(), "offering: revenue is held up"
    self._settle_publisher()
    self.bought_in_all[receiver] = in_all
    self.unsold -= amount
    self.sold += amount
    before: uint256 = self.raised
    raised: uint256 = before + cost
    self.raised = raised
    log Bought(buyer=receiver, amount=amount, cost=cost)
    sales._take_in(cost)
    if self.final:
        # Both parts of the pool round down together, so that what the publisher gets only grows.
        self.proceeds += cost - (sales._pool_part(raised) - sales._pool_part(before))
    elif self.sold >= clones._argument(self, 3) >> 96:
        self.final = True
        self.proceeds = raised - sales._pool_part(raised)
        log BecameFinal(sold=self.sold, raised=raised)
    if self.final:
        sales._deliver(receiver, amount)
        extcall ILaunchpad(LAUNCHPAD).report(amount, 0, False, False)
    else:
        self._settle(receiver, self.bought[receiver])
        self.bought[receiver] += amount
        self.paid_by[receiver] += cost
        self.escrowed += amount
    return amount, cost


@external
def collect(buyer: address) -> uint256:
    """
    @notice Send a buyer the shares bought before the soft cap was reached. Anyone may call it.
    """
    assert self.final, "offering: not final"
    amount: uint256 = self.bought[buyer]
    assert amount != 0, "offering: nothing to collect"
    assert (
        self._pull() or msg.sender == buyer
    ), "offering: revenue is held up; only the buyer may forgo it"
    self._settle(buyer, amount)
    self.bought[buyer] = 0
    self.escrowed -= amount
    sales._deliver(buyer, amount)
    extcall ILaunchpad(LAUNCHPAD).report(amount, 0, False, False)
    log Collected(buyer=buyer, amount=amount)
    return amount


@external
def refund(receiver: address = msg.sender) -> uint256:
    """
    @notice After a sale that missed its soft cap: pay the caller's money back, to `receiver`.
    """
    return self._refund(msg.sender, receiver)


@external
def refund_for(buyer: address) -> uint256:
    """
    @notice As `refund`, to the buyer; anyone may call it.
    """
    return self._refund(buyer, buyer)


# --- The publisher --------------------------------------------------------------------------------------------------


@external
def withdraw_proceeds(receiver: address = msg.sender) -> uint256:
    """
    @notice Pay out what final purchases brought.
    """
    assert msg.sender == sales._publisher(), "offering: only the publisher"
    amount: uint256 = self.proceeds
    self.proceeds = 0
    sales._pay(receiver, amount)
    log ProceedsWithdrawn(publisher=msg.sender, receiver=receiver, amount=amount)
    return amount


@external
def return_unsold() -> uint256:
    """
    @notice When the sale is over, give the publisher the shares that belong neither to a buyer nor to the pool. Anyone
            may call it.
    """
    assert self._is_over(), "offering: not over yet"
    assert not self.returned, "offering: returned already"
    publisher: address = sales._publisher()
    assert (
        self._pull() or msg.sender == publisher
    ), "offering: revenue is held up; only the publisher may forgo it"
    self._settle_publisher()
    self.returned = True
    left: uint256 = self.unsold + self.pooled
    self.unsold = 0
    self.pooled = 0
    if not self.final:
        # The sale failed: what was bought goes back too, with all that it earned meanwhile.
        left += self.escrowed
        self.escrowed = 0
        accruals._leave_all_to(sales._share(), publisher)
    elif not self.pool_opened:
        self.pooled = sales._pool_part(self.sold)
        left -= self.pooled
    # The real balance, so that shares somebody sent here by mistake are not lost.
    amount: uint256 = (
        staticcall IERC20(sales._share()).balanceOf(self) - self.escrowed - self.pooled
    )
    if amount != 0:
        sales._deliver(publisher, amount)
    extcall ILaunchpad(LAUNCHPAD).report(left, 0, self.pooled == 0, self._found_a_price())
    log UnsoldReturned(publisher=publisher, amount=amount)
    return amount


@external
def open_pool():
    """
    @notice When the sale is over and final, open the share's pool with the part of the proceeds and of the shares that
            is kept for it. Anyone may call it.
    """
    assert self._is_over(), "offering: not over yet"
    assert self.final and sales._liquidity_bps() != 0, "offering: no pool to open"
    assert not self.pool_opened, "offering: pool opened already"
    assert (
        self._pull() or msg.sender == sales._publisher()
    ), "offering: revenue is held up; only the publisher may forgo it"
    self._settle_publisher()
    self.pool_opened = True
    shares: uint256 = sales._pool_part(self.sold)
    self.unsold += self.pooled - shares
    self.pooled = 0
    sales._open_pool(EXCHANGE, shares, sales._pool_part(self.raised))
    extcall ILaunchpad(LAUNCHPAD).report(shares, 0, True, True)


# --- Revenue --------------------------------------------------------------------------------------------------------


@external
def claim(receiver: address = msg.sender) -> uint256:
    """
    @notice Pay the revenue of the caller's shares here: the publisher's unsold ones, or a buyer's once the sale is
            final.
    @return Base units, rounded down; the rest stays on the account.
    """
    publisher: address = sales._publisher()
    assert self.final or msg.sender == publisher, "offering: not final"
    pulled: bool = self._pull()
    if msg.sender == publisher:
        self._settle_publisher()
    else:
        self._settle(msg.sender, self.bought[msg.sender])
    amount: uint256 = accruals._take(sales._share(), msg.sender)
    sales._pay(receiver, amount)
    log RevenueClaimed(account=msg.sender, receiver=receiver, amount=amount)
    return amount


@internal
def _pull() -> bool:
    return accruals._pull(
        sales._share(), self.unsold + self.escrowed + self.pooled, sales._publisher()
    )


@internal
def _settle(account: address, earning: uint256):
    accruals._settle(sales._share(), account, earning)


@internal
def _settle_publisher():
    self._settle(sales._publisher(), self.unsold + self.pooled)


@internal
@view
def _found_a_price() -> bool:
    return self.final and sales._is_much(self.sold, clones._argument(self, 3) & MASK_96)


@internal
@view
def _is_over() -> bool:
    return block.timestamp >= sales._end() or (self.final and self.unsold == 0)


@internal
def _refund(buyer: address, receiver: address) -> uint256:
    assert (block.timestamp >= sales._end() and not self.final), "offering: no refunds"
    amount: uint256 = self.paid_by[buyer]
    assert amount != 0, "offering: nothing to refund"
    self.paid_by[buyer] = 0
    self.bought[buyer] = 0
    sales._pay(receiver, amount)
    log Refunded(buyer=buyer, receiver=receiver, amount=amount)
    return amount


# --- Views ----------------------------------------------------------------------------------------------------------


@external
@view
@reentrant
def preview_buy(amount: uint256) -> uint256:
    """
    @notice What `buy` would cost, in base units, rounded up.
    """
    return self._cost(amount)


@external
@view
@reentrant
def claimable(account: address) -> uint256:
    """
    @notice Revenue that `claim` would pay an account now. A buyer's is 0 until the sale is final.
    """
    publisher: address = sales._publisher()
    if not self.final and account != publisher:
        return 0
    own: uint256 = self.unsold + self.pooled
    earning: uint256 = own if account == publisher else self.bought[account]
    return accruals._claimable(sales._share(), account, earning, own + self.escrowed, publisher)


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
def terms() -> (address, address, uint256, uint256, uint256, uint256, uint256, uint256):
    """
    @return Share, publisher, price (base units for 10^18 raw shares), shares for sale, soft cap and most for one buyer
            (raw shares), start and end (unix seconds).
    """
    amounts: uint256 = clones._argument(self, 3)
    return (
        sales._share(),
        sales._publisher(),
        clones._argument(self, 2),
        amounts & MASK_96,
        amounts >> 96,
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
def _cost(amount: uint256) -> uint256:
    """
    @dev Rounded up: the publisher never gets less than the price.
    """
    return (amount * clones._argument(self, 2) + WHOLE_SHARE - 1) // WHOLE_SHARE
