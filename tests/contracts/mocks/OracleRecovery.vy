# pragma version ~=0.4.3
# pragma evm-version cancun
"""
@title OracleRecovery
@notice snekmate's recovery of signers. AGPL-3.0-only: only ever in the tests.
"""
from snekmate.utils import ecdsa

initializes: ecdsa


@deploy
def __init__():
    ecdsa.__init__()


@external
@pure
def recover(digest: bytes32, v: uint256, r: uint256, s: uint256) -> address:
    return ecdsa._try_recover_vrs(digest, v, r, s)


@external
@pure
def recover_compact(digest: bytes32, r: uint256, vs: uint256) -> address:
    return ecdsa._try_recover_r_vs(digest, r, vs)
