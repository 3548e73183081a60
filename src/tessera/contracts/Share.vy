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
@custom:security Each settlement of an account rounds down by less than 2^-32 of a base unit, which stays here: an
     account would have to be settled four billion times to miss one unit. Lifetime revenue is below 2^96 base units;
     a payment beyond that is refused. Whoever holds every share can turn one sum into "new" revenue again and again
     (claim to the Share, sync): so the index proves no demand (`Channels.demand_of` does), and with a currency of 18
     decimals the limit can be used up; look at `revenue_stream` before buying. Times are kept in 32 bits, which end
     in 2106. A currency that takes a fee in transit credits what arrived; one that shrinks balances in place can
     leave this contract short, and must not be chosen.
@custom:invariant solvent, conserved, can_always_claim, index_never_falls, no_past_revenue
@custom:pause Nothing here can be paused, and nobody has power over another's balance.
"""
from ethereum.ercs import IERC20
from .modules import allowances
from .modules import clones
from .modules import rescues
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
    amount: uint256


event NomineeSet:
    holder: indexed(address)
    nominee: indexed(address)


decimals: public(constant(uint8)) = 18
version: public(constant(String[1])) = "1"

MASK_96: constant(uint256) = 2**96 - 1
MASK_32: constant(uint256) = 2**32 - 1
# Account word: balance (96) | index at the last settlement (96) | pocket (63) | owes (1).
# The pocket is what was settled to the account and not claimed, in units of 2^-32: whole units up to 2^31 fit in the
# same slot, so a transfer seldom touches a third one. What does not fit goes to `owed`.
FRACTION_BITS: constant(uint256) = 32
POCKET_LIMIT: constant(uint256) = 2**63
MASK_FRACTION: constant(uint256) = 2**32 - 1
INDEX: constant(uint256) = MASK_96 << 96
BALANCE_AND_FLAG: constant(uint256) = MASK_96 | 2**255
OWES: constant(uint256) = 2**255
VERSION_HASH: constant(bytes32) = keccak256("1")

CURRENCY: immutable(address)
REGISTRY: immutable(address)

# Arguments of the clone: word 0 is supply (96) | period (32) | floor bps (16) | largest discount bps (16),
# word 1 the asset, words 2 and 3 name and symbol, padded with zeros on the right.
accounts: HashMap[address, uint256]
# Whole units that did not fit the pocket; read only if the account's OWES bit is set.
owed: HashMap[address, uint256]
# Revenue streamed up to `last` (96) | all revenue, streamed when the stream ends (96) | last (32) | end (32).
# The second field lies where an account word has its index, so that a transfer compares the two without shifting.
stream: uint256
# All that was ever claimed. With `stream` it says how much of the balance is spoken for.
paid: public(uint256)
nominee_of: public(HashMap[address, address])


@deploy
def __init__(currency: address, registry: address):
    """
    @param currency The one currency of every Share made from this implementation.
    @param registry The only address that can bring a clone to life.
    """
    CURRENCY = currency
    REGISTRY = registry


@external
def initialize(receiver: address):
    """
    @notice Give the whole supply to `receiver`. The Registry calls it in the transaction that makes the clone.
    """
    assert msg.sender == REGISTRY, "share: only the registry initializes"
    assert self.stream == 0, "share: initialized already"
    self._check_newcomer(receiver)
    supply: uint256 = self._terms() & MASK_96
    self.stream = (block.timestamp << 192) | (block.timestamp << 224)
    self.accounts[self] = supply
    log Transfer(sender=empty(address), receiver=self, value=supply)
    self._transfer(self, receiver, supply)


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
    owner: address,
    spender: address,
    amount: uint256,
    deadline: uint256,
    v: uint8,
    r: bytes32,
    s: bytes32,
):
    """
    @notice EIP-2612. The domain's name is this token's name, its version "1".
    """
    allowances._permit(self._domain_separator(), owner, spender, amount, deadline, v, r, s)


@internal
def _transfer(sender: address, receiver: address, amount: uint256):
    source: uint256 = self.accounts[sender]
    assert (source & MASK_96) >= amount, "share: balance too low"
    if sender != receiver:
        target: uint256 = self.accounts[receiver]
        if target == 0:
            # Whoever has an account has passed this before, so only a newcomer pays for it.
            self._check_newcomer(receiver)
        stream: uint256 = self.stream
        # One branch for all three: either account is behind, or a stream is running.
        if (((source ^ stream) | (target ^ stream)) & INDEX) | convert(
            block.timestamp < stream >> 224, uint256
        ) != 0:
            revenue: uint256 = self._revenue_now(stream)
            # A sender without an account can only send nothing, for which `transferFrom` needs no allowance: it must
            # not open an account, which would wave that address past the check above.
            if source != 0:
                source = self._settled(sender, source, revenue)
            target = self._settled(receiver, target, revenue)
        self.accounts[sender] = unsafe_sub(source, amount)
        # Cannot overflow: all balances together are the supply, which is below 2^96.
        self.accounts[receiver] = unsafe_add(target, amount)
    log Transfer(sender=sender, receiver=receiver, value=amount)


@internal
@view
def _check_newcomer(receiver: address):
    """
    @dev Refuse those who could never send shares on. (A Till can, and does: `Channels.rescue_from_till`.)
    """
    assert receiver != empty(address), "share: receiver is the zero address"
    assert receiver != self, "share: receiver is the share itself"
    assert (
        receiver != CURRENCY and receiver != REGISTRY
    ), "share: receiver is the currency or the registry"
    if receiver.codesize >= clones.ARGUMENTS_AT:
        assert self._head(receiver) != self._head(self), "share: receiver is a share"


@internal
@view
def _head(clone: address) -> bytes32:
    """
    @dev The part of a clone's code that names its implementation: 10 bytes, then the address.
    """
    return convert(slice(clone.code, 0, 32), bytes32)


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
@reentrant
def claim(receiver: address = msg.sender) -> uint256:
    """
    @notice Pay the caller's revenue up to this second, to `receiver`.
    @return Amount in base units, rounded down; the fraction stays on the account. 0 is not an error.
    """
    return self._claim(msg.sender, receiver)


@external
@reentrant
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
    """
    assert token != CURRENCY, "share: the currency is revenue; use sync"
    return rescues._rescue(token, staticcall IRegistry(REGISTRY).controller_of(self._asset()))


@internal
def _claim(holder: address, receiver: address) -> uint256:
    account: uint256 = self.accounts[holder]
    revenue: uint256 = self._revenue_now(self.stream)
    pocket: uint256 = self._pocket(account, revenue)
    whole: uint256 = pocket >> FRACTION_BITS
    if account & OWES != 0:
        whole = unsafe_add(whole, self.owed[holder])
        self.owed[holder] = 0
    if whole != 0:
        self.accounts[holder] = (
            (account & MASK_96) | (revenue << 96) | ((pocket & MASK_FRACTION) << 192)
        )
        log RevenueClaimed(holder=holder, amount=whole)
        # The account is settled before money moves, and `paid` grows only after: whoever is called in between sees a
        # Share that owes too much rather than too little, and can take nothing that is not theirs.
        assert extcall IERC20(CURRENCY).transfer(
            receiver, whole, default_return_value=True
        ), "share: currency refused the transfer"
        self.paid += whole
    return whole


@internal
def _absorb() -> uint256:
    held: uint256 = staticcall IERC20(CURRENCY).balanceOf(self)
    stream: uint256 = self.stream
    total: uint256 = (stream >> 96) & MASK_96
    obligations: uint256 = unsafe_sub(total, self.paid)
    if held <= obligations:
        return 0
    added: uint256 = unsafe_sub(held, obligations)
    assert added <= MASK_96 and total + added <= MASK_96, "share: lifetime revenue too large"
    revenue: uint256 = self._revenue_now(stream)
    remaining: uint256 = unsafe_sub(total, revenue)
    time_left: uint256 = 0
    if remaining != 0:
        time_left = unsafe_sub(stream >> 224, block.timestamp)
    # Rounded down: between two whole numbers of seconds, the smaller of which is the time left, so a payment never
    # shortens the stream, and one of dust leaves its end where it is. Never 0: both are at least a second.
    end: uint256 = block.timestamp + (
        remaining * time_left + added * ((self._terms() >> 96) & MASK_32)
    ) // (remaining + added)
    self.stream = revenue | ((total + added) << 96) | (block.timestamp << 192) | (end << 224)
    log RevenueDistributed(payer=msg.sender, amount=added, streams_until=end)
    return added


@internal
def _settled(holder: address, account: uint256, revenue: uint256) -> uint256:
    """
    @dev The account's word at `revenue`. Whole units that do not fit the pocket go to `owed`.
    """
    pocket: uint256 = self._pocket(account, revenue)
    flags: uint256 = account & BALANCE_AND_FLAG
    if pocket >= POCKET_LIMIT:
        whole: uint256 = pocket >> FRACTION_BITS
        if flags & OWES != 0:
            whole = unsafe_add(whole, self.owed[holder])
        self.owed[holder] = whole
        flags = flags | OWES
        pocket = pocket & MASK_FRACTION
    return flags | (revenue << 96) | (pocket << 192)


@internal
@view
def _pocket(account: uint256, revenue: uint256) -> uint256:
    """
    @dev The pocket at `revenue`, in units of 2^-32 and rounded down; may be too large to be stored as one.
         Balance and revenue are below 2^96, so nothing overflows.
    """
    earned: uint256 = unsafe_mul(account & MASK_96, unsafe_sub(revenue, (account >> 96) & MASK_96))
    pocket: uint256 = (account & ~OWES) >> 192
    if earned != 0:
        pocket = unsafe_add(pocket, unsafe_div(earned << FRACTION_BITS, self._terms() & MASK_96))
    return pocket


@internal
@view
def _revenue_now(stream: uint256) -> uint256:
    """
    @dev Revenue streamed until now; rounded down, so that it never runs ahead of the money.
    """
    total: uint256 = (stream >> 96) & MASK_96
    end: uint256 = stream >> 224
    if block.timestamp >= end:
        return total
    streamed: uint256 = stream & MASK_96
    last: uint256 = (stream >> 192) & MASK_32
    return unsafe_add(
        streamed,
        unsafe_div(
            unsafe_mul(unsafe_sub(total, streamed), unsafe_sub(block.timestamp, last)),
            unsafe_sub(end, last),
        ),
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
    account: uint256 = self.accounts[holder]
    whole: uint256 = self._pocket(account, self._revenue_now(self.stream)) >> FRACTION_BITS
    if account & OWES != 0:
        whole += self.owed[holder]
    return whole


@external
@view
@reentrant
def revenue_index() -> uint256:
    """
    @notice All revenue streamed so far, in base units. Never falls.
    """
    return self._revenue_now(self.stream)


@external
@view
@reentrant
def revenue_stream() -> (uint256, uint256, uint256, uint256):
    """
    @return Revenue streamed up to `last`, all revenue once the stream ends, `last`, and the end.
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
    return ((self.stream >> 96) & MASK_96) - self.paid


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
def eip712Domain() -> (
    bytes1, String[32], String[1], uint256, address, bytes32, DynArray[uint256, 1]
):
    """
    @notice EIP-5267: which fields the domain has (name, version, chain id, contract) and their values.
    """
    return 0x0f, self._text(2), version, chain.id, self, empty(bytes32), []


@internal
@view
def _terms() -> uint256:
    me: address = self
    return convert(slice(me.code, clones.ARGUMENTS_AT, 32), uint256)


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
