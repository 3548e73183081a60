# pragma version ~=0.4.3
# pragma evm-version cancun
"""
@title FixedEpochs
@notice What Subnets asks of Epochs, as the test says it. Evidence is the number itself, so that a wrong one is refused.
"""

last_final: public(HashMap[uint256, uint256])
final_at: public(HashMap[uint256, uint256])
incentives: HashMap[uint256, HashMap[uint256, HashMap[uint256, uint256]]]


@external
def set_last_final(subnet: uint256, epoch_plus_1: uint256):
    self.last_final[subnet] = epoch_plus_1
    self.final_at[subnet] = block.timestamp


@external
def set_incentive(subnet: uint256, epoch: uint256, uid: uint256, incentive: uint256):
    self.incentives[subnet][epoch][uid] = incentive


@external
@view
def incentive_of(subnet: uint256, epoch: uint256, uid: uint256, evidence: Bytes[4096]) -> uint256:
    incentive: uint256 = self.incentives[subnet][epoch][uid]
    assert abi_decode(evidence, uint256) == incentive, "fixed_epochs: proves nothing"
    return incentive
