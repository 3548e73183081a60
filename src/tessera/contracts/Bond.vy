# pragma version 0.4.3
# pragma evm-version cancun
# pragma nonreentrancy on
"""
@title Bond
@license Apache-2.0
@notice Network tokens at stake behind validators and operators: staked, delegated, rewarded, and slashed where a
        contract that they chose has proof against them.
@dev Each address has one pool, "validator" below also where it is an operator. Its stake is counted in shares, so that a
     reward or a slash changes every account in one step. Stake that leaves is in a second pool of the same validator
     until its delay is over, earns nothing there, and is slashed with the first in proportion. A reward streams in over
     `period`, as revenue does in a Share. Whoever may slash is chosen by the validator, for all to see, and gets power
     over stake that others brought only after a notice that is longer than they need to leave.
     Twin: `tessera.spec.bond`.
@custom:security There is no owner. A slasher can take all stake behind those who enlisted it, and hold a withdrawal up
     for `max_freeze` at most: look at `slashers_of` before delegating. The whistle-blower's part is counted on what the
     validator's own stake lost, not its delegators', so nobody earns by denouncing himself. Shares are counted as if
     10^6 of them, worth one base unit together, were there from the start: pushing the price of a share up to rob
     who comes next costs the pusher a million times as much. A pool whose shares lost all but 10^-12 of their value is
     closed for good. The token must be one that moves exactly what it is told to.
@custom:invariant solvent, conserved, slash_bounded, never_early, bond_covers_open, can_always_claim, no_past_revenue
@custom:pause Nothing here can be paused.
"""
from ethereum.ercs import IERC20
from .modules import rescues


interface IRegistry:
    def commons() -> address: view


event Staked:
    validator: indexed(address)
    account: indexed(address)
    amount: uint256
    shares: uint256


event Unstaked:
    validator: indexed(address)
    account: indexed(address)
    amount: uint256
    shares: uint256
    ready_at: uint256


event Restaked:
    validator: indexed(address)
    account: indexed(address)
    amount: uint256
    shares: uint256


event Withdrawn:
    validator: indexed(address)
    account: indexed(address)
    receiver: indexed(address)
    amount: uint256


event Rewarded:
    validator: indexed(address)
    payer: indexed(address)
    amount: uint256
    take: uint256


event TakeSet:
    validator: indexed(address)
    take_bps: uint256
    effective_from: uint256


event Enlisted:
    validator: indexed(address)
    slasher: indexed(address)
    effective_from: uint256


event Left:
    validator: indexed(address)
    slasher: indexed(address)
    effective_from: uint256


event Backed:
    validator: indexed(address)
    slasher: indexed(address)
    until: uint256


event Frozen:
    validator: indexed(address)
    slasher: indexed(address)
    case: indexed(bytes32)
    until: uint256


event Unfrozen:
    validator: indexed(address)
    slasher: indexed(address)
    case: indexed(bytes32)


event Slashed:
    validator: indexed(address)
    slasher: indexed(address)
    case: indexed(bytes32)
    evidence: bytes32
    taken: uint256
    whistle_blower: address
    bounty: uint256


event Closed:
    validator: indexed(address)


event Rescued:
    token: indexed(address)
    amount: uint256


BPS: constant(uint256) = 10_000
MAX_TAKE_BPS: constant(uint256) = 1_800
BOUNTY_BPS: constant(uint256) = 2_000
MAX_SLASHERS: constant(uint256) = 8
MAX_TIME: constant(uint256) = 365 * 86_400
# Shares for one base unit in a new pool, and as many that are always there and nobody's.
SHARES: constant(uint256) = 10**6
# A pool is closed when a share is worth this much less than at first: then no product below overflows, ever.
WIPED: constant(uint256) = 10**12
MASK_160: constant(uint256) = 2**160 - 1
MASK_96: constant(uint256) = 2**96 - 1
MASK_40: constant(uint256) = 2**40 - 1
MASK_16: constant(uint256) = 2**16 - 1
IS_OPEN: constant(uint256) = 2**40
IS_SLASHED: constant(uint256) = 2**41
IS_CLOSED: constant(uint256) = 2**80

TOKEN: immutable(address)
REGISTRY: immutable(address)
DELAY: immutable(uint256)
NOTICE: immutable(uint256)
MAX_FREEZE: immutable(uint256)
PERIOD: immutable(uint256)

# Validator -> tokens (96) | shares (160)
pools: HashMap[address, uint256]
# The same for what leaves: one share for each token at first.
leaving: HashMap[address, uint256]
# Validator -> reward still to come (96) | streamed up to (40) | end (40)
streams: HashMap[address, uint256]
# Validator -> account -> shares
shares: HashMap[address, HashMap[address, uint256]]
# Validator -> account -> shares of what leaves (160) | ready at (40)
exits: HashMap[address, HashMap[address, uint256]]
# Validator -> take (16) | next take (16) | from (40), 0 if none is announced
takes: HashMap[address, uint256]
# Validator -> freezes (40) | the last one's latest end (40) | closed (1)
guards: HashMap[address, uint256]
slashers: HashMap[address, DynArray[address, MAX_SLASHERS]]
# Validator -> slasher -> since (40) | leaves at (40), 0 if not asked to | backed until (40)
enlistments: HashMap[address, HashMap[address, uint256]]
# Hash of (validator, slasher, case) -> latest end of its freeze (40) | frozen (1) | slashed (1)
cases: HashMap[bytes32, uint256]
# All tokens here that are somebody's.
obligations: public(uint256)


@deploy
def __init__(
    token: address,
    registry: address,
    delay: uint256,
    notice: uint256,
    max_freeze: uint256,
    period: uint256,
):
    """
    @param delay Seconds that stake stays slashable after its owner asked for it; longer than any slasher's windows.
    @param notice Seconds before a new slasher has power, and before a higher take counts. Longer than `delay` and
           `max_freeze` together, so that whoever disagrees is out by then.
    @param max_freeze Seconds after which an accusation alone holds nothing up any more.
    @param period Seconds over which a reward streams.
    """
    assert (
        delay != 0
        and delay <= MAX_TIME
        and max_freeze != 0
        and max_freeze <= MAX_TIME
        and period != 0
        and period <= MAX_TIME
    ), "bond: time out of range"
    assert notice > delay + max_freeze and notice <= 4 * MAX_TIME, "bond: notice out of range"
    TOKEN = token
    REGISTRY = registry
    DELAY = delay
    NOTICE = notice
    MAX_FREEZE = max_freeze
    PERIOD = period


# --- Stake ----------------------------------------------------------------------------------------------------------


@external
def stake(validator: address, amount: uint256) -> uint256:
    """
    @notice Put tokens at stake behind a validator, or behind oneself. Approve them first. A validator stakes first: from
            then on its list of slashers changes only with notice.
    @return Shares of the validator's pool, rounded down.
    """
    assert amount != 0, "bond: nothing to stake"
    assert (
        msg.sender == validator or self.shares[validator][validator] != 0
    ), "bond: the validator has no stake of its own"
    fresh: uint256 = self._enter(validator, msg.sender, amount)
    self._take_in(amount)
    log Staked(validator=validator, account=msg.sender, amount=amount, shares=fresh)
    return fresh


@external
def unstake(validator: address, shares: uint256) -> uint256:
    """
    @notice Begin to take stake back. From now on it earns nothing and backs nothing new, and for `delay` it can still be
            slashed. All that an account takes back is ready when the last of it is.
    @return Base units that leave, rounded down; whoever leaves a pool last takes what is left of it, the reward that
            still streams included.
    """
    own: uint256 = self.shares[validator][msg.sender]
    assert shares != 0 and shares <= own, "bond: not that many shares"
    tokens: uint256 = 0
    total: uint256 = 0
    coming: uint256 = 0
    tokens, total, coming = self._pool(validator)
    amount: uint256 = shares * (tokens + 1) // (total + SHARES)
    if shares == total:
        amount = tokens + coming
        tokens = 0
        coming = 0
    else:
        tokens -= amount
    assert amount != 0, "bond: too little to leave"
    self._write(validator, tokens, total - shares, coming)
    self.shares[validator][msg.sender] = own - shares
    left: uint256 = 0
    parts: uint256 = 0
    left, parts = self._leaving(validator)
    # Nothing but a slash of everything leaves parts without tokens, and then nothing follows them.
    fresh: uint256 = amount if parts == 0 else amount * parts // left
    self.leaving[validator] = self._packed(left + amount, parts + fresh)
    ready_at: uint256 = block.timestamp + DELAY
    exit: uint256 = (self.exits[validator][msg.sender] & MASK_160) + fresh
    self.exits[validator][msg.sender] = exit | (ready_at << 160)
    log Unstaked(
        validator=validator, account=msg.sender, amount=amount, shares=shares, ready_at=ready_at
    )
    return amount


@external
def restake(validator: address) -> uint256:
    """
    @notice Put all that the caller is taking back at stake again.
    @return Shares, at today's price.
    """
    amount: uint256 = self._take_exit(validator)
    assert amount != 0, "bond: nothing is leaving"
    assert (
        msg.sender == validator or self.shares[validator][validator] != 0
    ), "bond: the validator has no stake of its own"
    fresh: uint256 = self._enter(validator, msg.sender, amount)
    log Restaked(validator=validator, account=msg.sender, amount=amount, shares=fresh)
    return fresh


@external
def withdraw(validator: address, receiver: address = msg.sender) -> uint256:
    """
    @notice Pay out what the caller took back, once its delay is over and nothing is frozen. No freeze holds it longer
            than `max_freeze` beyond its delay: what it backed has been judged by then.
    @return Base units.
    """
    ready_at: uint256 = self.exits[validator][msg.sender] >> 160
    assert ready_at != 0, "bond: nothing is leaving"
    assert block.timestamp >= ready_at, "bond: not ready yet"
    assert (
        self._frozen_until(validator) == 0 or block.timestamp >= ready_at + MAX_FREEZE
    ), "bond: frozen"
    amount: uint256 = self._take_exit(validator)
    self._send(receiver, amount)
    log Withdrawn(validator=validator, account=msg.sender, receiver=receiver, amount=amount)
    return amount


@internal
def _enter(validator: address, account: address, amount: uint256) -> uint256:
    assert self.guards[validator] & IS_CLOSED == 0, "bond: the pool is closed"
    tokens: uint256 = 0
    total: uint256 = 0
    coming: uint256 = 0
    tokens, total, coming = self._pool(validator)
    fresh: uint256 = amount * (total + SHARES) // (tokens + 1)
    assert fresh != 0, "bond: worth no share"
    self._write(validator, tokens + amount, total + fresh, coming)
    self.shares[validator][account] += fresh
    return fresh


@internal
def _take_exit(validator: address) -> uint256:
    """
    @dev Rounded down, but the last to leave takes all.
    """
    part: uint256 = self.exits[validator][msg.sender] & MASK_160
    self.exits[validator][msg.sender] = 0
    if part == 0:
        return 0
    left: uint256 = 0
    parts: uint256 = 0
    left, parts = self._leaving(validator)
    amount: uint256 = part * left // parts
    self.leaving[validator] = self._packed(left - amount, parts - part)
    return amount


# --- Rewards --------------------------------------------------------------------------------------------------------


@external
def reward(validator: address, amount: uint256):
    """
    @notice Give a validator's pool tokens of the caller: the take to the validator's own stake now, the rest to all of
            its stake as it streams. Anyone may call it.
    """
    tokens: uint256 = 0
    total: uint256 = 0
    coming: uint256 = 0
    tokens, total, coming = self._pool(validator)
    assert amount != 0, "bond: nothing to give"
    assert (total != 0 and self.guards[validator] & IS_CLOSED == 0), "bond: no stake to reward"
    # Rounded down: what does not divide is the delegators'.
    part: uint256 = amount * self._take_bps(validator) // BPS
    if part != 0:
        fresh: uint256 = part * (total + SHARES) // (tokens + 1)
        self.shares[validator][validator] += fresh
        total += fresh
        tokens += part
    given: uint256 = amount - part
    end: uint256 = self.streams[validator] >> 136
    rest: uint256 = end - block.timestamp if end > block.timestamp else 0
    # As in a Share: the mean of both times by amount, rounded down, so dust does not move it.
    end = block.timestamp + (coming * rest + given * PERIOD) // (coming + given)
    self.pools[validator] = self._packed(tokens, total)
    self.streams[validator] = (coming + given) | (block.timestamp << 96) | (end << 136)
    self._take_in(amount)
    log Rewarded(validator=validator, payer=msg.sender, amount=amount, take=part)


@external
def set_take(take_bps: uint256) -> uint256:
    """
    @notice Set the caller's part of its pool's rewards. Less counts at once, more after the notice, or at once where
            nobody has staked yet.
    @return Unix seconds from which it counts.
    """
    assert take_bps <= MAX_TAKE_BPS, "bond: take out of range"
    present: uint256 = self._take_bps(msg.sender)
    since: uint256 = block.timestamp
    if take_bps <= present or self._is_empty(msg.sender):
        self.takes[msg.sender] = take_bps
    else:
        since += NOTICE
        self.takes[msg.sender] = present | (take_bps << 16) | (since << 32)
    log TakeSet(validator=msg.sender, take_bps=take_bps, effective_from=since)
    return since


# --- Slashers -------------------------------------------------------------------------------------------------------


@external
def enlist(slasher: address) -> uint256:
    """
    @notice Let a contract hold the caller's pool to account. At once while nobody has staked; else after the notice, in
            which every delegator can leave.
    @return Unix seconds from which it has power.
    """
    assert slasher.is_contract, "bond: a slasher is a contract"
    word: uint256 = self.enlistments[msg.sender][slasher]
    assert word == 0 or self._has_ended(word), "bond: enlisted already"
    listed: DynArray[address, MAX_SLASHERS] = []
    for each: address in self.slashers[msg.sender]:
        if each != slasher and not self._has_ended(self.enlistments[msg.sender][each]):
            listed.append(each)
    assert len(listed) < MAX_SLASHERS, "bond: too many slashers"
    listed.append(slasher)
    self.slashers[msg.sender] = listed
    since: uint256 = block.timestamp
    if not self._is_empty(msg.sender):
        since += NOTICE
    self.enlistments[msg.sender][slasher] = since
    log Enlisted(validator=msg.sender, slasher=slasher, effective_from=since)
    return since


@external
def leave(slasher: address) -> uint256:
    """
    @notice Take a slasher's power away, `delay` from now, as stake leaves, and not before what it was told to back is
            over. Cases that are frozen then can still be slashed.
    @return Unix seconds until which it can open cases, if it is told to back nothing longer.
    """
    word: uint256 = self.enlistments[msg.sender][slasher]
    assert word != 0 and (word >> 40) & MASK_40 == 0, "bond: not enlisted"
    # One that never had power is gone at once.
    leaves_at: uint256 = block.timestamp
    if block.timestamp >= word & MASK_40:
        leaves_at += DELAY
    self.enlistments[msg.sender][slasher] = word | (leaves_at << 40)
    log Left(validator=msg.sender, slasher=slasher, effective_from=leaves_at)
    return leaves_at


@external
def back(validator: address, until: uint256):
    """
    @notice A slasher writes down that the validator's stake of now answers for something until then.
    @param until Not later than `delay` from now: so stake that leaves after this call is still here then.
    """
    word: uint256 = self.enlistments[validator][msg.sender]
    assert (self._has_power(word) and (word >> 40) & MASK_40 == 0), "bond: not an enlisted slasher"
    assert until <= block.timestamp + DELAY, "bond: backing longer than the delay"
    if until > word >> 80:
        self.enlistments[validator][msg.sender] = (word & (2**80 - 1)) | (until << 80)
    log Backed(validator=validator, slasher=msg.sender, until=until)


@external
def freeze(validator: address, case: bytes32) -> uint256:
    """
    @notice A slasher accuses: no stake of the validator is paid out until the case is resolved, or for `max_freeze`.
    @return Unix seconds of its latest end.
    """
    assert self._has_power(self.enlistments[validator][msg.sender]), "bond: not an enlisted slasher"
    key: bytes32 = self._case_key(validator, msg.sender, case)
    assert self.cases[key] == 0, "bond: the case is known"
    until: uint256 = block.timestamp + MAX_FREEZE
    self.cases[key] = until | IS_OPEN
    guard: uint256 = self.guards[validator]
    self.guards[validator] = ((guard & IS_CLOSED) | ((guard & MASK_40) + 1) | (until << 40))
    log Frozen(validator=validator, slasher=msg.sender, case=case, until=until)
    return until


@external
def unfreeze(validator: address, case: bytes32) -> bool:
    """
    @notice A slasher ends the freeze of one of its cases.
    @return Whether it was frozen.
    """
    return self._thaw(validator, msg.sender, case)


@external
def thaw(validator: address, slasher: address, case: bytes32):
    """
    @notice End a freeze whose latest end has passed. Anyone may call it.
    """
    word: uint256 = self.cases[self._case_key(validator, slasher, case)]
    assert word & IS_OPEN != 0, "bond: the case is not frozen"
    assert block.timestamp >= word & MASK_40, "bond: the case may still be resolved"
    self._thaw(validator, slasher, case)


@external
def slash(
    validator: address, amount: uint256, case: bytes32, evidence: bytes32, whistle_blower: address
) -> uint256:
    """
    @notice A slasher takes stake of a validator, once for each case: in proportion from all that is at stake, leaves, or
            still streams in. A fifth of what the validator's own stake lost is the whistle-blower's, all else the
            commons'.
    @param amount Base units; at most what there is.
    @param evidence Hash of what proves it.
    @param whistle_blower The zero address: nobody.
    @return Base units taken.
    """
    assert self._may_slash(validator, msg.sender, case), "bond: not an enlisted slasher"
    assert evidence != empty(bytes32), "bond: a slash without evidence"
    key: bytes32 = self._case_key(validator, msg.sender, case)
    word: uint256 = self.cases[key]
    assert word & IS_SLASHED == 0, "bond: slashed already"
    self.cases[key] = word | IS_SLASHED
    tokens: uint256 = 0
    total: uint256 = 0
    coming: uint256 = 0
    tokens, total, coming = self._pool(validator)
    left: uint256 = 0
    parts: uint256 = 0
    left, parts = self._leaving(validator)
    whole: uint256 = tokens + coming + left
    taken: uint256 = min(amount, whole)
    bounty: uint256 = 0
    if taken != 0:
        # Both rounded down, so the whistle-blower never gets a fifth of more than was the validator's.
        own: uint256 = taken * self._own_bond(validator) // whole
        if whistle_blower != empty(address):
            bounty = own * BOUNTY_BPS // BPS
        # What leaves, and what streams, lose the floor of their part; what is at stake the rest, which it has.
        from_leaving: uint256 = taken * left // whole
        from_pool: uint256 = taken - from_leaving
        from_stream: uint256 = 0
        if coming != 0:
            from_stream = from_pool * coming // (tokens + coming)
        tokens -= from_pool - from_stream
        left -= from_leaving
        self._write(validator, tokens, total, coming - from_stream)
        self.leaving[validator] = self._packed(left, parts)
        if (total > tokens * SHARES * WIPED or parts > left * WIPED) and self.guards[
            validator
        ] & IS_CLOSED == 0:
            self.guards[validator] |= IS_CLOSED
            log Closed(validator=validator)
        self._send(whistle_blower, bounty)
        self._send(staticcall IRegistry(REGISTRY).commons(), taken - bounty)
    log Slashed(
        validator=validator,
        slasher=msg.sender,
        case=case,
        evidence=evidence,
        taken=taken,
        whistle_blower=whistle_blower,
        bounty=bounty,
    )
    return taken


@external
def rescue(token: address) -> uint256:
    """
    @notice Send tokens that were sent here by mistake to the commons; of the network token what is nobody's stake.
    """
    commons: address = staticcall IRegistry(REGISTRY).commons()
    amount: uint256 = 0
    if token == TOKEN:
        amount = staticcall IERC20(TOKEN).balanceOf(self) - self.obligations
        assert extcall IERC20(TOKEN).transfer(
            commons, amount, default_return_value=True
        ), "bond: token refused the transfer"
    else:
        amount = rescues._rescue(token, commons)
    log Rescued(token=token, amount=amount)
    return amount


@internal
def _thaw(validator: address, slasher: address, case: bytes32) -> bool:
    key: bytes32 = self._case_key(validator, slasher, case)
    word: uint256 = self.cases[key]
    if word & IS_OPEN == 0:
        return False
    self.cases[key] = word & ~IS_OPEN
    self.guards[validator] -= 1
    log Unfrozen(validator=validator, slasher=slasher, case=case)
    return True


@internal
def _take_in(amount: uint256):
    self.obligations += amount
    assert self.obligations <= MASK_96, "bond: too much"
    assert extcall IERC20(TOKEN).transferFrom(
        msg.sender, self, amount, default_return_value=True
    ), "bond: token refused the transfer"


@internal
def _send(receiver: address, amount: uint256):
    if amount != 0:
        self.obligations -= amount
        assert extcall IERC20(TOKEN).transfer(
            receiver, amount, default_return_value=True
        ), "bond: token refused the transfer"


# --- What is there now ----------------------------------------------------------------------------------------------


@internal
@view
def _pool(validator: address) -> (uint256, uint256, uint256):
    """
    @return Tokens at stake with what streamed by now, shares, and what is still to come.
    """
    word: uint256 = self.pools[validator]
    stream: uint256 = self.streams[validator]
    coming: uint256 = stream & MASK_96
    if coming == 0:
        return word & MASK_96, word >> 96, 0
    end: uint256 = stream >> 136
    last: uint256 = (stream >> 96) & MASK_40
    streamed: uint256 = coming
    if block.timestamp < end:
        streamed = coming * (block.timestamp - last) // (end - last)
    return (word & MASK_96) + streamed, word >> 96, coming - streamed


@internal
def _write(validator: address, tokens: uint256, total: uint256, coming: uint256):
    self.pools[validator] = self._packed(tokens, total)
    stream: uint256 = self.streams[validator]
    if stream != 0:
        if coming == 0:
            self.streams[validator] = 0
        else:
            self.streams[validator] = (coming | (block.timestamp << 96) | ((stream >> 136) << 136))


@internal
@view
def _leaving(validator: address) -> (uint256, uint256):
    word: uint256 = self.leaving[validator]
    return word & MASK_96, word >> 96


@internal
@pure
def _packed(tokens: uint256, total: uint256) -> uint256:
    """
    @dev Both fit: all tokens here are below 2^96, and while a pool is open they have at most 10^18 shares each.
    """
    return tokens | (total << 96)


@internal
@view
def _own_bond(validator: address) -> uint256:
    """
    @notice The validator's own stake, at stake and leaving, rounded down.
    """
    own: uint256 = self._worth(validator, self.shares[validator][validator])
    part: uint256 = self.exits[validator][validator] & MASK_160
    if part != 0:
        left: uint256 = 0
        parts: uint256 = 0
        left, parts = self._leaving(validator)
        own += part * left // parts
    return own


@internal
@view
def _worth(validator: address, shares: uint256) -> uint256:
    tokens: uint256 = 0
    total: uint256 = 0
    coming: uint256 = 0
    tokens, total, coming = self._pool(validator)
    return shares * (tokens + 1) // (total + SHARES)


@internal
@view
def _is_empty(validator: address) -> bool:
    return self.pools[validator] >> 96 == 0 and self.leaving[validator] >> 96 == 0


@internal
@view
def _take_bps(validator: address) -> uint256:
    word: uint256 = self.takes[validator]
    since: uint256 = word >> 32
    if since != 0 and block.timestamp >= since:
        return (word >> 16) & MASK_16
    return word & MASK_16


@internal
@view
def _frozen_until(validator: address) -> uint256:
    """
    @return Unix seconds, or 0 if no case holds the pool up.
    """
    guard: uint256 = self.guards[validator]
    until: uint256 = (guard >> 40) & MASK_40
    if guard & MASK_40 == 0 or block.timestamp >= until:
        return 0
    return until


@internal
@view
def _has_ended(enlistment: uint256) -> bool:
    leaves_at: uint256 = (enlistment >> 40) & MASK_40
    return leaves_at != 0 and block.timestamp >= max(leaves_at, enlistment >> 80)


@internal
@view
def _has_power(enlistment: uint256) -> bool:
    """
    @notice Whether a slasher may open cases now.
    """
    return (
        enlistment != 0
        and block.timestamp >= enlistment & MASK_40
        and not self._has_ended(enlistment)
    )


@internal
@view
def _may_slash(validator: address, slasher: address, case: bytes32) -> bool:
    word: uint256 = self.cases[self._case_key(validator, slasher, case)]
    if word & IS_OPEN != 0 and block.timestamp < word & MASK_40:
        return True
    return self._has_power(self.enlistments[validator][slasher])


@internal
@pure
def _case_key(validator: address, slasher: address, case: bytes32) -> bytes32:
    return keccak256(abi_encode(validator, slasher, case))


# --- Views ----------------------------------------------------------------------------------------------------------


@external
@view
@reentrant
def bonded(validator: address) -> uint256:
    """
    @notice What stands behind a validator now and counts for new things: own stake and delegations, without what leaves
            and without rewards that still stream.
    """
    tokens: uint256 = 0
    total: uint256 = 0
    coming: uint256 = 0
    tokens, total, coming = self._pool(validator)
    return tokens


@external
@view
@reentrant
def slashable(validator: address) -> uint256:
    """
    @notice All that a slash could take now: at stake, leaving, and still streaming in.
    """
    tokens: uint256 = 0
    total: uint256 = 0
    coming: uint256 = 0
    tokens, total, coming = self._pool(validator)
    return tokens + coming + (self.leaving[validator] & MASK_96)


@external
@view
@reentrant
def own_bond(validator: address) -> uint256:
    """
    @notice The validator's own part of what is slashable: at stake and leaving.
    """
    return self._own_bond(validator)


@external
@view
@reentrant
def pool_of(validator: address) -> (uint256, uint256, uint256, uint256, uint256, uint256, bool):
    """
    @return Tokens at stake, their shares, reward still to come and when its stream ends, tokens that leave, their
            shares, and whether the pool is closed.
    """
    tokens: uint256 = 0
    total: uint256 = 0
    coming: uint256 = 0
    tokens, total, coming = self._pool(validator)
    left: uint256 = 0
    parts: uint256 = 0
    left, parts = self._leaving(validator)
    return (
        tokens,
        total,
        coming,
        self.streams[validator] >> 136 if coming != 0 else 0,
        left,
        parts,
        self.guards[validator] & IS_CLOSED != 0,
    )


@external
@view
@reentrant
def stake_of(validator: address, account: address) -> (uint256, uint256):
    """
    @return Shares of an account, and what `unstake` would begin to give for all of them now.
    """
    own: uint256 = self.shares[validator][account]
    tokens: uint256 = 0
    total: uint256 = 0
    coming: uint256 = 0
    tokens, total, coming = self._pool(validator)
    if own == total:
        return own, tokens + coming
    return own, own * (tokens + 1) // (total + SHARES)


@external
@view
@reentrant
def exit_of(validator: address, account: address) -> (uint256, uint256):
    """
    @return Base units that an account is taking back, and when they are ready (0: nothing is leaving).
    """
    word: uint256 = self.exits[validator][account]
    if word == 0:
        return 0, 0
    left: uint256 = 0
    parts: uint256 = 0
    left, parts = self._leaving(validator)
    return (word & MASK_160) * left // parts, word >> 160


@external
@view
@reentrant
def can_reward(validator: address) -> bool:
    """
    @notice Whether `reward` would be taken: somebody has staked, and the pool is not closed.
    """
    return self.pools[validator] >> 96 != 0 and self.guards[validator] & IS_CLOSED == 0


@external
@view
@reentrant
def take_of(validator: address) -> (uint256, uint256, uint256):
    """
    @return The validator's part of rewards now, bps; the one announced, and when it counts (0: none is).
    """
    word: uint256 = self.takes[validator]
    since: uint256 = word >> 32
    present: uint256 = self._take_bps(validator)
    if since <= block.timestamp:
        return present, present, 0
    return present, (word >> 16) & MASK_16, since


@external
@view
@reentrant
def frozen_until(validator: address) -> uint256:
    """
    @return When the freeze of the pool ends at the latest; 0 if it is not frozen.
    """
    return self._frozen_until(validator)


@external
@view
@reentrant
def slashers_of(validator: address) -> DynArray[address, MAX_SLASHERS]:
    """
    @notice Who has or had power over this pool; see `enlistment_of` for when.
    """
    return self.slashers[validator]


@external
@view
@reentrant
def enlistment_of(validator: address, slasher: address) -> (uint256, uint256, uint256, bool):
    """
    @return Since when it has power (0: never enlisted), when it was asked to leave (0: not), until when the pool backs
            something before it, and whether it may open cases now.
    """
    word: uint256 = self.enlistments[validator][slasher]
    return word & MASK_40, (word >> 40) & MASK_40, word >> 80, self._has_power(word)


@external
@view
@reentrant
def may_slash(validator: address, slasher: address, case: bytes32) -> bool:
    """
    @notice Whether a slasher could slash in this case now, if it did not already.
    """
    return self._may_slash(validator, slasher, case)


@external
@view
@reentrant
def case_of(validator: address, slasher: address, case: bytes32) -> (uint256, bool, bool):
    """
    @return Latest end of its freeze (0: never frozen), whether it is frozen still, and whether it was slashed.
    """
    word: uint256 = self.cases[self._case_key(validator, slasher, case)]
    return word & MASK_40, word & IS_OPEN != 0, word & IS_SLASHED != 0


@external
@view
@reentrant
def times() -> (uint256, uint256, uint256, uint256):
    """
    @return Delay, notice, longest freeze, and the period of a reward's stream, seconds.
    """
    return DELAY, NOTICE, MAX_FREEZE, PERIOD


@external
@view
@reentrant
def token() -> address:
    return TOKEN
