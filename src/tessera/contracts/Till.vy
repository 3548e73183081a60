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

CHANNELS: immutable(address)


@deploy
def __init__(channels: address):
    CHANNELS = channels


@external
def forward(token: address, receiver: address):
    """
    @notice Send all of `token` to `receiver`.
    """
    assert msg.sender == CHANNELS, "till: only channels"
    amount: uint256 = staticcall IERC20(token).balanceOf(self)
    if amount != 0:
        assert extcall IERC20(token).transfer(
            receiver, amount, default_return_value=True
        ), "till: token refused the transfer"
