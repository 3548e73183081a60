# pragma version 0.4.3
# pragma evm-version cancun
"""
@title NetworkPrice
@license Apache-2.0
@notice Says what network tokens are worth in the currency, to whoever takes them as security: the lower of a long and a
        short mean price of their pool. Approvals asks it whether bonds bear a sale, ApprovedSale what may leave early.
@dev Emission asks the same pool and takes the higher mean: it must not mint too much, and here security must not count
     for too much. Twin: `tessera.spec.network_price`.
@custom:security A purchase has to hold the price up for the whole long window, against everybody who would sell into it; a
     price that has fallen counts after the short window. It refuses to answer where the pool is younger than the long
     window ("exchange: the pool is not that old") or what is locked in it is worth less than `min_depth`: then no bond bears a
     sale and nothing leaves early, and nothing else stops. Both means lag: whoever relies on them bears what the
     price falls within the short window. When the lock of the pool's liquidity ends, so do the answers.
@custom:pause Nothing here can be paused.
"""
from .modules import pool_depth


interface IExchange:
    def twap(token: address, window: uint256) -> (uint256, uint256): view


NETWORK_TOKEN: immutable(address)
NETWORK_EXCHANGE: immutable(address)
LONG_WINDOW: immutable(uint256)
SHORT_WINDOW: immutable(uint256)
MIN_DEPTH: immutable(uint256)


@deploy
def __init__(
    network_token: address,
    network_exchange: address,
    long_window: uint256,
    short_window: uint256,
    min_depth: uint256,
):
    """
    @param network_exchange The Exchange that has the network token's pool.
    @param long_window Seconds of the one mean; the pool must be that old.
    @param short_window Seconds of the other.
    @param min_depth Base units of the currency that must be locked in the pool.
    """
    assert short_window != 0 and short_window <= long_window, "network_price: window out of range"
    assert min_depth != 0, "network_price: depth out of range"
    NETWORK_TOKEN = network_token
    NETWORK_EXCHANGE = network_exchange
    LONG_WINDOW = long_window
    SHORT_WINDOW = short_window
    MIN_DEPTH = min_depth


@external
@view
def value_of(tokens: uint256) -> uint256:
    """
    @notice What so many raw network tokens are worth as security.
    @return Base units of the currency, rounded down.
    """
    return tokens * self._price() // pool_depth.WHOLE


@external
@view
def price() -> uint256:
    """
    @return Base units for 10^18 raw network tokens: the lower of both means.
    """
    return self._price()


@internal
@view
def _price() -> uint256:
    price: uint256 = min(self._mean(LONG_WINDOW), self._mean(SHORT_WINDOW))
    assert (
        pool_depth._locked_currency(NETWORK_EXCHANGE, NETWORK_TOKEN, price) >= MIN_DEPTH
    ), "network_price: too little is locked in the pool"
    return price


@internal
@view
def _mean(window: uint256) -> uint256:
    return (staticcall IExchange(NETWORK_EXCHANGE).twap(NETWORK_TOKEN, window))[0]


@external
@view
def terms() -> (uint256, uint256, uint256):
    """
    @return Seconds of the long and of the short window, and base units that must be locked in the pool.
    """
    return LONG_WINDOW, SHORT_WINDOW, MIN_DEPTH
