# pragma version 0.4.3
# pragma evm-version cancun
# pragma nonreentrancy on
"""
@title Share
@license Apache-2.0
@notice Fixed-supply ownership of one asset. Whoever holds it earns the asset's revenue, second by second.
@dev Supply never changes, so the revenue index is simply the revenue ever streamed, in base units of the currency:
     nothing is divided until an account is settled, and nothing is lost to dust. A payment enters the index in a
     straight line over `period` seconds. A payment that meets a running stream joins it, and the time left becomes
     the mean of both, weighted by amount: so a payment of one unit cannot hold up the rest.
     The arithmetic stands again, bit for bit, in `tessera.spec.revenue`.
@custom:security Each settlement of an account rounds down by less than 2^-63 of a base unit, which stays here. It
     would take 2^63 settlements to keep one unit back. Lifetime revenue is below 2^96 base units; a payment beyond
     that is refused. A currency that takes a fee in transit credits what arrived; one that shrinks balances in place
     can leave this contract short, and must not be chosen.
@custom:invariant solvent, conserved, can_always_claim, index_never_falls, no_past_revenue
@custom:pause Nothing here can be paused, and nobody has power over another's balance.
"""
from ethereum.ercs import IERC20
from .modules import allowances
from .modules import clones
from .modules import signatures

implements: IERC20

initializes: allowances
exports: (allowances.approve, allowances.allowance, allowances.nonces)


interface IRegistry:
    def controller_of(asset: uint256) -> address: view


event Transfer:
    sender: indexed(address)
    receiver: indexed(address)
    value: uint256

event RevenueDistributed:
    payer: indexed(address)
    amount: uint256
    streams_until: uint256

event RevenueClaimed:
    holder: indexed(address)
    receiver: indexed(address)
    amount: uint256

event NomineeSet:
    holder: indexed(address)
    nominee: indexed(address)


decimals: public(constant(uint8)) = 18
version: public(constant(String[1])) = "1"

MASK_96: constant(uint256) = 2**96 - 1
MASK_63: constant(uint256) = 2**63 - 1
MASK_32: constant(uint256) = 2**32 - 1
# Account word: balance (96) | index at the last settlement (96) | fraction of a unit in 2^-63 (63) | owes (1).
BALANCE_AND_FLAG: constant(uint256) = MASK_96 | 2**255
OWES: constant(uint256) = 2**255
VERSION_HASH: constant(bytes32) = keccak256("1")

CURRENCY: immutable(address)
REGISTRY: immutable(address)
CHANNELS: immutable(address)

# Arguments of the clone: word 0 is supply (96) | period (32) | floor bps (16) | largest discount bps (16),
# word 1 the asset, words 2 and 3 name and symbol, padded with zeros on the right.
accounts: HashMap[address, uint256]
# Whole units settled to an account and not yet claimed; read only if the account's OWES bit is set.
owed: HashMap[address, uint256]
# Revenue streamed up to `last` (96) | revenue still to stream (96) | last (32) | end (32).
stream: uint256
# All that was ever claimed. With `stream` it says how much of the balance is spoken for.
paid: public(uint256)
nominee_of: public(HashMap[address, address])


@deploy
def __init__(currency: address, registry: address, channels: address):
    """
    @param currency The one currency of every Share made from this implementation.
    @param registry The only address that can bring a clone to life.
    @param channels Refused as a receiver, as are the other two: shares sent there would be lost.
    """
    CURRENCY = currency
    REGISTRY = registry
    CHANNELS = channels


@external
def initialize(receiver: address):
    """
    @notice Give the whole supply to `receiver`. The Registry calls it in the transaction that makes the clone.
    """
    assert msg.sender == REGISTRY, "share: only the registry initializes"
    assert self.stream == 0, "share: initialized already"
    self._check_receiver(receiver)
    supply: uint256 = self._terms() & MASK_96
    self.stream = (block.timestamp << 192) | (block.timestamp << 224)
    self.accounts[receiver] = supply
    log Transfer(sender=empty(address), receiver=receiver, value=supply)


# --- ERC-20 ---------------------------------------------------------------------------------------------------------


@external
@reentrant
def transfer(receiver: address, amount: uint256) -> bool:
    self._transfer(msg.sender, receiver, amount)
    return True


@external
@reentrant
def transferFrom(sender: address, receiver: address, amount: uint256) -> bool:
    allowances._spend(sender, msg.sender, amount)
    self._transfer(sender, receiver, amount)
    return True


@external
def permit(
    owner: address, spender: address, amount: uint256, deadline: uint256, v: uint8, r: bytes32, s: bytes32
):
    """
    @notice EIP-2612. The domain's name is this token's name, its version "1".
    """
    allowances._permit(self._domain_separator(), owner, spender, amount, deadline, v, r, s)


@internal
@view
def _check_receiver(receiver: address):
    # Free of charge, since all of these are known without reading anything. Other Shares and Tills would cost
    # 2,600 gas to tell apart on every transfer; they can hand on what is sent to them instead (`rescue`).
    assert receiver != empty(address), "share: receiver is the zero address"
    assert receiver != self, "share: receiver is the share itself"
    assert receiver != CURRENCY and receiver != REGISTRY and receiver != CHANNELS, "share: receiver cannot hold shares"


@internal
def _transfer(sender: address, receiver: address, amount: uint256):
    self._check_receiver(receiver)
    source: uint256 = self.accounts[sender]
    assert (source & MASK_96) >= amount, "share: balance too low"
    if sender != receiver:
        revenue: uint256 = self._revenue_at(self.stream, block.timestamp)
        self.accounts[sender] = unsafe_sub(self._settled(sender, source, revenue), amount)
        # Cannot overflow: all balances together are the supply, which is below 2^96.
        self.accounts[receiver] = unsafe_add(
            self._settled(receiver, self.accounts[receiver], revenue), amount
        )
    log Transfer(sender=sender, receiver=receiver, value=amount)


# --- Revenue --------------------------------------------------------------------------------------------------------


@external
def distributeRevenue(amount: uint256):
    """
    @notice Take `amount` of the currency from the caller and stream it to whoever holds over the next `period`.
    @dev Credits what arrived, so a fee taken in transit is not owed to anyone.
    """
    assert extcall IERC20(CURRENCY).transferFrom(
        msg.sender, self, amount, default_return_value=True
    ), "share: currency refused the transfer"
    self._absorb()


@external
def sync() -> uint256:
    """
    @notice Stream whatever lies here beyond what is owed: a plain transfer of the currency to a Share is revenue.
    @return How much was new, in base units; 0 is not an error.
    """
    return self._absorb()


@external
def claim(receiver: address = msg.sender) -> uint256:
    """
    @notice Pay the caller's revenue up to this second, to `receiver`.
    @return Amount in base units, rounded down; the fraction stays on the account. 0 is not an error.
    """
    return self._claim(msg.sender, receiver)


@external
def claim_for(holder: address, receiver: address) -> uint256:
    """
    @notice As `claim`, by the one that `holder` named with `set_nominee`.
    """
    assert self.nominee_of[holder] == msg.sender, "share: not the holder's nominee"
    return self._claim(holder, receiver)


@external
def set_nominee(nominee: address):
    """
    @notice Let `nominee` claim for the caller, to an address of the nominee's choice. The zero address ends it.
    """
    self.nominee_of[msg.sender] = nominee
    log NomineeSet(holder=msg.sender, nominee=nominee)


@external
def rescue(token: address) -> uint256:
    """
    @notice Send another token that was sent here by mistake to the asset's controller.
    @dev The currency is revenue (`sync`), and this Share cannot be here.
    """
    assert token != CURRENCY and token != self, "share: nothing of that token to rescue"
    amount: uint256 = staticcall IERC20(token).balanceOf(self)
    controller: address = staticcall IRegistry(REGISTRY).controller_of(self._asset())
    assert extcall IERC20(token).transfer(
        controller, amount, default_return_value=True
    ), "share: token refused the transfer"
    return amount


@internal
def _claim(holder: address, receiver: address) -> uint256:
    account: uint256 = self.accounts[holder]
    revenue: uint256 = self._revenue_at(self.stream, block.timestamp)
    whole: uint256 = 0
    settled: uint256 = 0
    whole, settled = self._settle(account, revenue)
    if settled & OWES != 0:
        whole = unsafe_add(whole, self.owed[holder])
        self.owed[holder] = 0
        settled = settled ^ OWES
    if settled != account:
        self.accounts[holder] = settled
    if whole != 0:
        self.paid += whole
        assert extcall IERC20(CURRENCY).transfer(
            receiver, whole, default_return_value=True
        ), "share: currency refused the transfer"
        log RevenueClaimed(holder=holder, receiver=receiver, amount=whole)
    return whole


@internal
def _absorb() -> uint256:
    held: uint256 = staticcall IERC20(CURRENCY).balanceOf(self)
    word: uint256 = self.stream
    revenue: uint256 = self._revenue_at(word, block.timestamp)
    remaining: uint256 = unsafe_sub(unsafe_add(word & MASK_96, (word >> 96) & MASK_96), revenue)
    obligations: uint256 = unsafe_sub(unsafe_add(revenue, remaining), self.paid)
    if held <= obligations:
        return 0
    added: uint256 = unsafe_sub(held, obligations)
    assert added <= MASK_96 and revenue + remaining + added <= MASK_96, "share: lifetime revenue too large"
    time_left: uint256 = 0
    if remaining != 0:
        time_left = unsafe_sub(word >> 224, block.timestamp)
    period: uint256 = (self._terms() >> 96) & MASK_32
    total: uint256 = unsafe_add(remaining, added)
    # Rounded up, so that it is never 0; never above `period`, being a mean of two times that are not.
    duration: uint256 = (remaining * time_left + added * period + total - 1) // total
    end: uint256 = block.timestamp + duration
    self.stream = revenue | (total << 96) | (block.timestamp << 192) | (end << 224)
    log RevenueDistributed(payer=msg.sender, amount=added, streams_until=end)
    return added


@internal
def _settled(holder: address, account: uint256, revenue: uint256) -> uint256:
    """
    @dev The account's word at `revenue`; whole units earned since its last settlement go to `owed`.
    """
    if (account >> 96) & MASK_96 == revenue:
        return account
    whole: uint256 = 0
    settled: uint256 = 0
    whole, settled = self._settle(account, revenue)
    if whole != 0:
        if settled & OWES != 0:
            whole = unsafe_add(whole, self.owed[holder])
        self.owed[holder] = whole
        settled = settled | OWES
    return settled


@internal
@view
def _settle(account: uint256, revenue: uint256) -> (uint256, uint256):
    """
    @dev Whole units earned since the last settlement, and the word after it. Below 2^192 by 2^63: nothing overflows.
    """
    balance: uint256 = account & MASK_96
    earned: uint256 = unsafe_mul(balance, unsafe_sub(revenue, (account >> 96) & MASK_96))
    if earned == 0:
        return 0, (account & ~(MASK_96 << 96)) | (revenue << 96)
    supply: uint256 = self._terms() & MASK_96
    fraction: uint256 = unsafe_add(
        (account >> 192) & MASK_63, unsafe_div((earned % supply) << 63, supply)
    )
    whole: uint256 = unsafe_add(unsafe_div(earned, supply), fraction >> 63)
    return whole, (account & BALANCE_AND_FLAG) | (revenue << 96) | ((fraction & MASK_63) << 192)


@internal
@pure
def _revenue_at(word: uint256, now: uint256) -> uint256:
    """
    @dev Revenue streamed until `now`; rounded down, so that it never runs ahead of the money.
    """
    streamed: uint256 = word & MASK_96
    remaining: uint256 = (word >> 96) & MASK_96
    if remaining == 0:
        return streamed
    end: uint256 = word >> 224
    if now >= end:
        return unsafe_add(streamed, remaining)
    last: uint256 = (word >> 192) & MASK_32
    return unsafe_add(
        streamed, unsafe_div(unsafe_mul(remaining, unsafe_sub(now, last)), unsafe_sub(end, last))
    )


# --- Views ----------------------------------------------------------------------------------------------------------


@external
@view
@reentrant
def balanceOf(holder: address) -> uint256:
    return self.accounts[holder] & MASK_96


@external
@view
@reentrant
def totalSupply() -> uint256:
    return self._terms() & MASK_96


@external
@view
@reentrant
def claimable(holder: address) -> uint256:
    """
    @notice What `claim` would pay `holder` now, in base units. Read it at the pending block: it grows by the second.
    """
    whole: uint256 = 0
    settled: uint256 = 0
    whole, settled = self._settle(
        self.accounts[holder], self._revenue_at(self.stream, block.timestamp)
    )
    if settled & OWES != 0:
        whole += self.owed[holder]
    return whole


@external
@view
@reentrant
def revenue_index() -> uint256:
    """
    @notice All revenue streamed so far, in base units. Never falls.
    """
    return self._revenue_at(self.stream, block.timestamp)


@external
@view
@reentrant
def revenue_stream() -> (uint256, uint256, uint256, uint256):
    """
    @return Revenue streamed up to `last`, revenue still to stream after it, `last`, and when the stream ends.
    """
    word: uint256 = self.stream
    return word & MASK_96, (word >> 96) & MASK_96, (word >> 192) & MASK_32, word >> 224


@external
@view
@reentrant
def obligations() -> uint256:
    """
    @notice How much of the currency here is spoken for: streamed or still to stream, less what was claimed.
    """
    word: uint256 = self.stream
    return (word & MASK_96) + ((word >> 96) & MASK_96) - self.paid


@external
@view
@reentrant
def asset() -> uint256:
    return self._asset()


@external
@view
@reentrant
def period() -> uint256:
    """
    @notice Seconds over which a payment reaches the holders.
    """
    return (self._terms() >> 96) & MASK_32


@external
@view
@reentrant
def floor_bps() -> uint256:
    """
    @notice The holders' part of what is settled is never less than this.
    """
    return (self._terms() >> 128) & (2**16 - 1)


@external
@view
@reentrant
def max_discount_bps() -> uint256:
    """
    @notice The largest discount for holders that governance may give.
    """
    return (self._terms() >> 144) & (2**16 - 1)


@external
@view
@reentrant
def currency() -> address:
    return CURRENCY


@external
@view
@reentrant
def name() -> String[32]:
    return self._text(2)


@external
@view
@reentrant
def symbol() -> String[32]:
    return self._text(3)


@external
@view
@reentrant
def DOMAIN_SEPARATOR() -> bytes32:
    return self._domain_separator()


@external
@view
@reentrant
def eip712Domain() -> (bytes1, String[32], String[1], uint256, address, bytes32, DynArray[uint256, 1]):
    """
    @notice EIP-5267: which fields the domain has (name, version, chain id, contract) and their values.
    """
    return 0x0f, self._text(2), version, chain.id, self, empty(bytes32), []


@internal
@view
def _terms() -> uint256:
    return clones._argument(self, 0)


@internal
@view
def _asset() -> uint256:
    return clones._argument(self, 1)


@internal
@view
def _text(word: uint256) -> String[32]:
    padded: bytes32 = convert(clones._argument(self, word), bytes32)
    length: uint256 = 32
    for i: uint256 in range(32):
        if convert(slice(padded, i, 1), bytes1) == 0x00:
            length = i
            break
    return convert(slice(padded, 0, length), String[32])


@internal
@view
def _domain_separator() -> bytes32:
    return signatures._domain_separator(keccak256(self._text(2)), VERSION_HASH)
