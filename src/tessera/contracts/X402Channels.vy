# pragma version 0.4.3
# pragma evm-version cancun
"""
@title X402Channels
@license Apache-2.0
@notice Payment channels with the interface of x402's batch settlement, for development chains: deposits, cumulative
        vouchers, batched claims, settlement by receiver, delayed withdrawals and refunds.
@dev It stands at the standard's address from a chain's first block, so the official clients find it without being
     told. Nothing is immutable and nothing is cached: the code alone is enough, wherever it is put. A channel's id is
     the EIP-712 digest of its configuration, so it belongs to one chain and one contract.
     `balance` is all that was deposited less what was withdrawn or refunded; claims do not lower it. What is free is
     `balance - totalClaimed`. The bookkeeping stands again in `tessera.spec.x402`.
@custom:security For development chains; a public chain has the standard's own. A voucher reserves nothing here until it
     is claimed: who serves against vouchers must claim before a withdrawal can be finalized. Anyone may read a claimed
     voucher and show it again. A token that takes a part of each transfer is refused at the deposit; one that shrinks
     balances in place must not be used. A contract's signature (ERC-1271) may have at most 256 bytes here.
@custom:invariant solvent, conserved, settled_once, can_always_claim
@custom:pause Nothing here can be paused, and nobody has power over another's balance.
"""
from ethereum.ercs import IERC20
from .modules import signatures


interface IDepositCollector:
    def collect(
        payer: address,
        token: address,
        amount: uint256,
        channelId: bytes32,
        collectorData: Bytes[MAX_COLLECTOR_DATA],
    ): nonpayable


# Who pays whom in what, and who signs for either side; it never changes. `payerAuthorizer` is zero where the payer
# itself signs, which may be a contract. `withdrawDelay` in seconds.
struct ChannelConfig:
    payer: address
    payerAuthorizer: address
    receiver: address
    receiverAuthorizer: address
    token: address
    withdrawDelay: uint40
    salt: bytes32


struct ChannelState:
    balance: uint128
    totalClaimed: uint128


# `initiatedAt` is 0 where none is pending.
struct WithdrawalState:
    amount: uint128
    initiatedAt: uint40


struct ReceiverState:
    totalClaimed: uint128
    totalSettled: uint128


struct Voucher:
    channel: ChannelConfig
    maxClaimableAmount: uint128


# What a payer signed, and how much of it the receiver has earned by now; both are cumulative.
struct VoucherClaim:
    voucher: Voucher
    signature: Bytes[MAX_SIGNATURE]
    totalClaimed: uint128


event ChannelCreated:
    channelId: indexed(bytes32)
    config: ChannelConfig


event ChannelClosed:
    channelId: indexed(bytes32)
    config: ChannelConfig


event Deposited:
    channelId: indexed(bytes32)
    sender: indexed(address)
    amount: uint128
    newBalance: uint128


event Claimed:
    channelId: indexed(bytes32)
    sender: indexed(address)
    claimAmount: uint128
    newTotalClaimed: uint128


event Settled:
    receiver: indexed(address)
    token: indexed(address)
    sender: indexed(address)
    amount: uint128


event Refunded:
    channelId: indexed(bytes32)
    sender: indexed(address)
    amount: uint128


event WithdrawInitiated:
    channelId: indexed(bytes32)
    amount: uint128
    finalizeAfter: uint40


event WithdrawFinalized:
    channelId: indexed(bytes32)
    sender: indexed(address)
    amount: uint128


MAX_CLAIMS: constant(uint256) = 100
MAX_SIGNATURE: constant(uint256) = 256
MAX_COLLECTOR_DATA: constant(uint256) = 1024
MAX_CALLS: constant(uint256) = 8
# A claim of 30 vouchers fits.
MAX_CALL: constant(uint256) = 16_384
ERC1271_VALID: constant(bytes4) = 0x1626ba7e

NAME_HASH: constant(bytes32) = keccak256("x402 Batch Settlement")
VERSION_HASH: constant(bytes32) = keccak256("1")

MIN_WITHDRAW_DELAY: public(constant(uint40)) = 900
MAX_WITHDRAW_DELAY: public(constant(uint40)) = 30 * 86_400
CHANNEL_CONFIG_TYPEHASH: public(constant(bytes32)) = keccak256(
    "ChannelConfig(address payer,address payerAuthorizer,address receiver,address receiverAuthorizer,address token,uint40 withdrawDelay,bytes32 salt)"
)
VOUCHER_TYPEHASH: public(constant(bytes32)) = keccak256(
    "Voucher(bytes32 channelId,uint128 maxClaimableAmount)"
)
REFUND_TYPEHASH: public(constant(bytes32)) = keccak256(
    "Refund(bytes32 channelId,uint256 nonce,uint128 amount)"
)
CLAIM_ENTRY_TYPEHASH: public(constant(bytes32)) = keccak256(
    "ClaimEntry(bytes32 channelId,uint128 maxClaimableAmount,uint128 totalClaimed)"
)
CLAIM_BATCH_TYPEHASH: public(constant(bytes32)) = keccak256(
    "ClaimBatch(ClaimEntry[] claims)ClaimEntry(bytes32 channelId,uint128 maxClaimableAmount,uint128 totalClaimed)"
)

channels: public(HashMap[bytes32, ChannelState])
pendingWithdrawals: public(HashMap[bytes32, WithdrawalState])
# receiver -> token -> all that was claimed for it, and how much of that it was sent
receivers: public(HashMap[address, HashMap[address, ReceiverState]])
# Refunds of a channel so far; a signed refund names the number that it wants to be.
refundNonce: public(HashMap[bytes32, uint256])


# --- Paying in ------------------------------------------------------------------------------------------------------


@external
@nonreentrant
def deposit(
    config: ChannelConfig,
    amount: uint128,
    collector: address,
    collectorData: Bytes[MAX_COLLECTOR_DATA],
):
    """
    @notice Add `amount` to a channel; `collector` brings exactly that much of the token, by what `collectorData` says.
    @dev Anyone may call, and name any collector: what counts is what arrives.
    """
    if config.payer == empty(address) or config.receiver == empty(address):
        raw_revert(method_id("InvalidChannel()"))
    if config.receiverAuthorizer == empty(address) or config.token == empty(address):
        raw_revert(method_id("InvalidChannel()"))
    if config.withdrawDelay < MIN_WITHDRAW_DELAY or config.withdrawDelay > MAX_WITHDRAW_DELAY:
        raw_revert(method_id("WithdrawDelayOutOfRange()"))
    if amount == 0:
        raw_revert(method_id("ZeroDeposit()"))
    if collector == empty(address):
        raw_revert(method_id("InvalidCollector()"))
    channel: bytes32 = self._channel_id(config)
    state: ChannelState = self.channels[channel]
    if amount > max_value(uint128) - state.balance:
        raw_revert(method_id("DepositOverflow()"))
    state.balance += amount
    self.channels[channel].balance = state.balance
    brought: uint256 = convert(amount, uint256)
    before: uint256 = staticcall IERC20(config.token).balanceOf(self)
    extcall IDepositCollector(collector).collect(
        config.payer, config.token, brought, channel, collectorData
    )
    if staticcall IERC20(config.token).balanceOf(self) != before + brought:
        raw_revert(method_id("DepositCollectionFailed()"))
    if state.balance == amount and state.totalClaimed == 0:
        log ChannelCreated(channelId=channel, config=config)
    log Deposited(channelId=channel, sender=msg.sender, amount=amount, newBalance=state.balance)


# --- What was earned ------------------------------------------------------------------------------------------------


@external
@nonreentrant
def claim(voucherClaims: DynArray[VoucherClaim, MAX_CLAIMS]):
    """
    @notice Record what was earned, as the receiver or the receiver's authorizer of each row.
    @dev A row that says no more than what is recorded is passed over; any other fault reverts all rows.
    """
    if len(voucherClaims) == 0:
        raw_revert(method_id("EmptyBatch()"))
    for row: VoucherClaim in voucherClaims:
        if not self._of_receiver(msg.sender, row.voucher.channel):
            raw_revert(method_id("NotAuthorizedToClaim()"))
        self._claim(row)


@external
@nonreentrant
def claimWithSignature(
    voucherClaims: DynArray[VoucherClaim, MAX_CLAIMS], authorizerSignature: Bytes[MAX_SIGNATURE]
):
    """
    @notice Record what was earned, by a signature of the rows' one authorizer over all of them; anyone may relay it.
    """
    if len(voucherClaims) == 0:
        raw_revert(method_id("EmptyBatch()"))
    authorizer: address = voucherClaims[0].voucher.channel.receiverAuthorizer
    entries: DynArray[bytes32, MAX_CLAIMS] = []
    for row: VoucherClaim in voucherClaims:
        entries.append(self._entry(row))
    if not self._signed_by(authorizer, self._batch_digest(entries), authorizerSignature):
        raw_revert(method_id("InvalidSignature()"))
    for row: VoucherClaim in voucherClaims:
        if row.voucher.channel.receiverAuthorizer != authorizer:
            raw_revert(method_id("NotReceiverAuthorizer()"))
        self._claim(row)


@external
@nonreentrant
def settle(receiver: address, token: address):
    """
    @notice Send a receiver all that was claimed for it and not sent yet; anyone may call.
    """
    state: ReceiverState = self.receivers[receiver][token]
    amount: uint128 = state.totalClaimed - state.totalSettled
    if amount == 0:
        return
    self.receivers[receiver][token].totalSettled = state.totalClaimed
    self._send(token, receiver, amount)
    log Settled(receiver=receiver, token=token, sender=msg.sender, amount=amount)


# --- Back to the payer ----------------------------------------------------------------------------------------------


@external
@nonreentrant
def initiateWithdraw(config: ChannelConfig, amount: uint128):
    """
    @notice Announce a withdrawal, as the payer or its authorizer; the receiver has `withdrawDelay` seconds to claim.
    """
    if msg.sender != config.payer and msg.sender != config.payerAuthorizer:
        raw_revert(method_id("InvalidChannel()"))
    if amount == 0:
        raw_revert(method_id("NothingToWithdraw()"))
    channel: bytes32 = self._channel_id(config)
    if self.pendingWithdrawals[channel].initiatedAt != 0:
        raw_revert(method_id("WithdrawalAlreadyPending()"))
    if amount > self._free(channel):
        raw_revert(method_id("WithdrawAmountExceedsAvailable()"))
    now: uint40 = convert(block.timestamp, uint40)
    self.pendingWithdrawals[channel] = WithdrawalState(amount=amount, initiatedAt=now)
    log WithdrawInitiated(
        channelId=channel, amount=amount, finalizeAfter=now + config.withdrawDelay
    )


@external
@nonreentrant
def finalizeWithdraw(config: ChannelConfig):
    """
    @notice Send the payer what was announced, or what is still free if that is less.
    """
    if msg.sender != config.payer and msg.sender != config.payerAuthorizer:
        raw_revert(method_id("NotAuthorizedToFinalizeWithdraw()"))
    channel: bytes32 = self._channel_id(config)
    pending: WithdrawalState = self.pendingWithdrawals[channel]
    if pending.initiatedAt == 0:
        raw_revert(method_id("WithdrawalNotPending()"))
    if block.timestamp < convert(pending.initiatedAt, uint256) + convert(
        config.withdrawDelay, uint256
    ):
        raw_revert(method_id("WithdrawDelayNotElapsed()"))
    amount: uint128 = min(pending.amount, self._free(channel))
    self.pendingWithdrawals[channel] = empty(WithdrawalState)
    self.channels[channel].balance -= amount
    log WithdrawFinalized(channelId=channel, sender=msg.sender, amount=amount)
    self._close_if_empty(channel, config)
    if amount != 0:
        self._send(config.token, config.payer, amount)


@external
@nonreentrant
def refund(config: ChannelConfig, amount: uint128):
    """
    @notice Send the payer up to `amount` of what is free, at once, as the receiver or its authorizer.
    """
    if not self._of_receiver(msg.sender, config):
        raw_revert(method_id("NotAuthorizedToRefund()"))
    self._refund(self._channel_id(config), config, amount)


@external
@nonreentrant
def refundWithSignature(
    config: ChannelConfig,
    amount: uint128,
    nonce: uint256,
    receiverAuthorizerSignature: Bytes[MAX_SIGNATURE],
):
    """
    @notice As `refund`, by a signature of the receiver's authorizer; anyone may relay it.
    @param nonce The channel's present `refundNonce`.
    """
    channel: bytes32 = self._channel_id(config)
    if nonce != self.refundNonce[channel]:
        raw_revert(method_id("InvalidRefundNonce()"))
    digest: bytes32 = self._refund_digest(channel, nonce, amount)
    if not self._signed_by(config.receiverAuthorizer, digest, receiverAuthorizerSignature):
        raw_revert(method_id("InvalidSignature()"))
    self._refund(channel, config, amount)


@external
def multicall(data: DynArray[Bytes[MAX_CALL], MAX_CALLS]) -> DynArray[Bytes[64], MAX_CALLS]:
    """
    @notice Several of these functions in one transaction, as the same sender; all or none.
    @dev Each call takes and releases the lock by itself.
    """
    results: DynArray[Bytes[64], MAX_CALLS] = []
    for call: Bytes[MAX_CALL] in data:
        results.append(raw_call(self, call, max_outsize=64, is_delegate_call=True))
    return results


# --- Reading --------------------------------------------------------------------------------------------------------


@external
@view
def getChannelId(config: ChannelConfig) -> bytes32:
    return self._channel_id(config)


@external
@view
def getVoucherDigest(channelId: bytes32, maxClaimableAmount: uint128) -> bytes32:
    """
    @notice What a payer signs.
    """
    return self._voucher_digest(channelId, maxClaimableAmount)


@external
@view
def getRefundDigest(channelId: bytes32, nonce: uint256, amount: uint128) -> bytes32:
    """
    @notice What a receiver's authorizer signs to give money back.
    """
    return self._refund_digest(channelId, nonce, amount)


@external
@view
def getClaimBatchDigest(voucherClaims: DynArray[VoucherClaim, MAX_CLAIMS]) -> bytes32:
    """
    @notice What a receiver's authorizer signs to have vouchers claimed.
    """
    entries: DynArray[bytes32, MAX_CLAIMS] = []
    for row: VoucherClaim in voucherClaims:
        entries.append(self._entry(row))
    return self._batch_digest(entries)


# --- Inside ---------------------------------------------------------------------------------------------------------


@internal
def _claim(row: VoucherClaim):
    config: ChannelConfig = row.voucher.channel
    channel: bytes32 = self._channel_id(config)
    state: ChannelState = self.channels[channel]
    if row.totalClaimed <= state.totalClaimed:
        return
    if row.totalClaimed > row.voucher.maxClaimableAmount:
        raw_revert(method_id("ClaimExceedsCeiling()"))
    if row.totalClaimed > state.balance:
        raw_revert(method_id("ClaimExceedsBalance()"))
    digest: bytes32 = self._voucher_digest(channel, row.voucher.maxClaimableAmount)
    signed: bool = False
    if config.payerAuthorizer != empty(address):
        # Only by key, so that what is good now cannot be bad at the claim.
        signed = self._recovered(digest, row.signature) == config.payerAuthorizer
    else:
        signed = self._signed_by(config.payer, digest, row.signature)
    if not signed:
        raw_revert(method_id("InvalidSignature()"))
    added: uint128 = row.totalClaimed - state.totalClaimed
    self.channels[channel].totalClaimed = row.totalClaimed
    self.receivers[config.receiver][config.token].totalClaimed += added
    log Claimed(
        channelId=channel,
        sender=msg.sender,
        claimAmount=added,
        newTotalClaimed=row.totalClaimed,
    )


@internal
def _refund(channel: bytes32, config: ChannelConfig, amount: uint128):
    if amount == 0:
        raw_revert(method_id("ZeroRefund()"))
    # Even where nothing is left to give: the signature that asked for it is used.
    self.refundNonce[channel] += 1
    given: uint128 = min(amount, self._free(channel))
    if given == 0:
        return
    self.channels[channel].balance -= given
    pending: WithdrawalState = self.pendingWithdrawals[channel]
    if pending.initiatedAt != 0:
        if given >= pending.amount:
            self.pendingWithdrawals[channel] = empty(WithdrawalState)
        else:
            self.pendingWithdrawals[channel].amount = pending.amount - given
    log Refunded(channelId=channel, sender=msg.sender, amount=given)
    self._close_if_empty(channel, config)
    self._send(config.token, config.payer, given)


@internal
def _close_if_empty(channel: bytes32, config: ChannelConfig):
    state: ChannelState = self.channels[channel]
    if state.balance == 0 and state.totalClaimed == 0:
        log ChannelClosed(channelId=channel, config=config)


@internal
def _send(token: address, receiver: address, amount: uint128):
    assert extcall IERC20(token).transfer(
        receiver, convert(amount, uint256), default_return_value=True
    ), "x402_channels: token refused the transfer"


@internal
@view
def _free(channel: bytes32) -> uint128:
    state: ChannelState = self.channels[channel]
    return state.balance - state.totalClaimed


@internal
@pure
def _of_receiver(sender: address, config: ChannelConfig) -> bool:
    return sender == config.receiverAuthorizer or sender == config.receiver


@internal
@view
def _signed_by(signer: address, digest: bytes32, signature: Bytes[MAX_SIGNATURE]) -> bool:
    """
    @notice Whether an account signed: by its key, or, where it is a contract, by its word (ERC-1271).
    """
    if not signer.is_contract:
        return signer != empty(address) and self._recovered(digest, signature) == signer
    answered: bool = False
    answer: Bytes[32] = b""
    answered, answer = raw_call(
        signer,
        abi_encode(digest, signature, method_id=method_id("isValidSignature(bytes32,bytes)")),
        max_outsize=32,
        is_static_call=True,
        revert_on_failure=False,
    )
    return (
        answered
        and len(answer) == 32
        and convert(answer, bytes32) == convert(ERC1271_VALID, bytes32)
    )


@internal
@pure
def _recovered(digest: bytes32, signature: Bytes[MAX_SIGNATURE]) -> address:
    if len(signature) != 65:
        return empty(address)
    return signatures._recover(
        digest,
        convert(slice(signature, 64, 1), uint8),
        convert(slice(signature, 0, 32), bytes32),
        convert(slice(signature, 32, 32), bytes32),
    )


@internal
@view
def _digest(struct_hash: bytes32) -> bytes32:
    return signatures._typed_digest(
        signatures._domain_separator(NAME_HASH, VERSION_HASH), struct_hash
    )


@internal
@view
def _channel_id(config: ChannelConfig) -> bytes32:
    return self._digest(keccak256(abi_encode(CHANNEL_CONFIG_TYPEHASH, config)))


@internal
@view
def _voucher_digest(channel: bytes32, maximum: uint128) -> bytes32:
    return self._digest(keccak256(abi_encode(VOUCHER_TYPEHASH, channel, maximum)))


@internal
@view
def _refund_digest(channel: bytes32, nonce: uint256, amount: uint128) -> bytes32:
    return self._digest(keccak256(abi_encode(REFUND_TYPEHASH, channel, nonce, amount)))


@internal
@view
def _entry(row: VoucherClaim) -> bytes32:
    return keccak256(
        abi_encode(
            CLAIM_ENTRY_TYPEHASH,
            self._channel_id(row.voucher.channel),
            row.voucher.maxClaimableAmount,
            row.totalClaimed,
        )
    )


@internal
@view
def _batch_digest(entries: DynArray[bytes32, MAX_CLAIMS]) -> bytes32:
    # EIP-712 hashes an array's items without the offset and the length that the ABI puts before them.
    packed: Bytes[64 + 32 * MAX_CLAIMS] = abi_encode(entries)
    return self._digest(
        keccak256(abi_encode(CLAIM_BATCH_TYPEHASH, keccak256(slice(packed, 64, 32 * len(entries)))))
    )
