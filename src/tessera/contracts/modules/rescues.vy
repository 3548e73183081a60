# pragma version ~=0.4.3
"""
@title Rescues
@license Apache-2.0
@notice Hands on a token that was sent to a contract by mistake, and what it earned there if it is a Share.
@custom:security The caller decides which tokens are nobody's; a contract never rescues a token that it owes.
"""
from ethereum.ercs import IERC20


@internal
def _rescue(token: address, receiver: address) -> uint256:
    """
    @return How much of the token was sent on.
    """
    amount: uint256 = staticcall IERC20(token).balanceOf(self)
    assert extcall IERC20(token).transfer(
        receiver, amount, default_return_value=True
    ), "rescue: token refused the transfer"
    # Only a Share has this function. For any other token the call fails, and that is all right.
    claimed: bool = raw_call(
        token, abi_encode(receiver, method_id=method_id("claim(address)")), revert_on_failure=False
    )
    return amount
