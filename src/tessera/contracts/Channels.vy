# pragma version 0.4.3
# pragma evm-version cancun
# pragma nonreentrancy on
"""
@title Channels
@license Apache-2.0
@notice Prepaid balances of payers toward operators, the vouchers that draw on them, and the split of what they pay.
@dev A voucher is a payer's signature over cumulative maxima, one for each (asset, terms); the operator settles
     cumulative charges, none above its maximum. Totals only grow, so order, replay and reorgs change nothing.
     A split is a function of the cumulative gross of (asset, operator, terms) alone: everybody's credit is the floor
     of their bps of it. Many small payments are worth exactly one large one, and the few units that all the floors
     leave over stay here until the next payment makes them whole.
     The arithmetic stands again, bit for bit, in `tessera.spec.split` and `tessera.spec.vouchers`.
@custom:security An operator can settle at most what was signed and is still deposited. A payer who withdraws gives the
     operator `withdraw_delay` seconds to settle first. A session key can spend only in its channel, only on granted
     lines, only up to their caps and until they expire. A currency that shrinks balances in place must not be chosen.
@custom:invariant solvent, conserved, settled_once, can_always_claim, terms_at_call, holders_floor, wash_loses
@custom:pause Nothing here can be paused, and nobody has power over another's balance.
"""
from ethereum.ercs import IERC20
from .modules import clones
from .modules import receipts
from .modules import rescues
from .modules import signatures


interface IRegistry:
    def split_of(asset: uint256, operator: address, terms: uint256) -> (
        uint256, uint256, DynArray[uint256, 8], address, address
    ): view
    def share_of(asset: uint256) -> address: view
    def ownerOf(asset: uint256) -> address: view
    def controller_of(asset: uint256) -> address: view
    def commons() -> address: view


interface IShare:
    def sync() -> uint256: nonpayable


interface ITill:
    def sweep(): nonpayable
    def rescue(token: address, receiver: address): nonpayable


interface IAuthorizedTransfer:
    def receiveWithAuthorization(
        payer: address,
        receiver: address,
        amount: uint256,
        valid_after: uint256,
        valid_before: uint256,
        nonce: bytes32,
        v: uint8,
        r: bytes32,
        s: bytes32,
    ): nonpayable


# A line that a session key may spend on: up to `cap` in all, until `expires` (unix seconds).
struct Grant:
    asset: uint256
    terms: uint256
    cap: uint256
    expires: uint256


# What a settlement is about: vouchers name their lines by the position in this list.
struct TillKey:
    asset: uint256
    terms: uint256


struct Line:
    asset: uint256
    terms: uint256
    maximum: uint256


flag Reason:
    NO_CHANNEL
    BAD_SIGNATURE
    BELOW_SETTLED
    ABOVE_MAXIMUM
    NOT_GRANTED
    BALANCE_TOO_LOW


event ChannelOpened:
    operator: indexed(address)
    payer: indexed(address)
    channel: indexed(uint256)
    signer: address
    restricted: bool


event Granted:
    operator: indexed(address)
    channel: indexed(uint256)
    asset: indexed(uint256)
    terms: uint256
    cap: uint256
    expires: uint256


event Deposited:
    operator: indexed(address)
    channel: indexed(uint256)
    amount: uint256


event WithdrawalRequested:
    operator: indexed(address)
    channel: indexed(uint256)
    available_at: uint256


event WithdrawalCancelled:
    operator: indexed(address)
    channel: indexed(uint256)


event Withdrawn:
    operator: indexed(address)
    channel: indexed(uint256)
    receiver: indexed(address)
    amount: uint256


# One for each settlement: for each voucher that counted, its channel (64) | the amount taken (96) << 64.
event VouchersSettled:
    operator: indexed(address)
    taken: DynArray[uint256, MAX_VOUCHERS]


event VoucherSkipped:
    operator: indexed(address)
    channel: indexed(uint256)
    reason: Reason


event Settled:
    asset: indexed(uint256)
    operator: indexed(address)
    terms: uint256
    amount: uint256
    commons: uint256


event IncomeReceived:
    asset: indexed(uint256)
    operator: indexed(address)
    terms: uint256
    amount: uint256


event Flushed:
    asset: indexed(uint256)
    receiver: indexed(address)
    amount: uint256


event CreditWithdrawn:
    account: indexed(address)
    receiver: indexed(address)
    amount: uint256


event SurplusAbsorbed:
    amount: uint256


BPS: constant(uint256) = 10_000
MAX_TILLS: constant(uint256) = 32
MAX_LINES: constant(uint256) = 16
MAX_VOUCHERS: constant(uint256) = 256
# Vyper sets the whole of a list aside, and memory is paid for by its square: 16,000 gas less than with twice as much.
MAX_WORDS: constant(uint256) = 1024
MASK_96: constant(uint256) = 2**96 - 1
MASK_95: constant(uint256) = 2**95 - 1
MASK_64: constant(uint256) = 2**64 - 1
MASK_40: constant(uint256) = 2**40 - 1
MASK_160: constant(uint256) = 2**160 - 1
RESTRICTED: constant(uint256) = 2**160
MAX_DELAY: constant(uint256) = 30 * 86_400

NAME_HASH: constant(bytes32) = keccak256("Tessera Channels")
VERSION_HASH: constant(bytes32) = keccak256("1")
LINE_TYPEHASH: constant(bytes32) = keccak256("Line(uint256 asset,uint32 terms,uint96 maximum)")
VOUCHER_TYPEHASH: constant(bytes32) = keccak256(
    "Voucher(uint64 channel,Line[] lines)Line(uint256 asset,uint32 terms,uint96 maximum)"
)

CURRENCY: immutable(address)
REGISTRY: immutable(address)
TILL_IMPLEMENTATION: immutable(address)
WITHDRAW_DELAY: immutable(uint256)
CACHED_CHAIN_ID: immutable(uint256)
CACHED_DOMAIN: immutable(bytes32)

# operator << 64 | channel -> signer (160) | restricted (1) | balance (95)
channels: HashMap[uint256, uint256]
# operator << 64 | channel -> payer (160) | withdrawal available at (40), 0 if none was requested
payers: HashMap[uint256, uint256]
# hash of (operator, asset, terms), its low 64 bits replaced by the channel -> charged (96) | cap (96) | expires (40)
lines: HashMap[uint256, uint256]
# All that (asset, operator, terms) ever took in, settled or through its Till.
gross_of: public(HashMap[uint256, HashMap[address, HashMap[uint256, uint256]]])
# An asset's income that waits to be flushed to its holders or its owner.
pending_of: public(HashMap[uint256, uint256])
# What an address may withdraw: cuts, halves of the network fee, income of assets without a Share.
credit_of: public(HashMap[address, uint256])
# The commons half of settled payments: the only figure that counts as proof of demand.
demand_of: public(HashMap[uint256, uint256])
# All of the currency here that belongs to somebody, the leftovers of the floors included.
obligations: public(uint256)


@deploy
def __init__(
    currency: address, registry: address, till_implementation: address, withdraw_delay: uint256
):
    """
    @param withdraw_delay Seconds between a payer's request to withdraw and the withdrawal; the time in which operators
           must settle.
    """
    assert withdraw_delay != 0 and withdraw_delay <= MAX_DELAY, "channels: delay out of range"
    CURRENCY = currency
    REGISTRY = registry
    TILL_IMPLEMENTATION = till_implementation
    WITHDRAW_DELAY = withdraw_delay
    CACHED_CHAIN_ID = chain.id
    CACHED_DOMAIN = signatures._domain_separator(NAME_HASH, VERSION_HASH)


# --- Payers ---------------------------------------------------------------------------------------------------------


@external
def open(
    operator: address,
    salt: bytes32,
    amount: uint256,
    signer: address,
    grants: DynArray[Grant, MAX_LINES],
) -> uint256:
    """
    @notice Open a channel to `operator` and deposit `amount` of the currency.
    @param signer Signs the vouchers: the caller, or a session key. A key with grants is held to them; one without may
           spend the whole deposit, on anything of this operator.
    @return The channel's number: a hash of payer, operator and salt, so that a reorg cannot give it to someone else.
    """
    channel: uint256 = self._open(msg.sender, operator, salt, signer, len(grants) != 0)
    self._grant(operator, channel, grants)
    self._deposit(operator, channel, self._take(msg.sender, amount))
    return channel


@external
def open_with_authorization(
    payer: address,
    operator: address,
    salt: bytes32,
    amount: uint256,
    signer: address,
    valid_after: uint256,
    valid_before: uint256,
    v: uint8,
    r: bytes32,
    s: bytes32,
) -> uint256:
    """
    @notice Open a channel for a payer who signed an EIP-3009 authorization and needs no gas.
    @dev The authorization's nonce is the hash of everything else, so whoever relays it can change nothing.
    """
    nonce: bytes32 = keccak256(abi_encode(operator, salt, signer))
    channel: uint256 = self._open(payer, operator, salt, signer, False)
    before: uint256 = staticcall IERC20(CURRENCY).balanceOf(self)
    extcall IAuthorizedTransfer(CURRENCY).receiveWithAuthorization(
        payer, self, amount, valid_after, valid_before, nonce, v, r, s
    )
    self._deposit(operator, channel, staticcall IERC20(CURRENCY).balanceOf(self) - before)
    return channel


@external
def top_up(operator: address, channel: uint256, amount: uint256):
    """
    @notice Add to a channel. Anyone may; the money is the payer's.
    """
    assert self.payers[self._channel_key(operator, channel)] != 0, "channels: no such channel"
    self._deposit(operator, channel, self._take(msg.sender, amount))


@external
def grant(operator: address, channel: uint256, grants: DynArray[Grant, MAX_LINES]):
    """
    @notice Let the channel's session key spend on more lines, more on a line, or for longer. Never less: the operator
            may already have served on the strength of it.
    """
    self._only_payer(operator, channel)
    assert (
        self.channels[self._channel_key(operator, channel)] & RESTRICTED != 0
    ), "channels: the signer is not restricted"
    self._grant(operator, channel, grants)


@external
def request_withdrawal(operator: address, channel: uint256) -> uint256:
    """
    @notice Begin to take the rest back. The operator has until the time returned to settle, and after it, until the
            money is really withdrawn.
    """
    self._only_payer(operator, channel)
    key: uint256 = self._channel_key(operator, channel)
    word: uint256 = self.payers[key]
    assert word >> 160 == 0, "channels: withdrawal requested already"
    available_at: uint256 = block.timestamp + WITHDRAW_DELAY
    self.payers[key] = word | (available_at << 160)
    log WithdrawalRequested(operator=operator, channel=channel, available_at=available_at)
    return available_at


@external
def cancel_withdrawal(operator: address, channel: uint256):
    """
    @notice Take a request back, so that the operator serves the channel again. Only the payer: a deposit of one unit by
            a stranger must not restart the payer's clock.
    """
    self._only_payer(operator, channel)
    key: uint256 = self._channel_key(operator, channel)
    word: uint256 = self.payers[key]
    assert word >> 160 != 0, "channels: no withdrawal requested"
    self.payers[key] = word & MASK_160
    log WithdrawalCancelled(operator=operator, channel=channel)


@external
def withdraw(operator: address, channel: uint256) -> uint256:
    """
    @notice Pay the rest of a channel back to its payer, once the delay is over. Anyone may call it.
    """
    payer: uint256 = self.payers[self._channel_key(operator, channel)] & MASK_160
    return self._withdraw(operator, channel, convert(payer, address))


@external
def withdraw_to(operator: address, channel: uint256, receiver: address) -> uint256:
    """
    @notice As `withdraw`, to another address; only by the payer, for whom the currency may have closed its own.
    """
    self._only_payer(operator, channel)
    return self._withdraw(operator, channel, receiver)


@external
def release(channel: uint256) -> uint256:
    """
    @notice The operator lets a payer have the rest back at once.
    """
    word: uint256 = self.payers[self._channel_key(msg.sender, channel)]
    assert word != 0, "channels: no such channel"
    return self._pay_back(msg.sender, channel, convert(word & MASK_160, address))


@internal
def _open(
    payer: address, operator: address, salt: bytes32, signer: address, restricted: bool
) -> uint256:
    assert operator != empty(address) and signer != empty(address), "channels: zero address"
    channel: uint256 = self._channel_number(payer, operator, salt)
    key: uint256 = self._channel_key(operator, channel)
    assert self.payers[key] == 0, "channels: channel exists"
    self.payers[key] = convert(payer, uint256)
    word: uint256 = convert(signer, uint256)
    if restricted:
        word |= RESTRICTED
    self.channels[key] = word
    log ChannelOpened(
        operator=operator, payer=payer, channel=channel, signer=signer, restricted=restricted
    )
    return channel


@internal
def _grant(operator: address, channel: uint256, grants: DynArray[Grant, MAX_LINES]):
    for item: Grant in grants:
        assert item.cap <= MASK_96 and item.expires <= MASK_40, "channels: grant out of range"
        key: uint256 = self._till_key(operator, item.asset, item.terms) | channel
        line: uint256 = self.lines[key]
        assert (
            item.cap >= (line >> 96) & MASK_96 and item.expires >= line >> 192
        ), "channels: a grant never shrinks"
        self.lines[key] = (line & MASK_96) | (item.cap << 96) | (item.expires << 192)
        log Granted(
            operator=operator,
            channel=channel,
            asset=item.asset,
            terms=item.terms,
            cap=item.cap,
            expires=item.expires,
        )


@internal
def _take(payer: address, amount: uint256) -> uint256:
    """
    @dev What really arrived: a currency may take a fee in transit.
    """
    before: uint256 = staticcall IERC20(CURRENCY).balanceOf(self)
    assert extcall IERC20(CURRENCY).transferFrom(
        payer, self, amount, default_return_value=True
    ), "channels: currency refused the transfer"
    return staticcall IERC20(CURRENCY).balanceOf(self) - before


@internal
def _deposit(operator: address, channel: uint256, amount: uint256):
    key: uint256 = self._channel_key(operator, channel)
    word: uint256 = self.channels[key]
    assert amount <= MASK_95 and (word >> 161) + amount <= MASK_95, "channels: balance too large"
    self.channels[key] = word + (amount << 161)
    self.obligations += amount
    log Deposited(operator=operator, channel=channel, amount=amount)


@internal
def _withdraw(operator: address, channel: uint256, receiver: address) -> uint256:
    available_at: uint256 = self.payers[self._channel_key(operator, channel)] >> 160
    assert available_at != 0, "channels: no withdrawal requested"
    assert block.timestamp >= available_at, "channels: withdrawal is not available yet"
    return self._pay_back(operator, channel, receiver)


@internal
def _pay_back(operator: address, channel: uint256, receiver: address) -> uint256:
    key: uint256 = self._channel_key(operator, channel)
    word: uint256 = self.channels[key]
    amount: uint256 = word >> 161
    self.channels[key] = word & (MASK_160 | RESTRICTED)
    self.payers[key] = self.payers[key] & MASK_160
    self._send(receiver, amount)
    log Withdrawn(operator=operator, channel=channel, receiver=receiver, amount=amount)
    return amount


@internal
@view
def _only_payer(operator: address, channel: uint256):
    payer: uint256 = self.payers[self._channel_key(operator, channel)] & MASK_160
    assert convert(msg.sender, uint256) == payer, "channels: only the payer"


# --- Settlement -----------------------------------------------------------------------------------------------------


@external
def settle(tills: DynArray[TillKey, MAX_TILLS], batch: DynArray[uint256, MAX_WORDS]) -> uint256:
    """
    @notice The operator settles many vouchers at once. A line that is not good (below what was settled, above its
            maximum, or not granted) is left alone; a voucher of which nothing counts is skipped and named in an event.
    @param tills What the vouchers are about, in ascending order of (asset, terms).
    @param batch For each voucher one word channel (64) | number of lines (8) << 64; for each line one word
           charged (96) | maximum (96) << 96 | position in `tills` (8) << 192, positions ascending; then r and vs of
           the signature (EIP-2098). Every line that was signed is there; `charged` 0 leaves one alone.
    @return How much was taken from the channels.
    """
    sums: DynArray[uint256, MAX_TILLS] = []
    keys: DynArray[uint256, MAX_TILLS] = []
    for i: uint256 in range(len(tills), bound=MAX_TILLS):
        if i != 0:
            before: TillKey = tills[i - 1]
            assert tills[i].asset > before.asset or (
                tills[i].asset == before.asset and tills[i].terms > before.terms
            ), "channels: tills are not in order"
        sums.append(0)
        keys.append(self._till_key(msg.sender, tills[i].asset, tills[i].terms))
    domain: bytes32 = self._domain_separator()
    taken_from: DynArray[uint256, MAX_VOUCHERS] = []
    operator_bits: uint256 = convert(msg.sender, uint256) << 64
    hashes: bytes32[MAX_LINES] = empty(bytes32[MAX_LINES])
    changed: uint256[MAX_LINES] = empty(uint256[MAX_LINES])
    growth: uint256[MAX_LINES] = empty(uint256[MAX_LINES])
    total: uint256 = 0
    cursor: uint256 = 0
    # A voucher has four words at least, so a full batch ends with the range.
    for _: uint256 in range(MAX_VOUCHERS):
        if cursor == len(batch):
            break
        header: uint256 = batch[cursor]
        channel: uint256 = header & MASK_64
        count: uint256 = header >> 64
        assert count != 0 and count <= MAX_LINES, "channels: malformed batch"
        word: uint256 = self.channels[operator_bits | channel]
        reason: Reason = empty(Reason)
        taken: uint256 = 0
        next_position: uint256 = 0
        # First look at every line, then write. A line whose grant has ended, or that a receipt settled meanwhile, must
        # not hold up the others. Reading past the end reverts, since Vyper checks the bounds of a dynamic array.
        for j: uint256 in range(count, bound=MAX_LINES):
            line: uint256 = batch[unsafe_add(cursor, unsafe_add(j, 1))]
            position: uint256 = line >> 192
            assert position >= next_position, "channels: malformed batch"
            next_position = unsafe_add(position, 1)
            maximum: uint256 = (line >> 96) & MASK_96
            till: TillKey = tills[position]
            hashes[j] = keccak256(abi_encode(LINE_TYPEHASH, till.asset, till.terms, maximum))
            charged: uint256 = line & MASK_96
            growth[j] = 0
            if charged != 0:
                stored: uint256 = self.lines[keys[position] | channel]
                settled: uint256 = stored & MASK_96
                if charged < settled:
                    reason = Reason.BELOW_SETTLED
                elif charged > maximum:
                    reason = Reason.ABOVE_MAXIMUM
                elif word & RESTRICTED != 0 and not self._is_granted(stored, charged):
                    reason = Reason.NOT_GRANTED
                else:
                    growth[j] = unsafe_sub(charged, settled)
                    changed[j] = unsafe_add(stored, growth[j])
                    taken = unsafe_add(taken, growth[j])
        cursor = unsafe_add(cursor, unsafe_add(count, 1))
        # EIP-712 hashes an array of structs as the hashes of its members, one behind the other. Most have one.
        lines_hash: bytes32 = empty(bytes32)
        if count == 1:
            lines_hash = keccak256(hashes[0])
        else:
            lines_hash = keccak256(slice(abi_encode(hashes), 0, 32 * count))
        signer: uint256 = convert(
            signatures._recover_compact(
                keccak256(
                    concat(
                        x"1901",
                        domain,
                        keccak256(abi_encode(VOUCHER_TYPEHASH, channel, lines_hash)),
                    )
                ),
                batch[cursor],
                batch[unsafe_add(cursor, 1)],
            ),
            uint256,
        )
        cursor = unsafe_add(cursor, 2)
        if word == 0:
            reason = Reason.NO_CHANNEL
        elif signer == 0 or signer != word & MASK_160:
            reason = Reason.BAD_SIGNATURE
        elif taken > word >> 161:
            reason = Reason.BALANCE_TOO_LOW
        elif taken != 0:
            reason = empty(Reason)
        if reason != empty(Reason):
            log VoucherSkipped(operator=msg.sender, channel=channel, reason=reason)
        elif taken != 0:
            for j: uint256 in range(count, bound=MAX_LINES):
                if growth[j] != 0:
                    # The words behind: this voucher's lines begin `count + 2` words before the cursor.
                    position: uint256 = (
                        batch[unsafe_sub(unsafe_add(cursor, j), unsafe_add(count, 2))] >> 192
                    )
                    sums[position] = unsafe_add(sums[position], growth[j])
                    self.lines[keys[position] | channel] = changed[j]
            self.channels[operator_bits | channel] = unsafe_sub(word, taken << 161)
            total = unsafe_add(total, taken)
            taken_from.append(channel | (taken << 64))
    if total != 0:
        log VouchersSettled(operator=msg.sender, taken=taken_from)
    for i: uint256 in range(len(tills), bound=MAX_TILLS):
        if sums[i] != 0:
            commons: uint256 = self._credit(tills[i].asset, msg.sender, tills[i].terms, sums[i])
            self.demand_of[tills[i].asset] += commons
            log Settled(
                asset=tills[i].asset,
                operator=msg.sender,
                terms=tills[i].terms,
                amount=sums[i],
                commons=commons,
            )
    return total


@external
def settle_by_receipt(
    operator: address,
    signed: DynArray[Line, MAX_LINES],
    r: uint256,
    vs: uint256,
    receipt: receipts.Receipt,
    proof: DynArray[bytes32, receipts.MAX_PROOF],
    receipt_r: uint256,
    receipt_vs: uint256,
) -> uint256:
    """
    @notice Settle one line in the operator's place: for holders of an asset whose operator serves but does not settle.
    @param signed The lines of the payer's voucher, `r` and `vs` its signature.
    @param receipt What the operator signed; its `charged` is what is settled. The money goes where it always goes.
    @param proof What leads from the receipt to the root that was signed in its place; empty where it was signed alone.
    @return How much was taken from the channel.
    """
    domain: bytes32 = self._domain_separator()
    hashes: bytes32[MAX_LINES] = empty(bytes32[MAX_LINES])
    maximum: uint256 = 0
    for j: uint256 in range(len(signed), bound=MAX_LINES):
        line: Line = signed[j]
        hashes[j] = keccak256(abi_encode(LINE_TYPEHASH, line.asset, line.terms, line.maximum))
        if line.asset == receipt.asset and line.terms == receipt.terms:
            maximum = line.maximum
    channel_key: uint256 = self._channel_key(operator, receipt.channel)
    word: uint256 = self.channels[channel_key]
    signer: address = signatures._recover_compact(
        signatures._typed_digest(
            domain,
            keccak256(
                abi_encode(
                    VOUCHER_TYPEHASH,
                    receipt.channel,
                    keccak256(slice(abi_encode(hashes), 0, 32 * len(signed))),
                )
            ),
        ),
        r,
        vs,
    )
    assert (
        signer != empty(address) and convert(signer, uint256) == word & MASK_160
    ), "channels: voucher not signed by the channel's signer"
    assert (
        operator != empty(address)
        and receipts._signer(domain, receipt, proof, receipt_r, receipt_vs) == operator
    ), "channels: receipt not signed by the operator"
    key: uint256 = self._till_key(operator, receipt.asset, receipt.terms) | receipt.channel
    stored: uint256 = self.lines[key]
    charged: uint256 = receipt.charged
    assert charged <= maximum and charged <= MASK_96, "channels: receipt above the voucher"
    assert charged >= stored & MASK_96, "channels: settled already"
    assert word & RESTRICTED == 0 or self._is_granted(stored, charged), "channels: not granted"
    taken: uint256 = charged - (stored & MASK_96)
    assert taken <= word >> 161, "channels: balance too low"
    if taken != 0:
        self.lines[key] = stored + taken
        self.channels[channel_key] = word - (taken << 161)
        log VouchersSettled(operator=operator, taken=[receipt.channel | (taken << 64)])
        commons: uint256 = self._credit(receipt.asset, operator, receipt.terms, taken)
        self.demand_of[receipt.asset] += commons
        log Settled(
            asset=receipt.asset,
            operator=operator,
            terms=receipt.terms,
            amount=taken,
            commons=commons,
        )
    return taken


@internal
@view
def _is_granted(line: uint256, charged: uint256) -> bool:
    return charged <= (line >> 96) & MASK_96 and block.timestamp <= line >> 192


@internal
@pure
def _till_key(operator: address, asset: uint256, terms: uint256) -> uint256:
    """
    @dev Room for the channel's number in the low 64 bits; 192 bits of a hash are more than an address has.
    """
    return convert(keccak256(abi_encode(operator, asset, terms)), uint256) & ~MASK_64


@internal
@pure
def _channel_key(operator: address, channel: uint256) -> uint256:
    assert channel <= MASK_64, "channels: no such channel"
    return (convert(operator, uint256) << 64) | channel


# --- The split ------------------------------------------------------------------------------------------------------


@internal
def _credit(asset: uint256, operator: address, terms: uint256, amount: uint256) -> uint256:
    """
    @dev Credit everybody with the growth of the floor of their bps of the cumulative gross.
    @return The commons half of the network fee.
    """
    fee_bps: uint256 = 0
    cut_bps: uint256 = 0
    royalties: DynArray[uint256, 8] = []
    commons: address = empty(address)
    validators: address = empty(address)
    fee_bps, cut_bps, royalties, commons, validators = staticcall IRegistry(REGISTRY).split_of(
        asset, operator, terms
    )
    before: uint256 = self.gross_of[asset][operator][terms]
    after: uint256 = before + amount
    self.gross_of[asset][operator][terms] = after
    # The commons' half is the larger one where the fee is odd.
    commons_bps: uint256 = (fee_bps + 1) // 2
    commons_part: uint256 = self._growth(before, after, commons_bps)
    validators_part: uint256 = self._growth(before, after, fee_bps - commons_bps)
    if commons == validators:
        self.credit_of[commons] += commons_part + validators_part
    else:
        self.credit_of[commons] += commons_part
        self.credit_of[validators] += validators_part
    left_bps: uint256 = BPS - fee_bps - cut_bps
    if cut_bps != 0:
        self.credit_of[operator] += self._growth(before, after, cut_bps)
    for royalty: uint256 in royalties:
        royalty_bps: uint256 = royalty & (2**16 - 1)
        left_bps -= royalty_bps
        self.pending_of[royalty >> 16] += self._growth(before, after, royalty_bps)
    self.pending_of[asset] += self._growth(before, after, left_bps)
    return commons_part


@internal
@pure
def _growth(before: uint256, after: uint256, bps: uint256) -> uint256:
    return after * bps // BPS - before * bps // BPS


@external
def flush(asset: uint256) -> uint256:
    """
    @notice Hand an asset's pending income on: to its Share, where it streams to the holders, or to its owner's credit.
            Anyone may call it.
    """
    amount: uint256 = self.pending_of[asset]
    self.pending_of[asset] = 0
    receiver: address = staticcall IRegistry(REGISTRY).share_of(asset)
    if receiver == empty(address):
        receiver = staticcall IRegistry(REGISTRY).ownerOf(asset)
        self.credit_of[receiver] += amount
    else:
        self._send(receiver, amount)
        extcall IShare(receiver).sync()
    log Flushed(asset=asset, receiver=receiver, amount=amount)
    return amount


@external
def withdraw_credit(receiver: address = msg.sender) -> uint256:
    """
    @notice Pay the caller's credit to `receiver`.
    """
    amount: uint256 = self.credit_of[msg.sender]
    self.credit_of[msg.sender] = 0
    self._send(receiver, amount)
    log CreditWithdrawn(account=msg.sender, receiver=receiver, amount=amount)
    return amount


@internal
def _send(receiver: address, amount: uint256):
    if amount != 0:
        self.obligations -= amount
        assert extcall IERC20(CURRENCY).transfer(
            receiver, amount, default_return_value=True
        ), "channels: currency refused the transfer"


# --- Tills ----------------------------------------------------------------------------------------------------------


@external
def flush_till(asset: uint256, operator: address, terms: uint256) -> uint256:
    """
    @notice Split what arrived at a Till by plain transfer. Anyone may call it, for ever. Income, not proof of demand.
    """
    till: address = self._till(asset, operator, terms)
    before: uint256 = staticcall IERC20(CURRENCY).balanceOf(self)
    extcall ITill(till).sweep()
    amount: uint256 = staticcall IERC20(CURRENCY).balanceOf(self) - before
    if amount != 0:
        self.obligations += amount
        self._credit(asset, operator, terms, amount)
        log IncomeReceived(asset=asset, operator=operator, terms=terms, amount=amount)
    return amount


@external
def rescue_from_till(asset: uint256, operator: address, terms: uint256, token: address):
    """
    @notice Send another token that was sent to a Till by mistake to the asset's controller.
    """
    assert token != CURRENCY, "channels: the currency is income; use flush_till"
    extcall ITill(self._till(asset, operator, terms)).rescue(
        token, staticcall IRegistry(REGISTRY).controller_of(asset)
    )


@external
def absorb_surplus() -> uint256:
    """
    @notice Credit the commons with what was sent straight to this contract and belongs to nobody.
    """
    amount: uint256 = staticcall IERC20(CURRENCY).balanceOf(self) - self.obligations
    self.obligations += amount
    self.credit_of[staticcall IRegistry(REGISTRY).commons()] += amount
    log SurplusAbsorbed(amount=amount)
    return amount


@external
def rescue(token: address) -> uint256:
    """
    @notice Send another token that was sent to this contract by mistake to the commons.
    """
    assert token != CURRENCY, "channels: the currency is somebody's; use absorb_surplus"
    return rescues._rescue(token, staticcall IRegistry(REGISTRY).commons())


@internal
def _till(asset: uint256, operator: address, terms: uint256) -> address:
    arguments: Bytes[clones.MAX_ARGUMENTS] = self._till_arguments(asset, operator, terms)
    till: address = clones._address_of(TILL_IMPLEMENTATION, arguments, empty(bytes32))
    if not till.is_contract:
        clones._clone(TILL_IMPLEMENTATION, arguments, empty(bytes32))
    return till


@internal
@pure
def _till_arguments(
    asset: uint256, operator: address, terms: uint256
) -> Bytes[clones.MAX_ARGUMENTS]:
    return concat(
        convert(asset, bytes32),
        convert(convert(operator, uint256), bytes32),
        convert(terms, bytes32),
    )


# --- Views ----------------------------------------------------------------------------------------------------------


@external
@view
@reentrant
def till_of(asset: uint256, operator: address, terms: uint256) -> address:
    """
    @notice The deposit address for (asset, operator, terms), whether or not it has code yet.
    """
    return clones._address_of(
        TILL_IMPLEMENTATION, self._till_arguments(asset, operator, terms), empty(bytes32)
    )


@external
@view
@reentrant
def channel_of(operator: address, channel: uint256) -> (address, address, bool, uint256, uint256):
    """
    @return Payer, signer, whether the signer is held to grants, balance, and when a requested withdrawal is available
            (0 if none was requested).
    """
    key: uint256 = self._channel_key(operator, channel)
    word: uint256 = self.channels[key]
    payer: uint256 = self.payers[key]
    return (
        convert(payer & MASK_160, address),
        convert(word & MASK_160, address),
        word & RESTRICTED != 0,
        word >> 161,
        payer >> 160,
    )


@external
@view
@reentrant
def line_of(
    operator: address, channel: uint256, asset: uint256, terms: uint256
) -> (uint256, uint256, uint256):
    """
    @return Charged so far, and the session key's cap and expiry on this line.
    """
    assert channel <= MASK_64, "channels: no such channel"
    line: uint256 = self.lines[self._till_key(operator, asset, terms) | channel]
    return line & MASK_96, (line >> 96) & MASK_96, line >> 192


@external
@view
@reentrant
def channel_number(payer: address, operator: address, salt: bytes32) -> uint256:
    return self._channel_number(payer, operator, salt)


@external
@view
@reentrant
def currency() -> address:
    return CURRENCY


@external
@view
@reentrant
def registry() -> address:
    return REGISTRY


@external
@view
@reentrant
def withdraw_delay() -> uint256:
    return WITHDRAW_DELAY


@external
@view
@reentrant
def DOMAIN_SEPARATOR() -> bytes32:
    return self._domain_separator()


@external
@view
@reentrant
def eip712Domain() -> (
    bytes1, String[16], String[1], uint256, address, bytes32, DynArray[uint256, 1]
):
    """
    @notice EIP-5267: which fields the domain has (name, version, chain id, contract) and their values.
    """
    return 0x0f, "Tessera Channels", "1", chain.id, self, empty(bytes32), []


@internal
@pure
def _channel_number(payer: address, operator: address, salt: bytes32) -> uint256:
    return convert(keccak256(abi_encode(payer, operator, salt)), uint256) & MASK_64


@internal
@view
def _domain_separator() -> bytes32:
    if chain.id == CACHED_CHAIN_ID:
        return CACHED_DOMAIN
    return signatures._domain_separator(NAME_HASH, VERSION_HASH)
