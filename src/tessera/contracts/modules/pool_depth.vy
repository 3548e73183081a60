# pragma version ~=0.4.3
"""
@title PoolDepth
@license Apache-2.0
@notice How much currency must come into a pool before its price can be bent far: what was locked in it when it was opened.
@dev Twin: `tessera.spec.network_price`.
@custom:security Reserves of one moment are no depth: liquidity can be lent for one transaction, and so can a purchase that
     fills the currency's side. Locked liquidity was there from the first second of every mean price, no trade changes it, and
     nobody can take it out while the lock lasts. It is counted at a mean price for the same reason.
"""

WHOLE: constant(uint256) = 10**18
# Liquidity is the root of tokens x currency, x 2^20.
LIQUIDITY_BITS: constant(uint256) = 20


struct Lock:
    holder: address
    amount: uint256
    until: uint256


interface IExchange:
    def lock_of(token: address) -> Lock: view


@internal
@view
def _locked_currency(exchange: address, token: address, price: uint256) -> uint256:
    """
    @param price Base units for 10^18 raw units of the token.
    @return Base units of the currency that the locked liquidity of a token's pool has at this price, rounded down.
    """
    lock: Lock = staticcall IExchange(exchange).lock_of(token)
    if lock.until <= block.timestamp:
        return 0
    return (lock.amount * isqrt(price * WHOLE) // WHOLE) >> LIQUIDITY_BITS
