# pragma version 0.4.3
# pragma evm-version cancun
# pragma nonreentrancy on
"""
@title Vesting
@license Apache-2.0
@notice Shares of one beneficiary that unlock on a public schedule, and earn for the beneficiary from the first day.
@dev One clone for each grant, so the Share itself keeps the revenue apart; there is no second accounting here.
     The schedule is in the clone's code: nobody can change or revoke it. Twin: `tessera.spec.vesting`.
@custom:security Nothing leaves early, for anyone. Shares sent here on top of the grant are free at once; other tokens
     can be rescued by the beneficiary.
@custom:invariant never_early, can_always_claim
@custom:pause Nothing here can be paused.
"""
from ethereum.ercs import IERC20
from .modules import clones
from .modules import rescues


interface IShare:
    def claim(receiver: address) -> uint256: nonpayable


interface ILaunchpad:
    def report(left: uint256, back: uint256, closes: bool, priced: bool): nonpayable


event Released:
    beneficiary: indexed(address)
    amount: uint256


# Arguments of the clone: 0 share, 1 beneficiary, 2 amount, 3 start (40) | cliff (40) << 40 | duration (40) << 80, seconds.
MASK_40: constant(uint256) = 2**40 - 1
MASK_160: constant(uint256) = 2**160 - 1

LAUNCHPAD: immutable(address)

released: public(uint256)
# As `released`, without what was sent here on top of the grant.
reported: uint256


@deploy
def __init__(launchpad: address):
    """
    @param launchpad Makes every clone, and is told what leaves it.
    """
    LAUNCHPAD = launchpad


@external
def release() -> uint256:
    """
    @notice Send the beneficiary what has unlocked and not been sent. Anyone may call it.
    @return Raw units of the share; 0 is not an error.
    """
    share: IERC20 = IERC20(self._address(0))
    unlocked: uint256 = self._unlocked_at(block.timestamp)
    locked: uint256 = self._amount() - unlocked
    held: uint256 = staticcall share.balanceOf(self)
    if held <= locked:
        return 0
    amount: uint256 = held - locked
    self.released += amount
    beneficiary: address = self._address(1)
    left: uint256 = unlocked - self.reported
    self.reported = unlocked
    assert extcall share.transfer(beneficiary, amount), "vesting: share refused the transfer"
    if left != 0:
        extcall ILaunchpad(LAUNCHPAD).report(left, 0, False, False)
    log Released(beneficiary=beneficiary, amount=amount)
    return amount


@external
def claim(receiver: address = msg.sender) -> uint256:
    """
    @notice Pay the revenue of all shares here, locked ones too, to `receiver`. Only the beneficiary.
    @return Base units of the currency.
    """
    assert msg.sender == self._address(1), "vesting: only the beneficiary"
    return extcall IShare(self._address(0)).claim(receiver)


@external
def rescue(token: address) -> uint256:
    """
    @notice Send another token that was sent here by mistake to the beneficiary.
    """
    assert token != self._address(0), "vesting: the share leaves on its schedule only"
    return rescues._rescue(token, self._address(1))


@external
@view
@reentrant
def unlocked_at(time: uint256) -> uint256:
    """
    @notice How much of the grant is unlocked at a time, released or not; rounded down, so never early.
    """
    return self._unlocked_at(time)


@external
@view
@reentrant
def left() -> uint256:
    """
    @notice How much of the grant was not released, in raw units of the share; what was sent here on top of it is not in it.
    """
    return self._amount() - self.reported


@external
@view
@reentrant
def schedule() -> (address, address, uint256, uint256, uint256, uint256):
    """
    @return Share, beneficiary, amount, start, cliff (seconds behind start) and duration (seconds behind start).
    """
    times: uint256 = clones._argument(self, 3)
    return (
        self._address(0),
        self._address(1),
        self._amount(),
        times & MASK_40,
        (times >> 40) & MASK_40,
        times >> 80,
    )


@internal
@view
def _unlocked_at(time: uint256) -> uint256:
    times: uint256 = clones._argument(self, 3)
    start: uint256 = times & MASK_40
    duration: uint256 = times >> 80
    if time < start + ((times >> 40) & MASK_40):
        return 0
    if time >= start + duration:
        return self._amount()
    return self._amount() * (time - start) // duration


@internal
@view
def _amount() -> uint256:
    return clones._argument(self, 2)


@internal
@view
def _address(word: uint256) -> address:
    return convert(clones._argument(self, word) & MASK_160, address)
