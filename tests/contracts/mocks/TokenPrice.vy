# pragma version 0.4.3
# pragma evm-version cancun
"""
@title TokenPrice
@notice Says what the test told it: what whole network tokens are worth, in base units of the currency.
"""

price: public(uint256)


@external
def set_price(price: uint256):
    self.price = price


@external
@view
def value_of(tokens: uint256) -> uint256:
    return tokens * self.price // 10**18
