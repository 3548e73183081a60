# pragma version ~=0.4.3
"""
@title Accruals
@license Apache-2.0
@notice The revenue of shares that a contract holds for people behind it: fetched from the Share, spread by an index,
        and kept for each account until it is taken.
@dev Keyed by share, so that one contract can hold many. What earns is counted in units of the contract's own: raw
     shares in a sale or a lock, liquidity in a pool. The index is revenue for each unit, in base units x 2^96; what
     does not divide is carried to the next time, and an account's fraction of a base unit stays on the account.
     The contract calls `_pull` and `_settle` before each change of an account's units. Twin: `tessera.spec.accruals`.
@custom:security The money lies in the contract: it must keep `received - distributed` of each share's currency apart
     from all else. A contract that uses this holds its lock while it calls, since a currency may call back.
"""
from ethereum.ercs import IERC20


interface IShare:
    def claimable(holder: address) -> uint256: view
    def currency() -> address: view


SCALE_BITS: constant(uint256) = 96
MASK_FRACTION: constant(uint256) = 2**96 - 1

index: HashMap[address, uint256]
# Scaled by 2^96, as `owed` is.
carry: HashMap[address, uint256]
# Share, then account.
index_of: HashMap[address, HashMap[address, uint256]]
owed: HashMap[address, HashMap[address, uint256]]
# By share: revenue that came in, and what was taken out of it.
received: HashMap[address, uint256]
distributed: HashMap[address, uint256]
# By share: what the Share owed before anybody but the heir earned here, and could not pay then.
kept_for_heir: HashMap[address, uint256]


@internal
def _pull(share: address, held: uint256, heir: address = empty(address)) -> bool:
    """
    @notice Fetch what the Share owes this contract and spread it over the `held` units that earn here.
    @param heir Gets what was kept for the heir, and what comes in while no unit earns; with the zero address it waits
           for those who earn next.
    @return Whether none was left behind.
    """
    if staticcall IShare(share).claimable(self) == 0:
        return True
    # A currency that refuses to pay this address must not keep people from their shares: then the revenue waits in
    # the Share, and whoever is concerned may leave without it, but nobody may push another out of it. What arrived
    # counts, not what was sent.
    currency: IERC20 = IERC20(staticcall IShare(share).currency())
    before: uint256 = staticcall currency.balanceOf(self)
    claimed: bool = raw_call(
        share, abi_encode(self, method_id=method_id("claim(address)")), revert_on_failure=False
    )
    if not claimed:
        return False
    amount: uint256 = staticcall currency.balanceOf(self) - before
    self.received[share] += amount
    if heir != empty(address):
        kept: uint256 = min(amount, self.kept_for_heir[share])
        if kept != 0:
            # The Share pays all at once, so nothing of it comes later.
            self.kept_for_heir[share] = 0
            self.owed[share][heir] += kept << SCALE_BITS
            amount -= kept
    scaled: uint256 = (amount << SCALE_BITS) + self.carry[share]
    if held != 0:
        self.index[share] += scaled // held
        self.carry[share] = scaled % held
    elif heir != empty(address):
        self.owed[share][heir] += amount << SCALE_BITS
    else:
        self.carry[share] = scaled
    return True


@internal
def _keep_for_heir(share: address):
    """
    @notice Write down that what the Share owes this contract now, and could not pay, is the heir's alone.
    """
    self.kept_for_heir[share] = staticcall IShare(share).claimable(self)


@internal
def _settle(share: address, account: address, earning: uint256):
    """
    @notice Credit an account with what its `earning` units earned since it was settled last.
    """
    index: uint256 = self.index[share]
    self.owed[share][account] += earning * (index - self.index_of[share][account])
    self.index_of[share][account] = index


@internal
def _take(share: address, account: address) -> uint256:
    """
    @notice Take the whole base units off a settled account; the caller pays them out.
    @return Base units, rounded down; the fraction stays on the account.
    """
    scaled: uint256 = self.owed[share][account]
    amount: uint256 = scaled >> SCALE_BITS
    self.owed[share][account] = scaled & MASK_FRACTION
    self.distributed[share] += amount
    return amount


@internal
def _leave_all_to(share: address, heir: address):
    """
    @notice Give one account everything that came in and was not taken, because nobody else has a part in it.
    """
    self.owed[share][heir] = (self.received[share] - self.distributed[share]) << SCALE_BITS


@internal
@view
def _claimable(
    share: address,
    account: address,
    earning: uint256,
    held: uint256,
    heir: address = empty(address),
) -> uint256:
    """
    @notice What `_take` would give after `_pull` and `_settle` with the same arguments, if the currency pays.
    """
    fresh: uint256 = staticcall IShare(share).claimable(self)
    scaled: uint256 = self.owed[share][account]
    index: uint256 = self.index[share]
    if fresh != 0:
        kept: uint256 = 0 if heir == empty(address) else min(fresh, self.kept_for_heir[share])
        fresh -= kept
        if account == heir:
            scaled += (kept if held != 0 else kept + fresh) << SCALE_BITS
        if held != 0:
            index += ((fresh << SCALE_BITS) + self.carry[share]) // held
    return (scaled + earning * (index - self.index_of[share][account])) >> SCALE_BITS
