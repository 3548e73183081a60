# pragma version 0.4.3
# pragma evm-version cancun
# pragma nonreentrancy on
"""
@title Block draws
@license Apache-2.0
@notice Random numbers from the blocks of a public chain: the hash of a block that did not exist when the number was asked
        for, and that holds its proposer's prevrandao.
@dev A source behind the port that `Approvals`, `Court` and `Jury` ask (`request`, `seed_of`), for chains of many
     proposers; `Draws` is for the others. Twin: `tessera.spec.court`.
@custom:security A draw is over one block, named at the request, so that nobody chooses by waiting. The proposer of that
     block can leave it out and lose its reward: one more throw, at that price. A hash can be read for 256 blocks: anyone
     fixes it in that time; if nobody did, a later block is named, and everybody had the chance to prevent it.
@custom:pause Nothing here can be paused.
"""


event Requested:
    draw: indexed(uint256)
    block_number: uint256


event Fixed:
    draw: indexed(uint256)
    seed: bytes32


# How far back the chain tells the hash of a block.
READABLE: constant(uint256) = 256

AHEAD: public(immutable(uint256))

draws: public(uint256)
# The block whose hash counts.
block_of: public(HashMap[uint256, uint256])
seeds: HashMap[uint256, bytes32]


@deploy
def __init__(ahead: uint256):
    """
    @param ahead Blocks between a request and the block that counts: more than proposers know their turns for.
    """
    assert ahead != 0 and ahead < 2**32, "block_draws: blocks out of range"
    AHEAD = ahead


@external
def request() -> uint256:
    """
    @notice Begin a draw. Anyone may.
    @return Its number, from 1.
    """
    self.draws += 1
    self._name_a_block(self.draws)
    return self.draws


@external
def fix(draw: uint256) -> bytes32:
    """
    @notice Keep the number of a draw for good, within 256 blocks of its block; later, name another block. Anyone may call
            it.
    @return The number, or zero where another block was named.
    """
    named: uint256 = self.block_of[draw]
    assert named != 0, "block_draws: no such draw"
    assert self.seeds[draw] == empty(bytes32), "block_draws: fixed already"
    assert block.number > named, "block_draws: its block is still to come"
    if block.number > named + READABLE:
        self._name_a_block(draw)
        return empty(bytes32)
    seed: bytes32 = keccak256(abi_encode(blockhash(named), draw, chain.id, self))
    self.seeds[draw] = seed
    log Fixed(draw=draw, seed=seed)
    return seed


@external
@view
@reentrant
def seed_of(draw: uint256) -> bytes32:
    """
    @return The number, or zero while it is not fixed.
    """
    return self.seeds[draw]


@internal
def _name_a_block(draw: uint256):
    self.block_of[draw] = block.number + AHEAD
    log Requested(draw=draw, block_number=block.number + AHEAD)
