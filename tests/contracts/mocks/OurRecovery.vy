# pragma version ~=0.4.3
# pragma evm-version cancun
"""
@title OurRecovery
@notice The functions of our `signatures` module, each by itself.
"""
import src.tessera.contracts.modules.signatures as signatures


@external
@pure
def recover(digest: bytes32, v: uint8, r: bytes32, s: bytes32) -> address:
    return signatures._recover(digest, v, r, s)


@external
@pure
def recover_compact(digest: bytes32, r: uint256, vs: uint256) -> address:
    return signatures._recover_compact(digest, r, vs)
