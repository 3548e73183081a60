# pragma version 0.4.3
# pragma evm-version cancun
# pragma nonreentrancy on
"""
@title Approvals
@license Apache-2.0
@notice Validators stake their bonds on models: each is given items of its own, commits to what it found, and reveals it.
        Later the hidden test set is opened. A model that was approved and is bad costs its approvers; being of another
        opinion than the majority costs nobody.
@dev Rounds, the listing rule, truth, penalties and rewards; evidence is heard by `Court`. The phases of all rounds over
     one test set are the same, counted in `HOUR`s: 6 to commit, 2 to reveal, 72 until the truth, 168 to contest it, 72 to
     resolve a dispute. Twin: `tessera.spec.approvals`.
@custom:security Ids are hashes of what they stand for: a commitment binds validator, model version, test set, chain and
     contract, so a copy reveals nothing. The committer of a test set pledges at least the sum of all bonds that it can
     cost, in tokens that lie here, and does not judge with it. Whoever pays for a round can be in league with some of
     its validators: rewards come from its own money and count gains in its own rounds, so that they gain what they paid.
     A validator's penalties for one model are counted together: proving the same twice, or more for less, adds nothing.
     What stops coming (a seed, the truth, a count, a vote) ends a round as void, which refunds and slashes nobody but
     who was to deliver it.
@custom:invariant solvent, slash_bounded, bond_covers_open, settled_once
@custom:pause Nothing here can be paused. Disputes hold a round open, and what an approval releases waits with it.
"""
from ethereum.ercs import IERC20


interface IRegistry:
    def commons() -> address: view
    def ownerOf(asset: uint256) -> address: view
    def controller_of(asset: uint256) -> address: view
    def root_of(asset: uint256, version: uint256) -> bytes32: view


interface IBond:
    def bonded(validator: address) -> uint256: view
    def stake_of(validator: address, account: address) -> (uint256, uint256): view
    def back(validator: address, until: uint256): nonpayable
    def freeze(validator: address, case: bytes32): nonpayable
    def unfreeze(validator: address, case: bytes32): nonpayable
    def slash(
        validator: address,
        amount: uint256,
        case: bytes32,
        evidence: bytes32,
        whistle_blower: address,
    ) -> uint256: nonpayable
    def reward(validator: address, amount: uint256): nonpayable
    def can_reward(validator: address) -> bool: view
    def may_slash(validator: address, slasher: address, case: bytes32) -> bool: view
    def times() -> (uint256, uint256, uint256, uint256): view


interface IDraws:
    def request() -> uint256: nonpayable
    def seed_of(draw: uint256) -> bytes32: view


interface IBadCounts:
    def known(items: uint256, least: uint256) -> bool: view
    def is_bad(items: uint256, least: uint256, correct: uint256) -> bool: view


interface IPrices:
    def value_of(tokens: uint256) -> uint256: view


event SetCommitted:
    test_set: indexed(bytes32)
    committer: indexed(address)
    root: bytes32
    items: uint256
    pool: bytes32
    pool_items: uint256
    pledge: uint256
    until: uint256
    uri: String[256]


event RoundOpened:
    round: indexed(bytes32)
    test_set: indexed(bytes32)
    asset: indexed(uint256)
    version: uint256
    model: bytes32
    issuer: address
    tau: uint256
    prior: uint256
    cap: uint256
    budget: uint256


event Begun:
    test_set: indexed(bytes32)
    seed: bytes32


event Committed:
    round: indexed(bytes32)
    validator: indexed(address)
    bond: uint256


# A larger bond took the seat.
event Displaced:
    round: indexed(bytes32)
    validator: indexed(address)


event Revealed:
    round: indexed(bytes32)
    validator: indexed(address)
    approve: bool
    score: uint256
    root: bytes32
    uri: String[256]


event Closed:
    round: indexed(bytes32)
    listed: bool
    score: uint256
    in_favour: uint256
    weight: uint256


event TruthRevealed:
    test_set: indexed(bytes32)
    uri: String[256]


event SetFailed:
    test_set: indexed(bytes32)
    teller: indexed(address)
    pledge: uint256


event Counted:
    round: indexed(bytes32)
    root: bytes32
    correct: uint256


event CountVoided:
    round: indexed(bytes32)


event Finished:
    round: indexed(bytes32)
    state: uint256


event Punished:
    round: indexed(bytes32)
    validator: indexed(address)
    kind: uint256
    amount: uint256
    evidence: bytes32


event Rewarded:
    round: indexed(bytes32)
    validator: indexed(address)
    amount: uint256


struct TestSet:
    committer: address
    root: bytes32
    items: uint256
    pool: bytes32
    pool_items: uint256
    # Tokens that lie here, and the bonds that they cover.
    pledge: uint256
    covered: uint256
    # Submissions end, assignments begin, the truth is out: unix seconds.
    until: uint256
    begun: uint256
    truth_at: uint256
    # Draws: of the assignments, and of everything that is checked later.
    draw: uint256
    check_draw: uint256
    open_rounds: uint256
    failed: bool


struct Round:
    test_set: bytes32
    asset: uint256
    version: uint256
    model: bytes32
    issuer: address
    # Accuracies are in millionths: what the model must reach, and what the public expected before.
    tau: uint256
    prior: uint256
    # Base units of the currency that an approval may sell shares for.
    cap: uint256
    # Tokens left for rewards.
    budget: uint256
    validators: uint256
    state: uint256
    listed: bool
    # The bond-weighted median of the scores, and the weights behind the decision.
    score: uint256
    in_favour: uint256
    weight: uint256
    # The largest weight that one validator counts with.
    most: uint256
    # Sum of what approvers staked themselves, of those behind few other sales: what a part of the proceeds is lent on.
    approving: uint256
    # One more than the hidden items answered correctly; 0 while nobody agreed.
    counted: uint256
    deadline: uint256
    attempts: uint256
    finished_at: uint256
    reward_weight: uint256


MAX_VALIDATORS: constant(uint256) = 32
MIN_VALIDATORS: constant(uint256) = 5
# How many items a count may be over: also the places of the tree of answers.
MAX_ITEMS: constant(uint256) = 4_096
MIN_ITEMS: constant(uint256) = 100
MIN_POOL: constant(uint256) = 400
WHOLE: constant(uint256) = 1_000_000
BPS: constant(uint256) = 10_000
# A model is bad where it is below the threshold by more than this, for sure.
GUARD: constant(uint256) = 20_000
MAX_BUDGET: constant(uint256) = 2**96
LAST_GAINS: constant(uint256) = 30
ONE_IN_FIVE: constant(uint256) = 5
# A validator counts with so many times what it staked itself, at most.
OWN_PART: constant(uint256) = 5
# Of so many rounds at once that are for a sale, a validator's stake bears what leaves early.
SALES_AT_ONCE: constant(uint256) = 3
MAX_ATTEMPTS: constant(uint256) = 3
# To each of the two re-executors whose count stands.
EXECUTOR_BPS: constant(uint256) = 1_000

# Hours after the assignments.
COMMITTED_BY: constant(uint256) = 6
REVEALED_BY: constant(uint256) = 8
TRUTH_BY: constant(uint256) = 80
# Hours after the truth; and for a dispute, or another count.
CONTESTED_BY: constant(uint256) = 168
RESOLVED_IN: constant(uint256) = 72
# Hours for two to agree on another count; and for which a bond can be held and stays slashable, at least.
RECOUNTED_IN: constant(uint256) = 84
HELD_FOR: constant(uint256) = 240
LEAVES_IN: constant(uint256) = 336

# States of a round.
OPEN: constant(uint256) = 0
CLOSED: constant(uint256) = 1
GOOD: constant(uint256) = 2
BAD: constant(uint256) = 3
VOID: constant(uint256) = 4

# Kinds of evidence: nothing revealed, fabricated evaluation, bad approval, leak.
SILENCE: constant(uint256) = 0
BAD_APPROVAL: constant(uint256) = 2

# A validator's row: bond (96) | score (32) << 96 | flags from bit 128 | own stake behind a sale (96) << 144 | open cases.
MASK_96: constant(uint256) = 2**96 - 1
MASK_32: constant(uint256) = 2**32 - 1
REVEALED: constant(uint256) = 1 << 128
APPROVES: constant(uint256) = 1 << 129
GRADED: constant(uint256) = 1 << 130
CONVICTED: constant(uint256) = 1 << 131
EXECUTES: constant(uint256) = 1 << 132
OWN_AT: constant(uint256) = 144
ONE_CASE: constant(uint256) = 1 << 240

TOKEN: immutable(IERC20)
REGISTRY: immutable(IRegistry)
BOND: immutable(IBond)
DRAWS: immutable(IDraws)
COURT: public(immutable(address))
BAD_COUNTS: immutable(IBadCounts)
PRICES: immutable(IPrices)
HOUR: public(immutable(uint256))
LEAST_BOND: public(immutable(uint256))

set_of: public(HashMap[bytes32, TestSet])
round_of: public(HashMap[bytes32, Round])
validator_at: public(HashMap[bytes32, HashMap[uint256, address]])
rows: HashMap[bytes32, HashMap[address, uint256]]
# What was committed; once it is revealed, the root of the validator's outputs.
roots: HashMap[bytes32, HashMap[address, bytes32]]
executors: HashMap[bytes32, address[2]]
# Open disputes about a round's count, and open demands for items of a test set.
holds: public(HashMap[bytes32, uint256])
# By model and validator: tokens that penalties came to.
taken: public(HashMap[bytes32, HashMap[address, uint256]])
removed: public(HashMap[address, bool])
# The rounds for a sale that a validator's own stake is behind.
backs: HashMap[address, bytes32[SALES_AT_ONCE]]
# By a hash of issuer and validator: its last thirty gains over the public's guess, as a ring; their number and sum.
gains: HashMap[bytes32, int256[30]]
gained: HashMap[bytes32, uint256]
gain_sum: HashMap[bytes32, int256]
reward_weights: HashMap[bytes32, HashMap[address, uint256]]
approved_by: HashMap[uint256, HashMap[uint256, bytes32]]
# Tokens that lie here for pledges and rewards.
obligations: public(uint256)


@deploy
def __init__(
    token: address,
    registry: address,
    bond: address,
    draws: address,
    court: address,
    bad_counts: address,
    prices: address,
    hour: uint256,
    least_bond: uint256,
):
    """
    @param draws The port of randomness.
    @param prices Says what tokens are worth in the currency; without one, no approval is for a sale.
    @param hour Seconds that stand for an hour, so that all windows keep their proportions.
    @param least_bond Base units of the token that a validator must have bonded.
    """
    assert hour != 0 and least_bond != 0, "approvals: hour and bond must not be 0"
    delay: uint256 = 0
    notice: uint256 = 0
    freeze: uint256 = 0
    period: uint256 = 0
    delay, notice, freeze, period = staticcall IBond(bond).times()
    # A bond stays longer than everything that it answers for.
    assert (
        delay >= LEAVES_IN * hour and freeze >= HELD_FOR * hour
    ), "approvals: bonds leave too early"
    TOKEN = IERC20(token)
    REGISTRY = IRegistry(registry)
    BOND = IBond(bond)
    DRAWS = IDraws(draws)
    COURT = court
    BAD_COUNTS = IBadCounts(bad_counts)
    PRICES = IPrices(prices)
    HOUR = hour
    LEAST_BOND = least_bond


# --- Test sets ------------------------------------------------------------------------------------------------------


@external
def commit_set(
    root: bytes32,
    items: uint256,
    pool: bytes32,
    pool_items: uint256,
    pledge: uint256,
    until: uint256,
    uri: String[256],
) -> bytes32:
    """
    @notice Commit to a hidden test set, before any model that it will judge is submitted.
    @param root Of the tree of hidden items, each with its label and a salt.
    @param pool Of the tree of public items that validators are given from; `pool_items` of them.
    @param pledge Tokens taken from the caller; they cover the bonds of all validators that this set can cost.
    @param until Unix seconds at which submissions end.
    @param uri Where the public items are.
    """
    assert (
        items >= MIN_ITEMS
        and items <= MAX_ITEMS
        and pool_items >= MIN_POOL
        and pool_items < 2**32
    ), "approvals: number of items out of range"
    assert (
        until > block.timestamp and until <= block.timestamp + 8_760 * HOUR
    ), "approvals: submissions would be over"
    name: bytes32 = keccak256(abi_encode(msg.sender, root, pool, until))
    assert self.set_of[name].committer == empty(address), "approvals: committed already"
    self.set_of[name] = TestSet(
        committer=msg.sender,
        root=root,
        items=items,
        pool=pool,
        pool_items=pool_items,
        pledge=pledge,
        covered=0,
        until=until,
        begun=0,
        truth_at=0,
        draw=0,
        check_draw=0,
        open_rounds=0,
        failed=False,
    )
    self._take_in(pledge)
    log SetCommitted(
        test_set=name,
        committer=msg.sender,
        root=root,
        items=items,
        pool=pool,
        pool_items=pool_items,
        pledge=pledge,
        until=until,
        uri=uri,
    )
    return name


@external
def draw(test_set: bytes32):
    """
    @notice When submissions are over, ask for the seed of the assignments. Anyone may call it.
    """
    assert (
        self._is_known(test_set) and block.timestamp >= self.set_of[test_set].until
    ), "approvals: submissions are open"
    assert self.set_of[test_set].open_rounds != 0, "approvals: nothing was submitted"
    assert self.set_of[test_set].draw == 0, "approvals: asked for already"
    self.set_of[test_set].draw = extcall DRAWS.request()


@external
def begin(test_set: bytes32):
    """
    @notice When the seed is there, assign the items and let the time to commit begin. Anyone may call it.
    """
    row: TestSet = self.set_of[test_set]
    assert row.draw != 0 and row.begun == 0 and not row.failed, "approvals: not to begin now"
    seed: bytes32 = staticcall DRAWS.seed_of(row.draw)
    assert seed != empty(bytes32), "approvals: no seed yet"
    self.set_of[test_set].begun = block.timestamp
    log Begun(test_set=test_set, seed=seed)


@external
def reveal_truth(test_set: bytes32, uri: String[256]):
    """
    @notice Tell where the hidden items and labels are, and ask for the seed of everything that is checked. Only the
            committer. Whoever cannot find an item there demands it: `Court.demand`.
    """
    row: TestSet = self.set_of[test_set]
    assert msg.sender == row.committer, "approvals: only the committer"
    assert (
        row.begun != 0 and row.truth_at == 0 and not row.failed
    ), "approvals: not to be revealed now"
    hours: uint256 = block.timestamp - row.begun
    assert (
        hours >= REVEALED_BY * HOUR and hours < TRUTH_BY * HOUR
    ), "approvals: not to be revealed now"
    self.set_of[test_set].truth_at = block.timestamp
    self.set_of[test_set].check_draw = extcall DRAWS.request()
    log TruthRevealed(test_set=test_set, uri=uri)


@external
def fail_set(test_set: bytes32, teller: address):
    """
    @notice The pledge of a committer that does not reveal the truth in time goes to the commons, a fifth of it to who
            tells. Anyone may call it; the Court does for an item that was not shown, and names the teller.
    """
    row: TestSet = self.set_of[test_set]
    told: address = msg.sender
    if msg.sender == COURT:
        told = teller
    else:
        assert (
            row.begun != 0 and row.truth_at == 0 and block.timestamp >= row.begun + TRUTH_BY * HOUR
        ), "approvals: the committer has time"
    assert not row.failed, "approvals: failed already"
    self.set_of[test_set].failed = True
    self._release_pledge(test_set, row.pledge)
    part: uint256 = row.pledge // 5
    log SetFailed(test_set=test_set, teller=told, pledge=row.pledge)
    self._send(told, part)
    self._send(staticcall REGISTRY.commons(), row.pledge - part)


@external
def abandon(test_set: bytes32):
    """
    @notice Give a test set up whose assignments never began, because no seed came: nobody's fault. Anyone may call it.
    """
    row: TestSet = self.set_of[test_set]
    assert (
        row.begun == 0 and block.timestamp >= row.until + RESOLVED_IN * HOUR
    ), "approvals: it may still begin"
    assert row.committer != empty(address) and not row.failed, "approvals: failed already"
    self.set_of[test_set].failed = True


@external
def withdraw_pledge(test_set: bytes32):
    """
    @notice Give the committer its pledge back, once no round and no demand can cost it. Anyone may call it.
    """
    row: TestSet = self.set_of[test_set]
    assert row.pledge != 0, "approvals: no pledge"
    assert row.open_rounds == 0 and self.holds[test_set] == 0, "approvals: rounds are open"
    assert row.failed or (
        row.truth_at != 0 and block.timestamp >= row.truth_at + (CONTESTED_BY + RESOLVED_IN) * HOUR
    ), "approvals: the pledge is bound"
    self._release_pledge(test_set, row.pledge)
    self._send(row.committer, row.pledge)


# --- Rounds ---------------------------------------------------------------------------------------------------------


@external
def open_round(
    test_set: bytes32,
    asset: uint256,
    version: uint256,
    environment: bytes32,
    tau: uint256,
    prior: uint256,
    cap: uint256,
    budget: uint256,
) -> bytes32:
    """
    @notice Submit a version of an asset to a test set. Only the asset's owner or controller.
    @param environment Hash of runner image, decoding settings and seed: with the version's content, the model.
    @param tau Accuracy that it must reach; `prior` is what the public expects. Both in millionths.
    @param cap Base units of the currency that shares may be sold for on this approval.
    @param budget Tokens for rewards, taken from the caller.
    """
    row: TestSet = self.set_of[test_set]
    assert (
        self._is_known(test_set) and block.timestamp < row.until
    ), "approvals: submissions are over"
    assert (
        msg.sender == staticcall REGISTRY.ownerOf(asset)
        or msg.sender == staticcall REGISTRY.controller_of(asset)
    ), "approvals: only the asset's controller"
    assert msg.sender != row.committer, "approvals: the committer does not judge its own"
    assert tau > GUARD and tau < WHOLE and prior <= WHOLE, "approvals: threshold out of range"
    assert staticcall BAD_COUNTS.known(
        row.items, tau - GUARD
    ), "approvals: prove the bad count first"
    assert budget < MAX_BUDGET and cap < MAX_BUDGET, "approvals: amount out of range"
    assert cap == 0 or PRICES.address != empty(address), "approvals: amount out of range"
    assert version != 0, "approvals: name the version"
    model: bytes32 = keccak256(abi_encode(staticcall REGISTRY.root_of(asset, version), environment))
    name: bytes32 = keccak256(abi_encode(test_set, asset, version, model))
    assert self.round_of[name].test_set == empty(bytes32), "approvals: submitted already"
    self.round_of[name].test_set = test_set
    self.round_of[name].asset = asset
    self.round_of[name].version = version
    self.round_of[name].model = model
    self.round_of[name].issuer = msg.sender
    self.round_of[name].tau = tau
    self.round_of[name].prior = prior
    self.round_of[name].cap = cap
    self.round_of[name].budget = budget
    self.set_of[test_set].open_rounds += 1
    self._take_in(budget)
    log RoundOpened(
        round=name,
        test_set=test_set,
        asset=asset,
        version=version,
        model=model,
        issuer=msg.sender,
        tau=tau,
        prior=prior,
        cap=cap,
        budget=budget,
    )
    return name


@external
def commit(round: bytes32, commitment: bytes32):
    """
    @notice Take part as a validator: `commitment` is the hash that `commitment_for` shows. Backs it with the whole bond, or
            with five times what the validator staked itself where that is less. In a full round it takes the seat of
            the smallest bond, if its own is larger.
    """
    about: Round = self.round_of[round]
    test_set: TestSet = self.set_of[about.test_set]
    assert (
        test_set.begun != 0 and block.timestamp < test_set.begun + COMMITTED_BY * HOUR
    ), "approvals: not the time to commit"
    assert self.rows[round][msg.sender] == 0, "approvals: committed already"
    assert commitment != empty(bytes32), "approvals: not a commitment"
    # Who paid for a model once would approve it again for nothing.
    assert (
        not self.removed[msg.sender] and self.taken[about.model][msg.sender] == 0
    ), "approvals: removed"
    assert msg.sender != test_set.committer, "approvals: the committer does not judge its own"
    # Of what others brought, four times its own: else it would judge with their money only.
    own: uint256 = (staticcall BOND.stake_of(msg.sender, msg.sender))[1]
    bond: uint256 = min(min(staticcall BOND.bonded(msg.sender), OWN_PART * own), MASK_96)
    assert bond >= LEAST_BOND, "approvals: bond too low"
    row: uint256 = bond
    if about.cap != 0:
        # Two hundredths of what may be sold.
        assert staticcall PRICES.value_of(bond) * 50 >= about.cap, "approvals: bond too low"
        for slot: uint256 in range(SALES_AT_ONCE):
            other: bytes32 = self.backs[msg.sender][slot]
            if other == empty(bytes32) or self._is_settled(other, msg.sender):
                self.backs[msg.sender][slot] = round
                row |= min(own, bond) << OWN_AT
                break
    place: uint256 = about.validators
    test_set.covered += bond
    if place < MAX_VALIDATORS:
        self.round_of[round].validators = place + 1
    else:
        last: address = empty(address)
        least: uint256 = bond
        for each: uint256 in range(MAX_VALIDATORS):
            seated: address = self.validator_at[round][each]
            found: uint256 = self.rows[round][seated] & MASK_96
            if found < least:
                least = found
                last = seated
                place = each
        assert least < bond, "approvals: the round is full"
        test_set.covered -= least
        self.rows[round][last] = 0
        self.roots[round][last] = empty(bytes32)
        log Displaced(round=round, validator=last)
    assert test_set.covered <= test_set.pledge, "approvals: the pledge covers no more bonds"
    self.set_of[about.test_set].covered = test_set.covered
    self.rows[round][msg.sender] = row
    self.roots[round][msg.sender] = commitment
    self.validator_at[round][place] = msg.sender
    extcall BOND.back(msg.sender, test_set.begun + (TRUTH_BY + CONTESTED_BY + RESOLVED_IN) * HOUR)
    log Committed(round=round, validator=msg.sender, bond=bond)


@external
def reveal(
    round: bytes32, approve: bool, score: uint256, root: bytes32, salt: bytes32, uri: String[256]
):
    """
    @notice Show what was committed.
    @param score Accuracy on the assigned items, in millionths.
    @param root Of the tree of outputs, one leaf for each place of the assignment.
    @param uri Where the outputs are.
    """
    begun: uint256 = self.set_of[self.round_of[round].test_set].begun
    assert (
        block.timestamp >= begun + COMMITTED_BY * HOUR
        and block.timestamp < begun + REVEALED_BY * HOUR
    ), "approvals: not the time to reveal"
    assert score <= WHOLE, "approvals: score out of range"
    row: uint256 = self.rows[round][msg.sender]
    assert (
        row & REVEALED == 0
        and root != empty(bytes32)
        and (
            self.roots[round][msg.sender]
            == self._commitment(round, msg.sender, approve, score, root, salt)
        )
    ), "approvals: not what was committed"
    row |= REVEALED | (score << 96)
    if approve:
        row |= APPROVES
    self.rows[round][msg.sender] = row
    self.roots[round][msg.sender] = root
    log Revealed(
        round=round, validator=msg.sender, approve=approve, score=score, root=root, uri=uri
    )


@external
def close(round: bytes32, most: uint256, score: uint256):
    """
    @notice Decide, when the time to reveal is over. Anyone may call it, with what is proved here by sums, unsorted.
    @param most The largest weight that is at most a fifth of all weights which are capped by it.
    @param score The weighted median: less than half of the weight is below it, more than half is not above it.
    """
    row: Round = self.round_of[round]
    begun: uint256 = self.set_of[row.test_set].begun
    assert begun != 0 and block.timestamp >= begun + REVEALED_BY * HOUR, "approvals: not over yet"
    assert row.state == OPEN, "approvals: closed already"
    weight: uint256 = 0
    more: uint256 = 0
    seen: uint256 = 0
    below: uint256 = 0
    up_to: uint256 = 0
    in_favour: uint256 = 0
    approving: uint256 = 0
    approvers: uint256 = 0
    for place: uint256 in range(row.validators, bound=MAX_VALIDATORS):
        each: uint256 = self.rows[round][self.validator_at[round][place]]
        bond: uint256 = each & MASK_96
        counts: uint256 = min(bond, most)
        # Who reveals nothing counts as a rejection.
        weight += counts
        more += min(bond, most + 1)
        if each & REVEALED != 0:
            seen += counts
            found: uint256 = (each >> 96) & MASK_32
            if found < score:
                below += counts
            if found <= score:
                up_to += counts
            if each & APPROVES != 0:
                in_favour += counts
                approving += (each >> OWN_AT) & MASK_96
                approvers += 1
    assert ONE_IN_FIVE * most <= weight and (
        ONE_IN_FIVE * (most + 1) > more
    ), "approvals: not the largest weight"
    assert (2 * below <= seen and 2 * up_to > seen) or (
        seen == 0 and score == 0
    ), "approvals: not the median"
    listed: bool = approvers >= MIN_VALIDATORS and in_favour * 3 >= weight * 2
    self.round_of[round].state = CLOSED
    self.round_of[round].listed = listed
    self.round_of[round].score = score
    self.round_of[round].in_favour = in_favour
    self.round_of[round].weight = weight
    self.round_of[round].most = most
    self.round_of[round].approving = approving
    log Closed(round=round, listed=listed, score=score, in_favour=in_favour, weight=weight)


@external
def finish(round: bytes32):
    """
    @notice When the count can no longer be contested, say what the model is: good, bad, or nothing where the truth did not
            come. Anyone may call it.
    """
    row: Round = self.round_of[round]
    test_set: TestSet = self.set_of[row.test_set]
    assert row.test_set != empty(bytes32) and row.state < GOOD, "approvals: finished already"
    state: uint256 = VOID
    if not test_set.failed:
        assert (
            test_set.truth_at != 0 and self.holds[round] == 0 and self.holds[row.test_set] == 0
        ), "approvals: not final yet"
        deadline: uint256 = max(test_set.truth_at + CONTESTED_BY * HOUR, row.deadline)
        assert block.timestamp >= deadline, "approvals: not final yet"
        if row.counted != 0:
            assert row.state == CLOSED, "approvals: close it first"
            state = GOOD
            if staticcall BAD_COUNTS.is_bad(test_set.items, row.tau - GUARD, row.counted - 1):
                state = BAD
    self.round_of[round].state = state
    self.round_of[round].finished_at = block.timestamp
    self.set_of[row.test_set].open_rounds -= 1
    if state == GOOD and row.listed:
        self.approved_by[row.asset][row.version] = round
    if state == VOID:
        self._empty_budget(round, row.issuer)
    else:
        self._pay_executors(round, row.budget)
    log Finished(round=round, state=state)


# --- Penalties ------------------------------------------------------------------------------------------------------


@external
def punish_silence(round: bytes32, validator: address):
    """
    @notice Take a hundredth of the bond of a validator that did not reveal. Anyone may call it, and is the
            whistle-blower.
    """
    begun: uint256 = self.set_of[self.round_of[round].test_set].begun
    row: uint256 = self.rows[round][validator]
    assert row != 0 and row & (REVEALED | EXECUTES) == 0, "approvals: nothing to punish"
    assert block.timestamp >= begun + REVEALED_BY * HOUR, "approvals: not over yet"
    commitment: bytes32 = self.roots[round][validator]
    # Not under the word that the validator chose: it would use up the name of a case that is to come.
    case: bytes32 = keccak256(abi_encode(round, validator, SILENCE, commitment))
    self._punish(round, validator, (row & MASK_96) // 100, SILENCE, case, case, msg.sender)


@external
def punish_approval(round: bytes32, validator: address):
    """
    @notice Take the penalty of a bad approval from a validator that approved a model shown to be bad. Anyone may call
            it; nobody is paid for it: the committer, who knows first, would earn by labels that are wrong.
    """
    assert self.round_of[round].state == BAD, "approvals: nothing to punish"
    row: uint256 = self.rows[round][validator]
    assert row & APPROVES != 0, "approvals: nothing to punish"
    penalty: uint256 = (row & MASK_96) * self._bad_approval_bps(round) // BPS
    evidence: bytes32 = keccak256(abi_encode(round, self.round_of[round].counted))
    self._punish(round, validator, penalty, BAD_APPROVAL, evidence, evidence, empty(address))


@external
def convict(
    round: bytes32,
    accused: address,
    kind: uint256,
    case: bytes32,
    evidence: bytes32,
    whistle_blower: address,
):
    """
    @notice Take the whole bond for fabricated evidence or a leak, and never let that validator in again. Only the
            Court.
    """
    self._only_court()
    row: uint256 = self.rows[round][accused]
    self.rows[round][accused] = row | CONVICTED
    self.round_of[round].reward_weight -= self.reward_weights[round][accused]
    self.reward_weights[round][accused] = 0
    self.removed[accused] = True
    # A pool that this contract has no power over any more holds no case up.
    if row & MASK_96 > self.taken[self.round_of[round].model][
        accused
    ] and staticcall BOND.may_slash(accused, self, case):
        self._punish(round, accused, row & MASK_96, kind, case, evidence, whistle_blower)


@external
def open_case(round: bytes32, accused: address, case: bytes32):
    """
    @notice Freeze an accused bond. Only the Court.
    """
    self._only_court()
    self.rows[round][accused] += ONE_CASE
    extcall BOND.freeze(accused, case)


@external
def close_case(round: bytes32, accused: address, case: bytes32):
    """
    @notice Unfreeze it when the case is over. Only the Court.
    """
    self._only_court()
    self.rows[round][accused] -= ONE_CASE
    extcall BOND.unfreeze(accused, case)


# --- The count ------------------------------------------------------------------------------------------------------


@external
def back_executor(round: bytes32, executor: address):
    """
    @notice Bind the bond of a re-executor to what it reports. Only the Court.
    """
    self._only_court()
    # Nobody is drawn who has a bond behind the round already.
    assert self.rows[round][executor] == 0
    bond: uint256 = min(staticcall BOND.bonded(executor), MASK_96)
    assert bond >= LEAST_BOND and not self.removed[executor], "approvals: bond too low"
    self.rows[round][executor] = bond | EXECUTES
    extcall BOND.back(executor, block.timestamp + (CONTESTED_BY + RESOLVED_IN) * HOUR)


@external
def set_count(round: bytes32, correct: uint256, root: bytes32, executors: address[2]):
    """
    @notice Two re-executors agree. Only the Court.
    """
    self._only_court()
    row: Round = self.round_of[round]
    assert row.state < GOOD, "approvals: finished already"
    # Early enough to be contested: the first one in the time for that, a later one in a time of its own.
    deadline: uint256 = row.deadline
    if row.attempts == 0:
        deadline = self.set_of[row.test_set].truth_at + (CONTESTED_BY - RESOLVED_IN) * HOUR
    assert block.timestamp < deadline, "approvals: too late to count"
    self.round_of[round].counted = correct + 1
    if row.attempts != 0:
        self.round_of[round].deadline = block.timestamp + RESOLVED_IN * HOUR
    self.executors[round] = executors
    log Counted(round=round, root=root, correct=correct)


@external
def hold(what: bytes32, opens: bool):
    """
    @notice A dispute about a round's count, or a demand for an item of a test set, opens or ends. Only the Court.
    """
    self._only_court()
    if opens:
        self.holds[what] += 1
    else:
        self.holds[what] -= 1


@external
def void_count(round: bytes32) -> bool:
    """
    @notice The count was shown to be wrong. Only the Court.
    @return Whether others may count once more.
    """
    self._only_court()
    self.round_of[round].counted = 0
    self.round_of[round].attempts += 1
    self.round_of[round].deadline = block.timestamp + RECOUNTED_IN * HOUR
    for place: uint256 in range(self.round_of[round].validators, bound=MAX_VALIDATORS):
        # Another count takes longer than stake takes to leave: so what approved stays here meanwhile.
        validator: address = self.validator_at[round][place]
        if self.rows[round][validator] & APPROVES != 0:
            # One whose slashers it left holds no count up; its stake is slashable until the delay is over.
            held: bool = raw_call(
                BOND.address,
                abi_encode(
                    validator,
                    keccak256(abi_encode(round, self.round_of[round].attempts)),
                    method_id=method_id("freeze(address,bytes32)"),
                ),
                revert_on_failure=False,
            )
    log CountVoided(round=round)
    return self.round_of[round].attempts < MAX_ATTEMPTS


# --- Rewards --------------------------------------------------------------------------------------------------------


@external
def grade(round: bytes32, validator: address):
    """
    @notice Count how much nearer to the truth a validator's score was than what the public expected. Anyone may call it,
            within 72 hours of the end of the round.
    """
    row: Round = self.round_of[round]
    assert row.state == GOOD or row.state == BAD, "approvals: no truth to grade by"
    assert block.timestamp < row.finished_at + RESOLVED_IN * HOUR, "approvals: grading is over"
    each: uint256 = self.rows[round][validator]
    assert each & REVEALED != 0, "approvals: nothing to grade"
    assert each & GRADED == 0, "approvals: graded already"
    assert each & CONVICTED == 0 and each // ONE_CASE == 0, "approvals: accused or convicted"
    self.rows[round][validator] = each | GRADED
    truth: int256 = convert((row.counted - 1) * WHOLE // self.set_of[row.test_set].items, int256)
    guess: int256 = convert(row.prior, int256) - truth
    found: int256 = convert((each >> 96) & MASK_32, int256) - truth
    gain: int256 = guess * guess - found * found
    # The issuer names the prior: what it gives away in its own rounds moves nobody else's money.
    key: bytes32 = keccak256(abi_encode(row.issuer, validator))
    number: uint256 = self.gained[key]
    place: uint256 = number % LAST_GAINS
    total: int256 = self.gain_sum[key] + gain - self.gains[key][place]
    self.gains[key][place] = gain
    self.gain_sum[key] = total
    self.gained[key] = number + 1
    if total > 0:
        mean: uint256 = convert(total, uint256) // min(number + 1, LAST_GAINS)
        weight: uint256 = (each & MASK_96) * mean
        self.reward_weights[round][validator] = weight
        self.round_of[round].reward_weight += weight


@external
def reward(round: bytes32, validator: address) -> uint256:
    """
    @notice When grading is over, pay a validator its part of the budget into its bond. Anyone may call it.
    @return Tokens, rounded down; who comes last gets what is left, so that nothing stays.
    """
    self._check_graded(round)
    weight: uint256 = self.reward_weights[round][validator]
    assert weight != 0, "approvals: nothing to pay"
    self.reward_weights[round][validator] = 0
    weights: uint256 = self.round_of[round].reward_weight
    self.round_of[round].reward_weight = weights - weight
    budget: uint256 = self.round_of[round].budget
    amount: uint256 = self._reward(round, validator, budget * weight // weights)
    self.round_of[round].budget = budget - amount
    return amount


@external
def return_budget(round: bytes32):
    """
    @notice When grading is over and nobody earned anything, give the budget back to who paid it. Anyone may call it.
    """
    self._check_graded(round)
    assert (
        self.round_of[round].reward_weight == 0 and self.round_of[round].budget != 0
    ), "approvals: nothing to return"
    self._empty_budget(round, self.round_of[round].issuer)


# --- Views ----------------------------------------------------------------------------------------------------------


@external
@view
@reentrant
def is_final(asset: uint256, version: uint256) -> bool:
    """
    @notice Whether a version was listed, and its approval can no longer be contested.
    """
    return self.approved_by[asset][version] != empty(bytes32)


@external
@view
@reentrant
def approval_of(asset: uint256, version: uint256) -> bytes32:
    """
    @return The round that approved a version for good, or zero.
    """
    return self.approved_by[asset][version]


@external
@view
@reentrant
def row_of(round: bytes32, validator: address) -> (uint256, uint256, bool, bool, bytes32, uint256):
    """
    @return Bond behind it, score (millionths), revealed, approves, root of the outputs (before: the commitment), and
            cases open against it.
    """
    row: uint256 = self.rows[round][validator]
    return (
        row & MASK_96,
        (row >> 96) & MASK_32,
        row & REVEALED != 0,
        row & APPROVES != 0,
        self.roots[round][validator],
        row // ONE_CASE,
    )


@external
@view
@reentrant
def bond_behind(round: bytes32, validator: address) -> uint256:
    """
    @notice Tokens that a validator or re-executor answers with in a round.
    """
    return self.rows[round][validator] & MASK_96


@external
@view
@reentrant
def commitment_for(
    round: bytes32, validator: address, approve: bool, score: uint256, root: bytes32, salt: bytes32
) -> bytes32:
    """
    @notice What a validator commits with. Ask a node of your own: whoever computes it sees the opinion.
    """
    return self._commitment(round, validator, approve, score, root, salt)


@external
@view
@reentrant
def penalty_bps(round: bytes32) -> uint256:
    """
    @notice Part of its bond that a bad approval would cost each approver of a closed round.
    """
    return self._bad_approval_bps(round)


@external
@view
@reentrant
def seed_of(test_set: bytes32) -> bytes32:
    """
    @notice The seed of the assignments; zero before they began.
    """
    row: TestSet = self.set_of[test_set]
    return empty(bytes32) if row.begun == 0 else staticcall DRAWS.seed_of(row.draw)


@external
@view
@reentrant
def check_seed_of(test_set: bytes32) -> bytes32:
    """
    @notice The seed of what is checked; zero before it is known.
    """
    row: TestSet = self.set_of[test_set]
    return empty(bytes32) if row.truth_at == 0 else staticcall DRAWS.seed_of(row.check_draw)


@internal
@view
def _only_court():
    assert msg.sender == COURT, "approvals: only the court"


@internal
@view
def _check_graded(round: bytes32):
    finished_at: uint256 = self.round_of[round].finished_at
    assert (
        finished_at != 0 and block.timestamp >= finished_at + RESOLVED_IN * HOUR
    ), "approvals: grading is not over"


@internal
@view
def _is_settled(round: bytes32, validator: address) -> bool:
    """
    @dev Whether a round is over, and who approved a bad model that was listed has paid for it.
    """
    row: Round = self.round_of[round]
    return row.state >= GOOD and (
        row.state != BAD
        or not row.listed
        or self.rows[round][validator] & APPROVES == 0
        or self.taken[row.model][validator] != 0
    )


@internal
@view
def _is_known(test_set: bytes32) -> bool:
    return self.set_of[test_set].committer != empty(address)


@internal
@view
def _commitment(
    round: bytes32, validator: address, approve: bool, score: uint256, root: bytes32, salt: bytes32
) -> bytes32:
    return keccak256(abi_encode(approve, score, root, salt, validator, round, chain.id, self))


@internal
@view
def _bad_approval_bps(round: bytes32) -> uint256:
    """
    @notice min(30 %, 5 % + 3 * (x - 2 %)), x the wrongly approving part of the weight: rounded down, and not below 0.
    """
    weight: uint256 = self.round_of[round].weight
    if weight == 0:
        return 0
    wrong: uint256 = self.round_of[round].in_favour * BPS // weight
    return min(3_000, max(3 * wrong, 100) - 100)


@internal
def _punish(
    round: bytes32,
    validator: address,
    penalty: uint256,
    kind: uint256,
    case: bytes32,
    evidence: bytes32,
    whistle_blower: address,
):
    model: bytes32 = self.round_of[round].model
    before: uint256 = self.taken[model][validator]
    assert penalty > before, "approvals: punished already"
    self.taken[model][validator] = penalty
    amount: uint256 = extcall BOND.slash(
        validator, penalty - before, case, evidence, whistle_blower
    )
    log Punished(round=round, validator=validator, kind=kind, amount=amount, evidence=evidence)


@internal
def _pay_executors(round: bytes32, budget: uint256):
    part: uint256 = budget * EXECUTOR_BPS // BPS
    for executor: address in self.executors[round]:
        paid: uint256 = self._reward(round, executor, part)
        self.round_of[round].budget -= paid


@internal
def _reward(round: bytes32, validator: address, amount: uint256) -> uint256:
    """
    @return What was paid: nothing to a pool that is closed, so that it holds nobody else up.
    """
    if amount == 0 or not staticcall BOND.can_reward(validator):
        return 0
    self.obligations -= amount
    assert extcall TOKEN.approve(BOND.address, amount), "approvals: token refused the transfer"
    extcall BOND.reward(validator, amount)
    log Rewarded(round=round, validator=validator, amount=amount)
    return amount


@internal
def _release_pledge(test_set: bytes32, pledge: uint256):
    self.set_of[test_set].pledge = 0
    self.obligations -= pledge


@internal
def _empty_budget(round: bytes32, issuer: address):
    budget: uint256 = self.round_of[round].budget
    self.round_of[round].budget = 0
    self.obligations -= budget
    self._send(issuer, budget)


@internal
def _take_in(amount: uint256):
    self.obligations += amount
    if amount != 0:
        assert extcall TOKEN.transferFrom(
            msg.sender, self, amount
        ), "approvals: token refused the transfer"


@internal
def _send(receiver: address, amount: uint256):
    if amount != 0:
        assert extcall TOKEN.transfer(receiver, amount), "approvals: token refused the transfer"
