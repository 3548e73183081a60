# pragma version 0.4.3
# pragma evm-version cancun
"""
@title SilentCurrency
@notice Moves money and answers nothing, as some old tokens do.
"""
from .modules import balances

initializes: balances
exports: (
    balances.decimals,
    balances.totalSupply,
    balances.balanceOf,
    balances.allowance,
    balances.mint,
    balances.burn,
    balances.approve,
)


@deploy
def __init__(decimals: uint8):
    balances.__init__(decimals)


@external
def transfer(receiver: address, amount: uint256):
    balances._move(msg.sender, receiver, amount)


@external
def transferFrom(sender: address, receiver: address, amount: uint256):
    balances._spend(sender, amount)
    balances._move(sender, receiver, amount)
