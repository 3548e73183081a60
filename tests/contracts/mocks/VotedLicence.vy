# pragma version 0.4.3
# pragma evm-version cancun
"""
@title VotedLicence
@notice A Governor of which only the licence is there: whoever calls decides it.
"""
licence_of: public(HashMap[uint256, bytes32])


@external
def vote(asset: uint256, document: bytes32):
    self.licence_of[asset] = document
