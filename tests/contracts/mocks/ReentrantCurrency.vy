# pragma version 0.4.3
# pragma evm-version cancun
"""
@title ReentrantCurrency
@notice Calls whatever it was armed with in the middle of every transfer, and notes what became of it.
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

target: public(address)
payload: public(Bytes[4096])
# How often the call was tried, and how often it went through.
tries: public(uint256)
hits: public(uint256)
busy: bool


@deploy
def __init__(decimals: uint8):
    balances.__init__(decimals)


@external
def arm(target: address, payload: Bytes[4096]):
    self.target = target
    self.payload = payload


@external
def call(target: address, payload: Bytes[4096]):
    """
    @notice Act as this contract, so that it can be a holder, a payer or an operator of its own.
    """
    raw_call(target, payload)


@external
def transfer(receiver: address, amount: uint256) -> bool:
    self._reenter()
    balances._move(msg.sender, receiver, amount)
    self._reenter()
    return True


@external
def transferFrom(sender: address, receiver: address, amount: uint256) -> bool:
    self._reenter()
    balances._spend(sender, amount)
    balances._move(sender, receiver, amount)
    self._reenter()
    return True


@internal
def _reenter():
    if self.target == empty(address) or self.busy:
        return
    self.busy = True
    self.tries += 1
    if raw_call(self.target, self.payload, revert_on_failure=False):
        self.hits += 1
    self.busy = False
