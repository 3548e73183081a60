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
@custom:security Who reveals last sees the number before the others and can leave it out, once for each deposit that it
     gives up: a deposit is worth as much as one more throw. A secret is bound to sender, draw, chain and contract, so
     that a copied commitment reveals nothing. Secrets are joined so that their order does not matter. A draw in which
     nobody took part can be held again, by anyone, as often as it takes.
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
    mixed: uint256


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
    @param deposit Base units that a secret costs if it is not revealed.
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
    self._open(self.draws)
    return self.draws


@external
def commit(draw: uint256, commitment: bytes32):
    """
    @notice Take part: `commitment` is the hash that `commitment_for` shows. Takes the deposit.
    """
    assert block.timestamp < self.draw_of[draw].opened + WINDOW, "draws: not the time to commit"
    assert commitment != empty(bytes32), "draws: not a commitment"
    assert self.commitment_of[draw][msg.sender] == empty(bytes32), "draws: committed already"
    self.commitment_of[draw][msg.sender] = commitment
    self.draw_of[draw].open_secrets += 1
    log Committed(draw=draw, sender=msg.sender)
    assert extcall TOKEN.transferFrom(
        msg.sender, self, DEPOSIT
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
    assert extcall TOKEN.transfer(msg.sender, DEPOSIT), "draws: token refused the transfer"


@external
def forfeit(draw: uint256, sender: address):
    """
    @notice Send the deposit of a secret that was not revealed to the commons. Anyone may call it.
    """
    assert self._is_over(draw), "draws: not over yet"
    assert self.commitment_of[draw][sender] != empty(bytes32), "draws: nothing to forfeit"
    self.commitment_of[draw][sender] = empty(bytes32)
    self.draw_of[draw].open_secrets -= 1
    log Forfeited(draw=draw, sender=sender)
    assert extcall TOKEN.transfer(
        staticcall REGISTRY.commons(), DEPOSIT
    ), "draws: token refused the transfer"


@external
def again(draw: uint256):
    """
    @notice Hold a draw again that nobody revealed anything in, once its deposits are forfeited. Anyone may call it.
    """
    row: Draw = self.draw_of[draw]
    assert self._is_over(draw) and row.revealed == 0, "draws: has its number, or may still get it"
    assert row.open_secrets == 0, "draws: forfeit its deposits first"
    self._open(draw)


@external
@view
@reentrant
def seed_of(draw: uint256) -> bytes32:
    """
    @return The number, or zero while there is none: some secret was revealed, and no other can be any more.
    """
    row: Draw = self.draw_of[draw]
    if row.revealed == 0:
        return empty(bytes32)
    # Once the time to commit is over, nothing can come in but the secrets that are still open.
    if not self._is_over(draw) and row.open_secrets != 0:
        return empty(bytes32)
    return keccak256(abi_encode(row.mixed, draw, chain.id, self))


@external
@view
@reentrant
def commitment_for(draw: uint256, sender: address, secret: bytes32) -> bytes32:
    """
    @notice What `sender` commits to a secret with. Ask a node of your own: whoever computes it sees the secret.
    """
    return self._commitment(draw, sender, secret)


@internal
def _open(draw: uint256):
    self.draw_of[draw].opened = block.timestamp
    log Requested(draw=draw, until=block.timestamp + WINDOW)


@internal
@view
def _is_over(draw: uint256) -> bool:
    opened: uint256 = self.draw_of[draw].opened
    return opened != 0 and block.timestamp >= opened + 2 * WINDOW


@internal
@view
def _commitment(draw: uint256, sender: address, secret: bytes32) -> bytes32:
    return keccak256(abi_encode(secret, sender, draw, chain.id, self))
