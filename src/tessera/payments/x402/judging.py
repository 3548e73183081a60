"""Whether a payment is what was asked for, as far as it can be told without the chain.

A gateway judges by what it offers, a facilitator by what it was told that a server offers: a rule
of the standard is the same for both. Who signed is told by accounts' own keys, never by a contract
in their place: its signature could be taken back before the transaction that needs it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from tessera.payments.x402.wire import (
    Authorization,
    Deposit,
    Reason,
    Voucher,
    hex_text,
    refused,
)
from tessera.spec.signatures import ZERO_ADDRESS, Address, Domain, address_text, recover
from tessera.spec.x402_digests import (
    DEPOSIT_COLLECTOR,
    MAX_WITHDRAW_DELAY_S,
    MIN_WITHDRAW_DELAY_S,
    channel_id,
    deposit_nonce,
    receive_digest,
    transfer_digest,
    voucher_digest,
)

__all__ = [
    "TO_BE_MINED_S",
    "ChannelTerms",
    "check_channel",
    "check_deposit_signature",
    "check_transfer",
    "check_voucher_signature",
    "check_window",
]

TO_BE_MINED_S: Final = 6
"""An authorization that ends sooner may end before it is in a block; as other facilitators say."""

_ASK_AGAIN: Final = "ask the server again without a payment: its answer says what it takes now"


@dataclass(frozen=True, slots=True, kw_only=True)
class ChannelTerms:
    """What a server asks of a channel.

    Attributes
    ----------
    chain_id
        Where it is.
    receiver, authorizer, token
        Who is paid, who claims, and in what.
    least_delay_s, most_delay_s
        How long a withdrawal must take.
    """

    chain_id: int
    receiver: Address
    authorizer: Address
    token: Address
    least_delay_s: int = MIN_WITHDRAW_DELAY_S
    most_delay_s: int = MAX_WITHDRAW_DELAY_S


def check_channel(voucher: Voucher, terms: ChannelTerms) -> None:
    """Refuse a channel with other terms, or one whose name is not the hash of its terms.

    Raises
    ------
    PaymentRequired
        It is another one.
    """
    config = voucher.config
    channel = channel_id(terms.chain_id, config)
    if channel != voucher.channel:
        raise refused(
            Reason.CHANNEL_ID_MISMATCH,
            found=hex_text(voucher.channel),
            wanted=f"{hex_text(channel)}, which its terms hash to",
        )
    for reason, found, wanted in (
        (Reason.RECEIVER_MISMATCH, config.receiver, terms.receiver),
        (Reason.AUTHORIZER_MISMATCH, config.receiver_authorizer, terms.authorizer),
        (Reason.CURRENCY_MISMATCH, config.token, terms.token),
    ):
        # Without an authorizer nobody could claim, and the standard lets it be left out.
        if found != wanted or found == ZERO_ADDRESS:
            raise refused(
                reason,
                found=address_text(found),
                wanted=address_text(wanted),
                next_step=_ASK_AGAIN,
            )
    delay = config.withdraw_delay
    for reason, least, most in (
        (Reason.DELAY_OUT_OF_RANGE, MIN_WITHDRAW_DELAY_S, MAX_WITHDRAW_DELAY_S),
        (Reason.DELAY_MISMATCH, terms.least_delay_s, terms.most_delay_s),
    ):
        if not least <= delay <= most:
            raise refused(reason, found=f"{delay} s", wanted=f"{least} to {most} s")


def check_voucher_signature(chain_id: int, voucher: Voucher) -> None:
    """Refuse a voucher that its channel's key did not sign.

    Raises
    ------
    PaymentRequired
        It was signed by somebody else, or the channel has no key.
    """
    authorizer = voucher.config.payer_authorizer
    digest = voucher_digest(chain_id, voucher.channel, voucher.maximum)
    if authorizer == ZERO_ADDRESS or recover(digest, voucher.signature) != authorizer:
        raise refused(
            Reason.VOUCHER_SIGNATURE,
            found="another signature" if authorizer != ZERO_ADDRESS else "a channel without a key",
            wanted=f"one by {address_text(authorizer)}, an account with a key",
        )


def check_deposit_signature(token: Domain, voucher: Voucher, deposit: Deposit) -> None:
    """Refuse a deposit that the channel's payer did not sign.

    Raises
    ------
    PaymentRequired
        It was signed by somebody else, or for another token.
    """
    payer = voucher.config.payer
    digest = receive_digest(
        token,
        payer,
        DEPOSIT_COLLECTOR,
        deposit.amount,
        deposit.valid_after,
        deposit.valid_before,
        deposit_nonce(voucher.channel, deposit.salt),
    )
    if recover(digest, deposit.signature) != payer:
        raise refused(Reason.DEPOSIT_SIGNATURE, found="another signature", wanted=_by(payer, token))


def check_transfer(
    token: Domain, by: Authorization, *, receiver: Address, units: int, now: int, lasts_s: int
) -> None:
    """Refuse an authorization that does not bring this money to this receiver, or not in time.

    Raises
    ------
    PaymentRequired
        It is for somebody else or another amount, not signed by its payer, too early or too late.
    """
    if by.receiver != receiver:
        raise refused(
            Reason.EXACT_RECIPIENT,
            found=address_text(by.receiver),
            wanted=address_text(receiver),
            next_step=_ASK_AGAIN,
        )
    if by.value != units:
        raise refused(Reason.EXACT_VALUE, found=by.value, wanted=f"{units} base units")
    check_window(by, now=now, lasts_s=lasts_s)
    digest = transfer_digest(
        token, by.payer, by.receiver, by.value, by.valid_after, by.valid_before, by.nonce
    )
    if by.payer == ZERO_ADDRESS or recover(digest, by.signature) != by.payer:
        raise refused(
            Reason.EXACT_SIGNATURE, found="another signature", wanted=_by(by.payer, token)
        )


def check_window(by: Authorization | Deposit, *, now: int, lasts_s: int) -> None:
    """Refuse what is not valid yet, or not for `lasts_s` seconds more.

    Raises
    ------
    PaymentRequired
        The chain would refuse it, or might by the time that it is sent.
    """
    drawn = isinstance(by, Deposit)
    if by.valid_after > now:
        raise refused(
            Reason.DEPOSIT_NOT_YET if drawn else Reason.EXACT_NOT_YET,
            found=by.valid_after,
            wanted=f"{now} or earlier",
        )
    if by.valid_before < now + lasts_s:
        raise refused(
            Reason.DEPOSIT_EXPIRED if drawn else Reason.EXACT_EXPIRED,
            found=by.valid_before,
            wanted=f"{now + lasts_s} or later",
            next_step="look at this machine's clock",
        )


def _by(account: Address, token: Domain) -> str:
    return f"one by {address_text(account)} for {token.name!r} version {token.version!r}"
