# pragma version 0.4.3
# pragma evm-version cancun
# pragma nonreentrancy on
"""
@title Offering
@license Apache-2.0
@notice The first sale of shares at a fixed price. Below the soft cap every buyer gets the money back; from the soft cap
        on every purchase is final.
@dev One clone for each sale; its terms are in its code. Until the soft cap is reached, shares and money wait here.
     Shares here earn: what is not sold earns for the publisher, what is bought earns for its buyer. Revenue comes in
     through the Share and is divided by `modules/accruals.vy`.
     Twin: `tessera.spec.offering`.
@custom:security The publisher cannot change a term, take money before the soft cap, or unsold shares before the end.
     A publisher can reach the soft cap by buying with a second address: it shows that money came in, not whose.
     Tokens other than the share that are sent here by mistake stay here.
     The price is fixed, so being earlier or later in a block changes nothing but whether shares are left; a cap for
     each buyer is a courtesy, not a defence against many addresses.
@custom:invariant solvent, escrow_until_final, can_always_claim, conserved
@custom:pause Nothing here can be paused.
"""
from ethereum.ercs import IERC20
from .modules import accruals
from .modules import clones

initializes: accruals


interface IShare:
    def currency() -> address: view


interface ILaunchpad:
    def report(left: uint256, closes: bool): nonpayable


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


# Arguments of the clone: 0 share, 1 publisher, 2 price (base units for 10^18 raw shares),
# 3 for sale (96) | soft cap (96), raw shares, 4 most for one buyer, raw shares, 5 start (40) | end (40) << 40.
WHOLE_SHARE: constant(uint256) = 10**18
MASK_96: constant(uint256) = 2**96 - 1
MASK_40: constant(uint256) = 2**40 - 1
MASK_160: constant(uint256) = 2**160 - 1

LAUNCHPAD: immutable(address)

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

# Shares that earn here: not yet sold, and bought but not collected.
unsold: public(uint256)
escrowed: public(uint256)


@deploy
def __init__(launchpad: address):
    """
    @param launchpad Makes every clone, and is told what leaves it.
    """
    LAUNCHPAD = launchpad


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
        staticcall IERC20(self._share()).balanceOf(self) >= for_sale
    ), "offering: shares are not here"
    self.unsold = for_sale


# --- Buyers ---------------------------------------------------------------------------------------------------------


@external
def buy(amount: uint256, receiver: address = msg.sender) -> uint256:
    """
    @notice Buy `amount` raw shares for `receiver`. Delivered at once if the sale is final, else kept for `collect`.
    @return What it cost, in base units, rounded up.
    """
    now: uint256 = block.timestamp
    times: uint256 = clones._argument(self, 5)
    assert now >= times & MASK_40, "offering: not open yet"
    assert now < times >> 40, "offering: over"
    assert amount != 0 and amount <= self.unsold, "offering: not that many shares left"
    in_all: uint256 = self.bought_in_all[receiver] + amount
    assert in_all <= clones._argument(self, 4), "offering: above the cap for one buyer"
    cost: uint256 = self._cost(amount)
    publisher: address = self._publisher()
    # One account cannot be both: its unsold shares and its bought ones would share one index.
    assert receiver != publisher, "offering: the publisher cannot buy"
    assert receiver != empty(address), "offering: receiver is the zero address"
    # Revenue that the currency holds up is shared later by whoever is still here. Nobody leaves by buying, so nobody
    # is pushed out of it.
    pulled: bool = self._pull()
    self._settle(publisher, self.unsold)
    self.bought_in_all[receiver] = in_all
    self.unsold -= amount
    self.sold += amount
    self.raised += cost
    log Bought(buyer=receiver, amount=amount, cost=cost)
    currency: IERC20 = IERC20(self._currency())
    before: uint256 = staticcall currency.balanceOf(self)
    assert extcall currency.transferFrom(
        msg.sender, self, cost, default_return_value=True
    ), "offering: currency refused the transfer"
    assert staticcall currency.balanceOf(self) - before == cost, "offering: currency takes a fee"
    if self.final:
        self.proceeds += cost
    elif self.sold >= clones._argument(self, 3) >> 96:
        self.final = True
        self.proceeds = self.raised
        log BecameFinal(sold=self.sold, raised=self.raised)
    if self.final:
        self._deliver(receiver, amount)
        extcall ILaunchpad(LAUNCHPAD).report(amount, False)
    else:
        self._settle(receiver, self.bought[receiver])
        self.bought[receiver] += amount
        self.paid_by[receiver] += cost
        self.escrowed += amount
    return cost


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
    self._deliver(buyer, amount)
    extcall ILaunchpad(LAUNCHPAD).report(amount, False)
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
    assert msg.sender == self._publisher(), "offering: only the publisher"
    amount: uint256 = self.proceeds
    self.proceeds = 0
    self._send(receiver, amount)
    log ProceedsWithdrawn(publisher=msg.sender, receiver=receiver, amount=amount)
    return amount


@external
def return_unsold() -> uint256:
    """
    @notice After the end, give the publisher the shares that belong to no buyer. Anyone may call it.
    """
    assert block.timestamp >= clones._argument(self, 5) >> 40, "offering: not over yet"
    assert not self.returned, "offering: returned already"
    publisher: address = self._publisher()
    assert (
        self._pull() or msg.sender == publisher
    ), "offering: revenue is held up; only the publisher may forgo it"
    self._settle(publisher, self.unsold)
    self.returned = True
    left: uint256 = self.unsold
    self.unsold = 0
    if not self.final:
        # The sale failed: what was bought goes back too, with all that it earned meanwhile.
        left += self.escrowed
        self.escrowed = 0
        accruals._leave_all_to(self._share(), publisher)
    # The real balance, so that shares somebody sent here by mistake are not lost.
    amount: uint256 = staticcall IERC20(self._share()).balanceOf(self) - self.escrowed
    if amount != 0:
        self._deliver(publisher, amount)
    extcall ILaunchpad(LAUNCHPAD).report(left, True)
    log UnsoldReturned(publisher=publisher, amount=amount)
    return amount


# --- Revenue --------------------------------------------------------------------------------------------------------


@external
def claim(receiver: address = msg.sender) -> uint256:
    """
    @notice Pay the revenue of the caller's shares here: the publisher's unsold ones, or a buyer's once the sale is
            final.
    @return Base units, rounded down; the rest stays on the account.
    """
    publisher: address = self._publisher()
    assert self.final or msg.sender == publisher, "offering: not final"
    pulled: bool = self._pull()
    if msg.sender == publisher:
        self._settle(publisher, self.unsold)
    else:
        self._settle(msg.sender, self.bought[msg.sender])
    amount: uint256 = accruals._take(self._share(), msg.sender)
    self._send(receiver, amount)
    log RevenueClaimed(account=msg.sender, receiver=receiver, amount=amount)
    return amount


@internal
def _pull() -> bool:
    return accruals._pull(self._share(), self.unsold + self.escrowed, self._publisher())


@internal
def _settle(account: address, earning: uint256):
    accruals._settle(self._share(), account, earning)


@internal
def _refund(buyer: address, receiver: address) -> uint256:
    assert (
        block.timestamp >= clones._argument(self, 5) >> 40 and not self.final
    ), "offering: no refunds"
    amount: uint256 = self.paid_by[buyer]
    assert amount != 0, "offering: nothing to refund"
    self.paid_by[buyer] = 0
    self.bought[buyer] = 0
    self._send(receiver, amount)
    log Refunded(buyer=buyer, receiver=receiver, amount=amount)
    return amount


@internal
def _deliver(receiver: address, amount: uint256):
    assert extcall IERC20(self._share()).transfer(
        receiver, amount
    ), "offering: share refused the transfer"


@internal
def _send(receiver: address, amount: uint256):
    if amount != 0:
        assert extcall IERC20(self._currency()).transfer(
            receiver, amount, default_return_value=True
        ), "offering: currency refused the transfer"


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
    publisher: address = self._publisher()
    if not self.final and account != publisher:
        return 0
    earning: uint256 = self.unsold if account == publisher else self.bought[account]
    return accruals._claimable(
        self._share(), account, earning, self.unsold + self.escrowed, publisher
    )


@external
@view
@reentrant
def received() -> uint256:
    """
    @notice Revenue that came in through the Share, in base units.
    """
    return accruals.received[self._share()]


@external
@view
@reentrant
def distributed() -> uint256:
    """
    @notice What was paid out of `received`.
    """
    return accruals.distributed[self._share()]


@external
@view
@reentrant
def terms() -> (address, address, uint256, uint256, uint256, uint256, uint256, uint256):
    """
    @return Share, publisher, price (base units for 10^18 raw shares), shares for sale, soft cap and most for one buyer
            (raw shares), start and end (unix seconds).
    """
    amounts: uint256 = clones._argument(self, 3)
    times: uint256 = clones._argument(self, 5)
    return (
        self._share(),
        self._publisher(),
        clones._argument(self, 2),
        amounts & MASK_96,
        amounts >> 96,
        clones._argument(self, 4),
        times & MASK_40,
        times >> 40,
    )


@internal
@view
def _cost(amount: uint256) -> uint256:
    """
    @dev Rounded up: the publisher never gets less than the price.
    """
    return (amount * clones._argument(self, 2) + WHOLE_SHARE - 1) // WHOLE_SHARE


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
