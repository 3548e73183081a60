# pragma version 0.4.3
# pragma evm-version cancun
# pragma nonreentrancy on
"""
@title Till
@license Apache-2.0
@notice The deposit address of (asset, operator, terms). Whatever of the currency arrives here is that asset's income.
@dev A clone made by Channels; the three names are arguments in its code, so its address says where its money goes,
     and it can be paid before it exists. It keeps no state and decides nothing.
@custom:security Only Channels moves anything, and Channels only to itself or, for other tokens, to the controller.
@custom:pause Nothing here can be paused.
"""
from ethereum.ercs import IERC20
from .modules import rescues

CHANNELS: immutable(address)
CURRENCY: immutable(address)


@deploy
def __init__(channels: address, currency: address):
    CHANNELS = channels
    CURRENCY = currency


@external
def sweep():
    """
    @notice Send all of the currency to Channels.
    """
    assert msg.sender == CHANNELS, "till: only channels"
    amount: uint256 = staticcall IERC20(CURRENCY).balanceOf(self)
    if amount != 0:
        assert extcall IERC20(CURRENCY).transfer(
            CHANNELS, amount, default_return_value=True
        ), "till: currency refused the transfer"


@external
def rescue(token: address, receiver: address):
    """
    @notice Send another token that was sent here by mistake to `receiver`, with what it earned here.
    """
    assert msg.sender == CHANNELS, "till: only channels"
    rescues._rescue(token, receiver)
