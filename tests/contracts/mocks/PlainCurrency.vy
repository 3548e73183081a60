# pragma version 0.4.3
# pragma evm-version cancun
"""
@title PlainCurrency
@notice An ERC-20 without surprises; anyone mints. `decimals` is what the deployer says.
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
def transfer(receiver: address, amount: uint256) -> bool:
    balances._move(msg.sender, receiver, amount)
    return True


@external
def transferFrom(sender: address, receiver: address, amount: uint256) -> bool:
    balances._spend(sender, amount)
    balances._move(sender, receiver, amount)
    return True
