# pragma version 0.4.3
# pragma evm-version cancun
"""
@title PlainSubnets
@notice Subnets of which anyone says anything: what SubnetPool and Emission ask, without what it takes to become one.
"""
TEMPO: constant(uint256) = 86_400
BEGAN: immutable(uint256)

owner_of: public(HashMap[uint256, address])
is_dissolved: public(HashMap[uint256, bool])
subnet_of: public(HashMap[uint256, uint256])
occupants: HashMap[uint256, HashMap[uint256, uint256]]


@deploy
def __init__():
    BEGAN = block.timestamp


@external
@view
def epoch_at(subnet: uint256, time: uint256) -> uint256:
    return (time - BEGAN) // TEMPO


@external
def create(subnet: uint256, owner: address):
    self.owner_of[subnet] = owner


@external
def dissolve(subnet: uint256):
    self.is_dissolved[subnet] = True


@external
def join(subnet: uint256, asset: uint256, uid: uint256):
    self.subnet_of[asset] = subnet
    self.occupants[subnet][uid] = asset


@external
@view
def is_live(subnet: uint256) -> bool:
    return self.owner_of[subnet] != empty(address) and not self.is_dissolved[subnet]


@external
@view
def occupant_at(subnet: uint256, side: uint256, uid: uint256, epoch: uint256) -> (uint256, uint256):
    assert side == 0
    return self.occupants[subnet][uid], 0
