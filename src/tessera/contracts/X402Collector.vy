# pragma version 0.4.3
# pragma evm-version cancun
# pragma nonreentrancy on
"""
@title X402Collector
@license Apache-2.0
@notice Brings a deposit to the x402 channels by the payer's EIP-3009 authorization, so that a payer needs no gas.
@dev The authorization's nonce is the hash of the channel and a salt: the money can go nowhere but into that channel.
@custom:security For development chains; it stands there at the standard's address. Only the channels may call, and only
     for the deposit that is being made. The token must take a signature as v, r, s, as EIP-3009 has it.
@custom:pause Nothing here can be paused.
"""
from ethereum.ercs import IERC20


interface IAuthorizedTransfer:
    def receiveWithAuthorization(
        payer: address,
        receiver: address,
        amount: uint256,
        valid_after: uint256,
        valid_before: uint256,
        nonce: bytes32,
        v: uint8,
        r: bytes32,
        s: bytes32,
    ): nonpayable


x402BatchSettlement: public(immutable(address))


@deploy
def __init__(x402_channels: address):
    x402BatchSettlement = x402_channels


@external
def collect(
    payer: address,
    token: address,
    amount: uint256,
    channelId: bytes32,
    collectorData: Bytes[1024],
):
    """
    @notice Take `amount` of the payer's money and hand it to the channels.
    @param collectorData The ABI encoding of validAfter, validBefore, salt and the payer's signature.
    """
    if msg.sender != x402BatchSettlement:
        raw_revert(method_id("OnlyX402BatchSettlement()"))
    valid_after: uint256 = 0
    valid_before: uint256 = 0
    salt: uint256 = 0
    signature: Bytes[256] = b""
    valid_after, valid_before, salt, signature = abi_decode(
        collectorData, (uint256, uint256, uint256, Bytes[256])
    )
    assert len(signature) == 65, "x402_collector: signature is not 65 bytes"
    extcall IAuthorizedTransfer(token).receiveWithAuthorization(
        payer,
        self,
        amount,
        valid_after,
        valid_before,
        keccak256(abi_encode(channelId, salt)),
        convert(slice(signature, 64, 1), uint8),
        convert(slice(signature, 0, 32), bytes32),
        convert(slice(signature, 32, 32), bytes32),
    )
    assert extcall IERC20(token).transfer(
        msg.sender, amount, default_return_value=True
    ), "x402_collector: token refused the transfer"
