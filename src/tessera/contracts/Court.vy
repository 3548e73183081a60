# pragma version 0.4.3
# pragma evm-version cancun
# pragma nonreentrancy on
"""
@title Court
@license Apache-2.0
@notice Hears evidence about rounds of `Approvals`: outputs that no re-execution gives, hidden items in a report, and wrong
        counts. A dispute is narrowed to one item; five drawn jurors run that item, and four must agree.
@dev Counts are made by re-executors that are drawn from the same list. Their tree of answers has sixteen children to a node
     and three levels, so a count is narrowed to one item in three moves. Twin: `tessera.spec.court`.
@custom:security Nobody is judged by opinions: a score is never evidence, only an output of a deterministic runner. A juror
     loses nothing by its vote, and every juror that votes is paid, whatever the others say.
     A challenge without substance costs its stake: half at most to the jurors, the rest to the accused. A committee that
     does not come to four equal votes ends a case without harm to anyone but the fees, and the case may be brought again.
     An accused that does not show what it committed to is treated as if it had been shown false, and a challenger that
     does not move as if it had been wrong: nobody gains by silence.
@custom:invariant solvent, settled_once
@custom:pause Nothing here can be paused.
"""
from ethereum.ercs import IERC20
from .modules import places


struct TestSet:
    committer: address
    root: bytes32
    items: uint256
    pool: bytes32
    pool_items: uint256
    pledge: uint256
    covered: uint256
    until: uint256
    begun: uint256
    truth_at: uint256
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
    def set_of(test_set: bytes32) -> TestSet: view
    def round_of(round: bytes32) -> Round: view
    def row_of(round: bytes32, validator: address) -> (
        uint256, uint256, bool, bool, bytes32, uint256
    ): view
    def seed_of(test_set: bytes32) -> bytes32: view
    def check_seed_of(test_set: bytes32) -> bytes32: view
    def fail_set(test_set: bytes32, teller: address): nonpayable
    def convict(
        round: bytes32,
        accused: address,
        kind: uint256,
        case: bytes32,
        evidence: bytes32,
        whistle_blower: address,
    ): nonpayable
    def open_case(round: bytes32, accused: address, case: bytes32): nonpayable
    def close_case(round: bytes32, accused: address, case: bytes32): nonpayable
    def back_executor(round: bytes32, executor: address): nonpayable
    def set_count(
        round: bytes32, correct: uint256, root: bytes32, executors: address[2]
    ): nonpayable
    def hold(what: bytes32, opens: bool): nonpayable
    def void_count(round: bytes32) -> bool: nonpayable


interface IJury:
    def ask(round: bytes32, first: address, second: address) -> uint256: nonpayable
    def outcome(poll: uint256) -> (uint256, address[5], bytes32[5]): view
    def drawn(
        seed: bytes32,
        asked: uint256,
        count: uint256,
        round: bytes32,
        first: address,
        second: address,
    ) -> address[5]: view


interface IDraws:
    def request() -> uint256: nonpayable
    def seed_of(draw: uint256) -> bytes32: view


event ExecutorsSeated:
    round: indexed(bytes32)
    executors: address[3]


event Reported:
    round: indexed(bytes32)
    executor: indexed(address)
    root: bytes32
    correct: uint256
    uri: String[256]


event Shown:
    round: indexed(bytes32)
    validator: indexed(address)
    place: uint256
    item: bytes32
    output: bytes32


event CaseOpened:
    case: indexed(uint256)
    round: indexed(bytes32)
    accused: indexed(address)
    challenger: address
    place: uint256
    claim: bytes32
    stake: uint256


event Narrowed:
    case: indexed(uint256)
    hashes: bytes32[16]
    sums: uint256[16]


event Picked:
    case: indexed(uint256)
    index: uint256


event CaseClosed:
    case: indexed(uint256)
    upheld: bool
    dismissed: bool


event Demanded:
    test_set: indexed(bytes32)
    index: indexed(uint256)
    sender: address


event Supplied:
    test_set: indexed(bytes32)
    index: indexed(uint256)
    content: Bytes[4096]
    label: bytes32


struct Case:
    stage: uint256
    round: bytes32
    # A validator; where a count is contested, the first of both re-executors.
    accused: address
    second: address
    challenger: address
    stake: uint256
    # The place of an assignment, or the number of a hidden item as far as it is narrowed.
    place: uint256
    level: uint256
    attempt: uint256
    node: bytes32
    total: uint256
    # What the accused showed, and what the challenger says it should be.
    shown: bytes32
    claim: bytes32
    deadline: uint256
    poll: uint256


struct Demand:
    sender: address
    deadline: uint256


ASSIGNED: constant(uint256) = 200
SHARED: constant(uint256) = 40
PLACES: constant(uint256) = 256
CHECKED: constant(uint256) = 5
JURORS: constant(uint256) = 5
NEEDED: constant(uint256) = 4
EXECUTORS: constant(uint256) = 3
LEVELS: constant(uint256) = 3
# Of a challenger's stake, to each juror that votes.
FEES: constant(uint256) = 10

# Hours: until a committed output must be shown, a move made, jurors drawn, a count committed and then revealed. A dispute is over
# in 72 at most.
SHOW_IN: constant(uint256) = 24
MOVE_IN: constant(uint256) = 4
DRAWN_IN: constant(uint256) = 12
REPORT_IN: constant(uint256) = 36
TRUTH_BY: constant(uint256) = 80
CONTESTED_BY: constant(uint256) = 168
RESOLVED_IN: constant(uint256) = 72

FABRICATED: constant(uint256) = 1
LEAKED: constant(uint256) = 3

# Stages of a case: who has to move.
TO_SHOW: constant(uint256) = 1
TO_NARROW: constant(uint256) = 2
TO_PICK: constant(uint256) = 3
TO_OPEN: constant(uint256) = 4
TO_CLAIM: constant(uint256) = 5
TO_VOTE: constant(uint256) = 6
OVER: constant(uint256) = 7

TOKEN: immutable(IERC20)
JURY: public(immutable(IJury))
DRAWS: immutable(IDraws)
APPROVALS: public(immutable(IApprovals))
HOUR: public(immutable(uint256))
COST: public(immutable(uint256))

# By round and attempt.
executors_of: public(HashMap[bytes32, HashMap[uint256, address[3]]])
seated_at: HashMap[bytes32, HashMap[uint256, uint256]]
reports: HashMap[bytes32, HashMap[address, bytes32]]
reported: HashMap[bytes32, HashMap[uint256, bytes32[3]]]
recounts: HashMap[bytes32, uint256]
recount_at: HashMap[bytes32, uint256]
root_of: HashMap[bytes32, bytes32]

shown: public(HashMap[bytes32, HashMap[address, HashMap[uint256, bytes32]]])
checks_from: public(HashMap[bytes32, uint256])
cases: public(uint256)
case_of: public(HashMap[uint256, Case])
# Outputs that four jurors confirmed, by round, validator and place.
confirmed: HashMap[bytes32, HashMap[address, HashMap[uint256, bool]]]
demands: public(HashMap[bytes32, HashMap[uint256, Demand]])
# Tokens that lie here for stakes and demands.
obligations: public(uint256)


@deploy
def __init__(
    token: address,
    jury: address,
    draws: address,
    approvals: address,
    hour: uint256,
    cost: uint256,
):
    """
    @param cost Base units of the token: the least stake of a challenge, twice what a re-execution costs.
    """
    assert hour != 0 and cost != 0, "court: hour and cost must not be 0"
    TOKEN = IERC20(token)
    JURY = IJury(jury)
    DRAWS = IDraws(draws)
    APPROVALS = IApprovals(approvals)
    HOUR = hour
    COST = cost


# --- Counts ---------------------------------------------------------------------------------------------------------


@external
def seat_executors(round: bytes32):
    """
    @notice Draw the three who count, when the seed is there. Anyone may call it.
    """
    row: Round = self._about(round)
    test_set: TestSet = staticcall APPROVALS.set_of(row.test_set)
    assert row.state < 2 and row.counted == 0, "court: nothing to count"
    assert self.seated_at[round][row.attempts] == 0, "court: seated already"
    seed: bytes32 = empty(bytes32)
    asked: uint256 = test_set.truth_at
    if row.attempts == 0:
        seed = staticcall APPROVALS.check_seed_of(row.test_set)
    elif self.recounts[round] != 0:
        asked = self.recount_at[round]
        seed = staticcall DRAWS.seed_of(self.recounts[round])
    assert seed != empty(bytes32), "court: no seed yet"
    self.seated_at[round][row.attempts] = block.timestamp
    seats: address[5] = staticcall JURY.drawn(
        keccak256(abi_encode(seed, round)),
        asked,
        EXECUTORS,
        round,
        test_set.committer,
        row.issuer,
    )
    executors: address[3] = [seats[0], seats[1], seats[2]]
    self.executors_of[round][row.attempts] = executors
    log ExecutorsSeated(round=round, executors=executors)


@external
def commit_report(round: bytes32, commitment: bytes32):
    """
    @notice As a drawn re-executor, commit to a count (`commitment_of_report`), within 36 hours. Binds the bond to it.
    """
    attempt: uint256 = self._about(round).attempts
    self._seat_of(round, attempt, msg.sender)
    assert (
        block.timestamp < self.seated_at[round][attempt] + REPORT_IN * HOUR
    ), "court: not the time to commit"
    assert self.reports[round][msg.sender] == empty(bytes32), "court: committed already"
    self.reports[round][msg.sender] = commitment
    extcall APPROVALS.back_executor(round, msg.sender)


@external
def report(round: bytes32, root: bytes32, correct: uint256, salt: bytes32, uri: String[256]):
    """
    @notice Publish the root of the answers to all hidden items and how many are right, in the 36 hours behind those of
            commitments. When two agree, that is the count.
    """
    row: Round = self._about(round)
    seat: uint256 = self._seat_of(round, row.attempts, msg.sender)
    since: uint256 = self.seated_at[round][row.attempts] + REPORT_IN * HOUR
    assert (
        block.timestamp >= since and block.timestamp < since + REPORT_IN * HOUR
    ), "court: not the time to reveal"
    assert self.reports[round][msg.sender] == self._report_hash(
        round, msg.sender, root, correct, salt
    ), "court: not what was committed"
    assert (
        correct <= (staticcall APPROVALS.set_of(row.test_set)).items
    ), "court: more than all items"
    found: bytes32 = keccak256(abi_encode(root, correct))
    self.reported[round][row.attempts][seat] = found
    log Reported(round=round, executor=msg.sender, root=root, correct=correct, uri=uri)
    if row.counted == 0 and row.state < 2:
        for other: uint256 in range(EXECUTORS):
            if other != seat and self.reported[round][row.attempts][other] == found:
                self.root_of[round] = root
                both: address[2] = [self.executors_of[round][row.attempts][other], msg.sender]
                extcall APPROVALS.set_count(round, correct, root, both)
                break


@external
def call_others(round: bytes32):
    """
    @notice Where the time to report is over and no two agreed, have three others count. Anyone may call it.
    """
    row: Round = self._about(round)
    seated: uint256 = self.seated_at[round][row.attempts]
    assert (
        row.state < 2
        and row.counted == 0
        and seated != 0
        and block.timestamp >= seated + 2 * REPORT_IN * HOUR
    ), "court: nobody is late"
    self._count_again(round)


@external
def contest(round: bytes32) -> uint256:
    """
    @notice Say that a count is wrong. Takes the stake that `stake_for` shows; both re-executors' bonds are frozen.
    """
    row: Round = self._about(round)
    test_set: TestSet = staticcall APPROVALS.set_of(row.test_set)
    assert row.counted != 0 and row.state < 2, "court: no count to contest"
    assert block.timestamp < max(
        test_set.truth_at + CONTESTED_BY * HOUR, row.deadline
    ), "court: too late"
    both: address[2] = self._agreeing(round, row.attempts)
    case: uint256 = self._open(round, both[0], both[1], 0, empty(bytes32))
    self.case_of[case].stage = TO_NARROW
    self.case_of[case].attempt = row.attempts
    self.case_of[case].node = self.root_of[round]
    self.case_of[case].total = row.counted - 1
    extcall APPROVALS.hold(round, True)
    return case


@external
def narrow(case: uint256, hashes: bytes32[16], sums: uint256[16]):
    """
    @notice Show the sixteen children of the node that a contested count is narrowed to. Anyone who knows them may.
    """
    row: Case = self.case_of[case]
    assert row.stage == TO_NARROW, "court: not the move to make"
    assert keccak256(abi_encode(hashes, sums)) == row.node, "court: not the children of that node"
    total: uint256 = 0
    for each: uint256 in sums:
        total += each
    assert total == row.total, "court: not the children of that node"
    self._turn(case, TO_PICK, MOVE_IN)
    log Narrowed(case=case, hashes=hashes, sums=sums)


@external
def pick(case: uint256, hashes: bytes32[16], sums: uint256[16], which: uint256):
    """
    @notice As the challenger, say which of the children is wrong. Takes them again, as they were shown.
    """
    row: Case = self.case_of[case]
    assert row.stage == TO_PICK, "court: not the move to make"
    assert msg.sender == row.challenger, "court: only the challenger"
    assert keccak256(abi_encode(hashes, sums)) == row.node, "court: not the children of that node"
    self.case_of[case].node = hashes[which]
    self.case_of[case].total = sums[which]
    self.case_of[case].place = row.place * 16 + which
    self.case_of[case].level = row.level + 1
    self._turn(case, TO_OPEN if row.level + 1 == LEVELS else TO_NARROW, MOVE_IN)
    log Picked(case=case, index=row.place * 16 + which)


@external
def open_leaf(case: uint256, output: bytes32, correct: bool):
    """
    @notice Show what a contested count says of the one item that is left. Anyone who knows it may.
    """
    row: Case = self.case_of[case]
    assert row.stage == TO_OPEN, "court: not the move to make"
    found: bytes32 = keccak256(abi_encode(row.place, output, correct))
    assert found == row.node and row.total == convert(correct, uint256), "court: not that leaf"
    # Behind the last item nothing can be right.
    test_set: bytes32 = self._about(row.round).test_set
    assert (
        not correct or row.place < (staticcall APPROVALS.set_of(test_set)).items
    ), "court: not that leaf"
    self.case_of[case].shown = self._choice(output, correct)
    self._turn(case, TO_CLAIM, MOVE_IN)


@external
def claim(case: uint256, choice: bytes32):
    """
    @notice As the challenger, say what it should be: `choice_of` output and correctness. Then jurors are drawn.
    """
    row: Case = self.case_of[case]
    assert row.stage == TO_CLAIM, "court: not the move to make"
    assert msg.sender == row.challenger, "court: only the challenger"
    assert choice != row.shown and choice != empty(bytes32), "court: not another answer"
    self.case_of[case].claim = choice
    self._ask(case)


# --- Outputs of validators ------------------------------------------------------------------------------------------


@external
def show(
    round: bytes32,
    validator: address,
    place: uint256,
    item: bytes32,
    output: bytes32,
    proof: DynArray[bytes32, places.MAX_DEPTH],
):
    """
    @notice Show the output of a validator at a place of its assignment. Anyone who knows it may. Five drawn places must
            be shown by everyone, and those that a challenger asks for.
    """
    self._check_leaf(round, validator, place, item, output, proof)
    assert output != empty(bytes32), "court: not an output"
    self.shown[round][validator][place] = output
    log Shown(round=round, validator=validator, place=place, item=item, output=output)


@external
def call_checks(test_set: bytes32):
    """
    @notice When the seed of the checks is there, let the 72 hours begin in which drawn places must be shown. Anyone may
            call it.
    """
    assert self.checks_from[test_set] == 0, "court: called already"
    assert (staticcall APPROVALS.check_seed_of(test_set) != empty(bytes32)), "court: no seed yet"
    truth_at: uint256 = (staticcall APPROVALS.set_of(test_set)).truth_at
    assert block.timestamp < truth_at + (CONTESTED_BY - RESOLVED_IN) * HOUR, "court: too late"
    self.checks_from[test_set] = block.timestamp


@external
def punish_missing(round: bytes32, validator: address, check: uint256):
    """
    @notice A validator that did not show a drawn place has nothing to show: fabricated. Anyone may call it, and is the
            whistle-blower.
    """
    test_set: bytes32 = self._about(round).test_set
    since: uint256 = self.checks_from[test_set]
    assert since != 0 and block.timestamp >= since + RESOLVED_IN * HOUR, "court: it has time"
    assert block.timestamp < since + 2 * RESOLVED_IN * HOUR, "court: too late"
    assert (staticcall APPROVALS.row_of(round, validator))[2], "court: nothing was revealed"
    assert check < CHECKED, "court: no such check"
    place: uint256 = self._drawn_place(test_set, round, validator, check)
    assert self.shown[round][validator][place] == empty(bytes32), "court: it was shown"
    evidence: bytes32 = keccak256(abi_encode(round, validator, place))
    self._convict(round, validator, FABRICATED, evidence, evidence, msg.sender)


@external
def accuse(round: bytes32, validator: address, place: uint256, output: bytes32) -> uint256:
    """
    @notice Say that re-execution gives `output` at a place of a validator's assignment, and that the validator has
            another. Takes the stake that `stake_for` shows; the accused bond is frozen.
    """
    assert (staticcall APPROVALS.row_of(round, validator))[2], "court: nothing was revealed"
    assert place < ASSIGNED, "court: no such place"
    assert output != empty(bytes32), "court: not an output"
    assert not self.confirmed[round][validator][place], "court: decided"
    assert block.timestamp < self._truth_at(round) + CONTESTED_BY * HOUR, "court: too late"
    case: uint256 = self._open(round, validator, empty(address), place, output)
    self._turn(case, TO_SHOW, SHOW_IN)
    return case


@external
def answer(case: uint256):
    """
    @notice When the output was shown: the same as the challenger's ends the case, another calls jurors. Anyone may call
            it.
    """
    row: Case = self.case_of[case]
    assert row.stage == TO_SHOW, "court: not the move to make"
    output: bytes32 = self.shown[row.round][row.accused][row.place]
    assert output != empty(bytes32), "court: not shown yet"
    self.case_of[case].shown = output
    if output == row.claim:
        self._lost(case, 0)
    else:
        self._ask(case)


@external
def punish_wrong_item(
    round: bytes32,
    validator: address,
    place: uint256,
    item: bytes32,
    output: bytes32,
    proof: DynArray[bytes32, places.MAX_DEPTH],
    assigned: bytes32,
    pool_proof: DynArray[bytes32, places.MAX_DEPTH],
):
    """
    @notice Show that a validator reported another item than the one assigned to that place: fabricated. The caller is the
            whistle-blower.
    """
    self._check_leaf(round, validator, place, item, output, proof)
    assert place < ASSIGNED, "court: no such place"
    self._check_other_item(round, validator, place, item, assigned, pool_proof)
    # Of this round: the same leaf in another one is another case.
    evidence: bytes32 = keccak256(abi_encode(round, place, item, output))
    self._convict(round, validator, FABRICATED, evidence, evidence, msg.sender)


@external
def punish_leak(
    round: bytes32,
    validator: address,
    place: uint256,
    item: bytes32,
    output: bytes32,
    proof: DynArray[bytes32, places.MAX_DEPTH],
    assigned: bytes32,
    pool_proof: DynArray[bytes32, places.MAX_DEPTH],
    index: uint256,
    salt: bytes32,
    label: bytes32,
    hidden_proof: DynArray[bytes32, places.MAX_DEPTH],
):
    """
    @notice Show that a report which was committed before the truth contains a hidden item. The caller is the
            whistle-blower.
    @param assigned The item that belongs at that place: a public item is no leak, whoever hid it too.
    """
    self._check_leaf(round, validator, place, item, output, proof)
    if place < ASSIGNED:
        self._check_other_item(round, validator, place, item, assigned, pool_proof)
    test_set: TestSet = self._set_of(round)
    hidden: bytes32 = keccak256(abi_encode(index, salt, item, label))
    assert places._leads_to(
        hidden, index, test_set.items, hidden_proof, test_set.root
    ), "court: not a hidden item"
    evidence: bytes32 = keccak256(abi_encode(round, place, item, output, hidden))
    self._convict(round, validator, LEAKED, evidence, evidence, msg.sender)


# --- The end of a case ------------------------------------------------------------------------------------------------


@external
def resolve(case: uint256):
    """
    @notice Close a case: by the votes, or against who did not move in time. Anyone may call it.
    """
    row: Case = self.case_of[case]
    assert row.stage != 0 and row.stage != OVER, "court: no open case"
    deadline: uint256 = row.deadline
    over: uint256 = 0
    jurors: address[5] = empty(address[5])
    choices: bytes32[5] = empty(bytes32[5])
    if row.stage == TO_VOTE:
        over, jurors, choices = staticcall JURY.outcome(row.poll)
        if over != 0:
            deadline = over
    assert block.timestamp >= deadline, "court: not over yet"
    if row.stage == TO_VOTE:
        upheld: uint256 = 0
        rejected: uint256 = 0
        fees: uint256 = 0
        for place: uint256 in range(JURORS):
            choice: bytes32 = choices[place]
            if choice != empty(bytes32):
                fees += row.stake // FEES
                self._pay(jurors[place], row.stake // FEES)
                if choice == row.claim:
                    upheld += 1
                elif choice == row.shown:
                    rejected += 1
        if upheld >= NEEDED:
            self._won(case, fees)
        elif rejected >= NEEDED:
            if row.second == empty(address):
                self.confirmed[row.round][row.accused][row.place] = True
            self._lost(case, fees)
        else:
            self._dismiss(case, fees)
    elif row.stage == TO_PICK or row.stage == TO_CLAIM:
        self._lost(case, 0)
    elif row.stage == TO_SHOW and self.shown[row.round][row.accused][row.place] != empty(bytes32):
        # It was shown in time, and nobody said so.
        self.case_of[case].shown = self.shown[row.round][row.accused][row.place]
        if self.case_of[case].shown == row.claim:
            self._lost(case, 0)
        else:
            self._ask(case)
    else:
        self._won(case, 0)


# --- Hidden items ---------------------------------------------------------------------------------------------------


@external
def demand(test_set: bytes32, index: uint256):
    """
    @notice Ask the committer for a hidden item that is not where it should be. Takes `COST`, which goes to the committer
            when it shows the item on the chain, and back to the caller when it does not.
    """
    row: TestSet = staticcall APPROVALS.set_of(test_set)
    assert row.truth_at != 0 and not row.failed and index < row.items, "court: nothing to demand"
    assert (block.timestamp < row.truth_at + (CONTESTED_BY - SHOW_IN) * HOUR), "court: too late"
    assert self.demands[test_set][index].deadline == 0, "court: demanded already"
    self.demands[test_set][index] = Demand(
        sender=msg.sender, deadline=block.timestamp + SHOW_IN * HOUR
    )
    extcall APPROVALS.hold(test_set, True)
    self._take_in(COST)
    log Demanded(test_set=test_set, index=index, sender=msg.sender)


@external
def supply(
    test_set: bytes32,
    index: uint256,
    salt: bytes32,
    content: Bytes[4096],
    label: bytes32,
    proof: DynArray[bytes32, places.MAX_DEPTH],
):
    """
    @notice Show a hidden item that was demanded. Anyone who knows it may; the fee is the committer's.
    """
    row: TestSet = staticcall APPROVALS.set_of(test_set)
    assert self.demands[test_set][index].sender != empty(address), "court: not demanded"
    leaf: bytes32 = keccak256(abi_encode(index, salt, keccak256(content), label))
    assert places._leads_to(leaf, index, row.items, proof, row.root), "court: not a hidden item"
    self.demands[test_set][index].sender = empty(address)
    extcall APPROVALS.hold(test_set, False)
    self._pay(row.committer, COST)
    log Supplied(test_set=test_set, index=index, content=content, label=label)


@external
def punish_withheld(test_set: bytes32, index: uint256):
    """
    @notice An item was not shown within 24 hours: the committer's pledge pays, and who demanded it is the whistle-blower.
            Anyone may call it.
    """
    row: Demand = self.demands[test_set][index]
    assert row.sender != empty(address), "court: not demanded"
    assert block.timestamp >= row.deadline, "court: it has time"
    self.demands[test_set][index].sender = empty(address)
    extcall APPROVALS.hold(test_set, False)
    if not (staticcall APPROVALS.set_of(test_set)).failed:
        extcall APPROVALS.fail_set(test_set, row.sender)
    self._pay(row.sender, COST)


# --- Views ----------------------------------------------------------------------------------------------------------


@external
@view
@reentrant
def item_at(round: bytes32, validator: address, place: uint256) -> uint256:
    """
    @notice Number of the public item that a validator gets at a place: 40 are the same for all, 160 its own.
    """
    return self._item_at(round, validator, place)


@external
@view
@reentrant
def check_at(round: bytes32, validator: address, check: uint256) -> uint256:
    """
    @notice The drawn place of one of a validator's five checks.
    """
    test_set: bytes32 = self._about(round).test_set
    return self._drawn_place(test_set, round, validator, check)


@external
@view
@reentrant
def stake_for(round: bytes32, accused: address) -> uint256:
    """
    @notice Tokens that a challenge takes: a hundredth of the accused bond, and the cost of re-executions at least.
    """
    return self._stake_for(round, accused)


@external
@view
@reentrant
def choice_of(output: bytes32, correct: bool) -> bytes32:
    """
    @notice What a juror votes, and a challenger claims, about one item of a count.
    """
    return self._choice(output, correct)


@external
@view
@reentrant
def commitment_of_report(
    round: bytes32, executor: address, root: bytes32, correct: uint256, salt: bytes32
) -> bytes32:
    """
    @notice What a re-executor commits with.
    """
    return self._report_hash(round, executor, root, correct, salt)


@internal
@pure
def _choice(output: bytes32, correct: bool) -> bytes32:
    return keccak256(abi_encode(output, correct))


@internal
@view
def _report_hash(
    round: bytes32, executor: address, root: bytes32, correct: uint256, salt: bytes32
) -> bytes32:
    return keccak256(abi_encode(root, correct, salt, executor, round, chain.id, self))


@internal
@view
def _set_of(round: bytes32) -> TestSet:
    return staticcall APPROVALS.set_of(self._about(round).test_set)


@internal
@view
def _truth_at(round: bytes32) -> uint256:
    """
    @notice When the truth came, or was to come at the latest: nobody keeps outputs for ever.
    """
    test_set: TestSet = self._set_of(round)
    if test_set.truth_at != 0:
        return test_set.truth_at
    return test_set.begun + TRUTH_BY * HOUR


@internal
@view
def _seat_of(round: bytes32, attempt: uint256, executor: address) -> uint256:
    for seat: uint256 in range(EXECUTORS):
        if self.executors_of[round][attempt][seat] == executor:
            return seat
    raise "court: not a re-executor of this round"


@internal
@view
def _agreeing(round: bytes32, attempt: uint256) -> address[2]:
    """
    @notice The two re-executors whose count stands.
    """
    found: bytes32[3] = self.reported[round][attempt]
    seats: address[3] = self.executors_of[round][attempt]
    if found[0] == found[1] and found[0] != empty(bytes32):
        return [seats[0], seats[1]]
    if found[0] == found[2] and found[0] != empty(bytes32):
        return [seats[0], seats[2]]
    return [seats[1], seats[2]]


@internal
@view
def _item_at(round: bytes32, validator: address, place: uint256) -> uint256:
    assert place < ASSIGNED, "court: no such place"
    name: bytes32 = self._about(round).test_set
    seed: bytes32 = staticcall APPROVALS.seed_of(name)
    count: uint256 = (staticcall APPROVALS.set_of(name)).pool_items
    common: bytes32 = keccak256(abi_encode(seed, round))
    if place < SHARED:
        return places._shuffled(place, count, common)
    own: bytes32 = keccak256(abi_encode(seed, round, validator))
    # What the shared part left over, in an order of its own.
    return places._shuffled(
        SHARED + places._shuffled(place - SHARED, count - SHARED, own), count, common
    )


@internal
@view
def _drawn_place(test_set: bytes32, round: bytes32, validator: address, check: uint256) -> uint256:
    seed: bytes32 = staticcall APPROVALS.check_seed_of(test_set)
    assert seed != empty(bytes32), "court: no seed yet"
    return places._shuffled(check, ASSIGNED, keccak256(abi_encode(seed, round, validator)))


@internal
@view
def _check_leaf(
    round: bytes32,
    validator: address,
    place: uint256,
    item: bytes32,
    output: bytes32,
    proof: DynArray[bytes32, places.MAX_DEPTH],
):
    revealed: bool = False
    root: bytes32 = empty(bytes32)
    bond: uint256 = 0
    score: uint256 = 0
    approves: bool = False
    open_cases: uint256 = 0
    bond, score, revealed, approves, root, open_cases = staticcall APPROVALS.row_of(
        round, validator
    )
    assert revealed, "court: nothing was revealed"
    leaf: bytes32 = keccak256(abi_encode(place, item, output))
    assert places._leads_to(leaf, place, PLACES, proof, root), "court: not that leaf"


@internal
@view
def _check_other_item(
    round: bytes32,
    validator: address,
    place: uint256,
    item: bytes32,
    assigned: bytes32,
    pool_proof: DynArray[bytes32, places.MAX_DEPTH],
):
    test_set: TestSet = self._set_of(round)
    number: uint256 = self._item_at(round, validator, place)
    leaf: bytes32 = keccak256(abi_encode(number, assigned, empty(bytes32)))
    assert places._leads_to(
        leaf, number, test_set.pool_items, pool_proof, test_set.pool
    ), "court: not the assigned item"
    assert item != assigned, "court: it is the assigned item"


@internal
@view
def _stake_for(round: bytes32, accused: address) -> uint256:
    bond: uint256 = (staticcall APPROVALS.row_of(round, accused))[0]
    return max(bond // 100, COST)


@internal
def _open(
    round: bytes32, accused: address, second: address, place: uint256, output: bytes32
) -> uint256:
    self.cases += 1
    case: uint256 = self.cases
    stake: uint256 = self._stake_for(round, accused)
    self.case_of[case].round = round
    self.case_of[case].accused = accused
    self.case_of[case].second = second
    self.case_of[case].challenger = msg.sender
    self.case_of[case].stake = stake
    self.case_of[case].place = place
    self.case_of[case].claim = output
    self.case_of[case].deadline = block.timestamp + MOVE_IN * HOUR
    name: bytes32 = convert(case, bytes32)
    extcall APPROVALS.open_case(round, accused, name)
    if second != empty(address):
        extcall APPROVALS.open_case(round, second, name)
    self._take_in(stake)
    log CaseOpened(
        case=case,
        round=round,
        accused=accused,
        challenger=msg.sender,
        place=place,
        claim=output,
        stake=stake,
    )
    return case


@internal
def _turn(case: uint256, stage: uint256, hours: uint256):
    self.case_of[case].stage = stage
    self.case_of[case].deadline = block.timestamp + hours * HOUR


@internal
def _ask(case: uint256):
    row: Case = self.case_of[case]
    self._turn(case, TO_VOTE, DRAWN_IN)
    issuer: address = self._about(row.round).issuer
    self.case_of[case].poll = extcall JURY.ask(row.round, row.challenger, issuer)


@internal
def _won(case: uint256, fees: uint256):
    row: Case = self.case_of[case]
    if row.second != empty(address) and self._about(row.round).attempts != row.attempt:
        # Another case was first: this count is void already, and so is what was said against it.
        self._dismiss(case, fees)
        return
    evidence: bytes32 = keccak256(abi_encode(case, row.place, row.shown, row.claim))
    name: bytes32 = convert(case, bytes32)
    # First, while the bond is frozen: then it can be taken whatever the accused left meanwhile.
    self._convict(row.round, row.accused, FABRICATED, name, evidence, row.challenger)
    if row.second != empty(address):
        self._convict(row.round, row.second, FABRICATED, name, evidence, row.challenger)
    self._close(case, True, False)
    if row.second != empty(address):
        self._count_again(row.round)
    self._pay(row.challenger, row.stake - fees)


@internal
@view
def _about(round: bytes32) -> Round:
    return staticcall APPROVALS.round_of(round)


@internal
def _count_again(round: bytes32):
    if extcall APPROVALS.void_count(round):
        self.recounts[round] = extcall DRAWS.request()
        self.recount_at[round] = block.timestamp


@internal
def _lost(case: uint256, fees: uint256):
    row: Case = self.case_of[case]
    self._close(case, False, False)
    rest: uint256 = row.stake - fees
    if row.second != empty(address):
        self._pay(row.second, rest // 2)
        rest -= rest // 2
    self._pay(row.accused, rest)


@internal
def _dismiss(case: uint256, fees: uint256):
    row: Case = self.case_of[case]
    self._close(case, False, True)
    self._pay(row.challenger, row.stake - fees)


@internal
def _close(case: uint256, upheld: bool, dismissed: bool):
    row: Case = self.case_of[case]
    self.case_of[case].stage = OVER
    name: bytes32 = convert(case, bytes32)
    extcall APPROVALS.close_case(row.round, row.accused, name)
    if row.second != empty(address):
        extcall APPROVALS.close_case(row.round, row.second, name)
        extcall APPROVALS.hold(row.round, False)
    log CaseClosed(case=case, upheld=upheld, dismissed=dismissed)


@internal
def _convict(
    round: bytes32,
    accused: address,
    kind: uint256,
    case: bytes32,
    evidence: bytes32,
    whistle_blower: address,
):
    extcall APPROVALS.convict(round, accused, kind, case, evidence, whistle_blower)


@internal
def _take_in(amount: uint256):
    self.obligations += amount
    assert extcall TOKEN.transferFrom(msg.sender, self, amount), "court: token refused the transfer"


@internal
def _pay(receiver: address, amount: uint256):
    if amount != 0:
        self.obligations -= amount
        assert extcall TOKEN.transfer(receiver, amount), "court: token refused the transfer"
