# pragma version 0.4.3
# pragma evm-version cancun
# pragma nonreentrancy on
"""
@title Governor
@license Apache-2.0
@notice Decides about every asset that has a Share, as its holders vote: versions, endpoints and their cuts, discounts,
        the licence, what may be sold of it, new parents, and what its treasury pays.
@dev One contract for all assets. Holders lock shares; a lock is numbered, earns as before (`modules/accruals.vy`), and
     votes by its number. What is proposed is typed and hashed; `execute` takes it again, so what is done is what was
     shown. A proposal is voted on, waits, and may then be executed by anyone for a while: its state follows from the
     clock, nothing has to be queued. Twin: `tessera.spec.governance`.
@custom:security A lock counts if it is older than the proposal, and stays until `min_lock` seconds after it was made: a
     stake that is borrowed, sold or locked again counts once. Locks that said yes stay until the proposal is executed,
     defeated, cancelled or expired, those that said no until the vote ends. Unsold, unvested and pooled shares cannot
     be locked; the quorum is a part of all others, of the most there were at any vote or `observe`. What leaves less to
     the holders than they agreed to (a cut above every cut so far, a larger discount or a smaller lock for it, a new
     parent), and what sells rights that no later vote takes back (a new product, a sale resumed), takes two thirds of
     the supply and a delay in which a dissenter can unlock and sell. The Registry keeps the floor and every bound
     whatever is voted for. A majority can still set a bad price or spend the treasury: the delay is what protects from
     it. Tokens sent here by mistake go to the commons, shares too; until then such shares earn for those who locked.
@custom:invariant solvent, conserved, can_always_claim, never_early, holders_floor, terms_at_call
@custom:pause Nothing here can be paused.
"""
from ethereum.ercs import IERC20
from .modules import accruals

initializes: accruals


struct Release:
    root: bytes32
    runner: uint8
    uri: String[256]


struct Price:
    per_call: uint256
    per_1k_in: uint256
    per_1k_out: uint256


struct EndpointTerms:
    operator: address
    cut_bps: uint256
    price: Price
    url: String[256]


# For payers who locked at least `min_locked` raw shares.
struct Discount:
    discount_bps: uint256
    min_locked: uint256


# The document's hash decides; `identifier` is for machines, as SPDX spells it, and `uri` is where to read it.
struct Licence:
    document: bytes32
    identifier: String[64]
    uri: String[256]


struct Payment:
    receiver: address
    amount: uint256


struct Parent:
    asset: uint256
    royalty_bps: uint256


# What a unit of a product is worth, as the Storefront numbers it.
flag Worth:
    COUNT
    PERIOD
    PERPETUAL
# As `Storefront.create` takes it.
struct Product:
    operator: address
    kind: Worth
    price: uint256
    per_unit: uint256
    cap: uint256
    most_per_account: uint256
    serve_window: uint256
    royalty_bps: uint256
    scope: uint256
    newest_version: uint256
    document: bytes32
    license: String[32]
    name: String[32]
    symbol: String[32]


# Whether the units of one product are sold.
struct Sale:
    access: address
    on: bool


flag Kind:
    RELEASE
    ENDPOINT
    CLOSING
    DISCOUNT
    LICENCE
    PAYMENT
    PARENT
    PRODUCT
    SALE

flag State:
    VOTING
    DEFEATED
    WAITING
    READY
    EXECUTED
    CANCELLED
    EXPIRED
# Only what belongs to the kind is done. `endpoint.operator` is also whose endpoint closes or gets the discount.
struct Action:
    kind: Kind
    release: Release
    endpoint: EndpointTerms
    discount: Discount
    licence: Licence
    payment: Payment
    parent: Parent
    product: Product
    sale: Sale


struct Proposal:
    # Hash of the action.
    action: bytes32
    # proposer (160) | proposed at (40) | grave (1) | executed (1) | cancelled (1)
    head: uint256
    # yes (96) | no (96), raw shares
    tally: uint256
    # most shares that could have voted (96) | supply (96)
    counted: uint256


interface IRegistry:
    def share_of(asset: uint256) -> address: view
    def largest_cut_of(asset: uint256) -> uint256: view
    def discount_of(asset: uint256, operator: address) -> (uint256, uint256, uint256): view
    def commons() -> address: view
    def release(asset: uint256, version: Release) -> uint256: nonpayable
    def set_endpoint(asset: uint256, endpoint: EndpointTerms): nonpayable
    def close_endpoint(asset: uint256, operator: address): nonpayable
    def set_discount(
        asset: uint256, operator: address, discount_bps: uint256, min_locked: uint256
    ) -> uint256: nonpayable
    def add_parent(asset: uint256, parent: uint256, royalty_bps: uint256): nonpayable


interface ILaunchpad:
    def held_in_sales(asset: uint256) -> uint256: view
    def held_in_vesting(asset: uint256) -> uint256: view


interface IExchange:
    def token_reserve(token: address) -> uint256: view


interface IStorefront:
    def asset_of(token: address) -> uint256: view
    def create(asset: uint256, product: Product) -> address: nonpayable


interface IAccess:
    def set_on_sale(on: bool): nonpayable


event Locked:
    asset: indexed(uint256)
    owner: indexed(address)
    lock: uint256
    amount: uint256


event Unlocked:
    asset: indexed(uint256)
    owner: indexed(address)
    lock: uint256
    amount: uint256


event Proposed:
    asset: indexed(uint256)
    proposal: indexed(uint256)
    proposer: indexed(address)
    title: String[128]
    action: Action
    grave: bool
    voting_ends: uint256
    executable_from: uint256
    expires: uint256


event Voted:
    asset: indexed(uint256)
    proposal: indexed(uint256)
    voter: indexed(address)
    support: bool
    weight: uint256
    locks: DynArray[uint256, MAX_LOCKS]


event Executed:
    asset: indexed(uint256)
    proposal: indexed(uint256)


event Cancelled:
    asset: indexed(uint256)
    proposal: indexed(uint256)


event LicenceSet:
    asset: indexed(uint256)
    document: indexed(bytes32)
    identifier: String[64]
    uri: String[256]


event TreasuryDeposited:
    asset: indexed(uint256)
    payer: indexed(address)
    amount: uint256


event TreasuryPaid:
    asset: indexed(uint256)
    receiver: indexed(address)
    amount: uint256


event RevenueClaimed:
    asset: indexed(uint256)
    account: indexed(address)
    receiver: indexed(address)
    amount: uint256


event Rescued:
    token: indexed(address)
    amount: uint256


BPS: constant(uint256) = 10_000
# Yes votes, as a part of the shares that could have voted.
QUORUM_BPS: constant(uint256) = 2_000
# What a proposer must have locked, as a part of the supply.
PROPOSER_BPS: constant(uint256) = 100
MAX_LOCKS: constant(uint256) = 16
MAX_BACKED: constant(uint256) = 16
MAX_TIME: constant(uint256) = 365 * 86_400
MASK_160: constant(uint256) = 2**160 - 1
MASK_96: constant(uint256) = 2**96 - 1
MASK_40: constant(uint256) = 2**40 - 1
GRAVE: constant(uint256) = 2**200
WAS_EXECUTED: constant(uint256) = 2**201
WAS_CANCELLED: constant(uint256) = 2**202
SAID_NO: constant(uint256) = 1
SAID_YES: constant(uint256) = 2
LET_GO: constant(uint256) = 3

REGISTRY: immutable(address)
LAUNCHPAD: immutable(address)
EXCHANGE: immutable(address)
STOREFRONT: immutable(address)
CURRENCY: immutable(address)
MIN_LOCK: immutable(uint256)
VOTING_TIME: immutable(uint256)
TIMELOCK: immutable(uint256)
EXIT_DELAY: immutable(uint256)
EXECUTION_WINDOW: immutable(uint256)

# Asset, then number of the lock -> owner (160) | raw shares (96)
locks: HashMap[uint256, HashMap[uint256, uint256]]
# -> locked since (40) | last end of a vote that it took part in (40) | open proposals that it said yes to (16)
lock_times: HashMap[uint256, HashMap[uint256, uint256]]
lock_count: public(HashMap[uint256, uint256])
locked_of: public(HashMap[uint256, HashMap[address, uint256]])
proposals: HashMap[uint256, HashMap[uint256, Proposal]]
proposal_count: public(HashMap[uint256, uint256])
# Asset, proposal, lock -> what it said
votes: HashMap[uint256, HashMap[uint256, HashMap[uint256, uint256]]]
# The number of an account's last proposal for an asset.
last_proposal_of: public(HashMap[uint256, HashMap[address, uint256]])
# Hash of the licence document that the holders voted for.
licence_of: public(HashMap[uint256, bytes32])
treasury_of: public(HashMap[uint256, uint256])
# By token: what belongs to somebody. Of a Share, what is locked; of the currency, treasuries and revenue not yet taken.
reserved: public(HashMap[address, uint256])


@deploy
def __init__(
    registry: address,
    launchpad: address,
    exchange: address,
    storefront: address,
    currency: address,
    min_lock: uint256,
    voting_time: uint256,
    timelock: uint256,
    exit_delay: uint256,
    execution_window: uint256,
):
    """
    @param min_lock Seconds that shares stay locked at least. Not above `exit_delay`: whoever is locked can leave before
           something grave takes effect.
    @param voting_time Seconds in which a proposal is voted on.
    @param timelock Seconds between the end of the vote and the first moment of execution.
    @param exit_delay Further seconds for what leaves less to the holders.
    @param execution_window Seconds in which it may be executed.
    """
    assert min_lock != 0 and min_lock <= exit_delay, "governor: lock out of range"
    assert (
        voting_time != 0
        and voting_time <= MAX_TIME
        and timelock <= MAX_TIME
        and exit_delay <= MAX_TIME
        and execution_window != 0
        and execution_window <= MAX_TIME
    ), "governor: time out of range"
    REGISTRY = registry
    LAUNCHPAD = launchpad
    EXCHANGE = exchange
    STOREFRONT = storefront
    CURRENCY = currency
    MIN_LOCK = min_lock
    VOTING_TIME = voting_time
    TIMELOCK = timelock
    EXIT_DELAY = exit_delay
    EXECUTION_WINDOW = execution_window


# --- Locks ----------------------------------------------------------------------------------------------------------


@external
def lock(asset: uint256, amount: uint256) -> uint256:
    """
    @notice Lock raw shares of the caller, to vote and to be known as a holder who stays. Approve them first.
    @return The lock's number.
    """
    assert amount != 0, "governor: nothing to lock"
    share: address = self._share_of(asset)
    # Revenue that the currency holds up is shared later by whoever is still here. Nobody leaves by locking.
    pulled: bool = self._pull(share)
    accruals._settle(share, msg.sender, self.locked_of[asset][msg.sender])
    number: uint256 = self.lock_count[asset] + 1
    self.lock_count[asset] = number
    # Balances of a Share are below 2^96: the transfer refuses more.
    self.reserved[share] += amount
    self.locked_of[asset][msg.sender] += amount
    self.locks[asset][number] = convert(msg.sender, uint256) | (amount << 160)
    self.lock_times[asset][number] = block.timestamp
    assert extcall IERC20(share).transferFrom(
        msg.sender, self, amount
    ), "governor: share refused the transfer"
    log Locked(asset=asset, owner=msg.sender, lock=number, amount=amount)
    return number


@external
def unlock(asset: uint256, number: uint256, backed: DynArray[uint256, MAX_BACKED] = []) -> uint256:
    """
    @notice Give the caller the shares of a lock back.
    @param backed Proposals that the lock said yes to and that are over: they let it go first. For more than 16, see
           `let_go`.
    @return Raw shares.
    """
    word: uint256 = self.locks[asset][number]
    assert self._is_owner(word, msg.sender), "governor: not the caller's lock"
    for proposal: uint256 in backed:
        self._let_go(asset, proposal, number)
    times: uint256 = self.lock_times[asset][number]
    assert block.timestamp >= (times & MASK_40) + MIN_LOCK, "governor: locked too short a time"
    assert block.timestamp >= (times >> 40) & MASK_40, "governor: a vote of this lock is not over"
    assert times >> 80 == 0, "governor: a proposal of this lock is not over"
    amount: uint256 = word >> 160
    share: address = self._share_of(asset)
    # The caller leaves alone, and forgoes what the currency holds up.
    pulled: bool = self._pull(share)
    accruals._settle(share, msg.sender, self.locked_of[asset][msg.sender])
    self.locks[asset][number] = 0
    self.lock_times[asset][number] = 0
    self.reserved[share] -= amount
    self.locked_of[asset][msg.sender] -= amount
    assert extcall IERC20(share).transfer(
        msg.sender, amount
    ), "governor: share refused the transfer"
    log Unlocked(asset=asset, owner=msg.sender, lock=number, amount=amount)
    return amount


@external
def let_go(asset: uint256, number: uint256, backed: DynArray[uint256, MAX_BACKED]):
    """
    @notice Free a lock of proposals that it said yes to and that are over. Anyone may call it, as often as it takes: a
            lock can back more proposals than `unlock` takes at once.
    """
    for proposal: uint256 in backed:
        self._let_go(asset, proposal, number)


@external
def claim(asset: uint256, receiver: address = msg.sender) -> uint256:
    """
    @notice Pay the revenue of the caller's locked shares, to `receiver`. Locked or voting makes no difference.
    @return Base units, rounded down; the rest stays on the account.
    """
    share: address = self._share_of(asset)
    pulled: bool = self._pull(share)
    accruals._settle(share, msg.sender, self.locked_of[asset][msg.sender])
    amount: uint256 = accruals._take(share, msg.sender)
    self._send(receiver, amount)
    log RevenueClaimed(asset=asset, account=msg.sender, receiver=receiver, amount=amount)
    return amount


@internal
def _pull(share: address) -> bool:
    before: uint256 = accruals.received[share]
    pulled: bool = accruals._pull(share, self.reserved[share])
    arrived: uint256 = accruals.received[share] - before
    if arrived != 0:
        self.reserved[CURRENCY] += arrived
    return pulled


@internal
def _let_go(asset: uint256, proposal: uint256, number: uint256):
    """
    @dev A lock that said yes is free of a proposal that is over.
    """
    state: State = self._state(asset, proposal)
    assert not state in (
        State.VOTING | State.WAITING | State.READY
    ), "governor: the proposal is not over"
    assert self.votes[asset][proposal][number] == SAID_YES, "governor: the lock does not back it"
    self.votes[asset][proposal][number] = LET_GO
    self.lock_times[asset][number] -= 1 << 80


# --- Proposals ------------------------------------------------------------------------------------------------------


@external
def propose(asset: uint256, action: Action, title: String[128]) -> uint256:
    """
    @notice Put an action to the vote. The caller must have locked a hundredth of the supply, and have no other proposal
            open for this asset: so nobody fills the list, and nobody is kept from it.
    @param title For people; it decides nothing. What counts is the action, which the event shows in full.
    @return The proposal's number.
    """
    share: address = self._share_of(asset)
    supply: uint256 = staticcall IERC20(share).totalSupply()
    assert (
        self.locked_of[asset][msg.sender] * BPS >= supply * PROPOSER_BPS
    ), "governor: too few shares locked to propose"
    last: uint256 = self.last_proposal_of[asset][msg.sender]
    assert last == 0 or not self._state(asset, last) in (
        State.VOTING | State.WAITING | State.READY
    ), "governor: the caller's last proposal is open"
    kind: uint256 = convert(action.kind, uint256)
    assert kind != 0 and kind & (kind - 1) == 0, "governor: kind is not one kind"
    number: uint256 = self.proposal_count[asset] + 1
    self.proposal_count[asset] = number
    self.last_proposal_of[asset][msg.sender] = number
    grave: bool = self._is_grave(asset, action)
    head: uint256 = convert(msg.sender, uint256) | (block.timestamp << 160)
    if grave:
        head |= GRAVE
    self.proposals[asset][number] = Proposal(
        action=keccak256(abi_encode(action)),
        head=head,
        tally=0,
        counted=self._could_vote(asset, share, supply) | (supply << 96),
    )
    log Proposed(
        asset=asset,
        proposal=number,
        proposer=msg.sender,
        title=title,
        action=action,
        grave=grave,
        voting_ends=block.timestamp + VOTING_TIME,
        executable_from=self._executable_from(head),
        expires=self._executable_from(head) + EXECUTION_WINDOW,
    )
    return number


@external
def vote(
    asset: uint256, proposal: uint256, support: bool, numbers: DynArray[uint256, MAX_LOCKS]
) -> uint256:
    """
    @notice Vote with locks of the caller that are older than the proposal, each once and for good.
    @return The weight that was added, in raw shares.
    """
    self._observe(asset, proposal)
    proposed_at: uint256 = (self.proposals[asset][proposal].head >> 160) & MASK_40
    ends: uint256 = proposed_at + VOTING_TIME
    weight: uint256 = 0
    for number: uint256 in numbers:
        word: uint256 = self.locks[asset][number]
        assert self._is_owner(word, msg.sender), "governor: not the caller's lock"
        times: uint256 = self.lock_times[asset][number]
        assert times & MASK_40 < proposed_at, "governor: the lock is not older than the proposal"
        assert self.votes[asset][proposal][number] == 0, "governor: the lock voted already"
        self.votes[asset][proposal][number] = SAID_YES if support else SAID_NO
        frozen: uint256 = max((times >> 40) & MASK_40, ends)
        backing: uint256 = times >> 80
        if support:
            backing += 1
            assert backing < 2**16, "governor: the lock backs too many proposals"
        self.lock_times[asset][number] = (times & MASK_40) | (frozen << 40) | (backing << 80)
        weight += word >> 160
    assert weight != 0, "governor: a vote without a lock"
    # Locks of one asset are below its supply together, so neither field overflows.
    self.proposals[asset][proposal].tally += weight if support else weight << 96
    log Voted(
        asset=asset,
        proposal=proposal,
        voter=msg.sender,
        support=support,
        weight=weight,
        locks=numbers,
    )
    return weight


@external
def observe(asset: uint256, proposal: uint256) -> uint256:
    """
    @notice Count the shares that could vote now; the quorum is a part of the most that anyone ever saw while a proposal
            is voted on. Anyone may call it.
    @return The most so far, in raw shares.
    """
    return self._observe(asset, proposal)


@external
def cancel(asset: uint256, proposal: uint256):
    """
    @notice Take a proposal back. Only its proposer, until it is over.
    """
    head: uint256 = self.proposals[asset][proposal].head
    assert self._state(asset, proposal) in (
        State.VOTING | State.WAITING | State.READY
    ), "governor: the proposal is over"
    assert self._is_owner(head, msg.sender), "governor: only the proposer"
    self.proposals[asset][proposal].head = head | WAS_CANCELLED
    log Cancelled(asset=asset, proposal=proposal)


@external
def execute(asset: uint256, proposal: uint256, action: Action):
    """
    @notice Do what was voted for, once, in its time. Anyone may call it.
    @param action As it was proposed, to the byte.
    """
    state: State = self._state(asset, proposal)
    assert state != State.EXECUTED, "governor: executed already"
    assert state == State.READY, "governor: not to be executed now"
    found: Proposal = self.proposals[asset][proposal]
    assert keccak256(abi_encode(action)) == found.action, "governor: not what was voted for"
    # What was harmless when it was proposed may leave less to the holders by now.
    assert found.head & GRAVE != 0 or not self._is_grave(
        asset, action
    ), "governor: takes two thirds by now; propose it again"
    self.proposals[asset][proposal].head = found.head | WAS_EXECUTED
    log Executed(asset=asset, proposal=proposal)
    if action.kind == Kind.RELEASE:
        extcall IRegistry(REGISTRY).release(asset, action.release)
    elif action.kind == Kind.ENDPOINT:
        extcall IRegistry(REGISTRY).set_endpoint(asset, action.endpoint)
    elif action.kind == Kind.CLOSING:
        extcall IRegistry(REGISTRY).close_endpoint(asset, action.endpoint.operator)
    elif action.kind == Kind.DISCOUNT:
        extcall IRegistry(REGISTRY).set_discount(
            asset,
            action.endpoint.operator,
            action.discount.discount_bps,
            action.discount.min_locked,
        )
    elif action.kind == Kind.LICENCE:
        self.licence_of[asset] = action.licence.document
        log LicenceSet(
            asset=asset,
            document=action.licence.document,
            identifier=action.licence.identifier,
            uri=action.licence.uri,
        )
    elif action.kind == Kind.PAYMENT:
        held: uint256 = self.treasury_of[asset]
        assert action.payment.amount <= held, "governor: treasury too low"
        self.treasury_of[asset] = held - action.payment.amount
        self._send(action.payment.receiver, action.payment.amount)
        log TreasuryPaid(
            asset=asset, receiver=action.payment.receiver, amount=action.payment.amount
        )
    elif action.kind == Kind.PARENT:
        extcall IRegistry(REGISTRY).add_parent(
            asset, action.parent.asset, action.parent.royalty_bps
        )
    elif action.kind == Kind.PRODUCT:
        extcall IStorefront(STOREFRONT).create(asset, action.product)
    else:
        assert (
            staticcall IStorefront(STOREFRONT).asset_of(action.sale.access) == asset
        ), "governor: not a product of the asset"
        extcall IAccess(action.sale.access).set_on_sale(action.sale.on)


@internal
def _observe(asset: uint256, proposal: uint256) -> uint256:
    assert self._state(asset, proposal) == State.VOTING, "governor: not being voted on"
    counted: uint256 = self.proposals[asset][proposal].counted
    supply: uint256 = counted >> 96
    most: uint256 = self._could_vote(asset, self._share_of(asset), supply)
    if most <= counted & MASK_96:
        return counted & MASK_96
    self.proposals[asset][proposal].counted = most | (supply << 96)
    return most


@internal
@view
def _could_vote(asset: uint256, share: address, supply: uint256) -> uint256:
    """
    @dev Everything that is not for sale, not vesting and in no pool. Those three hold what they count, so it cannot be
         below zero.
    """
    apart: uint256 = staticcall ILaunchpad(LAUNCHPAD).held_in_sales(asset)
    apart += staticcall ILaunchpad(LAUNCHPAD).held_in_vesting(asset)
    apart += staticcall IExchange(EXCHANGE).token_reserve(share)
    return supply - apart


@internal
@view
def _is_grave(asset: uint256, action: Action) -> bool:
    """
    @dev Whether it leaves less to the holders than anything that they agreed to, or their predecessors did; or sells
         rights, which no later vote takes back. A product that the owner made and stopped was never agreed to either.
    """
    if action.kind in (Kind.PARENT | Kind.PRODUCT):
        return True
    if action.kind == Kind.SALE:
        return action.sale.on
    if action.kind == Kind.ENDPOINT:
        return action.endpoint.cut_bps > staticcall IRegistry(REGISTRY).largest_cut_of(asset)
    if action.kind != Kind.DISCOUNT or action.discount.discount_bps == 0:
        return False
    present_bps: uint256 = 0
    terms: uint256 = 0
    min_locked: uint256 = 0
    present_bps, terms, min_locked = staticcall IRegistry(REGISTRY).discount_of(
        asset, action.endpoint.operator
    )
    return action.discount.discount_bps > present_bps or action.discount.min_locked < min_locked


@internal
@view
def _state(asset: uint256, proposal: uint256) -> State:
    head: uint256 = self.proposals[asset][proposal].head
    assert head != 0, "governor: no such proposal"
    if head & WAS_EXECUTED != 0:
        return State.EXECUTED
    if head & WAS_CANCELLED != 0:
        return State.CANCELLED
    if block.timestamp < ((head >> 160) & MASK_40) + VOTING_TIME:
        return State.VOTING
    if not self._passed(asset, proposal, head):
        return State.DEFEATED
    executable_from: uint256 = self._executable_from(head)
    if block.timestamp < executable_from:
        return State.WAITING
    if block.timestamp < executable_from + EXECUTION_WINDOW:
        return State.READY
    return State.EXPIRED


@internal
@view
def _passed(asset: uint256, proposal: uint256, head: uint256) -> bool:
    """
    @dev Compared crosswise, so nothing is rounded.
    """
    tally: uint256 = self.proposals[asset][proposal].tally
    counted: uint256 = self.proposals[asset][proposal].counted
    yes: uint256 = tally & MASK_96
    if yes <= tally >> 96 or yes * BPS < (counted & MASK_96) * QUORUM_BPS:
        return False
    return head & GRAVE == 0 or yes * 3 >= (counted >> 96) * 2


@internal
@view
def _executable_from(head: uint256) -> uint256:
    after: uint256 = ((head >> 160) & MASK_40) + VOTING_TIME + TIMELOCK
    if head & GRAVE != 0:
        after += EXIT_DELAY
    return after


@internal
@pure
def _is_owner(word: uint256, account: address) -> bool:
    return word & MASK_160 == convert(account, uint256)


# --- Treasuries -----------------------------------------------------------------------------------------------------


@external
def deposit(asset: uint256, amount: uint256) -> uint256:
    """
    @notice Put `amount` of the currency into an asset's treasury. Anyone may; only a vote takes it out.
    @return What arrived.
    """
    share: address = self._share_of(asset)
    before: uint256 = staticcall IERC20(CURRENCY).balanceOf(self)
    assert extcall IERC20(CURRENCY).transferFrom(
        msg.sender, self, amount, default_return_value=True
    ), "governor: currency refused the transfer"
    arrived: uint256 = staticcall IERC20(CURRENCY).balanceOf(self) - before
    self.treasury_of[asset] += arrived
    self.reserved[CURRENCY] += arrived
    log TreasuryDeposited(asset=asset, payer=msg.sender, amount=arrived)
    return arrived


@external
def rescue(token: address) -> uint256:
    """
    @notice Send what of a token belongs to nobody here, because it was sent by mistake, to the commons.
    """
    amount: uint256 = staticcall IERC20(token).balanceOf(self) - self.reserved[token]
    assert extcall IERC20(token).transfer(
        staticcall IRegistry(REGISTRY).commons(), amount, default_return_value=True
    ), "governor: token refused the transfer"
    log Rescued(token=token, amount=amount)
    return amount


@internal
def _send(receiver: address, amount: uint256):
    if amount != 0:
        self.reserved[CURRENCY] -= amount
        assert extcall IERC20(CURRENCY).transfer(
            receiver, amount, default_return_value=True
        ), "governor: currency refused the transfer"


@internal
@view
def _share_of(asset: uint256) -> address:
    share: address = staticcall IRegistry(REGISTRY).share_of(asset)
    assert share != empty(address), "governor: the asset has no shares"
    return share


# --- Views ----------------------------------------------------------------------------------------------------------


@external
@view
@reentrant
def locked_total(asset: uint256) -> uint256:
    """
    @notice All raw shares of the asset that are locked here.
    """
    return self.reserved[staticcall IRegistry(REGISTRY).share_of(asset)]


@external
@view
@reentrant
def lock_of(asset: uint256, number: uint256) -> (address, uint256, uint256, uint256, uint256):
    """
    @return Owner (zero once it is unlocked), raw shares, since when it is locked, from when time alone lets it be
            unlocked, and how many proposals it backs that must let it go first.
    """
    word: uint256 = self.locks[asset][number]
    times: uint256 = self.lock_times[asset][number]
    free_from: uint256 = 0
    if word != 0:
        free_from = max((times & MASK_40) + MIN_LOCK, (times >> 40) & MASK_40)
    return (
        convert(word & MASK_160, address),
        word >> 160,
        times & MASK_40,
        free_from,
        times >> 80,
    )


@external
@view
@reentrant
def vote_of(asset: uint256, proposal: uint256, number: uint256) -> uint256:
    """
    @return What a lock said: 0 nothing, 1 no, 2 yes, 3 yes and the proposal let it go.
    """
    return self.votes[asset][proposal][number]


@external
@view
@reentrant
def state_of(asset: uint256, proposal: uint256) -> State:
    """
    @notice Read it at the pending block: it follows from the clock.
    """
    return self._state(asset, proposal)


@external
@view
@reentrant
def proposal_of(
    asset: uint256, proposal: uint256
) -> (
    address, bytes32, bool, uint256, uint256, uint256, uint256, uint256, uint256, uint256, uint256
):
    """
    @return Proposer, hash of the action, whether it takes two thirds of the supply, when it was proposed, when the vote
            ends, executable from and until, yes and no, the most shares that could have voted, and the yes votes that
            it needs, rounded up.
    """
    found: Proposal = self.proposals[asset][proposal]
    assert found.head != 0, "governor: no such proposal"
    grave: bool = found.head & GRAVE != 0
    proposed_at: uint256 = (found.head >> 160) & MASK_40
    executable_from: uint256 = self._executable_from(found.head)
    counted: uint256 = found.counted & MASK_96
    needed: uint256 = (counted * QUORUM_BPS + BPS - 1) // BPS
    if grave:
        needed = max(needed, ((found.counted >> 96) * 2 + 2) // 3)
    return (
        convert(found.head & MASK_160, address),
        found.action,
        grave,
        proposed_at,
        proposed_at + VOTING_TIME,
        executable_from,
        executable_from + EXECUTION_WINDOW,
        found.tally & MASK_96,
        found.tally >> 96,
        counted,
        needed,
    )


@external
@view
@reentrant
def preview_grave(asset: uint256, action: Action) -> bool:
    """
    @notice Whether an action would take two thirds of the supply and the exit delay, if it was proposed now.
    """
    return self._is_grave(asset, action)


@external
@view
@reentrant
def claimable(asset: uint256, account: address) -> uint256:
    """
    @notice What `claim` would pay an account now.
    """
    share: address = self._share_of(asset)
    return accruals._claimable(share, account, self.locked_of[asset][account], self.reserved[share])


@external
@view
@reentrant
def rules() -> (uint256, uint256, uint256, uint256, uint256, uint256, uint256):
    """
    @return Seconds: shortest lock, vote, timelock, exit delay, execution window; and in bps: quorum of the shares that
            could vote, and what a proposer must have locked of the supply.
    """
    return (
        MIN_LOCK,
        VOTING_TIME,
        TIMELOCK,
        EXIT_DELAY,
        EXECUTION_WINDOW,
        QUORUM_BPS,
        PROPOSER_BPS,
    )
