# pragma version 0.4.3
# pragma evm-version cancun
# pragma nonreentrancy on
"""
@title Allocation
@license Apache-2.0
@notice Shares set aside for an asset's contributors, each of whom is due a part by weight. A claim moves that part into
        a vesting of the contributor's own, and pays what it has earned here.
@dev One clone for each allocation; its terms are in its code. The Launchpad checks the proof and makes the vesting.
     Twin: `tessera.spec.allocation`.
@custom:security Parts are of 10,000, as the weights of a bundle are. Weights that add up to more are the publisher's
     fault, and who comes last finds too little; weights of nobody, and what rounding leaves (below one raw share for
     each contribution), stay here. A claim never expires, and nothing leaves but by a claim.
@custom:invariant settled_once, can_always_claim
@custom:pause Nothing here can be paused.
"""
from ethereum.ercs import IERC20
from .modules import accruals
from .modules import clones

initializes: accruals


interface IShare:
    def currency() -> address: view


event HandedOver:
    leaf: indexed(bytes32)
    vesting: indexed(address)
    receiver: indexed(address)
    amount: uint256
    revenue: uint256


# Arguments of the clone: 0 share, 1 root of the contributions, 2 amount (raw shares), 3 start (40) | cliff (40) << 40 |
# duration (40) << 80, seconds: the schedule of the vestings.
BPS: constant(uint256) = 10_000
MASK_160: constant(uint256) = 2**160 - 1

LAUNCHPAD: immutable(address)

claimed: public(HashMap[bytes32, bool])
# Raw shares that no contributor claimed yet.
left: public(uint256)


@deploy
def __init__(launchpad: address):
    """
    @param launchpad Makes every clone, and is the only one to hand its shares over.
    """
    LAUNCHPAD = launchpad


@external
def initialize():
    """
    @notice Take stock of the shares. Only the Launchpad, in the transaction that makes the clone.
    """
    assert msg.sender == LAUNCHPAD, "allocation: only the launchpad"
    self.left = clones._argument(self, 2)


@external
def hand_over(leaf: bytes32, vesting: address, amount: uint256, receiver: address, may_forgo: bool):
    """
    @notice Move a contributor's part into its vesting, and pay its revenue to `receiver`. The Launchpad has checked the
            leaf.
    @param may_forgo Whether revenue that the currency holds up may be left behind, to those who claim later.
    """
    assert msg.sender == LAUNCHPAD, "allocation: only the launchpad"
    assert not self.claimed[leaf], "allocation: claimed already"
    assert amount <= self.left, "allocation: weights above the whole"
    share: address = self._share()
    assert (
        accruals._pull(share, self.left) or may_forgo
    ), "allocation: revenue is held up; only the contributor may forgo it"
    self.claimed[leaf] = True
    self.left -= amount
    # Every part was here from the first moment on, so it has earned all that the index ever grew by.
    account: address = convert(convert(leaf, uint256) & MASK_160, address)
    accruals._settle(share, account, amount)
    revenue: uint256 = accruals._take(share, account)
    assert extcall IERC20(share).transfer(vesting, amount), "allocation: share refused the transfer"
    if revenue != 0:
        assert extcall IERC20(staticcall IShare(share).currency()).transfer(
            receiver, revenue, default_return_value=True
        ), "allocation: currency refused the transfer"
    log HandedOver(leaf=leaf, vesting=vesting, receiver=receiver, amount=amount, revenue=revenue)


@external
@view
@reentrant
def part_of(weight: uint256) -> uint256:
    """
    @notice Raw shares due for a weight, rounded down.
    """
    return clones._argument(self, 2) * weight // BPS


@external
@view
@reentrant
def earned_by(leaf: bytes32, weight: uint256) -> uint256:
    """
    @notice Base units that a contribution has earned here and a claim would pay.
    """
    if self.claimed[leaf]:
        return 0
    account: address = convert(convert(leaf, uint256) & MASK_160, address)
    amount: uint256 = clones._argument(self, 2) * weight // BPS
    return accruals._claimable(self._share(), account, amount, self.left)


@external
@view
@reentrant
def terms() -> (address, bytes32, uint256, uint256, uint256, uint256):
    """
    @return Share, root of the contributions, amount (raw shares), and the vestings' start (unix seconds), cliff and
            duration (seconds behind it).
    """
    times: uint256 = clones._argument(self, 3)
    return (
        self._share(),
        convert(clones._argument(self, 1), bytes32),
        clones._argument(self, 2),
        times & (2**40 - 1),
        (times >> 40) & (2**40 - 1),
        times >> 80,
    )


@internal
@view
def _share() -> address:
    return convert(clones._argument(self, 0) & MASK_160, address)
