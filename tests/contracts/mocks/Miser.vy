# pragma version 0.4.3
# pragma evm-version cancun
"""
@title Miser
@notice Calls with as little gas as it is told.
"""


@external
def call(target: address, payload: Bytes[4096], gas_: uint256):
    raw_call(target, payload, gas=gas_)
