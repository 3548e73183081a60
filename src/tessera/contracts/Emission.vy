# pragma version 0.4.3
# pragma evm-version cancun
# pragma nonreentrancy on
"""
@title Emission
@license Apache-2.0
@notice Mints network tokens on a schedule that halves, and only for demand that was paid for: a subnet never gets more
        than a part of what the commons' half of its models' fees is worth, plus a small published bootstrap. What is not
        earned is never minted. It also hands the validators' half of all network fees to the validators.
@dev Time is cut into periods. In each, anyone collects the demand of assets into their subnets (`collect_demand`). The
     first call after its end closes a period: its whole weight is the demand at the price of TSR, times `demand_bps`,
     plus the bootstraps; what is allotted is that or the schedule's budget, whichever is less; a subnet's part is its part of
     the weight. Since both bounds are in proportion to demand, one rate serves all subnets, and nothing loops.
     What a subnet earned in a period is paid by the epoch in which the period ended, once that is final: to its owner,
     its models and its validators, to these two by proof against the result. What a skipped epoch had to pay is the
     present one's. Owner and models floor, the rest is the validators'; each claim floors, and leaves less than one raw
     unit here.
     What a model of a tokenized asset earns is TSR, and a Share pays only in the currency. So it is for sale, at one
     percent below the highest of present and mean prices, against currency that goes straight to the Share's stream.
     Validators are paid TSR through Bond, so that delegators get theirs, and currency directly: it is for what they pay
     to call the models they score. Twin: `tessera.spec.emission`.
@custom:security Demand is money that went to the commons and comes back to nobody. Washing it earns at most
     `demand_bps` of it in TSR, at the higher of a long and a short mean price, so it loses while TSR costs less than
     10,000 / `demand_bps` of that mean: a measure of how far its price may run ahead. Pumping a subnet's token
     earns nothing, since its price is not looked at; a subnet made for its bootstrap loses at least as much again, since that is
     at most half of what its owner gave to open its pool. Demand from before an asset joined a subnet counts for nobody.
     TSR is worth what its pool says, but never less than `floor_price`; a pool with less than `min_depth` locked in it
     since it was opened says nothing, and then only bootstraps are allotted: other liquidity may be lent for one call. A call that fails is told from one that was starved of gas.
     A false result of one subnet cannot take what another's epoch has to pay: each has its own account.
     A claim never expires. A validator whose pool was wiped by slashing gets nothing: its TSR is the commons'.
@custom:invariant solvent, conserved, settled_once, can_always_claim, wash_loses
@custom:pause Nothing here can be paused.
"""
from ethereum.ercs import IERC20
from .modules import epoch_results
from .modules import pool_depth
from .modules import sum_trees


interface INetworkToken:
    def genesis() -> uint256: view
    def mint(receiver: address, amount: uint256): nonpayable


interface IRegistry:
    def commons() -> address: view
    def share_of(asset: uint256) -> address: view
    def ownerOf(asset: uint256) -> address: view


interface IChannels:
    def demand_of(asset: uint256) -> uint256: view


interface IShare:
    def sync() -> uint256: nonpayable


interface IExchange:
    def reserves_of(token: address) -> (uint256, uint256): view


interface ISubnets:
    def owner_of(subnet: uint256) -> address: view
    def is_live(subnet: uint256) -> bool: view
    def epoch_at(subnet: uint256, time: uint256) -> uint256: view
    def subnet_of(asset: uint256) -> uint256: view
    def occupant_at(subnet: uint256, side: uint256, uid: uint256, epoch: uint256) -> (
        uint256, uint256
    ): view


interface ISubnetPool:
    def opening_of(subnet: uint256) -> uint256: view


interface IEpochs:
    def settled(subnet: uint256, epoch: uint256) -> uint256: view
    def sums_of(subnet: uint256, epoch: uint256, result: epoch_results.Result) -> (
        uint256, uint256, uint256
    ): view
    def model_part(
        subnet: uint256,
        epoch: uint256,
        result: epoch_results.Result,
        uid: uint256,
        consensus: uint256,
        rank: uint256,
        data: bytes32,
        path: DynArray[sum_trees.Node, sum_trees.MAX_HEIGHT],
    ) -> (uint256, uint256): view
    def validator_part(
        subnet: uint256,
        epoch: uint256,
        result: epoch_results.Result,
        row: uint256,
        active: uint256,
        counted: uint256,
        path: DynArray[sum_trees.Node, sum_trees.MAX_HEIGHT],
    ) -> (address, uint256, uint256): view


interface IBond:
    def can_reward(validator: address) -> bool: view
    def pool_of(validator: address) -> (
        uint256, uint256, uint256, uint256, uint256, uint256, bool
    ): view
    def reward(validator: address, amount: uint256): nonpayable


# What the deployment fixes; times are seconds.
struct Terms:
    period: uint256
    # Raw TSR a second before the first halving.
    rate: uint256
    # Of what a subnet's epoch pays; the rest is the validators'.
    owner_bps: uint256
    models_bps: uint256
    # What of the demand's worth is minted at most.
    demand_bps: uint256
    # A subnet's bootstrap: what part of its pool's opening, over how many periods.
    bootstrap_bps: uint256
    bootstrap_periods: uint256
    # Of the two mean prices.
    long_window: uint256
    short_window: uint256
    # Base units of the currency: the least that a whole TSR is taken to be worth, and the least that must be locked in its pool.
    floor_price: uint256
    min_depth: uint256


# What an epoch has to pay, and what of it was not claimed yet.
struct Payout:
    # TSR of its models (96) | of its validators (96); and what of each is left.
    parts: uint256
    left: uint256
    # Currency of its validators (96) | what is left of it (96).
    fees: uint256
    # The validators' sum of dividends, or of stakes where nobody earned a dividend (`BY_STAKE`).
    shares: uint256


event DemandCollected:
    asset: indexed(uint256)
    subnet: indexed(uint256)
    period: indexed(uint256)
    amount: uint256


event Bootstrapped:
    subnet: indexed(uint256)
    period: indexed(uint256)
    amount: uint256


# `budget` is the schedule's, `price` 0 where TSR had none.
event PeriodClosed:
    period: indexed(uint256)
    demand: uint256
    bootstraps: uint256
    price: uint256
    budget: uint256
    allotted: uint256
    fees: uint256


event EpochSettled:
    subnet: indexed(uint256)
    epoch: indexed(uint256)
    owner: indexed(address)
    owner_part: uint256
    models_part: uint256
    validators_part: uint256
    fees: uint256


event Carried:
    subnet: indexed(uint256)
    to_epoch: uint256
    amount: uint256
    fees: uint256


event ModelPaid:
    subnet: indexed(uint256)
    epoch: indexed(uint256)
    asset: indexed(uint256)
    uid: uint256
    amount: uint256


event ValidatorPaid:
    subnet: indexed(uint256)
    epoch: indexed(uint256)
    validator: indexed(address)
    amount: uint256
    fees: uint256


event Flushed:
    asset: indexed(uint256)
    receiver: indexed(address)
    amount: uint256


event SoldForHolders:
    asset: indexed(uint256)
    buyer: indexed(address)
    amount: uint256
    cost: uint256


event Withdrawn:
    token: indexed(address)
    account: indexed(address)
    receiver: indexed(address)
    amount: uint256


CAP: constant(uint256) = 21_000_000 * 10**18
HALVINGS: constant(uint256) = 64
WHOLE: constant(uint256) = 10**18
BPS: constant(uint256) = 10_000
HALF_BPS: constant(uint256) = 5_000
# A holder's TSR is sold at this part of its price.
SALE_BPS: constant(uint256) = 9_900
MODELS: constant(uint256) = 0
VALIDATORS: constant(uint256) = 1
FINAL: constant(uint256) = 1
SKIPPED: constant(uint256) = 2
BY_STAKE: constant(uint256) = 2**255
MASK_64: constant(uint256) = 2**64 - 1
MASK_96: constant(uint256) = 2**96 - 1
MASK_192: constant(uint256) = 2**192 - 1
# A call gets 63/64 of the gas. Who left so much after one that failed gave it 63 times as much, and no call of ours
# needs that.
ENOUGH_GAS: constant(uint256) = 100_000

NETWORK_TOKEN: immutable(address)
CURRENCY: immutable(address)
REGISTRY: immutable(address)
CHANNELS: immutable(address)
NETWORK_EXCHANGE: immutable(address)
SUBNETS: immutable(address)
SUBNET_POOL: immutable(address)
EPOCHS: immutable(address)
BOND: immutable(address)
START: immutable(uint256)
TERMS: immutable(Terms)

# All that was ever allotted, raw TSR; with the genesis what the schedule halves by. No less than what was minted.
allotted: public(uint256)
# The period that is open.
period: public(uint256)
# period -> demand (96) | bootstraps (96)
totals: HashMap[uint256, uint256]
# period -> price (96) | allotted (96); and what of the fees was handed on
rates: HashMap[uint256, uint256]
fees_of: public(HashMap[uint256, uint256])
# asset -> its demand that was counted (192) | its subnet then (64)
counted: HashMap[uint256, uint256]
# subnet -> demand (96) | bootstrap (96) | their period (64)
shares: HashMap[uint256, uint256]
# subnet -> epoch -> TSR (96) | currency (96) that it has to pay once it is settled
pots: HashMap[uint256, HashMap[uint256, uint256]]
# subnet -> periods in which it was bootstrapped (64) | 1 + the last of them (64)
bootstraps: HashMap[uint256, uint256]
payouts: HashMap[uint256, HashMap[uint256, Payout]]
# subnet -> epoch -> uid or row | side << 16 -> claimed
is_claimed: public(HashMap[uint256, HashMap[uint256, HashMap[uint256, bool]]])
# Raw TSR that an asset earned and nobody flushed; and what is for sale for its holders.
earned_of: public(HashMap[uint256, uint256])
for_holders_of: public(HashMap[uint256, uint256])
# What an account may withdraw: raw TSR, base units of the currency.
credit_of: public(HashMap[address, uint256])
fees_credit_of: public(HashMap[address, uint256])
# Fees here that no period has handed on, and what of them was there when the last one closed.
waiting_fees: public(uint256)
# All TSR and all currency here that belongs to somebody.
obligations: public(uint256)
fee_obligations: public(uint256)


@deploy
def __init__(
    network_token: address,
    currency: address,
    registry: address,
    channels: address,
    network_exchange: address,
    subnets: address,
    subnet_pool: address,
    epochs: address,
    bond: address,
    terms: Terms,
):
    """
    @param network_exchange The Exchange that has the network token's pool.
    """
    assert terms.period != 0 and terms.rate != 0, "emission: schedule out of range"
    assert terms.rate <= MASK_96 and terms.period <= MASK_64, "emission: schedule out of range"
    assert terms.owner_bps + terms.models_bps <= BPS, "emission: split out of range"
    assert terms.demand_bps <= BPS, "emission: more than the demand"
    assert (
        terms.bootstrap_bps <= HALF_BPS and terms.bootstrap_periods != 0
    ), "emission: bootstrap out of range"
    assert (
        terms.long_window >= terms.short_window
        and terms.short_window != 0
        and terms.floor_price != 0
        and terms.floor_price <= MASK_96
        and terms.min_depth != 0
    ), "emission: price out of range"
    NETWORK_TOKEN = network_token
    CURRENCY = currency
    REGISTRY = registry
    CHANNELS = channels
    NETWORK_EXCHANGE = network_exchange
    SUBNETS = subnets
    SUBNET_POOL = subnet_pool
    EPOCHS = epochs
    BOND = bond
    START = block.timestamp
    TERMS = terms


# --- Demand ---------------------------------------------------------------------------------------------------------


@external
def collect_demand(asset: uint256) -> uint256:
    """
    @notice Count what the commons got for an asset since the last time, for the asset's subnet, in this period. The first
            time in a subnet it only remembers what was before. Anyone may call it, for any asset, at any time.
    @return Base units of the currency.
    """
    self._close()
    subnet: uint256 = staticcall ISubnets(SUBNETS).subnet_of(asset)
    demand: uint256 = staticcall IChannels(CHANNELS).demand_of(asset)
    known: uint256 = self.counted[asset]
    self.counted[asset] = demand | (subnet << 192)
    if subnet == 0 or known >> 192 != subnet:
        return 0
    grown: uint256 = demand - (known & MASK_192)
    if grown != 0:
        self._count(subnet, grown)
        log DemandCollected(asset=asset, subnet=subnet, period=self.period, amount=grown)
    return grown


@external
def bootstrap(subnet: uint256) -> uint256:
    """
    @notice Count a subnet's bootstrap for this period: a part of what its owner gave to open its pool, in the first periods
            in which somebody asks. Anyone may.
    @return Raw TSR.
    """
    self._close()
    assert staticcall ISubnets(SUBNETS).is_live(subnet), "emission: subnet is not live"
    word: uint256 = self.bootstraps[subnet]
    assert word & MASK_64 < TERMS.bootstrap_periods, "emission: the bootstrap is over"
    assert word >> 64 != self.period + 1, "emission: counted in this period already"
    amount: uint256 = (
        staticcall ISubnetPool(SUBNET_POOL).opening_of(subnet)
        * TERMS.bootstrap_bps // (BPS * TERMS.bootstrap_periods)
    )
    assert amount != 0, "emission: the pool was never opened"
    self.bootstraps[subnet] = ((word & MASK_64) + 1) | ((self.period + 1) << 64)
    self._count(subnet, amount << 96)
    log Bootstrapped(subnet=subnet, period=self.period, amount=amount)
    return amount


@external
def close():
    """
    @notice Close the period that has ended, if there is one. Anyone may; everything else here does it too.
    """
    self._close()


@internal
def _count(subnet: uint256, amounts: uint256):
    """
    @param amounts Demand (96) | bootstrap (96).
    """
    self._gather(subnet)
    self.shares[subnet] += amounts
    total: uint256 = self.totals[self.period]
    assert (
        (total & MASK_96) + (amounts & MASK_96) <= MASK_96
    ), "emission: more than can be counted"
    self.totals[self.period] = total + amounts


@internal
def _gather(subnet: uint256):
    """
    @dev Put what a subnet earned in a period that is closed into its pot, and begin anew.
    """
    tsr: uint256 = 0
    fees: uint256 = 0
    tsr, fees = self._gathered(subnet)
    word: uint256 = self.shares[subnet]
    if tsr != 0 or fees != 0:
        # The epoch in which the period ended.
        ended: uint256 = START + ((word >> 192) + 1) * TERMS.period - 1
        epoch: uint256 = staticcall ISubnets(SUBNETS).epoch_at(subnet, ended)
        self.pots[subnet][epoch] += tsr | (fees << 96)
    if word >> 192 != self.period:
        self.shares[subnet] = self.period << 192


@internal
@view
def _gathered(subnet: uint256) -> (uint256, uint256):
    """
    @dev What a subnet earned in the period that it last counted in, if that is closed; both rounded down.
    """
    word: uint256 = self.shares[subnet]
    of: uint256 = word >> 192
    if of >= self.period or word & MASK_192 == 0:
        return 0, 0
    total: uint256 = self.totals[of]
    rate: uint256 = self.rates[of]
    price: uint256 = rate & MASK_96
    weight: uint256 = self._worth(word & MASK_96, price) + ((word >> 96) & MASK_96)
    weights: uint256 = self._worth(total & MASK_96, price) + (total >> 96)
    tsr: uint256 = 0
    if weights != 0:
        tsr = (rate >> 96) * weight // weights
    fees: uint256 = 0
    if total & MASK_96 != 0:
        fees = self.fees_of[of] * (word & MASK_96) // (total & MASK_96)
    return tsr, fees


@internal
@view
def _worth(demand: uint256, price: uint256) -> uint256:
    """
    @dev Raw TSR that demand earns at most, rounded down; nothing where TSR has no price.
    """
    if price == 0:
        return 0
    return demand * WHOLE * TERMS.demand_bps // (BPS * price)


@internal
def _close():
    now: uint256 = (block.timestamp - START) // TERMS.period
    ended: uint256 = self.period
    if now == ended:
        return
    self.period = now
    total: uint256 = self.totals[ended]
    demand: uint256 = total & MASK_96
    if total == 0:
        return
    price: uint256 = 0
    if demand != 0:
        price = self._demand_price()
    bootstraps: uint256 = total >> 96
    budget: uint256 = self._budget(
        staticcall INetworkToken(NETWORK_TOKEN).genesis() + self.allotted
    )
    allotted: uint256 = min(budget, self._worth(demand, price) + bootstraps)
    self.allotted += allotted
    self.rates[ended] = price | (allotted << 96)
    fees: uint256 = self._fetch_fees(demand)
    self.fees_of[ended] = fees
    log PeriodClosed(
        period=ended,
        demand=demand,
        bootstraps=bootstraps,
        price=price,
        budget=budget,
        allotted=allotted,
        fees=fees,
    )


@internal
def _fetch_fees(demand: uint256) -> uint256:
    """
    @dev Take the validators' half of all fees out of Channels and hand on as much as the subnets' demand. What a whole
         period had no demand for is the commons': fees of assets in no subnet, and what came by plain transfer.
    """
    before: uint256 = staticcall IERC20(CURRENCY).balanceOf(self)
    paid: bool = raw_call(
        CHANNELS,
        abi_encode(self, method_id=method_id("withdraw_credit(address)")),
        revert_on_failure=False,
    )
    # While the currency refuses to pay this address, the fees wait in Channels.
    assert paid or msg.gas >= ENOUGH_GAS, "emission: too little gas"
    came: uint256 = staticcall IERC20(CURRENCY).balanceOf(self) - before
    waiting: uint256 = self.waiting_fees
    fees: uint256 = min(demand, waiting + came)
    unused: uint256 = waiting - min(waiting, fees)
    self.waiting_fees = waiting + came - fees - unused
    self.fee_obligations += came
    if unused != 0:
        self.fees_credit_of[staticcall IRegistry(REGISTRY).commons()] += unused
    return fees


# --- The schedule ---------------------------------------------------------------------------------------------------


@internal
@view
def _budget(minted: uint256) -> uint256:
    """
    @dev What one period may mint at most. The k-th halving is at CAP - CAP / 2^k; what would pass it counts half.
    """
    amount: uint256 = TERMS.rate * TERMS.period
    budget: uint256 = 0
    at: uint256 = minted
    for k: uint256 in range(1, HALVINGS + 1):
        threshold: uint256 = CAP - (CAP >> k)
        if at >= threshold:
            amount = amount >> 1
            continue
        room: uint256 = threshold - at
        if amount <= room:
            return budget + amount
        budget += room
        at = threshold
        amount = (amount - room) >> 1
    return budget


@internal
@view
def _reserves() -> (uint256, uint256):
    return staticcall IExchange(NETWORK_EXCHANGE).reserves_of(NETWORK_TOKEN)


@internal
@view
def _mean_price() -> uint256:
    """
    @return Base units for 10^18 raw TSR: the higher of the two means, 0 where there is no price.
    """
    long: uint256 = self._twap(TERMS.long_window)
    short: uint256 = self._twap(TERMS.short_window)
    lower: uint256 = min(long, short)
    if lower == 0:
        return 0
    if pool_depth._locked_currency(NETWORK_EXCHANGE, NETWORK_TOKEN, lower) < TERMS.min_depth:
        return 0
    return min(max(long, short), MASK_96)


@internal
@view
def _demand_price() -> uint256:
    """
    @dev As `_mean_price`, and at least the floor.
    """
    mean: uint256 = self._mean_price()
    if mean == 0:
        return 0
    return max(mean, TERMS.floor_price)


@internal
@view
def _twap(window: uint256) -> uint256:
    answered: bool = False
    answer: Bytes[64] = b""
    answered, answer = raw_call(
        NETWORK_EXCHANGE,
        abi_encode(NETWORK_TOKEN, window, method_id=method_id("twap(address,uint256)")),
        max_outsize=64,
        is_static_call=True,
        revert_on_failure=False,
    )
    # A pool younger than the window has no mean price yet.
    assert answered or msg.gas >= ENOUGH_GAS, "emission: too little gas"
    if not answered:
        return 0
    return convert(slice(answer, 0, 32), uint256)


# --- Epochs ---------------------------------------------------------------------------------------------------------


@external
def settle(subnet: uint256, epoch: uint256, result: epoch_results.Result) -> uint256:
    """
    @notice Let a final epoch pay what its subnet earned in the periods that ended in it. Anyone may, once.
    @dev The epoch is over, so those periods are closed, and nothing can be added to its pot any more, but for what an
         earlier one could not pay.
    @param result As it was posted.
    @return Raw TSR minted.
    """
    self._close()
    self._gather(subnet)
    assert (
        staticcall IEpochs(EPOCHS).settled(subnet, epoch) == FINAL
    ), "emission: epoch is not final"
    assert self.payouts[subnet][epoch].shares == 0, "emission: settled already"
    word: uint256 = self.pots[subnet][epoch]
    assert word != 0, "emission: nothing to pay"
    self.pots[subnet][epoch] = 0
    stakes: uint256 = 0
    dividends: uint256 = 0
    ranks: uint256 = 0
    stakes, dividends, ranks = staticcall IEpochs(EPOCHS).sums_of(subnet, epoch, result)
    if stakes == 0 and dividends == 0:
        self._carry(subnet, word)
        return 0
    minted: uint256 = word & MASK_96
    fees: uint256 = word >> 96
    to_owner: uint256 = minted * TERMS.owner_bps // BPS
    models: uint256 = 0
    # Where no model earned anything, their part is the validators'.
    if ranks != 0:
        models = minted * TERMS.models_bps // BPS
    validators: uint256 = minted - to_owner - models
    self.payouts[subnet][epoch] = Payout(
        parts=models | (validators << 96),
        left=models | (validators << 96),
        fees=fees | (fees << 96),
        shares=dividends if dividends != 0 else stakes | BY_STAKE,
    )
    owner: address = staticcall ISubnets(SUBNETS).owner_of(subnet)
    self.credit_of[owner] += to_owner
    self.obligations += minted
    log EpochSettled(
        subnet=subnet,
        epoch=epoch,
        owner=owner,
        owner_part=to_owner,
        models_part=models,
        validators_part=validators,
        fees=fees,
    )
    if minted != 0:
        extcall INetworkToken(NETWORK_TOKEN).mint(self, minted)
    return minted


@external
def carry(subnet: uint256, epoch: uint256):
    """
    @notice Let the present epoch have what one that was skipped had to pay. Anyone may; of a subnet that is no more, the
            commons get the fees.
    """
    self._close()
    self._gather(subnet)
    assert (
        staticcall IEpochs(EPOCHS).settled(subnet, epoch) == SKIPPED
    ), "emission: epoch was not skipped"
    word: uint256 = self.pots[subnet][epoch]
    assert word != 0, "emission: nothing to pay"
    self.pots[subnet][epoch] = 0
    self._carry(subnet, word)


@internal
def _carry(subnet: uint256, word: uint256):
    """
    @dev Where there is no present epoch any more, the fees are the commons', and the TSR is never minted.
    """
    if staticcall ISubnets(SUBNETS).is_live(subnet):
        epoch: uint256 = staticcall ISubnets(SUBNETS).epoch_at(subnet, block.timestamp)
        self.pots[subnet][epoch] += word
        log Carried(subnet=subnet, to_epoch=epoch, amount=word & MASK_96, fees=word >> 96)
    else:
        self.fees_credit_of[staticcall IRegistry(REGISTRY).commons()] += word >> 96


@external
def claim_model(
    subnet: uint256,
    epoch: uint256,
    result: epoch_results.Result,
    uid: uint256,
    consensus: uint256,
    rank: uint256,
    data: bytes32,
    path: DynArray[sum_trees.Node, sum_trees.MAX_HEIGHT],
) -> uint256:
    """
    @notice Credit the asset that had a place in an epoch with what it earned; what a place earned that nobody held is the
            commons'. Anyone may, at any time, once.
    @param data With the rest: its leaf of the result, and the path to it.
    @return Raw TSR, rounded down.
    """
    self._claim_once(subnet, epoch, uid, MODELS)
    part: uint256 = 0
    whole: uint256 = 0
    part, whole = staticcall IEpochs(EPOCHS).model_part(
        subnet, epoch, result, uid, consensus, rank, data, path
    )
    payout: Payout = self.payouts[subnet][epoch]
    amount: uint256 = 0
    if whole != 0:
        amount = min((payout.parts & MASK_96) * part // whole, payout.left & MASK_96)
    self.payouts[subnet][epoch].left = payout.left - amount
    asset: uint256 = 0
    since: uint256 = 0
    asset, since = staticcall ISubnets(SUBNETS).occupant_at(subnet, MODELS, uid, epoch)
    if asset == 0:
        # Validators gave weight to a place that nobody held.
        self.credit_of[staticcall IRegistry(REGISTRY).commons()] += amount
    else:
        self.earned_of[asset] += amount
    log ModelPaid(subnet=subnet, epoch=epoch, asset=asset, uid=uid, amount=amount)
    return amount


@external
def claim_validator(
    subnet: uint256,
    epoch: uint256,
    result: epoch_results.Result,
    row: uint256,
    active: uint256,
    counted: uint256,
    path: DynArray[sum_trees.Node, sum_trees.MAX_HEIGHT],
) -> (uint256, uint256):
    """
    @notice Pay a validator what it earned in an epoch: TSR to its pool in Bond, currency to its credit. Anyone may, at
            any time, once.
    @param counted With the rest: its leaf of the result, and the path to it.
    @return Raw TSR and base units of the currency, rounded down.
    """
    self._claim_once(subnet, epoch, row, VALIDATORS)
    validator: address = empty(address)
    stake: uint256 = 0
    dividend: uint256 = 0
    validator, stake, dividend = staticcall IEpochs(EPOCHS).validator_part(
        subnet, epoch, result, row, active, counted, path
    )
    payout: Payout = self.payouts[subnet][epoch]
    part: uint256 = dividend
    if payout.shares & BY_STAKE != 0:
        part = stake
    shares: uint256 = payout.shares & ~BY_STAKE
    amount: uint256 = min((payout.parts >> 96) * part // shares, payout.left >> 96)
    fees: uint256 = min((payout.fees & MASK_96) * part // shares, payout.fees >> 96)
    self.payouts[subnet][epoch].left = payout.left - (amount << 96)
    self.payouts[subnet][epoch].fees = payout.fees - (fees << 96)
    self.fees_credit_of[validator] += fees
    log ValidatorPaid(subnet=subnet, epoch=epoch, validator=validator, amount=amount, fees=fees)
    if amount != 0:
        self._reward(validator, amount)
    return amount, fees


@internal
def _claim_once(subnet: uint256, epoch: uint256, place: uint256, side: uint256):
    assert self.payouts[subnet][epoch].shares != 0, "emission: epoch pays nothing"
    key: uint256 = place | (side << 128)
    assert place <= MASK_64 and not self.is_claimed[subnet][epoch][key], "emission: claimed already"
    self.is_claimed[subnet][epoch][key] = True


@internal
def _reward(validator: address, amount: uint256):
    """
    @dev Who has no stake any more is paid directly; whose stake was slashed to nothing is not.
    """
    if staticcall IBond(BOND).can_reward(validator):
        self.obligations -= amount
        if staticcall IERC20(NETWORK_TOKEN).allowance(self, BOND) < amount:
            extcall IERC20(NETWORK_TOKEN).approve(BOND, max_value(uint256))
        extcall IBond(BOND).reward(validator, amount)
    elif self._is_wiped(validator):
        self.credit_of[staticcall IRegistry(REGISTRY).commons()] += amount
    else:
        self.credit_of[validator] += amount


@internal
@view
def _is_wiped(validator: address) -> bool:
    tokens: uint256 = 0
    total: uint256 = 0
    coming: uint256 = 0
    end: uint256 = 0
    left: uint256 = 0
    parts: uint256 = 0
    closed: bool = False
    tokens, total, coming, end, left, parts, closed = staticcall IBond(BOND).pool_of(validator)
    return closed


# --- What was earned ------------------------------------------------------------------------------------------------


@external
def flush(asset: uint256) -> uint256:
    """
    @notice Hand on what an asset earned: to its owner's credit, or, where it has a Share, to what is for sale for its
            holders. Anyone may.
    @return Raw TSR.
    """
    amount: uint256 = self.earned_of[asset]
    self.earned_of[asset] = 0
    receiver: address = staticcall IRegistry(REGISTRY).share_of(asset)
    if receiver == empty(address):
        receiver = staticcall IRegistry(REGISTRY).ownerOf(asset)
        self.credit_of[receiver] += amount
    else:
        self.for_holders_of[asset] += amount
    log Flushed(asset=asset, receiver=receiver, amount=amount)
    return amount


@external
def buy_for_holders(asset: uint256, amount: uint256, most: uint256, deadline: uint256) -> uint256:
    """
    @notice Buy TSR that a tokenized asset earned; the money streams to its holders.
    @param most The most base units to pay.
    @param deadline The last second at which this may happen.
    @return Base units paid, rounded up.
    """
    assert block.timestamp <= deadline, "emission: too late"
    assert amount != 0 and amount <= self.for_holders_of[asset], "emission: not that much for sale"
    price: uint256 = self._sale_price()
    assert price != 0, "emission: no price"
    cost: uint256 = (amount * price * SALE_BPS + WHOLE * BPS - 1) // (WHOLE * BPS)
    assert cost <= most, "emission: dearer than the limit"
    self.for_holders_of[asset] -= amount
    self.obligations -= amount
    log SoldForHolders(asset=asset, buyer=msg.sender, amount=amount, cost=cost)
    share: address = staticcall IRegistry(REGISTRY).share_of(asset)
    assert extcall IERC20(CURRENCY).transferFrom(
        msg.sender, share, cost, default_return_value=True
    ), "emission: currency refused the transfer"
    extcall IShare(share).sync()
    self._give(NETWORK_TOKEN, msg.sender, amount)
    return cost


@external
def withdraw(receiver: address = msg.sender) -> uint256:
    """
    @notice Send the caller's TSR: an owner's part, a model's, or a validator's without stake.
    @return Raw TSR.
    """
    amount: uint256 = self.credit_of[msg.sender]
    self.credit_of[msg.sender] = 0
    self.obligations -= amount
    log Withdrawn(token=NETWORK_TOKEN, account=msg.sender, receiver=receiver, amount=amount)
    self._give(NETWORK_TOKEN, receiver, amount)
    return amount


@external
def withdraw_fees(receiver: address = msg.sender) -> uint256:
    """
    @notice Send the caller's currency: a validator's part of the network's fees, or what is the commons'.
    @return Base units.
    """
    amount: uint256 = self.fees_credit_of[msg.sender]
    self.fees_credit_of[msg.sender] = 0
    self.fee_obligations -= amount
    log Withdrawn(token=CURRENCY, account=msg.sender, receiver=receiver, amount=amount)
    self._give(CURRENCY, receiver, amount)
    return amount


@internal
def _give(token: address, receiver: address, amount: uint256):
    assert extcall IERC20(token).transfer(
        receiver, amount, default_return_value=True
    ), "emission: token refused the transfer"


@internal
@view
def _sale_price() -> uint256:
    """
    @dev The present price too, so that nobody buys from holders at yesterday's price.
    """
    mean: uint256 = self._mean_price()
    if mean == 0:
        return 0
    tsr: uint256 = 0
    money: uint256 = 0
    tsr, money = self._reserves()
    return max(mean, money * WHOLE // tsr)


# --- Views ----------------------------------------------------------------------------------------------------------


@external
@view
@reentrant
def budget(minted: uint256) -> uint256:
    """
    @notice What one period may mint at most when `minted` raw TSR exist or are promised.
    """
    return self._budget(minted)


@external
@view
@reentrant
def price() -> uint256:
    """
    @return Base units for 10^18 raw TSR at which demand would be counted now; 0 where TSR has no price.
    """
    return self._demand_price()


@external
@view
@reentrant
def sale_price() -> uint256:
    """
    @return Base units for 10^18 raw TSR, before the one percent, at which holders' TSR is sold now; 0: not at all.
    """
    return self._sale_price()


@external
@view
@reentrant
def period_of(number: uint256) -> (uint256, uint256, uint256, uint256, uint256):
    """
    @return Of a period: demand (base units), bootstraps (raw TSR), price, what was allotted (raw TSR) and the fees handed on
            (base units); the last three are 0 until it is closed.
    """
    total: uint256 = self.totals[number]
    rate: uint256 = self.rates[number]
    return total & MASK_96, total >> 96, rate & MASK_96, rate >> 96, self.fees_of[number]


@external
@view
@reentrant
def pot_of(subnet: uint256, epoch: uint256) -> (uint256, uint256):
    """
    @return Raw TSR and base units that an epoch has to pay once it is settled, as far as they were gathered.
    """
    word: uint256 = self.pots[subnet][epoch]
    return word & MASK_96, word >> 96


@external
@view
@reentrant
def coming_to(subnet: uint256) -> (uint256, uint256):
    """
    @return Raw TSR and base units that a subnet earned in a closed period and that nobody gathered yet.
    """
    return self._gathered(subnet)


@external
@view
@reentrant
def share_of(subnet: uint256) -> (uint256, uint256, uint256):
    """
    @return What a subnet counted last: demand (base units), bootstrap (raw TSR), and in which period.
    """
    word: uint256 = self.shares[subnet]
    return word & MASK_96, (word >> 96) & MASK_96, word >> 192


@external
@view
@reentrant
def payout_of(
    subnet: uint256, epoch: uint256
) -> (uint256, uint256, uint256, uint256, uint256, uint256):
    """
    @return What a settled epoch pays its models and its validators in raw TSR, and its validators in base units; and what
            of each was not claimed yet.
    """
    payout: Payout = self.payouts[subnet][epoch]
    return (
        payout.parts & MASK_96,
        payout.parts >> 96,
        payout.fees & MASK_96,
        payout.left & MASK_96,
        payout.left >> 96,
        payout.fees >> 96,
    )


@external
@view
@reentrant
def counted_of(asset: uint256) -> (uint256, uint256):
    """
    @return What of an asset's demand was counted, and the subnet that it was in then.
    """
    word: uint256 = self.counted[asset]
    return word & MASK_192, word >> 192


@external
@view
@reentrant
def bootstraps_of(subnet: uint256) -> uint256:
    """
    @notice In how many periods a subnet was bootstrapped.
    """
    return self.bootstraps[subnet] & MASK_64


@external
@view
@reentrant
def terms() -> Terms:
    """
    @notice What the deployment fixed.
    """
    return TERMS


@external
@view
@reentrant
def started_at() -> uint256:
    """
    @notice When the first period began.
    """
    return START
