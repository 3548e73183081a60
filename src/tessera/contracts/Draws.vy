# pragma version 0.4.3
# pragma evm-version cancun
# pragma nonreentrancy on
"""
@title Draws
@license Apache-2.0
@notice Random numbers that nobody knows before they are drawn: whoever cares about one commits to a secret, with a
        deposit, and reveals it. One secret that is not known to the others makes the number fair.
@dev A source behind the port that `Approvals`, `Court` and `Jury` ask: `request` and `seed_of` are all of it. This one
     trusts no sequencer, which could choose prevrandao. Twin: `tessera.spec.court`.
@custom:security A draw has a number only if every secret of it was revealed: else who committed to many could choose,
     after all others, which of them to keep, and have as many throws for one deposit. Whoever keeps a secret therefore
     throws for everybody again, and for twice the deposit: n throws cost 2^n - 1 deposits, and to hold a draw up as
     long costs the same. A secret is bound to sender, draw, chain and contract, so that a copied commitment reveals
     nothing. Secrets are joined so that their order does not matter. A draw in which nobody took part can be held
     again, by anyone, as often as it takes.
@custom:invariant solvent
@custom:pause Nothing here can be paused.
"""
from ethereum.ercs import IERC20


interface IRegistry:
    def commons() -> address: view


event Requested:
    draw: indexed(uint256)
    until: uint256


event Committed:
    draw: indexed(uint256)
    sender: indexed(address)


event Revealed:
    draw: indexed(uint256)
    sender: indexed(address)
    secret: bytes32


event Forfeited:
    draw: indexed(uint256)
    sender: indexed(address)


struct Draw:
    opened: uint256
    open_secrets: uint256
    revealed: uint256
    forfeited: uint256
    mixed: uint256
    # Base units that a secret costs here if it is not revealed.
    deposit: uint256


TOKEN: immutable(IERC20)
REGISTRY: immutable(IRegistry)
WINDOW: public(immutable(uint256))
DEPOSIT: public(immutable(uint256))

draws: public(uint256)
draw_of: public(HashMap[uint256, Draw])
commitment_of: public(HashMap[uint256, HashMap[address, bytes32]])


@deploy
def __init__(token: address, registry: address, window: uint256, deposit: uint256):
    """
    @param window Seconds to commit in, and again to reveal in.
    @param deposit Base units that a secret costs if it is not revealed; twice as many each time a draw is held again.
    """
    assert window != 0 and deposit != 0, "draws: window and deposit must not be 0"
    TOKEN = IERC20(token)
    REGISTRY = IRegistry(registry)
    WINDOW = window
    DEPOSIT = deposit


@external
def request() -> uint256:
    """
    @notice Begin a draw. Anyone may; a number that nobody waits for harms nobody.
    @return Its number, from 1.
    """
    self.draws += 1
    self._open(self.draws, DEPOSIT)
    return self.draws


@external
def commit(draw: uint256, commitment: bytes32):
    """
    @notice Take part: `commitment` is the hash that `commitment_for` shows. Takes the deposit of this draw. Take a
            fresh secret for a draw that is held again.
    """
    assert block.timestamp < self.draw_of[draw].opened + WINDOW, "draws: not the time to commit"
    assert commitment != empty(bytes32), "draws: not a commitment"
    assert self.commitment_of[draw][msg.sender] == empty(bytes32), "draws: committed already"
    self.commitment_of[draw][msg.sender] = commitment
    self.draw_of[draw].open_secrets += 1
    log Committed(draw=draw, sender=msg.sender)
    assert extcall TOKEN.transferFrom(
        msg.sender, self, self.draw_of[draw].deposit
    ), "draws: token refused the transfer"


@external
def reveal(draw: uint256, secret: bytes32):
    """
    @notice Show the secret, and get the deposit back.
    """
    since: uint256 = self.draw_of[draw].opened + WINDOW
    assert (
        block.timestamp >= since and block.timestamp < since + WINDOW
    ), "draws: not the time to reveal"
    assert (
        self.commitment_of[draw][msg.sender] == self._commitment(draw, msg.sender, secret)
    ), "draws: not what was committed"
    self.commitment_of[draw][msg.sender] = empty(bytes32)
    self.draw_of[draw].open_secrets -= 1
    self.draw_of[draw].revealed += 1
    self.draw_of[draw].mixed ^= convert(keccak256(abi_encode(msg.sender, secret)), uint256)
    log Revealed(draw=draw, sender=msg.sender, secret=secret)
    assert extcall TOKEN.transfer(
        msg.sender, self.draw_of[draw].deposit
    ), "draws: token refused the transfer"


@external
def forfeit(draw: uint256, sender: address):
    """
    @notice Send the deposit of a secret that was not revealed to the commons. Anyone may call it.
    """
    assert self._is_over(draw), "draws: not over yet"
    assert self.commitment_of[draw][sender] != empty(bytes32), "draws: nothing to forfeit"
    self.commitment_of[draw][sender] = empty(bytes32)
    self.draw_of[draw].open_secrets -= 1
    self.draw_of[draw].forfeited += 1
    log Forfeited(draw=draw, sender=sender)
    assert extcall TOKEN.transfer(
        staticcall REGISTRY.commons(), self.draw_of[draw].deposit
    ), "draws: token refused the transfer"


@external
def again(draw: uint256):
    """
    @notice Hold a draw again in which a secret was kept, or nobody took part, once its deposits are forfeited: where one
            was, for twice the deposit. Anyone may call it.
    """
    row: Draw = self.draw_of[draw]
    assert (
        self._is_over(draw) and self._number(draw) == empty(bytes32)
    ), "draws: has its number, or may still get it"
    assert row.open_secrets == 0, "draws: forfeit its deposits first"
    self._open(draw, row.deposit if row.forfeited == 0 else 2 * row.deposit)


@external
@view
@reentrant
def seed_of(draw: uint256) -> bytes32:
    """
    @return The number, or zero while there is none: there are secrets, and all of them were revealed.
    """
    return self._number(draw)


@external
@view
@reentrant
def commitment_for(draw: uint256, sender: address, secret: bytes32) -> bytes32:
    """
    @notice What `sender` commits to a secret with. Ask a node of your own: whoever computes it sees the secret.
    """
    return self._commitment(draw, sender, secret)


@internal
def _open(draw: uint256, deposit: uint256):
    self.draw_of[draw] = Draw(
        opened=block.timestamp,
        open_secrets=0,
        revealed=0,
        forfeited=0,
        mixed=0,
        deposit=deposit,
    )
    log Requested(draw=draw, until=block.timestamp + WINDOW)


@internal
@view
def _number(draw: uint256) -> bytes32:
    row: Draw = self.draw_of[draw]
    # Nothing is revealed before the time to commit is over: no secret comes in any more.
    if row.revealed == 0 or row.open_secrets != 0 or row.forfeited != 0:
        return empty(bytes32)
    return keccak256(abi_encode(row.mixed, draw, chain.id, self))


@internal
@view
def _is_over(draw: uint256) -> bool:
    opened: uint256 = self.draw_of[draw].opened
    return opened != 0 and block.timestamp >= opened + 2 * WINDOW


@internal
@view
def _commitment(draw: uint256, sender: address, secret: bytes32) -> bytes32:
    return keccak256(abi_encode(secret, sender, draw, chain.id, self))
