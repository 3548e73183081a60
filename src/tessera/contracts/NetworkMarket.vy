# pragma version 0.4.3
# pragma evm-version cancun
"""
@title NetworkMarket
@license Apache-2.0
@notice Lets an Exchange have a pool for the network token. An Exchange lists what a Registry and a Storefront know,
        shares and access tokens; a second deployment of it with this contract in their places lists one token: TSR.
@dev To that Exchange the network token is like an access token: it earns nothing by lying in the pool. Everything else
     is the Exchange's own code: prices, mean prices, liquidity, limits and deadlines.
@custom:security Anybody may open the pool, once, and then chooses the first price; whoever chooses a wrong one gives the
     difference to the next trader. What was sent to that Exchange by mistake goes to the commons (`skim`).
@custom:pause Nothing here can be paused.
"""

NETWORK_TOKEN: immutable(address)
COMMONS: immutable(address)


@deploy
def __init__(network_token: address, commons: address):
    """
    @param commons Stands for the asset's controller: it may choose another fee when the pool is opened.
    """
    NETWORK_TOKEN = network_token
    COMMONS = commons


@external
@view
def asset_of(token: address) -> uint256:
    """
    @notice 1 for the network token, 0 for anything else.
    """
    return convert(token == NETWORK_TOKEN, uint256)


@external
@view
def share_of(asset: uint256) -> address:
    """
    @notice The zero address: no token but the network token is listed, whatever it says of itself.
    """
    return empty(address)


@external
@view
def controller_of(asset: uint256) -> address:
    """
    @notice The commons.
    """
    return COMMONS
