# pragma version ~=0.4.3
"""
@title Balances
@notice What all the tests' currencies share: balances, allowances, and minting by anyone.
"""
event Transfer:
    sender: indexed(address)
    receiver: indexed(address)
    value: uint256


decimals: public(uint8)
totalSupply: public(uint256)
balanceOf: public(HashMap[address, uint256])
allowance: public(HashMap[address, HashMap[address, uint256]])


@deploy
def __init__(decimals: uint8):
    self.decimals = decimals


@external
def mint(receiver: address, amount: uint256):
    self.totalSupply += amount
    self.balanceOf[receiver] += amount
    log Transfer(sender=empty(address), receiver=receiver, value=amount)


@external
def burn(holder: address, amount: uint256):
    self._burn(holder, amount)


@external
def approve(spender: address, amount: uint256) -> bool:
    self.allowance[msg.sender][spender] = amount
    return True


@internal
def _burn(holder: address, amount: uint256):
    self.totalSupply -= amount
    self.balanceOf[holder] -= amount
    log Transfer(sender=holder, receiver=empty(address), value=amount)


@internal
def _spend(sender: address, amount: uint256):
    if self.allowance[sender][msg.sender] != max_value(uint256):
        self.allowance[sender][msg.sender] -= amount


@internal
def _move(sender: address, receiver: address, amount: uint256):
    self.balanceOf[sender] -= amount
    self.balanceOf[receiver] += amount
    log Transfer(sender=sender, receiver=receiver, value=amount)
