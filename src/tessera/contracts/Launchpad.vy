# pragma version 0.4.3
# pragma evm-version cancun
# pragma nonreentrancy on
"""
@title Launchpad
@license Apache-2.0
@notice Makes first sales of every kind, vestings and allocations: takes the shares and creates the clone in one
        transaction, or all of a launch at once. Knows how many shares of an asset lie in them, since those neither vote
        nor trade.
@dev Events are the register: who sells what, and every vesting schedule of a Share, can be read from them alone. A
     clone reports what leaves it, so nothing here is counted by looking at balances or by looping.
@custom:security Takes shares only from its caller and only into a clone whose code holds the terms asked for. Only
     Shares that the Registry made are accepted. Shares that somebody sends to a clone by mistake are not counted, so
     nobody can raise or lower these figures by a transfer. Only sales by the asset's owner count as open, and only the
     owner can promise a pool: otherwise whoever has one raw share could keep the asset from having a pool, or open it
     at a price of their own. Until a sale by the owner has sold a tenth of what it offered, a stranger's pool of dust
     could keep the asset from every curve and every promise: so the first pool is the owner's for a year. One promise at a time, and its amounts are such that the Exchange cannot refuse them, so
     that no part of the proceeds can be caught between both.
@custom:pause Nothing here can be paused.
"""
from ethereum.ercs import IERC20
from .modules import clones
from .modules import merkle


interface IRegistry:
    def share_of(asset: uint256) -> address: view
    def ownerOf(asset: uint256) -> address: view
    def contributions_of(asset: uint256) -> bytes32: view
    def asset_row(asset: uint256) -> (uint256, uint256, uint256, uint256, uint256): view


interface IExchange:
    def has_pool(token: address) -> bool: view


interface IClone:
    def initialize(): nonpayable


interface IAllocation:
    def hand_over(
        leaf: bytes32, vesting: address, amount: uint256, receiver: address, may_forgo: bool
    ): nonpayable
    def terms() -> (address, bytes32, uint256, uint256, uint256, uint256): view


# A part of the proceeds that opens the share's pool: how much (bps; 0 for none), the tier of the pool, and for how many
# seconds that liquidity is locked.
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


struct AuctionSale:
    publisher: address
    first_price: uint256
    lowest_price: uint256
    for_sale: uint256
    soft_cap: uint256
    cap_per_buyer: uint256
    start: uint256
    end: uint256
    allowed: bytes32
    liquidity: Liquidity


struct CurveSale:
    publisher: address
    virtual_shares: uint256
    virtual_currency: uint256
    target: uint256
    cap_per_buyer: uint256
    start: uint256
    end: uint256
    allowed: bytes32
    liquidity: Liquidity
    surcharge_bps: uint256
    calm: uint256


struct Schedule:
    beneficiary: address
    amount: uint256
    start: uint256
    cliff: uint256
    duration: uint256


# For all contributors together: how many raw shares, and the schedule of each one's vesting.
struct Grant:
    amount: uint256
    start: uint256
    cliff: uint256
    duration: uint256


# One leaf of the asset's contributions.
struct Contribution:
    account: address
    role: uint8
    weight: uint32
    evidence: bytes32


event OfferingOpened:
    asset: indexed(uint256)
    offering: indexed(address)
    publisher: indexed(address)
    sale: Sale


event AuctionOpened:
    asset: indexed(uint256)
    auction: indexed(address)
    publisher: indexed(address)
    sale: AuctionSale


event CurveOpened:
    asset: indexed(uint256)
    curve: indexed(address)
    publisher: indexed(address)
    sale: CurveSale
    shares: uint256


event VestingOpened:
    asset: indexed(uint256)
    vesting: indexed(address)
    beneficiary: indexed(address)
    schedule: Schedule


event AllocationOpened:
    asset: indexed(uint256)
    allocation: indexed(address)
    root: indexed(bytes32)
    grant: Grant


event ContributionClaimed:
    asset: indexed(uint256)
    allocation: indexed(address)
    account: indexed(address)
    vesting: address
    weight: uint32


MAX_SCHEDULES: constant(uint256) = 32
BPS: constant(uint256) = 10_000
WHOLE_SHARE: constant(uint256) = 10**18
MASK_96: constant(uint256) = 2**96 - 1
MASK_40: constant(uint256) = 2**40 - 1
MAX_PRICE: constant(uint256) = 2**128 - 1
MAX_DURATION: constant(uint256) = 100 * 365 * 86_400
# Below its soft cap a sale holds the buyers' money, so it must end in their time.
MAX_SALE: constant(uint256) = 365 * 86_400
# For how long the first pool is the owner's to open, where no sale found a price.
OWNERS_TIME: constant(uint256) = 365 * 86_400
# What the Exchange needs at least of either side, and can keep at most of the currency.
LEAST_OF_POOL: constant(uint256) = 10_000
MOST_RAISED: constant(uint256) = 2**85
LAST_TIER: constant(uint256) = 3
# What a clone is: a sale, a vesting or an allocation; whether it is a sale that counts as open until it says otherwise;
# whether it promises a pool.
A_SALE: constant(uint256) = 1
A_VESTING: constant(uint256) = 2
COUNTS: constant(uint256) = 4
AN_ALLOCATION: constant(uint256) = 8
PROMISES: constant(uint256) = 16
IN_VESTINGS: constant(uint256) = 96
OPEN_SALES: constant(uint256) = 192
MISSED_AT: constant(uint256) = 214
PRICED: constant(uint256) = 2**254
PROMISED: constant(uint256) = 2**255
MASK_22: constant(uint256) = 2**22 - 1

REGISTRY: immutable(address)
EXCHANGE: immutable(address)
OFFERING_IMPLEMENTATION: immutable(address)
AUCTION_IMPLEMENTATION: immutable(address)
CURVE_IMPLEMENTATION: immutable(address)
VESTING_IMPLEMENTATION: immutable(address)
ALLOCATION_IMPLEMENTATION: immutable(address)

# Makes the address of every clone different, even with equal terms.
count: public(uint256)
# By clone: asset (240) << 16 | what it is.
clone_rows: HashMap[address, uint256]
# By asset: raw shares in sales (96) | raw shares in vestings and allocations (96) | open sales, by the owner alone (22) |
# when one last ended without a price (40) | whether one found a price (1) | pool promised (1).
asset_rows: HashMap[uint256, uint256]


@deploy
def __init__(
    registry: address,
    exchange: address,
    offering_implementation: address,
    auction_implementation: address,
    curve_implementation: address,
    vesting_implementation: address,
    allocation_implementation: address,
):
    REGISTRY = registry
    EXCHANGE = exchange
    OFFERING_IMPLEMENTATION = offering_implementation
    AUCTION_IMPLEMENTATION = auction_implementation
    CURVE_IMPLEMENTATION = curve_implementation
    VESTING_IMPLEMENTATION = vesting_implementation
    ALLOCATION_IMPLEMENTATION = allocation_implementation


# --- Sales ----------------------------------------------------------------------------------------------------------


@external
def offer(asset: uint256, sale: Sale) -> address:
    """
    @notice Put shares of the caller up for sale at a fixed price. Approve them to this contract first, with as many
            bps on top as the pool gets.
    @param sale `price` in base units for 10^18 raw shares; amounts in raw shares; `start` and `end` in unix seconds.
           A soft cap of 0 makes every purchase final at once. Proceeds and unsold shares go to `publisher`: the caller,
           or somebody who has shares of the asset. `allowed` is the root of a list of buyers, or zero for everybody.
    """
    return self._offer(asset, sale)


@external
def auction(asset: uint256, sale: AuctionSale) -> address:
    """
    @notice Put shares of the caller up for auction at a falling price. Approve them first, as for `offer`.
    @param sale Prices in base units for 10^18 raw shares; `for_sale` in raw shares; soft cap and cap in base units.
    """
    return self._auction(asset, sale)


@external
def curve(asset: uint256, sale: CurveSale) -> address:
    """
    @notice Put shares of the caller up for sale along a bonding curve. Approve `shares_for_curve` first.
    @param sale `virtual_shares` and the cap in raw shares; `virtual_currency` and `target` in base units: the first
           price is their ratio. `surcharge_bps` falls to nothing in `calm` seconds.
    """
    return self._curve(asset, sale)


@external
def vest(
    asset: uint256, schedules: DynArray[Schedule, MAX_SCHEDULES]
) -> DynArray[address, MAX_SCHEDULES]:
    """
    @notice Lock shares of the caller for beneficiaries, each on a schedule of their own. Approve them first.
    @param schedules `start` in unix seconds; `cliff` and `duration` in seconds behind it.
    """
    return self._vest(asset, schedules)


@external
def contribute(asset: uint256, grant: Grant) -> address:
    """
    @notice Set shares of the caller aside for the asset's contributors, by weight. Approve them first.
    @param grant `amount` in raw shares for all of them; `start` in unix seconds; `cliff` and `duration` in seconds
           behind it.
    """
    return self._contribute(asset, grant)


@external
def launch(
    asset: uint256,
    sales: DynArray[Sale, 4],
    auctions: DynArray[AuctionSale, 4],
    curves: DynArray[CurveSale, 1],
    schedules: DynArray[Schedule, MAX_SCHEDULES],
    grants: DynArray[Grant, 1],
) -> DynArray[address, 42]:
    """
    @notice Open sales, vestings and an allocation in one transaction: buyers see all of a launch or none of it.
    @return What was made, in the order of the arguments.
    """
    made: DynArray[address, 42] = []
    for sale: Sale in sales:
        made.append(self._offer(asset, sale))
    for sale: AuctionSale in auctions:
        made.append(self._auction(asset, sale))
    for sale: CurveSale in curves:
        made.append(self._curve(asset, sale))
    vestings: DynArray[address, MAX_SCHEDULES] = self._vest(asset, schedules)
    for vesting: address in vestings:
        made.append(vesting)
    for grant: Grant in grants:
        made.append(self._contribute(asset, grant))
    return made


@external
def claim_contribution(
    allocation: address,
    contribution: Contribution,
    proof: DynArray[bytes32, merkle.MAX_PROOF],
    receiver: address = empty(address),
) -> address:
    """
    @notice Move a contributor's part of an allocation into a vesting of its own. Anyone may call it.
    @param receiver Gets what the part has earned: the contributor, unless the contributor calls and says otherwise.
    @return The vesting.
    """
    row: uint256 = self.clone_rows[allocation]
    assert row & AN_ALLOCATION != 0, "launchpad: not an allocation of ours"
    asset: uint256 = row >> 16
    share: address = empty(address)
    root: bytes32 = empty(bytes32)
    whole: uint256 = 0
    start: uint256 = 0
    cliff: uint256 = 0
    duration: uint256 = 0
    share, root, whole, start, cliff, duration = staticcall IAllocation(allocation).terms()
    leaf: bytes32 = merkle._leaf(
        abi_encode(
            contribution.account, contribution.role, contribution.weight, contribution.evidence
        )
    )
    assert merkle._leads_to(leaf, proof, root), "launchpad: not a contribution"
    own: bool = msg.sender == contribution.account
    assert own or receiver == empty(address), "launchpad: only the contributor names a receiver"
    amount: uint256 = whole * convert(contribution.weight, uint256) // BPS
    vesting: address = self._vesting(
        asset,
        share,
        Schedule(
            beneficiary=contribution.account,
            amount=amount,
            start=start,
            cliff=cliff,
            duration=duration,
        ),
    )
    extcall IAllocation(allocation).hand_over(
        leaf,
        vesting,
        amount,
        receiver if receiver != empty(address) else contribution.account,
        own,
    )
    log ContributionClaimed(
        asset=asset,
        allocation=allocation,
        account=contribution.account,
        vesting=vesting,
        weight=contribution.weight,
    )
    return vesting


@external
def report(left: uint256, back: uint256, closes: bool, priced: bool):
    """
    @notice A clone tells how many of its shares have left it or come back, and, once, that its sale is over, and
            whether it found a price.
    """
    row: uint256 = self.clone_rows[msg.sender]
    assert row != 0, "launchpad: not a clone of ours"
    asset: uint256 = row >> 16
    place: uint256 = 0 if row & A_SALE != 0 else IN_VESTINGS
    held: uint256 = self.asset_rows[asset] + (back << place) - (left << place)
    if closes and row & COUNTS != 0:
        held -= 1 << OPEN_SALES
        if priced:
            held |= PRICED
        else:
            held = held & ~(MASK_40 << MISSED_AT) | (block.timestamp << MISSED_AT)
        if row & PROMISES != 0:
            held ^= PROMISED
        self.clone_rows[msg.sender] = row & ~(COUNTS | PROMISES)
    self.asset_rows[asset] = held


@internal
def _offer(asset: uint256, sale: Sale) -> address:
    self._check_amounts(sale.for_sale, sale.cap_per_buyer)
    assert sale.soft_cap <= sale.for_sale, "launchpad: soft cap above what is for sale"
    assert sale.price != 0 and sale.price <= MAX_PRICE, "launchpad: price out of range"
    share: address = self._share_of(asset)
    promises: bool = self._check_pool(
        share,
        sale.liquidity,
        sale.soft_cap,
        sale.soft_cap * sale.price // WHOLE_SHARE,
        sale.for_sale * sale.price // WHOLE_SHARE,
    )
    offering: address = self._sale(
        asset,
        share,
        sale.publisher,
        OFFERING_IMPLEMENTATION,
        concat(
            self._head(share, sale.publisher),
            convert(sale.price, bytes32),
            convert(sale.for_sale | (sale.soft_cap << 96), bytes32),
            convert(sale.cap_per_buyer, bytes32),
            self._times(sale.start, sale.end, sale.liquidity, 0),
            sale.allowed,
        ),
        sale.for_sale + sale.for_sale * sale.liquidity.bps // BPS,
        promises,
    )
    log OfferingOpened(asset=asset, offering=offering, publisher=sale.publisher, sale=sale)
    return offering


@internal
def _auction(asset: uint256, sale: AuctionSale) -> address:
    self._check_amounts(sale.for_sale, sale.cap_per_buyer)
    assert (
        sale.lowest_price != 0
        and sale.lowest_price <= sale.first_price
        and sale.first_price <= MAX_PRICE
        # What all bids together can be: it is multiplied by shares when they are shared out.
        and sale.for_sale * sale.first_price // WHOLE_SHARE <= MAX_PRICE
    ), "launchpad: price out of range"
    # What buys everything at the lowest price. Whoever sells out has reached the soft cap.
    least: uint256 = sale.for_sale * sale.lowest_price // WHOLE_SHARE
    assert least != 0, "launchpad: price out of range"
    assert sale.soft_cap <= least, "launchpad: soft cap above what is for sale"
    share: address = self._share_of(asset)
    promises: bool = self._check_pool(
        share,
        sale.liquidity,
        sale.soft_cap * WHOLE_SHARE // sale.first_price,
        sale.soft_cap,
        sale.for_sale * sale.first_price // WHOLE_SHARE,
    )
    auction: address = self._sale(
        asset,
        share,
        sale.publisher,
        AUCTION_IMPLEMENTATION,
        concat(
            self._head(share, sale.publisher),
            convert(sale.first_price | (sale.lowest_price << 128), bytes32),
            convert(sale.for_sale | (sale.soft_cap << 96), bytes32),
            convert(sale.cap_per_buyer, bytes32),
            self._times(sale.start, sale.end, sale.liquidity, 0),
            sale.allowed,
        ),
        sale.for_sale + sale.for_sale * sale.liquidity.bps // BPS,
        promises,
    )
    log AuctionOpened(asset=asset, auction=auction, publisher=sale.publisher, sale=sale)
    return auction


@internal
def _curve(asset: uint256, sale: CurveSale) -> address:
    shares: uint256 = self._shares_for_curve(
        sale.virtual_shares, sale.virtual_currency, sale.target, sale.liquidity.bps
    )
    self._check_amounts(shares, sale.cap_per_buyer)
    assert sale.surcharge_bps <= BPS and sale.calm <= MAX_SALE, "launchpad: surcharge out of range"
    share: address = self._share_of(asset)
    assert sale.liquidity.bps != 0, "launchpad: a curve must open a pool"
    promises: bool = self._check_pool(
        share,
        sale.liquidity,
        # The shares that are left at the target, at their price: what the pool would take for all that is raised.
        sale.target
        * (
            sale.virtual_shares * sale.virtual_currency // (sale.virtual_currency + sale.target)
        ) // (sale.virtual_currency + sale.target),
        sale.target,
        sale.target,
    )
    curve: address = self._sale(
        asset,
        share,
        sale.publisher,
        CURVE_IMPLEMENTATION,
        concat(
            self._head(share, sale.publisher),
            convert(sale.virtual_shares | (sale.virtual_currency << 96), bytes32),
            convert(shares | (sale.target << 96), bytes32),
            convert(sale.cap_per_buyer, bytes32),
            self._times(
                sale.start, sale.end, sale.liquidity, sale.surcharge_bps | (sale.calm << 16)
            ),
            sale.allowed,
        ),
        shares,
        promises,
    )
    log CurveOpened(asset=asset, curve=curve, publisher=sale.publisher, sale=sale, shares=shares)
    return curve


@internal
def _vest(
    asset: uint256, schedules: DynArray[Schedule, MAX_SCHEDULES]
) -> DynArray[address, MAX_SCHEDULES]:
    share: address = self._share_of(asset)
    made: DynArray[address, MAX_SCHEDULES] = []
    for schedule: Schedule in schedules:
        assert schedule.beneficiary != empty(address), "launchpad: beneficiary is the zero address"
        self._check_schedule(schedule.amount, schedule.start, schedule.cliff, schedule.duration)
        vesting: address = self._vesting(asset, share, schedule)
        self.asset_rows[asset] += schedule.amount << IN_VESTINGS
        self._move(share, vesting, schedule.amount)
        made.append(vesting)
    return made


@internal
def _contribute(asset: uint256, grant: Grant) -> address:
    share: address = self._share_of(asset)
    root: bytes32 = staticcall IRegistry(REGISTRY).contributions_of(asset)
    assert root != empty(bytes32), "launchpad: asset names no contributors"
    self._check_schedule(grant.amount, grant.start, grant.cliff, grant.duration)
    allocation: address = clones._clone(
        ALLOCATION_IMPLEMENTATION,
        concat(
            convert(convert(share, uint256), bytes32),
            root,
            convert(grant.amount, bytes32),
            convert(grant.start | (grant.cliff << 40) | (grant.duration << 80), bytes32),
        ),
        self._next_salt(),
    )
    self.clone_rows[allocation] = (asset << 16) | AN_ALLOCATION
    self.asset_rows[asset] += grant.amount << IN_VESTINGS
    self._move(share, allocation, grant.amount)
    extcall IClone(allocation).initialize()
    log AllocationOpened(asset=asset, allocation=allocation, root=root, grant=grant)
    return allocation


@internal
def _sale(
    asset: uint256,
    share: address,
    publisher: address,
    implementation: address,
    arguments: Bytes[224],
    shares: uint256,
    promises: bool,
) -> address:
    # A sale whose rest the Share refuses to give back would count as open for ever, and keep the asset without a pool.
    # Only who has shares can be given some for sure: at an empty address a Share can be made later, which takes none.
    assert (
        publisher == msg.sender or staticcall IERC20(share).balanceOf(publisher) != 0
    ), "launchpad: publisher holds no share"
    sale: address = clones._clone(implementation, arguments, self._next_salt())
    row: uint256 = (asset << 16) | A_SALE
    held: uint256 = self.asset_rows[asset] + shares
    if msg.sender == staticcall IRegistry(REGISTRY).ownerOf(asset):
        row |= COUNTS
        held += 1 << OPEN_SALES
    if promises:
        assert row & COUNTS != 0, "launchpad: only the asset's owner promises a pool"
        assert held & PROMISED == 0, "launchpad: another sale promises the pool"
        row |= PROMISES
        held |= PROMISED
    self.clone_rows[sale] = row
    self.asset_rows[asset] = held
    self._move(share, sale, shares)
    extcall IClone(sale).initialize()
    return sale


@internal
def _vesting(asset: uint256, share: address, schedule: Schedule) -> address:
    vesting: address = clones._clone(
        VESTING_IMPLEMENTATION,
        concat(
            convert(convert(share, uint256), bytes32),
            convert(convert(schedule.beneficiary, uint256), bytes32),
            convert(schedule.amount, bytes32),
            convert(schedule.start | (schedule.cliff << 40) | (schedule.duration << 80), bytes32),
        ),
        self._next_salt(),
    )
    self.clone_rows[vesting] = (asset << 16) | A_VESTING
    log VestingOpened(
        asset=asset, vesting=vesting, beneficiary=schedule.beneficiary, schedule=schedule
    )
    return vesting


@internal
def _move(share: address, clone: address, amount: uint256):
    assert extcall IERC20(share).transferFrom(
        msg.sender, clone, amount
    ), "launchpad: share refused the transfer"


@internal
def _next_salt() -> bytes32:
    self.count += 1
    return convert(self.count, bytes32)


@internal
@view
def _check_pool(
    share: address, liquidity: Liquidity, shares: uint256, least: uint256, most: uint256
) -> bool:
    """
    @param shares The fewest raw shares that a sale that succeeds has sold; `least` and `most`, base units that it has
           raised.
    @return Whether the sale promises a pool.
    """
    assert (
        liquidity.tier <= LAST_TIER and liquidity.locked <= MAX_DURATION
    ), "launchpad: tier or lock out of range"
    if liquidity.bps == 0:
        return False
    assert liquidity.bps <= BPS, "launchpad: more than all of the proceeds"
    assert (
        shares * liquidity.bps // BPS >= LEAST_OF_POOL
        and least * liquidity.bps // BPS >= LEAST_OF_POOL
        and most <= MOST_RAISED
    ), "launchpad: pool too small or too large"
    assert not staticcall IExchange(EXCHANGE).has_pool(share), "launchpad: there is a pool already"
    return True


@internal
@pure
def _check_amounts(shares: uint256, cap_per_buyer: uint256):
    assert shares != 0 and shares <= MASK_96, "launchpad: amount out of range"
    assert cap_per_buyer != 0, "launchpad: nobody could buy"


@internal
@pure
def _check_schedule(amount: uint256, start: uint256, cliff: uint256, duration: uint256):
    assert amount != 0 and amount <= MASK_96, "launchpad: amount out of range"
    assert (
        start <= MASK_40 and cliff <= duration and duration <= MAX_DURATION
    ), "launchpad: times out of order"


@internal
@view
def _head(share: address, publisher: address) -> Bytes[64]:
    assert publisher != empty(address), "launchpad: publisher is the zero address"
    # It takes no liquidity for itself, so a promised pool would never open.
    assert publisher != EXCHANGE, "launchpad: publisher is the exchange"
    return concat(
        convert(convert(share, uint256), bytes32), convert(convert(publisher, uint256), bytes32)
    )


@internal
@view
def _times(start: uint256, end: uint256, liquidity: Liquidity, more: uint256) -> bytes32:
    assert (
        start < end and end > block.timestamp and end <= block.timestamp + MAX_SALE
    ), "launchpad: times out of order"
    return convert(
        start
        | (end << 40)
        | (liquidity.bps << 80)
        | (liquidity.tier << 96)
        | (liquidity.locked << 104)
        | (more << 144),
        bytes32,
    )


@internal
@pure
def _shares_for_curve(
    virtual_shares: uint256, virtual_currency: uint256, target: uint256, bps: uint256
) -> uint256:
    """
    @dev What is sold at the target without surcharges, and what the pool needs then. Surcharges only lower the sum:
         each share not sold asks for less than one share more in the pool.
    """
    assert (
        virtual_shares != 0
        and virtual_shares <= MASK_96
        and virtual_currency != 0
        and virtual_currency <= MOST_RAISED
        and target != 0
        and target <= MOST_RAISED
        and bps <= BPS
    ), "launchpad: curve out of range"
    sold: uint256 = virtual_shares * target // (virtual_currency + target)
    return sold + (target * bps // BPS) * (virtual_shares - sold) // (virtual_currency + target)


# --- Views ----------------------------------------------------------------------------------------------------------


@external
@view
@reentrant
def shares_for_curve(
    virtual_shares: uint256, virtual_currency: uint256, target: uint256, liquidity_bps: uint256
) -> uint256:
    """
    @notice Raw shares that `curve` takes: what is sold at the target, and what the pool needs then.
    """
    return self._shares_for_curve(virtual_shares, virtual_currency, target, liquidity_bps)


@external
@view
@reentrant
def asset_of(clone: address) -> uint256:
    """
    @notice The asset whose shares a sale, vesting or allocation of ours holds; 0 for every other address.
    """
    return self.clone_rows[clone] >> 16


@external
@view
@reentrant
def held_in_sales(asset: uint256) -> uint256:
    """
    @notice Raw shares that lie in sales: not sold, or not delivered.
    """
    return self.asset_rows[asset] & MASK_96


@external
@view
@reentrant
def held_in_vesting(asset: uint256) -> uint256:
    """
    @notice Raw shares of grants that were not released, unlocked or not, and of contributors who did not claim.
    """
    return (self.asset_rows[asset] >> IN_VESTINGS) & MASK_96


@external
@view
@reentrant
def open_sales(asset: uint256) -> uint256:
    """
    @notice Sales by the asset's owner that were not closed: by the opening of the pool that they promise, or else by
            `return_unsold` or `close`, all of which anyone may call once they are over.
    """
    return (self.asset_rows[asset] >> OPEN_SALES) & MASK_22


@external
@view
@reentrant
def anyone_opens(asset: uint256) -> bool:
    """
    @notice Whether anyone may open the pool of the asset's share while no sale is open, and not only the asset's owner:
            once a sale of the owner's found a price, or a year after the registration and the last sale that did not.
    """
    row: uint256 = self.asset_rows[asset]
    registered: uint256 = (staticcall IRegistry(REGISTRY).asset_row(asset))[4]
    since: uint256 = max(registered, (row >> MISSED_AT) & MASK_40)
    return row & PRICED != 0 or block.timestamp >= since + OWNERS_TIME


@internal
@view
def _share_of(asset: uint256) -> address:
    share: address = staticcall IRegistry(REGISTRY).share_of(asset)
    assert share != empty(address), "launchpad: asset is not tokenized"
    return share
