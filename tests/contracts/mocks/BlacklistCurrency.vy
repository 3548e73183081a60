# pragma version 0.4.3
# pragma evm-version cancun
"""
@title BlacklistCurrency
@notice Whoever is blocked neither sends nor receives, as the large stablecoins can do.
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

blocked: public(HashMap[address, bool])


@deploy
def __init__(decimals: uint8):
    balances.__init__(decimals)


@external
def set_blocked(account: address, blocked: bool):
    self.blocked[account] = blocked


@external
def transfer(receiver: address, amount: uint256) -> bool:
    self._check(msg.sender, receiver)
    balances._move(msg.sender, receiver, amount)
    return True


@external
def transferFrom(sender: address, receiver: address, amount: uint256) -> bool:
    self._check(sender, receiver)
    balances._spend(sender, amount)
    balances._move(sender, receiver, amount)
    return True


@internal
@view
def _check(sender: address, receiver: address):
    assert not self.blocked[sender] and not self.blocked[receiver], "blacklist_currency: blocked"
