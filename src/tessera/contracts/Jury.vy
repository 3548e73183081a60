# pragma version 0.4.3
# pragma evm-version cancun
# pragma nonreentrancy on
"""
@title Jury
@license Apache-2.0
@notice The list of those who re-execute items, the draws from it, and their votes: five run one item, each commits to what
        it gave, and then shows it.
@dev `Court` asks; what follows from the votes is decided there. Twin: `tessera.spec.court`.
@custom:security The list can change between a request for a seed and the draw; who enlisted after the request is passed
     over, so that nobody who knows the seed can take a seat. A place on the list costs a bond, so that many places cost
     many; who left keeps no seat empty, since each is drawn from all slots until somebody will do. A vote is bound to juror, poll, chain and contract, and hidden until all are in: a copy shows nothing. Nobody
     loses anything by a vote.
@custom:invariant settled_once
@custom:pause Nothing here can be paused.
"""


interface IApprovals:
    def bond_behind(round: bytes32, validator: address) -> uint256: view


interface IBond:
    def bonded(validator: address) -> uint256: view


interface IDraws:
    def request() -> uint256: nonpayable
    def seed_of(draw: uint256) -> bytes32: view


event Enlisted:
    juror: indexed(address)
    slot: uint256


event Evicted:
    juror: indexed(address)
    slot: uint256


event Asked:
    poll: indexed(uint256)
    sender: indexed(address)
    draw: uint256


event Seated:
    poll: indexed(uint256)
    jurors: address[5]


event Voted:
    poll: indexed(uint256)
    juror: indexed(address)
    choice: bytes32


struct Poll:
    # Who cannot sit: those with a bond behind it, and two more.
    round: bytes32
    first: address
    second: address
    draw: uint256
    asked: uint256
    seated: uint256
    jurors: address[5]
    choices: bytes32[5]


JURORS: constant(uint256) = 5
# Slots that are looked at for a seat: with nine of ten slots dead one in 850 stays empty.
PROBES: constant(uint256) = 64
# Hours: to commit to a vote, and then to show it.
VOTE_IN: constant(uint256) = 16
REVEAL_IN: constant(uint256) = 8

BOND: immutable(IBond)
DRAWS: immutable(IDraws)
APPROVALS: immutable(IApprovals)
HOUR: public(immutable(uint256))
LEAST_BOND: public(immutable(uint256))

slots: public(uint256)
juror_at: public(HashMap[uint256, address])
since: HashMap[uint256, uint256]
# One more than the slot.
slot_of: HashMap[address, uint256]
free: HashMap[uint256, uint256]
freed: uint256

polls: public(uint256)
poll_of: public(HashMap[uint256, Poll])
commitments: HashMap[uint256, HashMap[address, bytes32]]


@deploy
def __init__(bond: address, draws: address, approvals: address, hour: uint256, least_bond: uint256):
    """
    @param hour Seconds that stand for an hour.
    @param least_bond Base units of the token that a juror must have bonded.
    """
    assert hour != 0 and least_bond != 0, "jury: hour and bond must not be 0"
    BOND = IBond(bond)
    DRAWS = IDraws(draws)
    APPROVALS = IApprovals(approvals)
    HOUR = hour
    LEAST_BOND = least_bond


@external
def enlist():
    """
    @notice Offer to re-execute and to judge. Asks for a bond; nothing of it can be lost by a vote.
    """
    assert self.slot_of[msg.sender] == 0, "jury: enlisted already"
    assert staticcall BOND.bonded(msg.sender) >= LEAST_BOND, "jury: bond too low"
    slot: uint256 = self.slots
    if self.freed != 0:
        self.freed -= 1
        slot = self.free[self.freed]
    else:
        self.slots = slot + 1
    self.juror_at[slot] = msg.sender
    self.since[slot] = block.timestamp
    self.slot_of[msg.sender] = slot + 1
    log Enlisted(juror=msg.sender, slot=slot)


@external
def evict(juror: address):
    """
    @notice Take a juror off the list: the juror itself may, and anyone once its bond is too low.
    """
    place: uint256 = self.slot_of[juror]
    assert place != 0, "jury: not enlisted"
    assert (
        msg.sender == juror or staticcall BOND.bonded(juror) < LEAST_BOND
    ), "jury: its bond suffices"
    self.slot_of[juror] = 0
    self.juror_at[place - 1] = empty(address)
    self.free[self.freed] = place - 1
    self.freed += 1
    log Evicted(juror=juror, slot=place - 1)


@external
def ask(round: bytes32, first: address, second: address) -> uint256:
    """
    @notice Begin a poll, of which neither of two can be a juror, nor anybody with a bond behind `round`. Anyone may; jurors
            look at who asked.
    @return Its number, from 1.
    """
    self.polls += 1
    poll: uint256 = self.polls
    number: uint256 = extcall DRAWS.request()
    self.poll_of[poll].round = round
    self.poll_of[poll].first = first
    self.poll_of[poll].second = second
    self.poll_of[poll].draw = number
    self.poll_of[poll].asked = block.timestamp
    log Asked(poll=poll, sender=msg.sender, draw=number)
    return poll


@external
def seat(poll: uint256):
    """
    @notice Draw the five, when the seed is there. Anyone may call it.
    """
    row: Poll = self.poll_of[poll]
    assert row.asked != 0, "jury: no such poll"
    assert row.seated == 0, "jury: seated already"
    seed: bytes32 = staticcall DRAWS.seed_of(row.draw)
    assert seed != empty(bytes32), "jury: no seed yet"
    jurors: address[5] = self._drawn(
        keccak256(abi_encode(seed, poll)), row.asked, JURORS, row.round, row.first, row.second
    )
    self.poll_of[poll].seated = block.timestamp
    self.poll_of[poll].jurors = jurors
    log Seated(poll=poll, jurors=jurors)


@external
def commit(poll: uint256, commitment: bytes32):
    """
    @notice As a juror, commit to what the item gave (`commitment_for`), within 16 hours.
    """
    row: Poll = self.poll_of[poll]
    assert block.timestamp < row.seated + VOTE_IN * HOUR, "jury: not the time to commit"
    assert msg.sender in row.jurors, "jury: not a juror of this poll"
    assert self.commitments[poll][msg.sender] == empty(bytes32), "jury: committed already"
    self.commitments[poll][msg.sender] = commitment


@external
def vote(poll: uint256, choice: bytes32, salt: bytes32):
    """
    @notice Show the vote, in the 8 hours behind those.
    """
    row: Poll = self.poll_of[poll]
    since: uint256 = row.seated + VOTE_IN * HOUR
    assert (
        block.timestamp >= since and block.timestamp < since + REVEAL_IN * HOUR
    ), "jury: not the time to vote"
    assert choice != empty(bytes32) and self.commitments[poll][msg.sender] == self._commitment(
        poll, msg.sender, choice, salt
    ), "jury: not what was committed"
    for place: uint256 in range(JURORS):
        if row.jurors[place] == msg.sender:
            self.poll_of[poll].choices[place] = choice
    log Voted(poll=poll, juror=msg.sender, choice=choice)


@external
@view
@reentrant
def outcome(poll: uint256) -> (uint256, address[5], bytes32[5]):
    """
    @return When it is over (unix seconds; 0 while nobody was seated), the jurors, and what each of them voted: zero for
            who did not.
    """
    row: Poll = self.poll_of[poll]
    over: uint256 = 0
    if row.seated != 0:
        over = row.seated + (VOTE_IN + REVEAL_IN) * HOUR
    return over, row.jurors, row.choices


@external
@view
@reentrant
def drawn(
    seed: bytes32, asked: uint256, count: uint256, round: bytes32, first: address, second: address
) -> address[5]:
    """
    @notice Draw up to five from those on the list before `asked`, neither `first` nor `second`, nobody with a bond behind
            `round`, and nobody twice. A seat stays empty where none of 64 drawn slots will do.
    """
    return self._drawn(seed, asked, count, round, first, second)


@external
@view
@reentrant
def commitment_for(poll: uint256, juror: address, choice: bytes32, salt: bytes32) -> bytes32:
    """
    @notice What a juror commits with. Ask a node of your own: whoever computes it sees the vote.
    """
    return self._commitment(poll, juror, choice, salt)


@internal
@view
def _commitment(poll: uint256, juror: address, choice: bytes32, salt: bytes32) -> bytes32:
    return keccak256(abi_encode(choice, salt, juror, poll, chain.id, self))


@internal
@view
def _drawn(
    seed: bytes32, asked: uint256, count: uint256, round: bytes32, first: address, second: address
) -> address[5]:
    seats: address[5] = empty(address[5])
    slots: uint256 = self.slots
    if slots == 0:
        return seats
    for place: uint256 in range(count, bound=JURORS):
        for probe: uint256 in range(PROBES):
            # Drawn each time: slots in a row can be dead together, since who leaves them came together.
            slot: uint256 = (convert(keccak256(abi_encode(seed, place, probe)), uint256) % slots)
            juror: address = self.juror_at[slot]
            if juror == empty(address) or juror == first or juror == second or juror in seats:
                continue
            if self.since[slot] >= asked or staticcall BOND.bonded(juror) < LEAST_BOND:
                continue
            if staticcall APPROVALS.bond_behind(round, juror) != 0:
                continue
            seats[place] = juror
            break
    return seats
