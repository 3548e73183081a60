# pragma version 0.4.3
# pragma evm-version cancun
"""
@title FeeCurrency
@notice Burns a part of everything in transit, so that less arrives than was sent.
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

fee_bps: public(uint256)


@deploy
def __init__(decimals: uint8, fee_bps: uint256):
    balances.__init__(decimals)
    self.fee_bps = fee_bps


@external
def transfer(receiver: address, amount: uint256) -> bool:
    self._move_less(msg.sender, receiver, amount)
    return True


@external
def transferFrom(sender: address, receiver: address, amount: uint256) -> bool:
    balances._spend(sender, amount)
    self._move_less(sender, receiver, amount)
    return True


@internal
def _move_less(sender: address, receiver: address, amount: uint256):
    # Rounded up: one unit of dust disappears whole.
    fee: uint256 = (amount * self.fee_bps + 9_999) // 10_000
    balances._burn(sender, fee)
    balances._move(sender, receiver, amount - fee)
