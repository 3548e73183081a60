# pragma version ~=0.4.3
# pragma evm-version cancun
"""
@title OracleErc20
@notice snekmate's ERC-20, deployed as its guide says. AGPL-3.0-only: only ever in the tests.
"""
from snekmate.auth import ownable
from snekmate.tokens import erc20

initializes: ownable
initializes: erc20[ownable := ownable]
exports: erc20.__interface__


@deploy
def __init__(name: String[25], symbol: String[5], version: String[20]):
    ownable.__init__()
    erc20.__init__(name, symbol, 6, name, version)
