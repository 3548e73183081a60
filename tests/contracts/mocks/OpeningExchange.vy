# pragma version 0.4.3
# pragma evm-version cancun
"""
@title OpeningExchange
@notice The part of the Exchange that a first sale needs: it opens a pool once, and takes what it is told.
"""
from ethereum.ercs import IERC20


interface IShare:
    def currency() -> address: view


struct Lock:
    holder: address
    amount: uint256
    until: uint256


struct Reserves:
    tokens: uint256
    currency_amount: uint256


FEES: constant(uint256[4]) = [5, 30, 100, 300]

has_pool: public(HashMap[address, bool])
reserves_of: public(HashMap[address, Reserves])
fee_bps_of: public(HashMap[address, uint256])
lock_of: public(HashMap[address, Lock])


@external
def open_pool(
    token: address,
    tokens: uint256,
    currency_amount: uint256,
    tier: uint256,
    provider: address,
    locked_until: uint256,
) -> uint256:
    assert not self.has_pool[token], "exchange: pool exists"
    self.has_pool[token] = True
    liquidity: uint256 = isqrt(tokens * currency_amount)
    self.reserves_of[token] = Reserves(tokens=tokens, currency_amount=currency_amount)
    self.fee_bps_of[token] = FEES[tier]
    self.lock_of[token] = Lock(holder=provider, amount=liquidity, until=locked_until)
    assert extcall IERC20(token).transferFrom(msg.sender, self, tokens)
    currency: address = staticcall IShare(token).currency()
    assert extcall IERC20(currency).transferFrom(
        msg.sender, self, currency_amount, default_return_value=True
    )
    return liquidity
