# pragma version 0.4.3
# pragma evm-version cancun
"""
@title RefusingDollar
@notice Takes any authorization and then says no to every transfer, without reverting.
"""


@external
@view
def balanceOf(holder: address) -> uint256:
    return 0


@external
def transfer(receiver: address, amount: uint256) -> bool:
    return False


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
    pass
