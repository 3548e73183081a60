# pragma version ~=0.4.3
"""
@title ERC-20 balances
@license Apache-2.0
@notice Balances and supply of a plain token, beside the allowances of `allowances.vy`.
@custom:security An internal function of a module cannot be overridden: a contract that must act before a transfer
     exports none of these and calls `_transfer` itself.
"""
from . import allowances

uses: allowances


event Transfer:
    sender: indexed(address)
    receiver: indexed(address)
    value: uint256


balanceOf: public(HashMap[address, uint256])
totalSupply: public(uint256)


@external
def transfer(receiver: address, amount: uint256) -> bool:
    self._transfer(msg.sender, receiver, amount)
    return True


@external
def transferFrom(sender: address, receiver: address, amount: uint256) -> bool:
    allowances._spend(sender, msg.sender, amount)
    self._transfer(sender, receiver, amount)
    return True


@internal
def _transfer(sender: address, receiver: address, amount: uint256):
    assert receiver != empty(address), "erc20: receiver is the zero address"
    balance: uint256 = self.balanceOf[sender]
    assert balance >= amount, "erc20: balance too low"
    self.balanceOf[sender] = unsafe_sub(balance, amount)
    # Cannot overflow: all balances together are the supply.
    self.balanceOf[receiver] = unsafe_add(self.balanceOf[receiver], amount)
    log Transfer(sender=sender, receiver=receiver, value=amount)


@internal
def _mint(receiver: address, amount: uint256):
    assert receiver != empty(address), "erc20: receiver is the zero address"
    self.totalSupply += amount
    self.balanceOf[receiver] = unsafe_add(self.balanceOf[receiver], amount)
    log Transfer(sender=empty(address), receiver=receiver, value=amount)


@internal
def _burn(owner: address, amount: uint256):
    balance: uint256 = self.balanceOf[owner]
    assert balance >= amount, "erc20: balance too low"
    self.balanceOf[owner] = unsafe_sub(balance, amount)
    # Cannot underflow: no balance is above the supply.
    self.totalSupply = unsafe_sub(self.totalSupply, amount)
    log Transfer(sender=owner, receiver=empty(address), value=amount)
