# pragma version 0.4.3
# pragma evm-version cancun
"""
@title TestDollar
@license Apache-2.0
@notice A dollar for development chains: 6 decimals by default, EIP-2612 and EIP-3009 like the real one, and a faucet.
@custom:security Anyone can mint. Never accept it as money; on a public chain Tessera is deployed with a currency that
     exists there.
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


event AuthorizationUsed:
    authorizer: indexed(address)
    nonce: indexed(bytes32)


event AuthorizationCanceled:
    authorizer: indexed(address)
    nonce: indexed(bytes32)


NAME: constant(String[11]) = "Test Dollar"
NAME_HASH: constant(bytes32) = keccak256("Test Dollar")
VERSION_HASH: constant(bytes32) = keccak256("1")
TRANSFER_TYPEHASH: constant(bytes32) = keccak256(
    "TransferWithAuthorization(address from,address to,uint256 value,uint256 validAfter,uint256 validBefore,bytes32 nonce)"
)
RECEIVE_TYPEHASH: constant(bytes32) = keccak256(
    "ReceiveWithAuthorization(address from,address to,uint256 value,uint256 validAfter,uint256 validBefore,bytes32 nonce)"
)
CANCEL_TYPEHASH: constant(bytes32) = keccak256(
    "CancelAuthorization(address authorizer,bytes32 nonce)"
)

decimals: public(immutable(uint8))
faucet_limit: public(immutable(uint256))

# authorizer -> nonce -> used or cancelled
authorizationState: public(HashMap[address, HashMap[bytes32, bool]])


@deploy
def __init__(decimals_: uint8, faucet_limit_: uint256):
    """
    @param faucet_limit_ The most that one call of the faucet gives, in base units.
    """
    decimals = decimals_
    faucet_limit = faucet_limit_


@external
def faucet(amount: uint256):
    """
    @notice Mint `amount` to the caller.
    """
    assert amount <= faucet_limit, "test_dollar: more than the faucet gives"
    erc20._mint(msg.sender, amount)


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
def transferWithAuthorization(
    sender: address,
    receiver: address,
    amount: uint256,
    valid_after: uint256,
    valid_before: uint256,
    nonce: bytes32,
    v: uint8,
    r: bytes32,
    s: bytes32,
):
    """
    @notice EIP-3009: move the sender's money with its signature; anyone may relay.
    """
    self._authorized(
        TRANSFER_TYPEHASH, sender, receiver, amount, valid_after, valid_before, nonce, v, r, s
    )


@external
def receiveWithAuthorization(
    sender: address,
    receiver: address,
    amount: uint256,
    valid_after: uint256,
    valid_before: uint256,
    nonce: bytes32,
    v: uint8,
    r: bytes32,
    s: bytes32,
):
    """
    @notice EIP-3009, for contracts: only the receiver may use the signature, so nobody can front-run it.
    """
    assert msg.sender == receiver, "test_dollar: only the receiver may use this authorization"
    self._authorized(
        RECEIVE_TYPEHASH, sender, receiver, amount, valid_after, valid_before, nonce, v, r, s
    )


@external
def cancelAuthorization(authorizer: address, nonce: bytes32, v: uint8, r: bytes32, s: bytes32):
    """
    @notice EIP-3009: make an authorization worthless before it is used.
    """
    self._use(authorizer, nonce, keccak256(abi_encode(CANCEL_TYPEHASH, authorizer, nonce)), v, r, s)
    log AuthorizationCanceled(authorizer=authorizer, nonce=nonce)


@internal
def _authorized(
    typehash: bytes32,
    sender: address,
    receiver: address,
    amount: uint256,
    valid_after: uint256,
    valid_before: uint256,
    nonce: bytes32,
    v: uint8,
    r: bytes32,
    s: bytes32,
):
    assert block.timestamp > valid_after, "test_dollar: authorization is not valid yet"
    assert block.timestamp < valid_before, "test_dollar: authorization expired"
    self._use(
        sender,
        nonce,
        keccak256(abi_encode(typehash, sender, receiver, amount, valid_after, valid_before, nonce)),
        v,
        r,
        s,
    )
    log AuthorizationUsed(authorizer=sender, nonce=nonce)
    erc20._transfer(sender, receiver, amount)


@internal
def _use(
    authorizer: address, nonce: bytes32, struct_hash: bytes32, v: uint8, r: bytes32, s: bytes32
):
    assert not self.authorizationState[authorizer][
        nonce
    ], "test_dollar: authorization used or cancelled"
    signer: address = signatures._recover(
        signatures._typed_digest(self._domain_separator(), struct_hash), v, r, s
    )
    assert (
        signer != empty(address) and signer == authorizer
    ), "test_dollar: not signed by the authorizer"
    self.authorizationState[authorizer][nonce] = True


@external
@view
def name() -> String[11]:
    return NAME


@external
@view
def symbol() -> String[4]:
    return "TUSD"


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
