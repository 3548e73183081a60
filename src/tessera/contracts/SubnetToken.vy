# pragma version 0.4.3
# pragma evm-version cancun
# pragma nonreentrancy on
"""
@title SubnetToken
@license Apache-2.0
@notice The token of one subnet: a part of what its market leaves behind when the subnet is dissolved, and until then
        whatever somebody pays for it.
@dev A clone with its subnet's number in its code. All of it is made once, into the pool: from then on supply and sum of
     balances are the same number for ever.
@custom:security It votes on nothing and earns nothing by itself: whoever wants to enrich its holders puts network
     tokens into the pool (`SubnetPool.inject`). A token sent to the pool by mistake is neither sold nor redeemed: it
     stays there.
@custom:invariant conserved
@custom:pause Nothing here can be paused.
"""
from ethereum.ercs import IERC20
from .modules import allowances
from .modules import clones
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

NAME_HASH: constant(bytes32) = keccak256("Tessera Subnet")
VERSION_HASH: constant(bytes32) = keccak256("1")
# 21 million with 18 decimals, as many as there are network tokens.
SUPPLY: constant(uint256) = 21_000_000 * 10**18

SUBNET_POOL: immutable(address)


@deploy
def __init__(subnet_pool: address):
    """
    @param subnet_pool Makes every clone, and holds all of it at first.
    """
    SUBNET_POOL = subnet_pool


@external
def initialize() -> uint256:
    """
    @notice Make the supply. The pool does, in the transaction that makes the clone and at no other time.
    @return Raw units.
    """
    assert msg.sender == SUBNET_POOL, "subnet_token: only the pool"
    erc20._mint(msg.sender, SUPPLY)
    return SUPPLY


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
@reentrant
def subnet() -> uint256:
    """
    @notice The number of its subnet.
    """
    return clones._argument(self, 0)


@external
@view
@reentrant
def name() -> String[93]:
    return concat("Tessera Subnet ", uint2str(clones._argument(self, 0)))


@external
@view
@reentrant
def symbol() -> String[80]:
    return concat("TS", uint2str(clones._argument(self, 0)))


@external
@view
@reentrant
def decimals() -> uint8:
    return 18


@external
@view
@reentrant
def DOMAIN_SEPARATOR() -> bytes32:
    return self._domain_separator()


@external
@view
@reentrant
def eip712Domain() -> (
    bytes1, String[14], String[1], uint256, address, bytes32, DynArray[uint256, 1]
):
    """
    @notice EIP-5267: which fields the domain has (name, version, chain id, contract) and their values.
    """
    return 0x0f, "Tessera Subnet", "1", chain.id, self, empty(bytes32), []


@internal
@view
def _domain_separator() -> bytes32:
    return signatures._domain_separator(NAME_HASH, VERSION_HASH)
