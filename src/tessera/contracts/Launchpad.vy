# pragma version 0.4.3
# pragma evm-version cancun
# pragma nonreentrancy on
"""
@title Launchpad
@license Apache-2.0
@notice Makes offerings and vestings: takes the shares and creates the clone in one transaction. Knows how many shares
        of an asset lie in them, since those neither vote nor trade.
@dev Events are the register: who sells what, and every vesting schedule of a Share, can be read from them alone. A
     clone reports what leaves it, so nothing here is counted by looking at balances or by looping.
@custom:security Takes shares only from its caller and only into a clone whose code holds the terms asked for. Only
     Shares that the Registry made are accepted. Shares that somebody sends to a clone by mistake are not counted, so
     nobody can raise or lower these figures by a transfer. Only sales by the asset's owner count as open: otherwise
     whoever has one raw share could keep the asset from having a pool.
@custom:pause Nothing here can be paused.
"""
from ethereum.ercs import IERC20
from .modules import clones


interface IRegistry:
    def share_of(asset: uint256) -> address: view
    def ownerOf(asset: uint256) -> address: view


interface IOffering:
    def initialize(): nonpayable


struct Sale:
    publisher: address
    price: uint256
    for_sale: uint256
    soft_cap: uint256
    cap_per_buyer: uint256
    start: uint256
    end: uint256


struct Schedule:
    beneficiary: address
    amount: uint256
    start: uint256
    cliff: uint256
    duration: uint256


event OfferingOpened:
    asset: indexed(uint256)
    offering: indexed(address)
    publisher: indexed(address)
    sale: Sale


event VestingOpened:
    asset: indexed(uint256)
    vesting: indexed(address)
    beneficiary: indexed(address)
    schedule: Schedule


MAX_SCHEDULES: constant(uint256) = 32
MASK_96: constant(uint256) = 2**96 - 1
MASK_40: constant(uint256) = 2**40 - 1
MAX_PRICE: constant(uint256) = 2**128 - 1
MAX_DURATION: constant(uint256) = 100 * 365 * 86_400
# Below its soft cap a sale holds the buyers' money, so it must end in their time.
MAX_SALE: constant(uint256) = 365 * 86_400
# What a clone is: a sale or a vesting; and whether it is a sale that counts as open until it says otherwise.
A_SALE: constant(uint256) = 1
A_VESTING: constant(uint256) = 2
COUNTS: constant(uint256) = 4
IN_VESTINGS: constant(uint256) = 96
OPEN_SALES: constant(uint256) = 192

REGISTRY: immutable(address)
OFFERING_IMPLEMENTATION: immutable(address)
VESTING_IMPLEMENTATION: immutable(address)

# Makes the address of every clone different, even with equal terms.
count: public(uint256)
# By clone: asset (240) << 16 | what it is.
clone_rows: HashMap[address, uint256]
# By asset: raw shares in sales (96) | raw shares in vestings (96) | open sales (64).
asset_rows: HashMap[uint256, uint256]


@deploy
def __init__(registry: address, offering_implementation: address, vesting_implementation: address):
    REGISTRY = registry
    OFFERING_IMPLEMENTATION = offering_implementation
    VESTING_IMPLEMENTATION = vesting_implementation


@external
def offer(asset: uint256, sale: Sale) -> address:
    """
    @notice Put shares of the caller up for sale. Approve them to this contract first.
    @param sale `price` in base units for 10^18 raw shares; amounts in raw shares; `start` and `end` in unix seconds.
           A soft cap of 0 makes every purchase final at once. Proceeds and unsold shares go to `publisher`.
    """
    assert sale.publisher != empty(address), "launchpad: publisher is the zero address"
    assert sale.for_sale != 0 and sale.for_sale <= MASK_96, "launchpad: amount out of range"
    assert sale.soft_cap <= sale.for_sale, "launchpad: soft cap above what is for sale"
    assert sale.cap_per_buyer != 0, "launchpad: nobody could buy"
    assert sale.price != 0 and sale.price <= MAX_PRICE, "launchpad: price out of range"
    assert (
        sale.start < sale.end
        and sale.end > block.timestamp
        and sale.end <= block.timestamp + MAX_SALE
    ), "launchpad: times out of order"
    share: address = self._share_of(asset)
    offering: address = clones._clone(
        OFFERING_IMPLEMENTATION,
        concat(
            convert(convert(share, uint256), bytes32),
            convert(convert(sale.publisher, uint256), bytes32),
            convert(sale.price, bytes32),
            convert(sale.for_sale | (sale.soft_cap << 96), bytes32),
            convert(sale.cap_per_buyer, bytes32),
            convert(sale.start | (sale.end << 40), bytes32),
        ),
        self._next_salt(),
    )
    assert extcall IERC20(share).transferFrom(
        msg.sender, offering, sale.for_sale
    ), "launchpad: share refused the transfer"
    extcall IOffering(offering).initialize()
    self._count_sale(asset, offering, sale.for_sale)
    log OfferingOpened(asset=asset, offering=offering, publisher=sale.publisher, sale=sale)
    return offering


@external
def vest(
    asset: uint256, schedules: DynArray[Schedule, MAX_SCHEDULES]
) -> DynArray[address, MAX_SCHEDULES]:
    """
    @notice Lock shares of the caller for beneficiaries, each on a schedule of their own. Approve them first.
    @param schedules `start` in unix seconds; `cliff` and `duration` in seconds behind it.
    """
    share: address = self._share_of(asset)
    made: DynArray[address, MAX_SCHEDULES] = []
    for schedule: Schedule in schedules:
        assert schedule.beneficiary != empty(address), "launchpad: beneficiary is the zero address"
        assert schedule.amount != 0 and schedule.amount <= MASK_96, "launchpad: amount out of range"
        assert (
            schedule.start <= MASK_40
            and schedule.cliff <= schedule.duration
            and schedule.duration <= MAX_DURATION
        ), "launchpad: times out of order"
        vesting: address = clones._clone(
            VESTING_IMPLEMENTATION,
            concat(
                convert(convert(share, uint256), bytes32),
                convert(convert(schedule.beneficiary, uint256), bytes32),
                convert(schedule.amount, bytes32),
                convert(
                    schedule.start | (schedule.cliff << 40) | (schedule.duration << 80), bytes32
                ),
            ),
            self._next_salt(),
        )
        assert extcall IERC20(share).transferFrom(
            msg.sender, vesting, schedule.amount
        ), "launchpad: share refused the transfer"
        self.clone_rows[vesting] = (asset << 16) | A_VESTING
        self.asset_rows[asset] += schedule.amount << IN_VESTINGS
        made.append(vesting)
        log VestingOpened(
            asset=asset, vesting=vesting, beneficiary=schedule.beneficiary, schedule=schedule
        )
    return made


@external
def report(left: uint256, closes: bool):
    """
    @notice A clone tells how many of the shares that it was made with have left it, and, once, that its sale is over.
    """
    row: uint256 = self.clone_rows[msg.sender]
    assert row != 0, "launchpad: not a clone of ours"
    asset: uint256 = row >> 16
    change: uint256 = left if row & A_SALE != 0 else left << IN_VESTINGS
    if closes and row & COUNTS != 0:
        self.clone_rows[msg.sender] = row ^ COUNTS
        change += 1 << OPEN_SALES
    self.asset_rows[asset] -= change


# --- Views ----------------------------------------------------------------------------------------------------------


@external
@view
@reentrant
def asset_of(clone: address) -> uint256:
    """
    @notice The asset whose shares a sale or a vesting of ours holds; 0 for every other address.
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
    @notice Raw shares of grants that were not released, unlocked or not.
    """
    return (self.asset_rows[asset] >> IN_VESTINGS) & MASK_96


@external
@view
@reentrant
def open_sales(asset: uint256) -> uint256:
    """
    @notice Sales by the asset's owner that were not closed. One whose end has passed is closed by `return_unsold`,
            which anyone may call.
    """
    return self.asset_rows[asset] >> OPEN_SALES


@internal
def _count_sale(asset: uint256, sale: address, shares: uint256):
    row: uint256 = (asset << 16) | A_SALE
    change: uint256 = shares
    if msg.sender == staticcall IRegistry(REGISTRY).ownerOf(asset):
        row |= COUNTS
        change += 1 << OPEN_SALES
    self.clone_rows[sale] = row
    self.asset_rows[asset] += change


@internal
@view
def _share_of(asset: uint256) -> address:
    share: address = staticcall IRegistry(REGISTRY).share_of(asset)
    assert share != empty(address), "launchpad: asset is not tokenized"
    return share


@internal
def _next_salt() -> bytes32:
    self.count += 1
    return convert(self.count, bytes32)
