# pragma version 0.4.3
# pragma evm-version cancun
"""
@title PartlyClosedCurrency
@notice Refuses to move money of those whom it closed to, and of nobody else.
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

closed: public(HashMap[address, bool])


@deploy
def __init__(decimals: uint8):
    balances.__init__(decimals)


@external
def set_closed(sender: address, closed: bool):
    self.closed[sender] = closed


@external
def transfer(receiver: address, amount: uint256) -> bool:
    assert not self.closed[msg.sender], "partly_closed: no"
    balances._move(msg.sender, receiver, amount)
    return True


@external
def transferFrom(sender: address, receiver: address, amount: uint256) -> bool:
    assert not self.closed[sender], "partly_closed: no"
    balances._spend(sender, amount)
    balances._move(sender, receiver, amount)
    return True
