# pragma version 0.4.3
# pragma evm-version cancun
"""
@title FalseCurrency
@notice Answers false where others revert, and on demand always.
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

refuses: public(bool)


@deploy
def __init__(decimals: uint8):
    balances.__init__(decimals)


@external
def set_refuses(refuses: bool):
    self.refuses = refuses


@external
def transfer(receiver: address, amount: uint256) -> bool:
    if self.refuses or balances.balanceOf[msg.sender] < amount:
        return False
    balances._move(msg.sender, receiver, amount)
    return True


@external
def transferFrom(sender: address, receiver: address, amount: uint256) -> bool:
    if (
        self.refuses
        or balances.balanceOf[sender] < amount
        or balances.allowance[sender][msg.sender] < amount
    ):
        return False
    balances._spend(sender, amount)
    balances._move(sender, receiver, amount)
    return True
