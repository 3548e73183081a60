# pragma version 0.4.3
# pragma evm-version cancun
"""
@title Pools
@notice Says what it is told about how many shares lie in pools.
"""
token_reserve: public(HashMap[address, uint256])


@external
def set_reserve(token: address, amount: uint256):
    self.token_reserve[token] = amount
