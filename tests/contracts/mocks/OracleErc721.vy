# pragma version ~=0.4.3
# pragma evm-version cancun
"""
@title OracleErc721
@notice snekmate's ERC-721, deployed as its guide says. AGPL-3.0-only: only ever in the tests.
"""
from snekmate.auth import ownable
from snekmate.tokens import erc721

initializes: ownable
initializes: erc721[ownable := ownable]
exports: erc721.__interface__


@deploy
def __init__():
    ownable.__init__()
    erc721.__init__("Assets", "A", "", "Assets", "1")
