"""Who may spend what a voucher allows, and that nobody spends it twice with one request.

A voucher is in the calldata of its settlement, for all to copy. It says how much may be spent; that
the one who spends it is who signed it, a signature over the request says.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from tessera.errors import Conflict, SignatureRejected
from tessera.payments.account import Account
from tessera.spec.signatures import Domain, address_text, recover
from tessera.spec.vouchers import call_digest

__all__ = ["Callers", "SignedRequest"]

_CALLS_REMEMBERED: Final = 65_536
_WANTED: Final = "the request signed by whoever signed the voucher"


@dataclass(frozen=True, slots=True)
class SignedRequest:
    """One request for an answer, as its consumer signed it.

    Attributes
    ----------
    name
        That the consumer gave the call, 32 hexadecimal digits.
    body
        Keccak-256 of the exact bytes.
    signature
        65 bytes over the channel, the name and the body; None where the request brought none.
    """

    name: str
    body: bytes
    signature: bytes | None


class Callers:
    """The requests of one operator's consumers.

    Parameters
    ----------
    domain
        Chain and Channels contract that requests are signed for.
    """

    def __init__(self, domain: Domain) -> None:
        self._domain = domain
        self._asked: dict[tuple[int, str], None] = {}

    def check(self, account: Account, request: SignedRequest) -> None:
        """See that whoever signs for the channel signed this request.

        Raises
        ------
        SignatureRejected
            Nobody signed it, or somebody else, or for another body, name, channel or contract.
        Closed
            The channel pays for nothing any more.
        """
        if request.signature is None:
            raise SignatureRejected("Tessera-Call-Signature", found="none", wanted=_WANTED)
        name = bytes.fromhex(request.name)
        digest = call_digest(self._domain, account.number, name, request.body)
        signer = recover(digest, request.signature)
        if signer != account.check_open().signer:
            raise SignatureRejected(
                f"call {request.name} on channel {account.number}",
                found=f"signed by {address_text(signer)}",
                wanted=_WANTED,
            )

    def refuse_copy(self, account: Account, request: SignedRequest) -> None:
        """Refuse a name that was answered before: somebody sends a copy.

        Raises
        ------
        Conflict
            It was.
        """
        if (account.number, request.name) in self._asked:
            raise Conflict(
                f"call {request.name} on channel {account.number}",
                found="asked before",
                wanted="a name that was not used yet",
            )

    def remember(self, account: Account, request: SignedRequest) -> None:
        """Let the name be used no more; the oldest of very many is forgotten."""
        self._asked[account.number, request.name] = None
        if len(self._asked) > _CALLS_REMEMBERED:
            del self._asked[next(iter(self._asked))]
