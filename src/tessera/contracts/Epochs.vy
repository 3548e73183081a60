# pragma version 0.4.3
# pragma evm-version cancun
# pragma nonreentrancy on
"""
@title Epochs
@license Apache-2.0
@notice The results of subnets' epochs: anyone posts one with a bond, at the same cost for every size; while its window
        is open, any number of it can be recomputed in EpochCourt or asked for; a proved fault voids it and costs the
        bond; what stands at the end is final, and emission is paid by it.
@dev A result is nine words over the inputs that Scores keeps; this contract keeps their hash. The epochs of a subnet
     are settled in their order, because the bonds of one are the inputs of the next. Whoever cannot compute what was
     posted asks for its parts; an answer is in the court's logs. Twin: `tessera.spec.epochs`.
@custom:security A false result stands if nobody looks at it during the whole window: validators and owners are the ones
     who lose by it, and a keeper's check costs no gas. Who answers nothing loses the bond as who lies. The window has
     room for five rounds of questions, eight at a time, enough to find one false column of 4,096 in a tree that is shown
     only path by path. An epoch that nobody posts in time is skipped and pays nothing; each void one starts that time
     again, and costs somebody a bond. A poster who accuses itself through another account loses 80 %.
@custom:invariant solvent, settled_once, never_early, can_always_claim
@custom:pause Nothing here can be paused, and nobody has power over another's bond; the court is fixed at deployment.
"""
from ethereum.ercs import IERC20
from .modules import epoch_results
from .modules import rescues
from .modules import sum_trees


interface IRegistry:
    def commons() -> address: view


event Posted:
    subnet: indexed(uint256)
    epoch: indexed(uint256)
    poster: indexed(address)
    attempt: uint256
    digest: bytes32
    result: epoch_results.Result


# `fault` is the court's number of what was wrong; 0: a question stayed without an answer.
event Voided:
    subnet: indexed(uint256)
    epoch: indexed(uint256)
    challenger: indexed(address)
    poster: address
    attempt: uint256
    fault: uint256


event Finalized:
    subnet: indexed(uint256)
    epoch: indexed(uint256)
    poster: indexed(address)
    digest: bytes32


event Skipped:
    subnet: indexed(uint256)
    epoch: indexed(uint256)


event Asked:
    subnet: indexed(uint256)
    epoch: indexed(uint256)
    requester: indexed(address)
    part: uint256
    due: uint256


event Answered:
    subnet: indexed(uint256)
    epoch: indexed(uint256)
    part: indexed(uint256)
    by: address


event Collected:
    payee: indexed(address)
    amount: uint256


event SurplusAbsorbed:
    amount: uint256


# What the deployment fixes. Times are seconds, amounts are base units of the network token.
struct Terms:
    bond: uint256
    # What a question costs; it is the poster's once answered, and comes back if the result is void.
    fee: uint256
    # How long after its inputs are fixed, the epoch before is settled, or a result is void, one may be posted.
    post_window: uint256
    challenge_window: uint256
    # How long an answer may take, and how long a result at least stays open after one.
    answer_window: uint256
    reaction_window: uint256


# `posted_at` and `answered_at` tell when a result can be final; `open` questions have no answer yet.
struct Post:
    digest: bytes32
    poster: address
    posted_at: uint256
    answered_at: uint256
    open: uint256


# A subnet's next epoch; its last final one + 1; the one whose bonds go on, + 1; since when the next one waits; when the
# last final one became final.
struct Clock:
    next: uint256
    last: uint256
    carried: uint256
    since: uint256
    final_at: uint256


COLUMNS: constant(uint256) = 1
ROWS: constant(uint256) = 2**32
ROUNDS: constant(uint256) = 5
# Questions that a poster is sure to find room for in one answer window.
ANSWERS: constant(uint256) = 64
MAX_COLUMNS: constant(uint256) = 4_096
U40: constant(uint256) = 2**40 - 1
U48: constant(uint256) = 2**48 - 1
U64: constant(uint256) = 2**64 - 1
CHALLENGER_PARTS: constant(uint256) = 5
MAX_EVIDENCE: constant(uint256) = 2048

TOKEN: immutable(address)
REGISTRY: immutable(address)
SCORES: immutable(address)
COURT: immutable(address)
TERMS: immutable(Terms)

# subnet -> epoch -> the digest of its live or final result.
digests: HashMap[uint256, HashMap[uint256, bytes32]]
# subnet -> epoch -> poster (160) | posted at (40) | answered at (40) | open questions (16).
seats: HashMap[uint256, HashMap[uint256, uint256]]
# subnet -> epoch -> how many of its results were voided.
attempts: public(HashMap[uint256, HashMap[uint256, uint256]])
# subnet -> next epoch (48) | last final one + 1 (48) | the one whose bonds go on, + 1 (48) | since (48) | final at (48).
clocks: HashMap[uint256, uint256]
# subnet -> epoch -> attempt -> part -> who asked (160) | due (40).
questions: HashMap[uint256, HashMap[uint256, HashMap[uint256, HashMap[uint256, uint256]]]]
# What waits for somebody to collect it.
owed_of: public(HashMap[address, uint256])
# All of the token here that belongs to somebody.
obligations: public(uint256)


@deploy
def __init__(token: address, registry: address, scores: address, court: address, terms: Terms):
    assert (
        terms.answer_window != 0
        and terms.challenge_window >= ROUNDS * (terms.answer_window + terms.reaction_window)
    ), "epochs: window too short for five rounds of questions"
    # So that nobody gains by asking for more than can be answered: the answers cost more than the challenger's part.
    assert terms.fee * ANSWERS >= terms.bond // CHALLENGER_PARTS, "epochs: fee too low for the bond"
    TOKEN = token
    REGISTRY = registry
    SCORES = scores
    COURT = court
    TERMS = terms


# --- Results --------------------------------------------------------------------------------------------------------


@external
def post(subnet: uint256, epoch: uint256, result: epoch_results.Result) -> bytes32:
    """
    @notice Say what came of the next epoch of a subnet, with the bond from the caller's account.
    @param result What `tessera.spec.epochs` computes; its inputs, rules and last epoch must be those of now.
    @return The result's digest.
    """
    clock: Clock = self._clock(subnet)
    assert epoch == clock.next, "epochs: not the next epoch"
    assert self.digests[subnet][epoch] == empty(bytes32), "epochs: posted already"
    inputs: epoch_results.Inputs = self._inputs(subnet, epoch)
    assert block.timestamp >= inputs.closes_at, "epochs: inputs not fixed yet"
    assert inputs.rows != 0 and inputs.columns != 0, "epochs: nothing to compute"
    assert (
        inputs.rows <= epoch_results.MAX_ROWS and inputs.columns <= MAX_COLUMNS
    ), "epochs: too large to be challenged"
    assert result.inputs == inputs.digest, "epochs: other inputs"
    assert result.rules == epoch_results._rules(SCORES, subnet), "epochs: other rules"
    assert result.previous == clock.carried, "epochs: other last result"
    digest: bytes32 = epoch_results._digest(result)
    self.digests[subnet][epoch] = digest
    self._seat(
        subnet,
        epoch,
        Post(digest=digest, poster=msg.sender, posted_at=block.timestamp, answered_at=0, open=0),
    )
    self._take(TERMS.bond)
    log Posted(
        subnet=subnet,
        epoch=epoch,
        poster=msg.sender,
        attempt=self.attempts[subnet][epoch],
        digest=digest,
        result=result,
    )
    return digest


@external
def finalize(subnet: uint256, epoch: uint256):
    """
    @notice End an epoch whose result nobody proved false. Anyone may call it; the bond is the poster's again.
    """
    live: Post = self._live(subnet, epoch)
    assert live.open == 0, "epochs: a question is open"
    assert block.timestamp >= self._ends(live), "epochs: window still open"
    self._set_clock(
        subnet,
        Clock(
            next=epoch + 1,
            last=epoch + 1,
            carried=epoch + 1,
            since=block.timestamp,
            final_at=block.timestamp,
        ),
    )
    self.owed_of[live.poster] += TERMS.bond
    log Finalized(subnet=subnet, epoch=epoch, poster=live.poster, digest=live.digest)


@external
def skip(subnet: uint256, epoch: uint256):
    """
    @notice End an epoch without a result: nobody revealed scores, there is no model, or nobody posted in time. It pays
            nothing, and the next one goes on; where nobody posted in time, with no bonds carried over. Anyone may call it.
    """
    clock: Clock = self._clock(subnet)
    assert epoch == clock.next, "epochs: not the next epoch"
    assert self.digests[subnet][epoch] == empty(bytes32), "epochs: posted already"
    inputs: epoch_results.Inputs = self._inputs(subnet, epoch)
    assert block.timestamp >= inputs.closes_at, "epochs: inputs not fixed yet"
    if inputs.rows != 0 and inputs.columns != 0:
        assert (
            block.timestamp >= max(inputs.closes_at, clock.since) + TERMS.post_window
        ), "epochs: still time to post"
        # Perhaps nobody has the last result's parts any more; then no later epoch could be computed either.
        clock.carried = 0
    clock.next = epoch + 1
    clock.since = block.timestamp
    self._set_clock(subnet, clock)
    log Skipped(subnet=subnet, epoch=epoch)


@external
def convict(subnet: uint256, epoch: uint256, challenger: address, fault: uint256):
    """
    @notice Void a result. Only the court says so, and only after it recomputed the fault itself.
    """
    assert msg.sender == COURT, "epochs: only the court"
    self._void(subnet, epoch, self._live(subnet, epoch), challenger, fault)


# --- Questions ------------------------------------------------------------------------------------------------------


@external
def ask(subnet: uint256, epoch: uint256, part: uint256):
    """
    @notice Ask for a part of a live result, for a fee from the caller's account. If nobody shows it in time, the result
            is void and the caller its challenger.
    @param part 0: the stakes; 1 + j: column j; 2^32 + k: row k.
    """
    live: Post = self._live(subnet, epoch)
    assert (block.timestamp < live.posted_at + TERMS.challenge_window), "epochs: too late to ask"
    inputs: epoch_results.Inputs = self._inputs(subnet, epoch)
    assert (
        part < COLUMNS + inputs.columns or (part >= ROWS and part < ROWS + inputs.rows)
    ), "epochs: no such part"
    attempt: uint256 = self.attempts[subnet][epoch]
    assert self.questions[subnet][epoch][attempt][part] == 0, "epochs: asked already"
    due: uint256 = block.timestamp + TERMS.answer_window
    self.questions[subnet][epoch][attempt][part] = convert(msg.sender, uint256) | due << 160
    # At most one open question for each of 4,353 parts.
    live.open += 1
    self._seat(subnet, epoch, live)
    self._take(TERMS.fee)
    log Asked(subnet=subnet, epoch=epoch, requester=msg.sender, part=part, due=due)


@external
def answered(subnet: uint256, epoch: uint256, part: uint256, by: address):
    """
    @notice Close a question. Only the court says so, after it saw the part. The fee is for who showed it.
    """
    assert msg.sender == COURT, "epochs: only the court"
    live: Post = self._live(subnet, epoch)
    attempt: uint256 = self.attempts[subnet][epoch]
    assert self.questions[subnet][epoch][attempt][part] != 0, "epochs: nobody asked"
    self.questions[subnet][epoch][attempt][part] = 0
    live.open -= 1
    live.answered_at = block.timestamp
    self._seat(subnet, epoch, live)
    self.owed_of[by] += TERMS.fee
    log Answered(subnet=subnet, epoch=epoch, part=part, by=by)


@external
def accuse(subnet: uint256, epoch: uint256, part: uint256):
    """
    @notice Void a result of which a part was asked for and not shown in time. Anyone may call it; the challenger is who
            asked.
    """
    live: Post = self._live(subnet, epoch)
    question: uint256 = self.questions[subnet][epoch][self.attempts[subnet][epoch]][part]
    assert question != 0, "epochs: nobody asked"
    assert block.timestamp > question >> 160, "epochs: still time to answer"
    self._void(subnet, epoch, live, self._address(question), 0)


@external
def take_back(subnet: uint256, epoch: uint256, attempt: uint256, part: uint256):
    """
    @notice Give the fee of a question about a void result back to who asked. Anyone may call it.
    """
    assert attempt < self.attempts[subnet][epoch], "epochs: not void"
    question: uint256 = self.questions[subnet][epoch][attempt][part]
    assert question != 0, "epochs: nobody asked"
    self.questions[subnet][epoch][attempt][part] = 0
    self.owed_of[self._address(question)] += TERMS.fee


@external
def collect(payee: address) -> uint256:
    """
    @notice Send somebody what is owed: a bond back, a fee, a challenger's part. Anyone may call it.
    """
    amount: uint256 = self.owed_of[payee]
    self.owed_of[payee] = 0
    if amount != 0:
        self.obligations -= amount
        assert extcall IERC20(TOKEN).transfer(
            payee, amount, default_return_value=True
        ), "epochs: token refused the transfer"
    log Collected(payee=payee, amount=amount)
    return amount


# --- Mistakes -------------------------------------------------------------------------------------------------------


@external
def absorb_surplus() -> uint256:
    """
    @notice Owe the commons what was sent straight to this contract and belongs to nobody.
    """
    amount: uint256 = staticcall IERC20(TOKEN).balanceOf(self) - self.obligations
    self.obligations += amount
    self.owed_of[staticcall IRegistry(REGISTRY).commons()] += amount
    log SurplusAbsorbed(amount=amount)
    return amount


@external
def rescue(token: address) -> uint256:
    """
    @notice Send another token that was sent to this contract by mistake to the commons.
    """
    assert token != TOKEN, "epochs: the token is somebody's; use absorb_surplus"
    return rescues._rescue(token, staticcall IRegistry(REGISTRY).commons())


# --- Views ----------------------------------------------------------------------------------------------------------


@external
@view
@reentrant
def settled(subnet: uint256, epoch: uint256) -> uint256:
    """
    @return 0: not yet; 1: with a final result; 2: skipped.
    """
    if epoch >= self._clock(subnet).next:
        return 0
    if self.digests[subnet][epoch] == empty(bytes32):
        return 2
    return 1


@external
@view
@reentrant
def last_final(subnet: uint256) -> uint256:
    """
    @return A subnet's last epoch with a final result, + 1; 0: there is none.
    """
    return self._clock(subnet).last


@external
@view
@reentrant
def final_at(subnet: uint256) -> uint256:
    """
    @return When that epoch became final; 0: there is none.
    """
    return self._clock(subnet).final_at


@external
@view
@reentrant
def is_posted(subnet: uint256, epoch: uint256) -> bool:
    """
    @return Whether an epoch has a result, live or final.
    """
    return self.digests[subnet][epoch] != empty(bytes32)


@external
@view
@reentrant
def sums_of(
    subnet: uint256, epoch: uint256, result: epoch_results.Result
) -> (uint256, uint256, uint256):
    """
    @return Of a final epoch, the sums of active stakes, of dividends and of ranks.
    """
    inputs: epoch_results.Inputs = self._final(subnet, epoch, result)
    return result.sums >> 64 & U64, result.dividends & (2**128 - 1), result.incentive


@external
@view
@reentrant
def model_part(
    subnet: uint256,
    epoch: uint256,
    result: epoch_results.Result,
    uid: uint256,
    consensus: uint256,
    rank: uint256,
    data: bytes32,
    path: DynArray[sum_trees.Node, sum_trees.MAX_HEIGHT],
) -> (uint256, uint256):
    """
    @notice What part of a final epoch a model earned.
    @param data The hash of its column's words.
    @return Its rank and the sum of all; I of the specification is the first over the second. 0, 0: nobody earned.
    """
    self._check_column(subnet, epoch, result, uid, consensus, rank, data, path)
    return rank, result.incentive


@external
@view
@reentrant
def incentive_of(
    subnet: uint256, epoch: uint256, uid: uint256, evidence: Bytes[MAX_EVIDENCE]
) -> uint256:
    """
    @notice A model's rank in a final epoch, for contracts that pass its proof on without reading it.
    @param evidence What `model_part` takes after the uid, encoded: result, consensus, rank, data, path.
    """
    result: epoch_results.Result = empty(epoch_results.Result)
    consensus: uint256 = 0
    rank: uint256 = 0
    data: bytes32 = empty(bytes32)
    path: DynArray[sum_trees.Node, sum_trees.MAX_HEIGHT] = []
    result, consensus, rank, data, path = abi_decode(
        evidence,
        (
            epoch_results.Result,
            uint256,
            uint256,
            bytes32,
            DynArray[sum_trees.Node, sum_trees.MAX_HEIGHT],
        ),
    )
    self._check_column(subnet, epoch, result, uid, consensus, rank, data, path)
    return rank


@external
@view
@reentrant
def validator_part(
    subnet: uint256,
    epoch: uint256,
    result: epoch_results.Result,
    row: uint256,
    active: uint256,
    counted: uint256,
    path: DynArray[sum_trees.Node, sum_trees.MAX_HEIGHT],
) -> (address, uint256, uint256):
    """
    @notice What part of a final epoch a validator earned.
    @param counted Its dividends, and its trust in the upper half.
    @return Who it is, its active stake and its dividends; D of the specification is the last over the sum of all.
    """
    inputs: epoch_results.Inputs = self._final(subnet, epoch, result)
    assert epoch_results._is_row(
        result, inputs.rows, row, active, counted, path
    ), "epochs: not in the result"
    validator: address = empty(address)
    root: bytes32 = empty(bytes32)
    total: uint256 = 0
    stake: uint256 = 0
    validator, root, total, stake = staticcall epoch_results.IScores(SCORES).row_at(
        subnet, epoch, row
    )
    return validator, active, counted & (2**128 - 1)


@external
@view
@reentrant
def digest_of(subnet: uint256, epoch: uint256) -> bytes32:
    """
    @return The digest of an epoch's live or final result; empty: there is none.
    """
    return self.digests[subnet][epoch]


@external
@view
@reentrant
def on_trial(subnet: uint256, epoch: uint256) -> bytes32:
    """
    @return The digest of a result that is not final yet; empty: there is none.
    """
    if epoch != self._clock(subnet).next:
        return empty(bytes32)
    return self.digests[subnet][epoch]


@external
@view
@reentrant
def post_of(subnet: uint256, epoch: uint256) -> Post:
    """
    @notice Who posted an epoch's result, and when.
    """
    return self._post(subnet, epoch)


@external
@view
@reentrant
def ends_at(subnet: uint256, epoch: uint256) -> uint256:
    """
    @return When a live result can be final, if no question is open then.
    """
    return self._ends(self._live(subnet, epoch))


@external
@view
@reentrant
def clock_of(subnet: uint256) -> Clock:
    return self._clock(subnet)


@external
@view
@reentrant
def question_of(subnet: uint256, epoch: uint256, part: uint256) -> (address, uint256):
    """
    @return Who asked for a part of the live result, and until when it must be shown.
    """
    question: uint256 = self.questions[subnet][epoch][self.attempts[subnet][epoch]][part]
    return self._address(question), question >> 160


@external
@view
@reentrant
def terms() -> Terms:
    return TERMS


@external
@view
@reentrant
def token() -> address:
    return TOKEN


@external
@view
@reentrant
def registry() -> address:
    return REGISTRY


@external
@view
@reentrant
def scores() -> address:
    return SCORES


@external
@view
@reentrant
def court() -> address:
    return COURT


# --- Inside ---------------------------------------------------------------------------------------------------------


@internal
def _void(subnet: uint256, epoch: uint256, live: Post, challenger: address, fault: uint256):
    """
    @dev A fifth of the bond to the challenger, rounded down; the rest to the commons.
    """
    attempt: uint256 = self.attempts[subnet][epoch]
    self.attempts[subnet][epoch] = attempt + 1
    self.digests[subnet][epoch] = empty(bytes32)
    self.seats[subnet][epoch] = 0
    clock: Clock = self._clock(subnet)
    clock.since = block.timestamp
    self._set_clock(subnet, clock)
    found: uint256 = TERMS.bond // CHALLENGER_PARTS
    self.owed_of[challenger] += found
    self.owed_of[staticcall IRegistry(REGISTRY).commons()] += TERMS.bond - found
    log Voided(
        subnet=subnet,
        epoch=epoch,
        challenger=challenger,
        poster=live.poster,
        attempt=attempt,
        fault=fault,
    )


@internal
def _take(amount: uint256):
    self.obligations += amount
    assert extcall IERC20(TOKEN).transferFrom(
        msg.sender, self, amount, default_return_value=True
    ), "epochs: token refused the transfer"


@internal
@view
def _inputs(subnet: uint256, epoch: uint256) -> epoch_results.Inputs:
    return epoch_results._inputs(SCORES, subnet, epoch)


@internal
@view
def _final(subnet: uint256, epoch: uint256, result: epoch_results.Result) -> epoch_results.Inputs:
    assert (
        epoch < self._clock(subnet).next
        and self.digests[subnet][epoch] == epoch_results._digest(result)
    ), "epochs: not the final result"
    return self._inputs(subnet, epoch)


@internal
@view
def _check_column(
    subnet: uint256,
    epoch: uint256,
    result: epoch_results.Result,
    uid: uint256,
    consensus: uint256,
    rank: uint256,
    data: bytes32,
    path: DynArray[sum_trees.Node, sum_trees.MAX_HEIGHT],
):
    inputs: epoch_results.Inputs = self._final(subnet, epoch, result)
    assert epoch_results._is_column(
        result, inputs.columns, uid, consensus, rank, data, path
    ), "epochs: not in the result"


@internal
@view
def _live(subnet: uint256, epoch: uint256) -> Post:
    live: Post = self._post(subnet, epoch)
    assert (
        live.digest != empty(bytes32) and epoch == self._clock(subnet).next
    ), "epochs: no live result"
    return live


@internal
@view
def _ends(live: Post) -> uint256:
    reacted: uint256 = 0
    if live.answered_at != 0:
        reacted = live.answered_at + TERMS.reaction_window
    return max(live.posted_at + TERMS.challenge_window, reacted)


@internal
@view
def _post(subnet: uint256, epoch: uint256) -> Post:
    seat: uint256 = self.seats[subnet][epoch]
    return Post(
        digest=self.digests[subnet][epoch],
        poster=self._address(seat),
        posted_at=seat >> 160 & U40,
        answered_at=seat >> 200 & U40,
        open=seat >> 240,
    )


@internal
def _seat(subnet: uint256, epoch: uint256, live: Post):
    self.seats[subnet][epoch] = (
        convert(live.poster, uint256)
        | live.posted_at << 160
        | live.answered_at << 200
        | live.open << 240
    )


@internal
@view
def _clock(subnet: uint256) -> Clock:
    word: uint256 = self.clocks[subnet]
    return Clock(
        next=word & U48,
        last=word >> 48 & U48,
        carried=word >> 96 & U48,
        since=word >> 144 & U48,
        final_at=word >> 192,
    )


@internal
def _set_clock(subnet: uint256, clock: Clock):
    self.clocks[subnet] = (
        clock.next
        | clock.last << 48
        | clock.carried << 96
        | clock.since << 144
        | clock.final_at << 192
    )


@internal
@pure
def _address(word: uint256) -> address:
    return convert(word & (2**160 - 1), address)
