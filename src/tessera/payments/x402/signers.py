"""Who signed what a payment brings: the accounts' own keys, never a contract in their place.

A contract's signature could be taken back between now and the transaction that needs it.
"""

from __future__ import annotations

from tessera.payments.x402.wire import Authorization, Deposit, Voucher
from tessera.spec.signatures import Address, Domain, recover
from tessera.spec.x402_digests import (
    DEPOSIT_COLLECTOR,
    deposit_nonce,
    receive_digest,
    transfer_digest,
    voucher_digest,
)

__all__ = ["deposit_signer", "transfer_signer", "voucher_signer"]


def voucher_signer(chain_id: int, voucher: Voucher) -> Address:
    """Return who signed a voucher for the channel that it names."""
    digest = voucher_digest(chain_id, voucher.channel, voucher.maximum)
    return recover(digest, voucher.signature)


def deposit_signer(token: Domain, voucher: Voucher, deposit: Deposit) -> Address:
    """Return who let the collector draw a deposit into the voucher's channel."""
    digest = receive_digest(
        token,
        voucher.config.payer,
        DEPOSIT_COLLECTOR,
        deposit.amount,
        deposit.valid_after,
        deposit.valid_before,
        deposit_nonce(voucher.channel, deposit.salt),
    )
    return recover(digest, deposit.signature)


def transfer_signer(token: Domain, by: Authorization) -> Address:
    """Return who signed a transfer of the token."""
    digest = transfer_digest(
        token, by.payer, by.receiver, by.value, by.valid_after, by.valid_before, by.nonce
    )
    return recover(digest, by.signature)
