"""A code over each request, by a key that only a channel's signer and its operator can compute.

Both derive it from their own private key and the other's public one, so nothing is agreed, sent or
stored, and a lost file loses nothing. The operator could make such codes itself, which gains it
nothing: it holds the voucher that they guard. They are no evidence for third parties; vouchers and
receipts are.
"""

from __future__ import annotations

import hmac
from typing import Final

from tessera.payments.ports import TypedSigner
from tessera.spec.signatures import Address, Domain

__all__ = ["MAC_BYTES", "CallCodes", "call_key", "call_mac"]

MAC_BYTES: Final = 32

_INFO: Final = b"tessera call v1"


def call_key(
    domain: Domain, own: TypedSigner, their_key: bytes, *, signer: Address, operator: Address
) -> bytes:
    """Compute the key of all channels of one signer toward one operator: 32 secret bytes.

    HKDF-SHA256 without salt of the shared point's SHA-256, for this chain, contract and pair.

    Parameters
    ----------
    domain
        Chain and Channels contract.
    own
        The signer's key or the operator's.
    their_key
        The other's public key, 33 bytes; whose it is, the caller has checked.
    signer, operator
        Addresses of the two.

    Raises
    ------
    SignatureRejected
        `their_key` is no public key.
    """
    drawn = hmac.digest(bytes(MAC_BYTES), own.agree(their_key), "sha256")
    info = _INFO + domain.separator + signer + operator
    return hmac.digest(drawn, info + b"\x01", "sha256")


def call_mac(key: bytes, channel: int, call: str, request: bytes) -> bytes:
    """Return the code of a request: HMAC-SHA256 over channel, name and hash of the body.

    Parameters
    ----------
    key
        Of `call_key`.
    channel
        That pays.
    call
        32 hexadecimal digits that the consumer chose.
    request
        Keccak-256 of the body's exact bytes.
    """
    return hmac.digest(key, _message(channel, call, request), "sha256")


class CallCodes:
    """Checks the codes of one signer's requests; what HMAC does to the key is done once.

    Parameters
    ----------
    key
        Of `call_key`.
    """

    __slots__ = ("_begun",)

    def __init__(self, key: bytes) -> None:
        self._begun = hmac.new(key, digestmod="sha256")

    def fit(self, mac: bytes, channel: int, call: str, request: bytes) -> bool:
        """Tell whether a code is right, in a time that says nothing about how wrong it is."""
        right = self._begun.copy()
        right.update(_message(channel, call, request))
        return hmac.compare_digest(mac, right.digest())


def _message(channel: int, call: str, request: bytes) -> bytes:
    return channel.to_bytes(8, "big") + bytes.fromhex(call) + request
