# pragma version 0.4.3
# pragma evm-version cancun
"""
@title OpeningExchange
@notice The part of the Exchange that a first sale needs: it opens a pool once, and takes what it is told.
"""
from ethereum.ercs import IERC20


interface IShare:
    def currency() -> address: view


struct Pool:
    opener: address
    tokens: uint256
    currency_amount: uint256
    tier: uint256
    provider: address
    locked_until: uint256


pool_of: public(HashMap[address, Pool])
has_pool: public(HashMap[address, bool])
closed: public(bool)


@external
def set_closed(closed: bool):
    self.closed = closed


@external
def open_pool(
    token: address,
    tokens: uint256,
    currency_amount: uint256,
    tier: uint256,
    provider: address,
    locked_until: uint256,
) -> uint256:
    assert not self.closed, "exchange: closed"
    assert not self.has_pool[token], "exchange: pool exists"
    self.has_pool[token] = True
    self.pool_of[token] = Pool(
        opener=msg.sender,
        tokens=tokens,
        currency_amount=currency_amount,
        tier=tier,
        provider=provider,
        locked_until=locked_until,
    )
    assert extcall IERC20(token).transferFrom(msg.sender, self, tokens)
    currency: address = staticcall IShare(token).currency()
    assert extcall IERC20(currency).transferFrom(
        msg.sender, self, currency_amount, default_return_value=True
    )
    return isqrt(tokens * currency_amount)
