# pragma version 0.4.3
# pragma evm-version cancun
# pragma nonreentrancy on
"""
@title ApprovedSale
@license Apache-2.0
@notice Sells an asset's shares on an approval that is still to come: it is the publisher of the sale, and keeps what buyers
        paid until the approval is final. If it does not come, buyers bring shares back and get their money.
@dev One contract for all such sales; each is an ordinary Offering of the Launchpad, whose publisher is this contract. No
     other contract knows of it: that an offering has this publisher is what "requires an approval" means.
     Twin: `tessera.spec.approved_sale`.
@custom:security Money leaves to the issuer before the end only up to a fifth of what its approvers have at stake of their
     own, for three sales at once at most, and once for a model: that much they lose if they approved wrongly. A buyer who returns shares gets the same part of what is left as
     those shares are of all that were sold: the price, less what went to the issuer early. Nobody brings back more
     than it bought here: else the issuer, who has other shares and gets these, would be first and take it all.
     A sale opens no pool, so that all proceeds are here. An approval that never ends is no approval: a round ends by
     itself, with the truth or void.
@custom:invariant solvent, escrow_until_final
@custom:pause Nothing here can be paused.
"""
from ethereum.ercs import IERC20


interface IRegistry:
    def share_of(asset: uint256) -> address: view
    def ownerOf(asset: uint256) -> address: view


struct Liquidity:
    bps: uint256
    tier: uint256
    locked: uint256


struct Sale:
    publisher: address
    price: uint256
    for_sale: uint256
    soft_cap: uint256
    cap_per_buyer: uint256
    start: uint256
    end: uint256
    allowed: bytes32
    liquidity: Liquidity


interface ILaunchpad:
    def offer(asset: uint256, sale: Sale) -> address: nonpayable


interface IOffering:
    def withdraw_proceeds(receiver: address) -> uint256: nonpayable
    def return_unsold() -> uint256: nonpayable
    def claim(receiver: address) -> uint256: nonpayable
    def final() -> bool: view
    def sold() -> uint256: view
    def bought_in_all(buyer: address) -> uint256: view


struct Round:
    test_set: bytes32
    asset: uint256
    version: uint256
    model: bytes32
    issuer: address
    tau: uint256
    prior: uint256
    cap: uint256
    budget: uint256
    validators: uint256
    state: uint256
    listed: bool
    score: uint256
    in_favour: uint256
    weight: uint256
    most: uint256
    approving: uint256
    counted: uint256
    deadline: uint256
    attempts: uint256
    finished_at: uint256
    reward_weight: uint256


interface IApprovals:
    def round_of(round: bytes32) -> Round: view


interface IPrices:
    def value_of(tokens: uint256) -> uint256: view


event SaleOpened:
    offering: indexed(address)
    round: indexed(bytes32)
    issuer: indexed(address)
    sale: Sale


event Collected:
    offering: indexed(address)
    amount: uint256


event Released:
    offering: indexed(address)
    receiver: indexed(address)
    amount: uint256


event Refunded:
    offering: indexed(address)
    buyer: indexed(address)
    shares: uint256
    amount: uint256


struct Escrow:
    round: bytes32
    issuer: address
    share: address
    # Base units that came in, and that lie here.
    raised: uint256
    held: uint256
    # What went to the issuer early.
    released: uint256
    # Raw shares that buyers brought back.
    returned: uint256


WHOLE_SHARE: constant(uint256) = 10**18
# Of what the approving bonds are worth.
EARLY_PART: constant(uint256) = 5
CLOSED: constant(uint256) = 1
GOOD: constant(uint256) = 2

CURRENCY: immutable(IERC20)
REGISTRY: immutable(IRegistry)
LAUNCHPAD: immutable(ILaunchpad)
APPROVALS: immutable(IApprovals)
PRICES: immutable(IPrices)

escrow_of: public(HashMap[address, Escrow])
# Raw shares that a buyer brought back, by offering.
returned_by: public(HashMap[address, HashMap[address, uint256]])
# What is for sale on a round, base units at the asked prices.
offered: public(HashMap[bytes32, uint256])
# What was released early of all sales of a model, in whichever round: its approvers are punished for it once.
released_early: public(HashMap[bytes32, uint256])
# Base units of the currency that lie here for somebody.
obligations: public(uint256)


@deploy
def __init__(
    currency: address, registry: address, launchpad: address, approvals: address, prices: address
):
    """
    @param prices Says what network tokens are worth in the currency; without one, nothing leaves early.
    """
    CURRENCY = IERC20(currency)
    REGISTRY = IRegistry(registry)
    LAUNCHPAD = ILaunchpad(launchpad)
    APPROVALS = IApprovals(approvals)
    PRICES = IPrices(prices)


@external
def open(round: bytes32, sale: Sale) -> address:
    """
    @notice Put shares of the caller up for sale, on the approval that `round` is about. Approve them first. Only who opened
            that round.
    @param sale As the Launchpad takes it; its publisher is this contract, and it opens no pool.
    """
    row: Round = staticcall APPROVALS.round_of(round)
    assert msg.sender == row.issuer, "approved_sale: only who opened the round"
    assert row.state <= CLOSED, "approved_sale: the round is over"
    assert (
        sale.publisher == self and sale.liquidity.bps == 0
    ), "approved_sale: not to be sold that way"
    share: address = staticcall REGISTRY.share_of(row.asset)
    assert share != empty(address), "approved_sale: asset is not tokenized"
    # Rounded up, as buyers pay.
    self.offered[round] += sale.for_sale * sale.price // WHOLE_SHARE + 1
    assert self.offered[round] <= row.cap, "approved_sale: above the cap of the round"
    # The Registry's Shares move what they are told to, or revert.
    extcall IERC20(share).transferFrom(msg.sender, self, sale.for_sale)
    extcall IERC20(share).approve(LAUNCHPAD.address, sale.for_sale)
    offering: address = extcall LAUNCHPAD.offer(row.asset, sale)
    self.escrow_of[offering] = Escrow(
        round=round,
        issuer=msg.sender,
        share=share,
        raised=0,
        held=0,
        released=0,
        returned=0,
    )
    log SaleOpened(offering=offering, round=round, issuer=msg.sender, sale=sale)
    return offering


@external
def collect(offering: address) -> uint256:
    """
    @notice Fetch what final purchases brought. Anyone may call it.
    """
    return self._collect(offering)


@external
def release(offering: address, receiver: address = msg.sender) -> uint256:
    """
    @notice Pay the issuer what it may have: all once the approval is final; before, a fifth of what approvers of
            a listed round staked themselves, over all sales of this model together.
    """
    self._collect(offering)
    escrow: Escrow = self.escrow_of[offering]
    assert msg.sender == escrow.issuer, "approved_sale: only the issuer"
    row: Round = staticcall APPROVALS.round_of(escrow.round)
    amount: uint256 = escrow.held
    if not (row.state == GOOD and row.listed):
        assert row.state == CLOSED and row.listed, "approved_sale: not approved"
        most: uint256 = 0
        if PRICES.address != empty(address):
            most = staticcall PRICES.value_of(row.approving) // EARLY_PART
        before: uint256 = self.released_early[row.model]
        amount = min(amount, most - min(most, before))
        self.released_early[row.model] = before + amount
    self.escrow_of[offering].held -= amount
    self.escrow_of[offering].released += amount
    log Released(offering=offering, receiver=receiver, amount=amount)
    self._pay(receiver, amount)
    return amount


@external
def refund(offering: address, shares: uint256, receiver: address = msg.sender) -> uint256:
    """
    @notice After a round that ended without an approval: bring shares back, which go to the issuer, and get their part of
            what is left here. Approve the shares first.
    @return Base units, rounded down; who comes last gets what rounding left.
    """
    self._collect(offering)
    escrow: Escrow = self.escrow_of[offering]
    row: Round = staticcall APPROVALS.round_of(escrow.round)
    assert row.state >= GOOD and not (
        row.state == GOOD and row.listed
    ), "approved_sale: nothing to refund"
    left: uint256 = staticcall IOffering(offering).sold() - escrow.returned
    brought: uint256 = self.returned_by[offering][msg.sender] + shares
    assert (
        shares != 0 and brought <= staticcall IOffering(offering).bought_in_all(msg.sender)
    ), "approved_sale: more than the caller bought"
    self.returned_by[offering][msg.sender] = brought
    amount: uint256 = escrow.held * shares // left
    self.escrow_of[offering].returned += shares
    self.escrow_of[offering].held -= amount
    extcall IERC20(escrow.share).transferFrom(msg.sender, escrow.issuer, shares)
    log Refunded(offering=offering, buyer=msg.sender, shares=shares, amount=amount)
    self._pay(receiver, amount)
    return amount


@external
def return_unsold(offering: address) -> uint256:
    """
    @notice When the sale is over, give the issuer the shares that were not sold. Anyone may call it.
    @return Raw shares.
    """
    escrow: Escrow = self.escrow_of[offering]
    assert escrow.share != empty(address), "approved_sale: no such sale"
    before: uint256 = staticcall IERC20(escrow.share).balanceOf(self)
    extcall IOffering(offering).return_unsold()
    amount: uint256 = staticcall IERC20(escrow.share).balanceOf(self) - before
    if amount != 0:
        extcall IERC20(escrow.share).transfer(escrow.issuer, amount)
    return amount


@external
def claim_revenue(offering: address) -> uint256:
    """
    @notice Pay the issuer what its unsold shares earned. Anyone may call it.
    """
    escrow: Escrow = self.escrow_of[offering]
    assert escrow.share != empty(address), "approved_sale: no such sale"
    return extcall IOffering(offering).claim(escrow.issuer)


@internal
def _collect(offering: address) -> uint256:
    assert self.escrow_of[offering].share != empty(address), "approved_sale: no such sale"
    before: uint256 = staticcall CURRENCY.balanceOf(self)
    extcall IOffering(offering).withdraw_proceeds(self)
    amount: uint256 = staticcall CURRENCY.balanceOf(self) - before
    self.escrow_of[offering].raised += amount
    self.escrow_of[offering].held += amount
    self.obligations += amount
    if amount != 0:
        log Collected(offering=offering, amount=amount)
    return amount


@internal
def _pay(receiver: address, amount: uint256):
    if amount != 0:
        self.obligations -= amount
        assert extcall CURRENCY.transfer(
            receiver, amount, default_return_value=True
        ), "approved_sale: currency refused the transfer"
