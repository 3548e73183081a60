# pragma version 0.4.3
# pragma evm-version cancun
"""
@title NetworkToken
@license Apache-2.0
@notice TSR, the network's token: what validators and operators bond, and what subnets emit.
@dev 18 decimals, ERC-20 and EIP-2612. What there is at the start is an argument of the constructor, for everybody to
     read; all else comes from one minter, which the deployer names once and for ever.
@custom:security The cap is over everything that was ever minted: what is burned does not come back. After `set_minter`
     nobody has any power here; the minter's own code decides when it mints. Before it, the deployer could choose a bad
     one: look at `minter` first.
@custom:invariant conserved
@custom:pause Nothing here can be paused.
"""
from ethereum.ercs import IERC20
from .modules import allowances
from .modules import erc20
from .modules import signatures

implements: IERC20

initializes: allowances
initializes: erc20[allowances := allowances]
exports: (
    allowances.approve,
    allowances.allowance,
    allowances.nonces,
    erc20.balanceOf,
    erc20.totalSupply,
    erc20.transfer,
    erc20.transferFrom,
)


event MinterSet:
    minter: indexed(address)


NAME: constant(String[7]) = "Tessera"
NAME_HASH: constant(bytes32) = keccak256("Tessera")
VERSION_HASH: constant(bytes32) = keccak256("1")
# 21 million, in base units.
CAP: constant(uint256) = 21_000_000 * 10**18

DEPLOYER: immutable(address)
genesis: public(immutable(uint256))

minter: public(address)
# All that was ever minted, what was burned since included.
minted: public(uint256)


@deploy
def __init__(genesis_: uint256, receiver: address):
    """
    @param genesis_ Base units that exist from the start, all of them `receiver`'s.
    """
    assert genesis_ <= CAP, "network_token: above the cap"
    DEPLOYER = msg.sender
    genesis = genesis_
    if genesis_ != 0:
        self.minted = genesis_
        erc20._mint(receiver, genesis_)


@external
def set_minter(minter: address):
    """
    @notice Name the one address that mints. Only the deployer, and only once.
    """
    assert msg.sender == DEPLOYER, "network_token: only the deployer"
    assert self.minter == empty(address), "network_token: the minter is set"
    assert minter != empty(address), "network_token: minter is the zero address"
    self.minter = minter
    log MinterSet(minter=minter)


@external
def mint(receiver: address, amount: uint256):
    """
    @notice Make new tokens, up to the cap. Only the minter.
    """
    assert (
        msg.sender == self.minter and msg.sender != empty(address)
    ), "network_token: only the minter"
    assert amount <= CAP - self.minted, "network_token: above the cap"
    self.minted += amount
    erc20._mint(receiver, amount)


@external
def burn(amount: uint256):
    """
    @notice Destroy tokens of the caller, for ever: they are not minted again.
    """
    erc20._burn(msg.sender, amount)


@external
def permit(
    owner: address,
    spender: address,
    amount: uint256,
    deadline: uint256,
    v: uint8,
    r: bytes32,
    s: bytes32,
):
    """
    @notice EIP-2612.
    """
    allowances._permit(self._domain_separator(), owner, spender, amount, deadline, v, r, s)


@external
@view
def cap() -> uint256:
    return CAP


@external
@view
def name() -> String[7]:
    return NAME


@external
@view
def symbol() -> String[3]:
    return "TSR"


@external
@view
def decimals() -> uint8:
    return 18


@external
@view
def version() -> String[1]:
    return "1"


@external
@view
def DOMAIN_SEPARATOR() -> bytes32:
    return self._domain_separator()


@internal
@view
def _domain_separator() -> bytes32:
    return signatures._domain_separator(NAME_HASH, VERSION_HASH)
