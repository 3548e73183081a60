# pragma version 0.4.3
# pragma evm-version cancun
# pragma nonreentrancy on
"""
@title Lens
@license Apache-2.0
@notice What a buyer of shares wants to know, answered by the chain alone: where the supply is, when it unlocks, who
        holds the most, and what it earned in each epoch.
@dev The chain keeps no list of holders or of vestings. A caller brings the list, found in events; the Lens checks that
     every entry is real and named once, and says how much the list leaves out. A list that leaves out nothing is proved
     complete; a list of holders that leaves out less than its smallest entry is proved to be the largest ones.
     Revenue by epoch needs marks: anyone writes one for an epoch, the first one stays, and it says when it was taken.
@custom:security Holds no money and no power; nothing else on chain reads it. A mark can be early or late in its epoch,
     never wrong: its figures are read from the Share and from Channels in the transaction that writes it. Revenue
     streamed shows that holders earned, not that anybody wanted the asset: an owner can pay its own Share. The commons
     half of the fee, given beside it, cannot be had back.
@custom:pause Nothing here can be paused.
"""
from ethereum.ercs import IERC20


interface IRegistry:
    def share_of(asset: uint256) -> address: view


interface IShare:
    def revenue_index() -> uint256: view


interface ILaunchpad:
    def asset_of(clone: address) -> uint256: view
    def held_in_sales(asset: uint256) -> uint256: view
    def held_in_vesting(asset: uint256) -> uint256: view


interface IExchange:
    def token_reserve(token: address) -> uint256: view


interface IGovernor:
    def locked_of(asset: uint256, holder: address) -> uint256: view
    def locked_total(asset: uint256) -> uint256: view


interface IChannels:
    def demand_of(asset: uint256) -> uint256: view


interface IVesting:
    def schedule() -> (address, address, uint256, uint256, uint256, uint256): view
    def unlocked_at(time: uint256) -> uint256: view
    def left() -> uint256: view


# Raw units of the share. `circulating` is what is neither for sale, nor vesting, nor in a pool; it includes `locked`.
struct Supply:
    total: uint256
    for_sale: uint256
    vesting: uint256
    pooled: uint256
    locked: uint256
    circulating: uint256


# What one account has: in hand, locked for votes, and in the vestings that were listed.
struct Holding:
    account: address
    free: uint256
    locked: uint256
    vesting: uint256


# Figures up to a time: revenue streamed to holders, and the commons half of settled fees. Base units of the currency.
struct Mark:
    epoch: uint256
    time: uint256
    revenue: uint256
    demand: uint256


event Marked:
    asset: indexed(uint256)
    epoch: indexed(uint256)
    revenue: uint256
    demand: uint256


MAX_LISTED: constant(uint256) = 64
MASK_96: constant(uint256) = 2**96 - 1
MAX_EPOCH: constant(uint256) = 365 * 86_400

REGISTRY: immutable(address)
LAUNCHPAD: immutable(address)
EXCHANGE: immutable(address)
GOVERNOR: immutable(address)
CHANNELS: immutable(address)
EPOCH: immutable(uint256)

# time (40) | revenue (96) << 40 | demand (96) << 136; 0 where nobody wrote one.
marks: HashMap[uint256, HashMap[uint256, uint256]]


@deploy
def __init__(
    registry: address,
    launchpad: address,
    exchange: address,
    governor: address,
    channels: address,
    epoch: uint256,
):
    """
    @param epoch Length of an epoch in seconds; epoch n begins at n times this.
    """
    assert epoch != 0 and epoch <= MAX_EPOCH, "lens: epoch out of range"
    REGISTRY = registry
    LAUNCHPAD = launchpad
    EXCHANGE = exchange
    GOVERNOR = governor
    CHANNELS = channels
    EPOCH = epoch


@external
def mark(asset: uint256) -> bool:
    """
    @notice Write down what the asset earned until now, unless this epoch has a mark already. Anyone may.
    @return Whether a mark was written.
    """
    now: Mark = self._now(asset)
    if self.marks[asset][now.epoch] != 0:
        return False
    self.marks[asset][now.epoch] = now.time | (now.revenue << 40) | (now.demand << 136)
    log Marked(asset=asset, epoch=now.epoch, revenue=now.revenue, demand=now.demand)
    return True


# --- Supply ---------------------------------------------------------------------------------------------------------


@external
@view
@reentrant
def supply_of(asset: uint256) -> Supply:
    """
    @notice Where the shares of an asset are, in raw units.
    """
    share: address = self._share_of(asset)
    total: uint256 = staticcall IERC20(share).totalSupply()
    for_sale: uint256 = staticcall ILaunchpad(LAUNCHPAD).held_in_sales(asset)
    vesting: uint256 = staticcall ILaunchpad(LAUNCHPAD).held_in_vesting(asset)
    pooled: uint256 = staticcall IExchange(EXCHANGE).token_reserve(share)
    return Supply(
        total=total,
        for_sale=for_sale,
        vesting=vesting,
        pooled=pooled,
        locked=staticcall IGovernor(GOVERNOR).locked_total(asset),
        circulating=total - for_sale - vesting - pooled,
    )


@external
@view
@reentrant
def unlock_calendar(
    asset: uint256,
    vestings: DynArray[address, MAX_LISTED],
    times: DynArray[uint256, MAX_LISTED],
) -> (DynArray[uint256, MAX_LISTED], uint256):
    """
    @notice How much of the listed vestings is still locked at each of `times`.
    @param vestings Made by the Launchpad for this asset, in rising order of address.
    @param times Unix seconds, in any order.
    @return Raw units locked at each time, and how many raw units in vesting the list leaves out: 0 proves that the
            calendar is complete. What contributors have not claimed yet has no schedule and counts as left out.
    """
    grants: uint256 = 0
    held: uint256 = 0
    locked: DynArray[uint256, MAX_LISTED] = []
    self._share_of(asset)
    self._check_vestings(asset, vestings)
    for vesting: address in vestings:
        grants += self._grant_of(vesting)
        # Not the balance: shares sent to one vesting would make up for another that the list leaves out.
        held += staticcall IVesting(vesting).left()
    for time: uint256 in times:
        unlocked: uint256 = 0
        for vesting: address in vestings:
            unlocked += staticcall IVesting(vesting).unlocked_at(time)
        locked.append(grants - unlocked)
    return locked, staticcall ILaunchpad(LAUNCHPAD).held_in_vesting(asset) - held


@external
@view
@reentrant
def holdings_of(
    asset: uint256,
    accounts: DynArray[address, MAX_LISTED],
    vestings: DynArray[address, MAX_LISTED],
) -> (DynArray[Holding, MAX_LISTED], uint256):
    """
    @notice What the listed accounts have, looked at through votes and vestings.
    @param accounts People, in rising order of address: no vesting, no sale, not the Exchange or the Governor.
    @param vestings Made by the Launchpad for this asset, in rising order; each counts for its beneficiary.
    @return The holdings, and the raw units that belong to nobody listed and are neither for sale nor in the pool.
            Nobody who is not listed has more than that.
    """
    share: IERC20 = IERC20(self._share_of(asset))
    self._check_vestings(asset, vestings)
    holdings: DynArray[Holding, MAX_LISTED] = []
    listed: uint256 = 0
    before: uint256 = 0
    for account: address in accounts:
        assert convert(account, uint256) > before, "lens: list is not in rising order"
        before = convert(account, uint256)
        assert (
            account != EXCHANGE
            and account != GOVERNOR
            and staticcall ILaunchpad(LAUNCHPAD).asset_of(account) == 0
        ), "lens: that account holds for others"
        holding: Holding = Holding(
            account=account,
            free=staticcall share.balanceOf(account),
            locked=staticcall IGovernor(GOVERNOR).locked_of(asset, account),
            vesting=0,
        )
        for vesting: address in vestings:
            if self._beneficiary_of(vesting) == account:
                holding.vesting += staticcall share.balanceOf(vesting)
        listed += holding.free + holding.locked + holding.vesting
        holdings.append(holding)
    others: uint256 = staticcall ILaunchpad(LAUNCHPAD).held_in_sales(asset) + staticcall IExchange(
        EXCHANGE
    ).token_reserve(share.address)
    return holdings, (staticcall share.totalSupply()) - listed - others


@internal
@view
def _check_vestings(asset: uint256, vestings: DynArray[address, MAX_LISTED]):
    before: uint256 = 0
    for vesting: address in vestings:
        assert convert(vesting, uint256) > before, "lens: list is not in rising order"
        before = convert(vesting, uint256)
        # A sale of the asset passes here and fails at its schedule, which it does not have.
        assert (
            staticcall ILaunchpad(LAUNCHPAD).asset_of(vesting) == asset
        ), "lens: not a vesting of this asset"


@internal
@view
def _grant_of(vesting: address) -> uint256:
    share: address = empty(address)
    beneficiary: address = empty(address)
    amount: uint256 = 0
    start: uint256 = 0
    cliff: uint256 = 0
    duration: uint256 = 0
    share, beneficiary, amount, start, cliff, duration = staticcall IVesting(vesting).schedule()
    return amount


@internal
@view
def _beneficiary_of(vesting: address) -> address:
    share: address = empty(address)
    beneficiary: address = empty(address)
    amount: uint256 = 0
    start: uint256 = 0
    cliff: uint256 = 0
    duration: uint256 = 0
    share, beneficiary, amount, start, cliff, duration = staticcall IVesting(vesting).schedule()
    return beneficiary


# --- Revenue --------------------------------------------------------------------------------------------------------


@external
@view
@reentrant
def revenue_marks(asset: uint256, first: uint256, count: uint256) -> DynArray[Mark, MAX_LISTED]:
    """
    @notice The marks of `count` epochs from `first` on, epochs without one left out; the difference of two marks is
            what was earned between their times. `revenue_now` gives the end of the last one.
    @param count At most 64.
    """
    found: DynArray[Mark, MAX_LISTED] = []
    for i: uint256 in range(count, bound=MAX_LISTED):
        epoch: uint256 = first + i
        word: uint256 = self.marks[asset][epoch]
        if word != 0:
            found.append(
                Mark(
                    epoch=epoch,
                    time=word & (2**40 - 1),
                    revenue=(word >> 40) & MASK_96,
                    demand=(word >> 136) & MASK_96,
                )
            )
    return found


@external
@view
@reentrant
def revenue_now(asset: uint256) -> Mark:
    """
    @notice The figures of this second.
    """
    return self._now(asset)


@external
@view
@reentrant
def epoch_length() -> uint256:
    """
    @notice Seconds in an epoch.
    """
    return EPOCH


@internal
@view
def _now(asset: uint256) -> Mark:
    return Mark(
        epoch=block.timestamp // EPOCH,
        time=block.timestamp,
        revenue=staticcall IShare(self._share_of(asset)).revenue_index(),
        # A commons half above 2^96 base units is beyond any currency; the mark then says the most it can.
        demand=min(staticcall IChannels(CHANNELS).demand_of(asset), MASK_96),
    )


@internal
@view
def _share_of(asset: uint256) -> address:
    share: address = staticcall IRegistry(REGISTRY).share_of(asset)
    assert share != empty(address), "lens: asset is not tokenized"
    return share
