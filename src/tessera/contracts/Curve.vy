# pragma version 0.4.3
# pragma evm-version cancun
# pragma nonreentrancy on
"""
@title Curve
@license Apache-2.0
@notice A first sale along a bonding curve: each purchase raises the price, each sale back lowers it. The purchase that
        reaches the target graduates it: in that transaction a part of the money opens the share's pool at the curve's
        price, as locked liquidity. A curve that misses its target by its end gives the money back.
@dev One clone for each sale; its terms are in its code. The curve is a constant product of (virtual shares - sold) and
     (virtual currency + raised). Shares are delivered at once, so they earn for their buyer through the Share itself;
     those that lie here earn for the publisher. Twin: `tessera.spec.curve`.
     In its first `calm` seconds a buyer pays a surcharge that begins at `surcharge_bps` and falls in a straight line
     to nothing. It stays on the curve: it moves the price like money that bought nothing, so it belongs to those who
     sell back, and to the target.
@custom:security Both roundings favour the curve, so no row of purchases and sales back takes out more than was put in.
     Only who bought here sells back, and no more than that: otherwise a publisher who holds the rest of the supply
     would sell it to the curve for the buyers' money.
     The surcharge makes buying in the first second dear instead of fast. It is a rule of time, the same for all: no
     one is named, no one is let in. Whoever pays it and sells back at once loses at least the part
     (virtual shares - sold) / virtual shares of it; with the cap for each buyer it takes from sniping its profit, not
     its possibility. A person with many addresses is many buyers.
     Selling back follows the curve, but never brings more than was paid: a gain would be money that others are to have
     back if the end is missed, and whoever buys twice in the last second could take it. Who wants the gain of an early
     purchase finds it in the pool. So after a missed end nobody races for the exit: each has back what was paid, and
     what others lost by leaving before (surcharges, a price that fell) is nobody's but the publisher's. If it were
     shared, whoever buys in the last second would take the most of it for no risk.
     Amounts are accounts, not balances: shares or money sent here change no price.
@custom:invariant solvent, conserved, price_honest, escrow_until_final, can_always_claim
@custom:pause Nothing here can be paused.
"""
from ethereum.ercs import IERC20
from .modules import clones
from .modules import merkle
from .modules import sales


interface IShare:
    def claim(receiver: address) -> uint256: nonpayable


interface ILaunchpad:
    def report(left: uint256, back: uint256, closes: bool, priced: bool): nonpayable


event Bought:
    buyer: indexed(address)
    amount: uint256
    cost: uint256


event SoldBack:
    seller: indexed(address)
    receiver: indexed(address)
    amount: uint256
    paid: uint256


event Graduated:
    sold: uint256
    raised: uint256


event ProceedsWithdrawn:
    publisher: indexed(address)
    receiver: indexed(address)
    amount: uint256


event UnsoldReturned:
    publisher: indexed(address)
    amount: uint256


# Arguments of the clone as in `modules/sales.vy`; 2 virtual shares (96), raw | virtual currency (96), base units; 3 shares
# here at first (96), raw | target (96), base units; 4 is in raw shares; 5 ends with surcharge, bps (16) | calm (40).
WHOLE_SHARE: constant(uint256) = 10**18
BPS: constant(uint256) = 10_000
MASK_96: constant(uint256) = 2**96 - 1
MASK_16: constant(uint256) = 2**16 - 1
SURCHARGE_AT: constant(uint256) = 144
CALM_AT: constant(uint256) = 160

LAUNCHPAD: immutable(address)
EXCHANGE: immutable(address)

# Raw shares outside, and base units here, until it graduates; then what they were.
sold: public(uint256)
raised: public(uint256)
graduated: public(bool)
# What somebody bought here and did not sell back, raw shares; and what was paid for that, base units.
bought: public(HashMap[address, uint256])
paid_by: public(HashMap[address, uint256])
# The sum of `paid_by`.
paid: public(uint256)
proceeds: public(uint256)
# Raw shares here that are neither sold, nor in the pool, nor returned.
unsold: public(uint256)


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
            once is enough, since it only believes what it holds. Not after the end: a curve that was given back has
            left the Launchpad's books, and must not leave them twice.
    """
    assert (
        block.timestamp < sales._end()
        and self.unsold == 0
        and self.sold == 0
        and not self.graduated
    ), "curve: initialized already"
    here: uint256 = clones._argument(self, 3) & MASK_96
    assert (staticcall IERC20(sales._share()).balanceOf(self) >= here), "curve: shares are not here"
    self.unsold = here


# --- Buyers ---------------------------------------------------------------------------------------------------------


@external
def buy(
    spend: uint256,
    least: uint256,
    deadline: uint256,
    receiver: address = msg.sender,
    most: uint256 = 0,
    proof: DynArray[bytes32, merkle.MAX_PROOF] = [],
) -> (uint256, uint256):
    """
    @notice Buy raw shares for up to `spend` base units. If less reaches the target, only that much is taken.
    @param least The fewest raw shares to accept.
    @param deadline Unix seconds after which it is refused.
    @param most The receiver's part of the list of buyers, in raw shares, with its `proof`; of no meaning without one.
    @return Raw shares, rounded down, and base units taken.
    """
    now: uint256 = block.timestamp
    assert now <= deadline, "curve: past the deadline"
    assert now >= sales._start(), "curve: not open yet"
    assert now < sales._end() and not self.graduated, "curve: over"
    amount: uint256 = 0
    cost: uint256 = 0
    amount, cost = self._bought_for(spend, now)
    raised: uint256 = self.raised + cost
    reached: bool = raised == self._target()
    # The last unit must be worth something to whoever pays it, or nothing would ever reach the target.
    assert amount != 0 or (reached and cost != 0), "curve: too little for a share"
    assert amount >= least, "curve: fewer than the buyer's least"
    in_all: uint256 = self.bought[receiver] + amount
    sales._check_buyer(receiver, in_all, most, proof)
    self.bought[receiver] = in_all
    self.paid_by[receiver] += cost
    self.paid += cost
    self.sold += amount
    self.unsold -= amount
    self.raised = raised
    log Bought(buyer=receiver, amount=amount, cost=cost)
    sales._take_in(cost)
    if amount != 0:
        sales._deliver(receiver, amount)
    if reached:
        self._graduate(amount)
    else:
        extcall ILaunchpad(LAUNCHPAD).report(amount, 0, False, False)
    return amount, cost


@external
def sell(
    amount: uint256, least: uint256, deadline: uint256, receiver: address = msg.sender
) -> uint256:
    """
    @notice Sell back raw shares that were bought here. Before the end they bring what the curve gives, and at most what
            was paid for them; after an end that missed the target, what was paid for them. Approve them first.
    @param least The fewest base units to accept.
    @param deadline Unix seconds after which it is refused.
    @return Base units, rounded down.
    """
    assert block.timestamp <= deadline, "curve: past the deadline"
    assert not self.graduated, "curve: graduated; sell on the exchange"
    bought: uint256 = self.bought[msg.sender]
    assert amount <= bought and amount != 0, "curve: more than was bought here"
    paid_by: uint256 = self.paid_by[msg.sender]
    basis: uint256 = paid_by - paid_by * (bought - amount) // bought
    paid: uint256 = self._sold_for(amount, basis, block.timestamp)
    assert paid >= least, "curve: less than the seller's least"
    self.bought[msg.sender] = bought - amount
    self.paid_by[msg.sender] = paid_by - basis
    self.paid -= basis
    self.sold -= amount
    self.unsold += amount
    self.raised -= paid
    assert extcall IERC20(sales._share()).transferFrom(
        msg.sender, self, amount
    ), "sale: share refused the transfer"
    extcall ILaunchpad(LAUNCHPAD).report(0, amount, False, False)
    sales._pay(receiver, paid)
    log SoldBack(seller=msg.sender, receiver=receiver, amount=amount, paid=paid)
    return paid


# --- The publisher --------------------------------------------------------------------------------------------------


@external
def withdraw_proceeds(receiver: address = msg.sender) -> uint256:
    """
    @notice Pay out what the curve raised, without the part for the pool, once it has graduated; or, after a missed end
            and `return_unsold`, what was left behind.
    """
    assert msg.sender == sales._publisher(), "curve: only the publisher"
    amount: uint256 = self.proceeds
    self.proceeds = 0
    sales._pay(receiver, amount)
    log ProceedsWithdrawn(publisher=msg.sender, receiver=receiver, amount=amount)
    return amount


@external
def return_unsold() -> uint256:
    """
    @notice Once it has graduated, or its end has passed, give the publisher the shares here. Anyone may call it, also
            again after shares were sold back. What lies here beyond what was paid for shares outside is proceeds then.
    """
    assert self.graduated or block.timestamp >= sales._end(), "curve: not over yet"
    if not self.graduated:
        paid: uint256 = self.paid
        self.proceeds += self.raised - paid
        self.raised = paid
    left: uint256 = self.unsold
    self.unsold = 0
    # The real balance, so that shares somebody sent here by mistake are not lost.
    amount: uint256 = staticcall IERC20(sales._share()).balanceOf(self)
    publisher: address = sales._publisher()
    if amount != 0:
        sales._deliver(publisher, amount)
    extcall ILaunchpad(LAUNCHPAD).report(left, 0, True, False)
    log UnsoldReturned(publisher=publisher, amount=amount)
    return amount


@external
def claim(receiver: address = msg.sender) -> uint256:
    """
    @notice Pay the publisher the revenue of the shares that lie here.
    @return Base units of the currency.
    """
    assert msg.sender == sales._publisher(), "curve: only the publisher"
    return extcall IShare(sales._share()).claim(receiver)


@internal
def _graduate(amount: uint256):
    """
    @param amount What was delivered just now, and not reported yet.
    """
    raised: uint256 = self.raised
    for_pool: uint256 = sales._pool_part(raised)
    shares: uint256 = for_pool * self._shares_left() // (self._virtual_currency() + raised)
    self.graduated = True
    self.unsold -= shares
    self.proceeds = raised - for_pool
    log Graduated(sold=self.sold, raised=raised)
    sales._open_pool(EXCHANGE, shares, for_pool)
    extcall ILaunchpad(LAUNCHPAD).report(amount + shares, 0, True, True)


# --- Views ----------------------------------------------------------------------------------------------------------


@external
@view
@reentrant
def preview_buy(spend: uint256) -> (uint256, uint256):
    """
    @return Raw shares that `buy` would bring now, and base units that it would take; zeros while it is not open.
    """
    now: uint256 = block.timestamp
    if now < sales._start() or now >= sales._end() or self.graduated:
        return 0, 0
    return self._bought_for(spend, now)


@external
@view
@reentrant
def preview_sell(seller: address, amount: uint256) -> uint256:
    """
    @return Base units that `sell` would bring now; 0 where it would be refused.
    """
    bought: uint256 = self.bought[seller]
    if amount == 0 or amount > bought or self.graduated:
        return 0
    paid_by: uint256 = self.paid_by[seller]
    return self._sold_for(amount, paid_by - paid_by * (bought - amount) // bought, block.timestamp)


@external
@view
@reentrant
def price() -> uint256:
    """
    @notice What the curve asks for the next share, without surcharge: base units for 10^18 raw shares, rounded up.
    """
    shares: uint256 = self._shares_left()
    return ((self._virtual_currency() + self.raised) * WHOLE_SHARE + shares - 1) // shares


@external
@view
@reentrant
def surcharge_at(time: uint256) -> uint256:
    """
    @notice Bps on top of the curve's price at a time, rounded up.
    """
    return self._surcharge_at(time)


@external
@view
@reentrant
def terms() -> (
    address,
    address,
    uint256,
    uint256,
    uint256,
    uint256,
    uint256,
    uint256,
    uint256,
    uint256,
    uint256,
):
    """
    @return Share, publisher, virtual shares (raw) and virtual currency (base units), shares here at first (raw), target
            (base units), most for one buyer (raw), start and end (unix seconds), surcharge (bps) and calm (seconds).
    """
    packed: uint256 = clones._argument(self, 5)
    return (
        sales._share(),
        sales._publisher(),
        clones._argument(self, 2) & MASK_96,
        self._virtual_currency(),
        clones._argument(self, 3) & MASK_96,
        self._target(),
        clones._argument(self, 4),
        sales._start(),
        sales._end(),
        (packed >> SURCHARGE_AT) & MASK_16,
        packed >> CALM_AT,
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
def _bought_for(spend: uint256, now: uint256) -> (uint256, uint256):
    raised: uint256 = self.raised
    cost: uint256 = min(spend, self._target() - raised)
    # Without the surcharge; rounded down, as the shares are.
    net: uint256 = cost * BPS // (BPS + self._surcharge_at(now))
    return self._shares_left() * net // (self._virtual_currency() + raised + net), cost


@internal
@view
def _sold_for(amount: uint256, basis: uint256, now: uint256) -> uint256:
    """
    @param basis What was paid for `amount`.
    """
    if now >= sales._end():
        return basis
    # At most what was paid: so `raised` never falls below `paid`, and the money back is always there.
    return min(
        basis, (self._virtual_currency() + self.raised) * amount // (self._shares_left() + amount)
    )


@internal
@view
def _surcharge_at(time: uint256) -> uint256:
    packed: uint256 = clones._argument(self, 5)
    calm: uint256 = packed >> CALM_AT
    start: uint256 = sales._start()
    if calm == 0 or time >= start + calm:
        return 0
    first: uint256 = (packed >> SURCHARGE_AT) & MASK_16
    return (first * (start + calm - max(time, start)) + calm - 1) // calm


@internal
@view
def _shares_left() -> uint256:
    return (clones._argument(self, 2) & MASK_96) - self.sold


@internal
@view
def _virtual_currency() -> uint256:
    return clones._argument(self, 2) >> 96


@internal
@view
def _target() -> uint256:
    return clones._argument(self, 3) >> 96
