# pragma version 0.4.3
# pragma evm-version cancun
# pragma nonreentrancy on
"""
@title Subnets
@license Apache-2.0
@notice Domains of models: their rules, their clock, and which model and which validator has which place in them.
@dev A subnet's rules are fixed when it is created, so nobody can change them under those who score or are scored. It has
     two tables of places (uids): models (assets of the Registry) and validators (accounts with a bond). Whoever comes,
     goes or is pushed out in epoch c does so from epoch c + 1 on: who has a place never changes within an epoch. All
     that was is kept, so every past epoch can still be asked. A full table lets a newcomer in for the lowest: the
     newcomer names a place, and until its time is over anybody may show one that is lower. Twin: `tessera.spec.subnets`.
@custom:security Whoever names another place than the lowest loses a deposit to whoever shows it, so the newcomer looks
     first; nobody has to search on chain. A place costs a burn that is raised by each registration and halves with time:
     a crowd of sybils pays a price that grows by 26 % with each of them, and pushes out a quarter of a table in a period
     of immunity at most, the lowest first. An asset is in one subnet at most, put there by who speaks for it, and can always leave.
@custom:invariant solvent
@custom:pause Nothing here can be paused; no one has power over a subnet but its owner, who can only close it and name
             by what its models are measured from the next epoch on.
"""
from ethereum.ercs import IERC20


interface INetworkToken:
    def burn(amount: uint256): nonpayable


interface IRegistry:
    def controller_of(asset: uint256) -> address: view
    def ownerOf(asset: uint256) -> address: view
    def commons() -> address: view


interface IBond:
    def bonded(validator: address) -> uint256: view
    def times() -> (uint256, uint256, uint256, uint256): view
    def enlistment_of(validator: address, slasher: address) -> (
        uint256, uint256, uint256, bool
    ): view


interface IEpochs:
    def last_final(subnet: uint256) -> uint256: view
    def final_at(subnet: uint256) -> uint256: view
    def incentive_of(
        subnet: uint256, epoch: uint256, uid: uint256, evidence: Bytes[4096]
    ) -> uint256: view


# `tempo`, `immunity` and `burn_half_life` are seconds; kappa and the bonds' penalty 65,535ths; their moving average ppm.
struct Rules:
    tempo: uint256
    kappa: uint256
    bonds_penalty: uint256
    bonds_moving_average: uint256
    yuma3: bool
    max_models: uint256
    max_validators: uint256
    immunity: uint256
    burn_half_life: uint256
    min_burn: uint256
    threshold: uint256


# What decides who is lowest, most important first.
struct Standing:
    immune: bool
    worth: uint256
    registered: uint256
    uid: uint256


event SubnetCreated:
    subnet: indexed(uint256)
    owner: indexed(address)
    lock: uint256
    start: uint256
    rules: Rules


# A newcomer waits for a place that somebody has, until `admitted_from`.
event PlaceNamed:
    subnet: indexed(uint256)
    side: indexed(uint256)
    occupant: indexed(uint256)
    uid: uint256
    deposit: uint256
    admitted_from: uint256


event PlaceCorrected:
    subnet: indexed(uint256)
    side: indexed(uint256)
    uid: uint256
    lower: uint256
    by: indexed(address)
    reward: uint256


# From `since` on; occupant 0 is nobody.
event PlaceTaken:
    subnet: indexed(uint256)
    side: indexed(uint256)
    occupant: indexed(uint256)
    uid: uint256
    since: uint256
    replaced: uint256


event Burned:
    subnet: indexed(uint256)
    by: indexed(address)
    amount: uint256


event SubnetClosing:
    subnet: indexed(uint256)
    at: uint256


event SubnetDissolved:
    subnet: indexed(uint256)
    lock: uint256
    to_owner: uint256
    to_keeper: uint256


event OwnerChanged:
    subnet: indexed(uint256)
    owner: indexed(address)


# From epoch `since` on; zeros: the owner names none.
event TaskNamed:
    subnet: indexed(uint256)
    task: bytes32
    since: uint256
    uri: String[256]


MODELS: constant(uint256) = 0
VALIDATORS: constant(uint256) = 1
MAX_MODELS: constant(uint256) = 4_096
MAX_VALIDATORS: constant(uint256) = 256
MAX_TEMPO: constant(uint256) = 7 * 86_400
MAX_IMMUNITY: constant(uint256) = 30 * 86_400
MAX_HALF_LIFE: constant(uint256) = 30 * 86_400
# Below one half a minority of the stake could raise a model; above nine tenths a tenth could sink every one.
MIN_KAPPA: constant(uint256) = 32_767
MAX_KAPPA: constant(uint256) = 58_982
MILLION: constant(uint256) = 1_000_000
MAX_AMOUNT: constant(uint256) = 2**96 - 1
# What a registration multiplies the burn by, in percent.
BURN_GROWTH: constant(uint256) = 126
MASK_16: constant(uint256) = 2**16 - 1
MASK_24: constant(uint256) = 2**24 - 1
MASK_32: constant(uint256) = 2**32 - 1
MASK_40: constant(uint256) = 2**40 - 1
MASK_48: constant(uint256) = 2**48 - 1
MASK_64: constant(uint256) = 2**64 - 1
MASK_80: constant(uint256) = 2**80 - 1
MASK_96: constant(uint256) = 2**96 - 1

NETWORK_TOKEN: immutable(address)
REGISTRY: immutable(address)
BOND: immutable(address)
SCORES: immutable(address)
EPOCHS: immutable(address)
MIN_TEMPO: immutable(uint256)
MIN_LOCK: immutable(uint256)
LOCK_DECAY: immutable(uint256)
CONTEST_WINDOW: immutable(uint256)
CLOSING_WINDOW: immutable(uint256)
IDLE_WINDOW: immutable(uint256)

subnet_count: public(uint256)
# The last subnet's lock, and when it was paid.
last_lock: public(uint256)
last_created: public(uint256)
# All TSR here that belongs to somebody: locks, and deposits of newcomers.
obligations: public(uint256)

# start (40) | tempo (32) | kappa (16) | bonds' penalty (16) | their moving average (24) | Yuma 3 (8) | max models (16)
# | max validators (16) | immunity (32) | burn's half-life (32)
rules: HashMap[uint256, uint256]
# threshold (96) | least burn (96)
amounts: HashMap[uint256, uint256]
owner_of: public(HashMap[uint256, address])
lock_of: public(HashMap[uint256, uint256])
# 0 while nobody closed it; the time from which it is no more
closing_at: public(HashMap[uint256, uint256])
is_dissolved: public(HashMap[uint256, bool])
# the burn at its last change (96) | when that was (40)
burns: HashMap[uint256, uint256]

# subnet << 1 | side -> places there ever were (16) | those from before the epoch of the last new one (16) | that epoch,
# from which it counts (32) | places that nobody has (16) | the last period in which newcomers named a place (48)
# | how many did (16)
tables: HashMap[uint256, uint256]
# place -> who had it, in order; a place is subnet << 24 | side << 16 | uid
occupants: HashMap[uint256, HashMap[uint256, uint256]]
# from which epoch (32) | registered at (40)
tenures: HashMap[uint256, HashMap[uint256, uint256]]
tenure_count: HashMap[uint256, uint256]
# 0 for an asset, the subnet for a validator -> asset or account -> place + 1
homes: HashMap[uint256, HashMap[uint256, uint256]]

# By place: who waits for it, who paid; and deposit (96) | named at (40) | the newest final epoch then, plus 1 (32)
waiting: public(HashMap[uint256, uint256])
sponsor_of: HashMap[uint256, address]
nominations: HashMap[uint256, uint256]


@deploy
def __init__(
    network_token: address,
    registry: address,
    bond: address,
    scores: address,
    epochs: address,
    min_tempo: uint256,
    min_lock: uint256,
    lock_decay: uint256,
    contest_window: uint256,
    closing_window: uint256,
    idle_window: uint256,
):
    """
    @param min_tempo Seconds that an epoch takes at least, of any subnet; 4 or more. Below Epochs' challenge window its
           results fall further behind with each epoch.
    @param min_lock What a subnet costs at least, raw TSR; it comes back.
    @param lock_decay Seconds in which a lock's price falls by what the last one was.
    @param contest_window Seconds in which a lower place than the named one may be shown.
    @param closing_window Seconds from an owner's notice to the end of its subnet.
    @param idle_window Seconds in which no epoch became final, after which anybody may dissolve a subnet; longer than what
           Epochs takes for one.
    """
    assert (
        network_token != empty(address)
        and registry != empty(address)
        and bond != empty(address)
        and scores != empty(address)
        and epochs != empty(address)
    ), "subnets: zero address"
    assert 4 <= min_tempo and min_tempo <= MAX_TEMPO, "subnets: tempo out of range"
    assert 0 < min_lock and min_lock <= MAX_AMOUNT and lock_decay != 0, "subnets: lock out of range"
    assert (
        contest_window != 0 and closing_window != 0 and idle_window != 0
    ), "subnets: window of no time"
    NETWORK_TOKEN = network_token
    REGISTRY = registry
    BOND = bond
    SCORES = scores
    EPOCHS = epochs
    MIN_TEMPO = min_tempo
    MIN_LOCK = min_lock
    LOCK_DECAY = lock_decay
    CONTEST_WINDOW = contest_window
    CLOSING_WINDOW = closing_window
    IDLE_WINDOW = idle_window


# --- A subnet's life ------------------------------------------------------------------------------------------------


@external
def create(rules: Rules, most: uint256) -> uint256:
    """
    @notice Open a subnet whose rules never change. The caller owns it and locks TSR, which comes back when it closes it.
    @param most The highest lock that the caller pays, raw TSR.
    @return The subnet's number, from 1.
    """
    assert (MIN_TEMPO <= rules.tempo and rules.tempo <= MAX_TEMPO), "subnets: tempo out of range"
    self._check_against_bond(rules.tempo)
    assert MIN_KAPPA <= rules.kappa and rules.kappa <= MAX_KAPPA, "subnets: kappa out of range"
    assert (
        rules.bonds_penalty <= MASK_16 and rules.bonds_moving_average <= MILLION
    ), "subnets: bonds out of range"
    assert (
        0 < rules.max_models
        and rules.max_models <= MAX_MODELS
        and 0 < rules.max_validators
        and rules.max_validators <= MAX_VALIDATORS
    ), "subnets: places out of range"
    assert rules.immunity <= MAX_IMMUNITY, "subnets: immunity out of range"
    assert (
        0 < rules.burn_half_life
        and rules.burn_half_life <= MAX_HALF_LIFE
        and 0 < rules.min_burn
        and rules.min_burn <= MAX_AMOUNT
    ), "subnets: burn out of range"
    assert 0 < rules.threshold and rules.threshold <= MAX_AMOUNT, "subnets: threshold out of range"
    lock: uint256 = self._lock_cost()
    assert lock <= most, "subnets: dearer than the caller pays"
    subnet: uint256 = self.subnet_count + 1
    self.subnet_count = subnet
    self.last_lock = lock
    self.last_created = block.timestamp
    self.rules[subnet] = (
        block.timestamp
        | (rules.tempo << 40)
        | (rules.kappa << 72)
        | (rules.bonds_penalty << 88)
        | (rules.bonds_moving_average << 104)
        | (convert(rules.yuma3, uint256) << 128)
        | (rules.max_models << 136)
        | (rules.max_validators << 152)
        | (rules.immunity << 168)
        | (rules.burn_half_life << 200)
    )
    self.amounts[subnet] = rules.threshold | (rules.min_burn << 96)
    self.owner_of[subnet] = msg.sender
    self.lock_of[subnet] = lock
    self.obligations += lock
    self._take(lock)
    log SubnetCreated(
        subnet=subnet, owner=msg.sender, lock=lock, start=block.timestamp, rules=rules
    )
    return subnet


@external
def hand_over(subnet: uint256, owner: address):
    """
    @notice Give a subnet to somebody else, with its lock.
    """
    assert msg.sender == self.owner_of[subnet], "subnets: only the subnet's owner"
    assert owner != empty(address), "subnets: zero address"
    self.owner_of[subnet] = owner
    log OwnerChanged(subnet=subnet, owner=owner)


@external
def name_task(subnet: uint256, task: bytes32, uri: String[256]):
    """
    @notice Say by which benchmark the subnet's models are measured, from the next epoch on.
    @dev No contract asks for it: validators read the event, and hold the benchmark that they have against it.
    @param task The benchmark's id, a hash of all that decides a score; zeros for none.
    @param uri Where it can be fetched.
    """
    assert msg.sender == self.owner_of[subnet], "subnets: only the subnet's owner"
    since: uint256 = self._epoch_at(self.rules[subnet], block.timestamp) + 1
    log TaskNamed(subnet=subnet, task=task, since=since, uri=uri)


@external
def close(subnet: uint256):
    """
    @notice Give notice that a subnet ends. Nobody new comes in; epochs go on until the closing time. Not taken back.
    """
    assert msg.sender == self.owner_of[subnet], "subnets: only the subnet's owner"
    assert self.closing_at[subnet] == 0, "subnets: closing already"
    at: uint256 = block.timestamp + CLOSING_WINDOW
    self.closing_at[subnet] = at
    log SubnetClosing(subnet=subnet, at=at)


@external
def dissolve(subnet: uint256):
    """
    @notice End a subnet: one that its owner closed, or one in which no epoch became final for too long. Anyone may.
    @dev A closed one's lock goes back to its owner. An idle one's is a fifth the caller's and the rest the commons', so
         that holding a place which others could use is not free. What counts is when an epoch became final, not which
         one it was: where epochs are shorter than the time that their results take, the newest final one is always old.
    """
    owner: address = self.owner_of[subnet]
    assert owner != empty(address), "subnets: no such subnet"
    assert not self.is_dissolved[subnet], "subnets: dissolved"
    lock: uint256 = self.lock_of[subnet]
    closing: uint256 = self.closing_at[subnet]
    to_owner: uint256 = 0
    to_keeper: uint256 = 0
    if closing != 0:
        assert closing <= block.timestamp, "subnets: not yet"
        to_owner = lock
    else:
        busy_at: uint256 = max(
            self.rules[subnet] & MASK_40, staticcall IEpochs(EPOCHS).final_at(subnet)
        )
        assert busy_at + IDLE_WINDOW <= block.timestamp, "subnets: not yet"
        # Rounded down: the commons get the dust.
        to_keeper = lock // 5
        self.closing_at[subnet] = block.timestamp
    self.is_dissolved[subnet] = True
    self.lock_of[subnet] = 0
    self.obligations -= lock
    if to_owner != 0:
        self._send(owner, to_owner)
    else:
        self._send(msg.sender, to_keeper)
        self._send(staticcall IRegistry(REGISTRY).commons(), lock - to_keeper)
    log SubnetDissolved(subnet=subnet, lock=lock, to_owner=to_owner, to_keeper=to_keeper)


# --- Places ---------------------------------------------------------------------------------------------------------


@external
def register_model(subnet: uint256, asset: uint256, uid: uint256, most: uint256):
    """
    @notice Put an asset into a subnet, at a place that is new, that nobody has, or that somebody has (see `correct`).
            Who speaks for the asset may: its controller, or its owner in the Registry. Counts from the next epoch on.
    @param uid The place.
    @param most The highest burn that the caller pays, raw TSR. Where somebody has the place, as much again is a deposit.
    """
    self._only_speaker(asset)
    self._enter(subnet, MODELS, asset, uid, most)


@external
def register_validator(subnet: uint256, uid: uint256, most: uint256):
    """
    @notice Take a place among a subnet's validators: with a bond of its threshold or more, and Scores among the slashers
            that the caller enlisted.
    """
    bonded: uint256 = staticcall IBond(BOND).bonded(msg.sender)
    assert self.amounts[subnet] & MASK_96 <= bonded, "subnets: bond below the threshold"
    assert (staticcall IBond(BOND).enlistment_of(msg.sender, SCORES))[
        3
    ], "subnets: Scores is not enlisted"
    self._enter(subnet, VALIDATORS, convert(msg.sender, uint256), uid, most)


@external
def deregister_model(asset: uint256):
    """
    @notice Take an asset out of its subnet, from the next epoch on.
    """
    self._only_speaker(asset)
    self._leave(0, asset)


@external
def deregister_validator(subnet: uint256):
    """
    @notice Give the caller's place among a subnet's validators up, from the next epoch on.
    """
    # 0 is the scope of models.
    assert subnet != 0, "subnets: no such subnet"
    self._leave(subnet, convert(msg.sender, uint256))


@external
def correct(
    subnet: uint256,
    side: uint256,
    uid: uint256,
    lower: uint256,
    evidence: Bytes[4096],
    evidence_of_lower: Bytes[4096],
):
    """
    @notice Show that a newcomer waits for a place that is not the lowest. It waits for the lower one instead, and its
            deposit is a fifth the caller's, the rest the commons'.
    @dev The lowest is not immune; then has the least worth: a model's incentive in the newest epoch that was final when
         the newcomer came, a validator's bond now; then is registered the longest; then has the lowest uid.
    @param evidence What shows the incentive of the named place (see Epochs); of a validator, nothing.
    @param evidence_of_lower The same of the lower place.
    """
    place: uint256 = self._place(subnet, side, uid)
    newcomer: uint256 = self.waiting[place]
    assert newcomer != 0, "subnets: nobody waits for it"
    assert self._is_live(subnet), "subnets: no such subnet"
    nomination: uint256 = self.nominations[place]
    named_at: uint256 = (nomination >> 96) & MASK_40
    assert block.timestamp < named_at + CONTEST_WINDOW, "subnets: too late"
    target: uint256 = self._place(subnet, side, lower)
    assert self.waiting[target] == 0, "subnets: another one waits for it"
    assert self._is_lower(
        self._standing(subnet, side, lower, target, nomination, evidence_of_lower),
        self._standing(subnet, side, uid, place, nomination, evidence),
    ), "subnets: not lower"
    deposit: uint256 = nomination & MASK_96
    # Corrected once, it may be corrected further; only the first one is paid.
    self.nominations[target] = nomination & ~MASK_96
    self.waiting[target] = newcomer
    self.sponsor_of[target] = self.sponsor_of[place]
    self.homes[self._scope(subnet, side)][newcomer] = target + 1
    self.waiting[place] = 0
    # Rounded down: the commons get the dust.
    reward: uint256 = deposit // 5
    self.obligations -= deposit
    self._send(msg.sender, reward)
    self._send(staticcall IRegistry(REGISTRY).commons(), deposit - reward)
    log PlaceCorrected(subnet=subnet, side=side, uid=uid, lower=lower, by=msg.sender, reward=reward)


@external
def admit(subnet: uint256, side: uint256, uid: uint256):
    """
    @notice Give a place to the newcomer that waits for it, once nobody can show a lower one any more. Anyone may. The
            deposit goes back; where the subnet was dissolved meanwhile, that is all.
    """
    place: uint256 = self._place(subnet, side, uid)
    assert self.waiting[place] != 0, "subnets: nobody waits for it"
    assert (
        ((self.nominations[place] >> 96) & MASK_40) + CONTEST_WINDOW <= block.timestamp
    ), "subnets: not yet"
    self._let_in(subnet, side, uid, place)


# --- Inside ---------------------------------------------------------------------------------------------------------


@internal
@view
def _check_against_bond(tempo: uint256):
    """
    @dev Rules are for ever, so a subnet in which Bond refuses every commit, or lets who was asked go before anybody may
         convict it, is not made. A row answers from its commit until a quarter after its epoch; who is asked as soon as it
         reveals, at half of the tempo, stays frozen until then and half a tempo more at least.
    """
    delay: uint256 = 0
    notice: uint256 = 0
    max_freeze: uint256 = 0
    period: uint256 = 0
    delay, notice, max_freeze, period = staticcall IBond(BOND).times()
    assert (
        5 * (tempo // 4) <= delay and tempo <= max_freeze
    ), "subnets: tempo too long for the bonds"


@internal
def _enter(subnet: uint256, side: uint256, occupant: uint256, uid: uint256, most: uint256):
    assert self.owner_of[subnet] != empty(address), "subnets: no such subnet"
    assert self.closing_at[subnet] == 0, "subnets: closing already"
    scope: uint256 = self._scope(subnet, side)
    home: uint256 = self.homes[scope][occupant]
    assert home == 0 or not self._is_live((home - 1) >> 24), "subnets: has a place already"
    cost: uint256 = self._burn_cost(subnet)
    assert cost <= most, "subnets: dearer than the caller pays"
    raised: uint256 = min((cost * BURN_GROWTH + 99) // 100, MAX_AMOUNT)
    self.burns[subnet] = raised | (block.timestamp << 96)
    key: uint256 = (subnet << 1) | side
    table: uint256 = self.tables[key]
    count: uint256 = table & MASK_16
    rules: uint256 = self.rules[subnet]
    limit: uint256 = (rules >> 136) & MASK_16
    if side == VALIDATORS:
        limit = (rules >> 152) & MASK_16
    place: uint256 = self._place(subnet, side, uid)
    self.homes[scope][occupant] = place + 1
    deposit: uint256 = 0
    if uid == count:
        assert count < limit, "subnets: no such place"
        since: uint256 = self._epoch_at(rules, block.timestamp) + 1
        before: uint256 = (table >> 16) & MASK_16
        # Those that were new in an earlier epoch count by now.
        if (table >> 32) & MASK_32 != since:
            before = count
        self.tables[key] = ((count + 1) | (before << 16) | (since << 32) | (table & ~MASK_64))
        self._sit(subnet, side, uid, place, occupant, 0)
    else:
        assert uid < count, "subnets: no such place"
        assert self.waiting[place] == 0, "subnets: another one waits for it"
        if self.occupants[place][self.tenure_count[place] - 1] == 0:
            self.tables[key] = table - (1 << 64)
            self._sit(subnet, side, uid, place, occupant, 0)
        else:
            assert count == limit and (table >> 64) & MASK_16 == 0, "subnets: there is a free place"
            # A quarter of the table in each period of immunity: so the immune are never more than half of it, and
            # however many newcomers come, the best half stays.
            period: uint256 = block.timestamp // max((rules >> 168) & MASK_32, CONTEST_WINDOW)
            named: uint256 = 0
            if (table >> 80) & MASK_48 == period:
                named = table >> 128
            assert named < max(limit // 4, 1), "subnets: enough newcomers for now"
            self.tables[key] = (table & MASK_80) | (period << 80) | ((named + 1) << 128)
            deposit = cost
            self.waiting[place] = occupant
            self.sponsor_of[place] = msg.sender
            self.nominations[place] = (
                deposit
                | (block.timestamp << 96)
                | (staticcall IEpochs(EPOCHS).last_final(subnet) << 136)
            )
            self.obligations += deposit
            log PlaceNamed(
                subnet=subnet,
                side=side,
                occupant=occupant,
                uid=uid,
                deposit=deposit,
                admitted_from=block.timestamp + CONTEST_WINDOW,
            )
    self._take(cost + deposit)
    extcall INetworkToken(NETWORK_TOKEN).burn(cost)
    log Burned(subnet=subnet, by=msg.sender, amount=cost)


@internal
def _leave(scope: uint256, occupant: uint256):
    home: uint256 = self.homes[scope][occupant]
    assert home != 0, "subnets: has no place"
    place: uint256 = home - 1
    assert (
        self.occupants[place][self.tenure_count[place] - 1] == occupant
    ), "subnets: not admitted yet"
    self.homes[scope][occupant] = 0
    subnet: uint256 = place >> 24
    side: uint256 = (place >> 16) & 1
    self.tables[(subnet << 1) | side] += 1 << 64
    self._sit(subnet, side, place & MASK_16, place, 0, occupant)
    if self.waiting[place] != 0:
        # Whom it would have been given to has nothing left to wait for.
        self._let_in(subnet, side, place & MASK_16, place)


@internal
def _let_in(subnet: uint256, side: uint256, uid: uint256, place: uint256):
    newcomer: uint256 = self.waiting[place]
    deposit: uint256 = self.nominations[place] & MASK_96
    scope: uint256 = self._scope(subnet, side)
    self.waiting[place] = 0
    if self._is_live(subnet):
        replaced: uint256 = self.occupants[place][self.tenure_count[place] - 1]
        if replaced == 0:
            self.tables[(subnet << 1) | side] -= 1 << 64
        else:
            self.homes[scope][replaced] = 0
        self._sit(subnet, side, uid, place, newcomer, replaced)
    elif self.homes[scope][newcomer] == place + 1:
        self.homes[scope][newcomer] = 0
    self.obligations -= deposit
    self._send(self.sponsor_of[place], deposit)


@internal
def _sit(
    subnet: uint256,
    side: uint256,
    uid: uint256,
    place: uint256,
    occupant: uint256,
    replaced: uint256,
):
    """
    @dev One that never counted for an epoch is overwritten, so each that is kept counted for one or more.
    """
    since: uint256 = self._epoch_at(self.rules[subnet], block.timestamp) + 1
    number: uint256 = self.tenure_count[place]
    if number != 0 and self.tenures[place][number - 1] & MASK_32 == since:
        number -= 1
    else:
        self.tenure_count[place] = number + 1
    self.occupants[place][number] = occupant
    self.tenures[place][number] = since | (block.timestamp << 32)
    log PlaceTaken(
        subnet=subnet, side=side, occupant=occupant, uid=uid, since=since, replaced=replaced
    )


@internal
@view
def _standing(
    subnet: uint256,
    side: uint256,
    uid: uint256,
    place: uint256,
    nomination: uint256,
    evidence: Bytes[4096],
) -> Standing:
    count: uint256 = self.tenure_count[place]
    assert count != 0, "subnets: no such place"
    occupant: uint256 = self.occupants[place][count - 1]
    if occupant == 0:
        # Nobody's: lower than every one that somebody has.
        return Standing(immune=False, worth=0, registered=0, uid=uid)
    tenure: uint256 = self.tenures[place][count - 1]
    registered: uint256 = (tenure >> 32) & MASK_40
    worth: uint256 = 0
    if side == VALIDATORS:
        worth = staticcall IBond(BOND).bonded(convert(occupant, address))
    else:
        # A model that was not there in that epoch has earned nothing yet.
        basis: uint256 = nomination >> 136
        if tenure & MASK_32 < basis:
            worth = staticcall IEpochs(EPOCHS).incentive_of(subnet, basis - 1, uid, evidence)
    immunity: uint256 = (self.rules[subnet] >> 168) & MASK_32
    return Standing(
        immune=(nomination >> 96) & MASK_40 < registered + immunity,
        worth=worth,
        registered=registered,
        uid=uid,
    )


@internal
@pure
def _is_lower(one: Standing, other: Standing) -> bool:
    if one.immune != other.immune:
        return other.immune
    if one.worth != other.worth:
        return one.worth < other.worth
    if one.registered != other.registered:
        return one.registered < other.registered
    return one.uid < other.uid


@internal
@pure
def _scope(subnet: uint256, side: uint256) -> uint256:
    if side == MODELS:
        return 0
    return subnet


@internal
@pure
def _place(subnet: uint256, side: uint256, uid: uint256) -> uint256:
    assert side <= VALIDATORS and uid <= MASK_16, "subnets: no such place"
    return (subnet << 24) | (side << 16) | uid


@internal
@view
def _only_speaker(asset: uint256):
    assert (
        msg.sender == staticcall IRegistry(REGISTRY).controller_of(asset)
        or msg.sender == staticcall IRegistry(REGISTRY).ownerOf(asset)
    ), "subnets: only who speaks for the asset"


@internal
@view
def _is_live(subnet: uint256) -> bool:
    closing: uint256 = self.closing_at[subnet]
    return self.owner_of[subnet] != empty(address) and (closing == 0 or block.timestamp < closing)


@internal
@pure
def _epoch_at(rules: uint256, time: uint256) -> uint256:
    return (time - (rules & MASK_40)) // ((rules >> 40) & MASK_32)


@internal
@view
def _places_at(subnet: uint256, side: uint256, epoch: uint256) -> uint256:
    """
    @param epoch The one that runs.
    """
    table: uint256 = self.tables[(subnet << 1) | side]
    if epoch < (table >> 32) & MASK_32:
        return (table >> 16) & MASK_16
    return table & MASK_16


@internal
@view
def _occupant_at(place: uint256, epoch: uint256) -> (uint256, uint256):
    # The last tenure that had begun by then is in [low, high).
    low: uint256 = 0
    high: uint256 = self.tenure_count[place]
    if high == 0 or epoch < self.tenures[place][0] & MASK_32:
        return 0, 0
    # Most ask for the last one.
    if self.tenures[place][high - 1] & MASK_32 <= epoch:
        low = high - 1
    for _: uint256 in range(32):
        if high - low == 1:
            break
        middle: uint256 = (low + high) >> 1
        if self.tenures[place][middle] & MASK_32 <= epoch:
            low = middle
        else:
            high = middle
    return self.occupants[place][low], self.tenures[place][low] & MASK_32


@internal
@view
def _lock_cost() -> uint256:
    last: uint256 = self.last_lock
    # Rounded against who creates.
    fallen: uint256 = last * (block.timestamp - self.last_created) // LOCK_DECAY
    if 2 * last <= fallen + MIN_LOCK:
        return MIN_LOCK
    return 2 * last - fallen


@internal
@view
def _burn_cost(subnet: uint256) -> uint256:
    """
    @dev Halved for each half-life that passed, and in a straight line in between; rounded against who registers.
    """
    word: uint256 = self.burns[subnet]
    half_life: uint256 = (self.rules[subnet] >> 200) & MASK_32
    elapsed: uint256 = block.timestamp - (word >> 96)
    halvings: uint256 = elapsed // half_life
    cost: uint256 = 0
    if halvings < 96:
        cost = (word & MASK_96) >> halvings
        cost -= cost * (elapsed % half_life) // (2 * half_life)
    return max(cost, (self.amounts[subnet] >> 96) & MASK_96)


@internal
def _take(amount: uint256):
    assert extcall IERC20(NETWORK_TOKEN).transferFrom(msg.sender, self, amount)


@internal
def _send(receiver: address, amount: uint256):
    if amount != 0:
        assert extcall IERC20(NETWORK_TOKEN).transfer(receiver, amount)


# --- Views ----------------------------------------------------------------------------------------------------------


@external
@view
@reentrant
def occupant_at(subnet: uint256, side: uint256, uid: uint256, epoch: uint256) -> (uint256, uint256):
    """
    @notice Who had a place in an epoch, and from which epoch on.
    @param side 0 for models, 1 for validators.
    @return The asset, or the validator's address as a number; 0 for nobody.
    """
    return self._occupant_at(self._place(subnet, side, uid), epoch)


@external
@view
@reentrant
def seated(
    subnet: uint256, uid: uint256, validator: address
) -> (uint256, uint256, uint256, uint256, uint256):
    """
    @notice All that Scores asks when a validator commits. Refuses who has not that place in the epoch that runs.
    @return The epoch, when it began, the tempo, the least bond of a validator, and how many places of models count.
    """
    assert self._is_live(subnet), "subnets: no such subnet"
    rules: uint256 = self.rules[subnet]
    tempo: uint256 = (rules >> 40) & MASK_32
    epoch: uint256 = self._epoch_at(rules, block.timestamp)
    assert (
        self._occupant_at(self._place(subnet, VALIDATORS, uid), epoch)[0]
        == convert(validator, uint256)
    ), "subnets: not a validator of this epoch"
    return (
        epoch,
        (rules & MASK_40) + epoch * tempo,
        tempo,
        self.amounts[subnet] & MASK_96,
        self._places_at(subnet, MODELS, epoch),
    )


@external
@view
@reentrant
def places_in(subnet: uint256, side: uint256) -> uint256:
    """
    @notice How many places count in the epoch that runs: uids from 0 to one less.
    """
    rules: uint256 = self.rules[subnet]
    assert rules != 0, "subnets: no such subnet"
    return self._places_at(subnet, side, self._epoch_at(rules, block.timestamp))


@external
@view
@reentrant
def table_of(subnet: uint256, side: uint256) -> (uint256, uint256):
    """
    @return How many places there are, the new ones included, and how many of them nobody has.
    """
    table: uint256 = self.tables[(subnet << 1) | side]
    return table & MASK_16, (table >> 64) & MASK_16


@external
@view
@reentrant
def subnet_of(asset: uint256) -> uint256:
    """
    @notice The subnet that an asset is in, or waits to be; 0 for none, or one that is no more.
    """
    home: uint256 = self.homes[0][asset]
    if home == 0 or not self._is_live((home - 1) >> 24):
        return 0
    return (home - 1) >> 24


@external
@view
@reentrant
def uid_of(subnet: uint256, validator: address) -> uint256:
    """
    @return The validator's place plus 1, also where it waits for one; 0 for none.
    """
    home: uint256 = self.homes[subnet][convert(validator, uint256)]
    if home == 0:
        return 0
    return ((home - 1) & MASK_16) + 1


@external
@view
@reentrant
def is_live(subnet: uint256) -> bool:
    """
    @notice Whether a subnet exists and its closing time, if it has one, is still to come.
    """
    return self._is_live(subnet)


@external
@view
@reentrant
def epoch_at(subnet: uint256, time: uint256) -> uint256:
    """
    @notice The epoch that runs at a time.
    """
    assert self.owner_of[subnet] != empty(address), "subnets: no such subnet"
    return self._epoch_at(self.rules[subnet], time)


@external
@view
@reentrant
def clock_of(subnet: uint256) -> (uint256, uint256):
    """
    @return When epoch 0 began, and how many seconds each takes.
    """
    rules: uint256 = self.rules[subnet]
    assert rules != 0, "subnets: no such subnet"
    return rules & MASK_40, (rules >> 40) & MASK_32


@external
@view
@reentrant
def consensus_of(subnet: uint256) -> (uint256, uint256, uint256, bool):
    """
    @return Kappa and the bonds' penalty in 65,535ths, the bonds' moving average in ppm, and whether Yuma 3 is on.
    """
    rules: uint256 = self.rules[subnet]
    assert rules != 0, "subnets: no such subnet"
    return (
        (rules >> 72) & MASK_16,
        (rules >> 88) & MASK_16,
        (rules >> 104) & MASK_24,
        (rules >> 128) & 1 == 1,
    )


@external
@view
@reentrant
def rules_of(subnet: uint256) -> Rules:
    """
    @notice What was fixed when the subnet was created.
    """
    word: uint256 = self.rules[subnet]
    assert word != 0, "subnets: no such subnet"
    amounts: uint256 = self.amounts[subnet]
    return Rules(
        tempo=(word >> 40) & MASK_32,
        kappa=(word >> 72) & MASK_16,
        bonds_penalty=(word >> 88) & MASK_16,
        bonds_moving_average=(word >> 104) & MASK_24,
        yuma3=(word >> 128) & 1 == 1,
        max_models=(word >> 136) & MASK_16,
        max_validators=(word >> 152) & MASK_16,
        immunity=(word >> 168) & MASK_32,
        burn_half_life=(word >> 200) & MASK_32,
        min_burn=(amounts >> 96) & MASK_96,
        threshold=amounts & MASK_96,
    )


@external
@view
@reentrant
def lock_cost() -> uint256:
    """
    @notice What a subnet that is created now locks, raw TSR.
    """
    return self._lock_cost()


@external
@view
@reentrant
def burn_cost(subnet: uint256) -> uint256:
    """
    @notice What a registration burns now, raw TSR.
    """
    assert self.owner_of[subnet] != empty(address), "subnets: no such subnet"
    return self._burn_cost(subnet)


@external
@view
@reentrant
def network_token() -> address:
    return NETWORK_TOKEN


@external
@view
@reentrant
def registry() -> address:
    return REGISTRY


@external
@view
@reentrant
def bond() -> address:
    return BOND


@external
@view
@reentrant
def scores() -> address:
    return SCORES


@external
@view
@reentrant
def epochs() -> address:
    return EPOCHS
