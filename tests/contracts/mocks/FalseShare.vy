# pragma version 0.4.3
# pragma evm-version cancun
"""
@title FalseShare
@notice Looks like a Share, holds whatever is asked, and answers false to every transfer.
"""
CURRENCY: immutable(address)


@deploy
def __init__(currency: address):
    CURRENCY = currency


@external
@view
def balanceOf(holder: address) -> uint256:
    return 10**30


@external
@view
def claimable(holder: address) -> uint256:
    return 0


@external
@view
def currency() -> address:
    return CURRENCY


@external
def transfer(receiver: address, amount: uint256) -> bool:
    return False


@external
def transferFrom(sender: address, receiver: address, amount: uint256) -> bool:
    return False
