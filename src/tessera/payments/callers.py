"""Who may spend what a voucher allows, and that nobody spends it twice with one request.

A voucher is in the calldata of its settlement, for all to copy. It says how much may be spent; that
the one who spends it is who signed it, a code or a signature over the request says.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable
from typing import Final

import msgspec

from tessera.errors import Conflict, SignatureRejected
from tessera.payments.account import Account
from tessera.payments.callmac import CallCodes, call_key
from tessera.payments.ports import TypedSigner
from tessera.spec.signatures import Domain, address_of_key, address_text, recover, recover_key
from tessera.spec.vouchers import SignedVoucher, call_digest, voucher_digest

__all__ = ["CALLS_REMEMBERED", "Callers", "SignedRequest"]

CALLS_REMEMBERED: Final = 65_536
"""Names of answered calls that an operator knows again, of all channels together."""

_WANTED: Final = "the request vouched for by whoever signed the voucher"


class SignedRequest(msgspec.Struct, frozen=True):
    """One request for an answer, as its consumer vouches for it.

    Attributes
    ----------
    name
        That the consumer gave the call, 32 hexadecimal digits.
    body
        Keccak-256 of the exact bytes.
    signature
        65 bytes over the channel, the name and the body; None where the request brought none.
    mac
        32 bytes over the same by the key that signer and operator share; with it, no signature is
        looked at.
    """

    name: str
    body: bytes
    signature: bytes | None = None
    mac: bytes | None = None


class Callers:
    """The requests of one operator's consumers.

    Parameters
    ----------
    domain
        Chain and Channels contract that requests are for.
    operator
        The operator's key.
    answered
        (channel, name) of calls that were answered before this process began, oldest first.
    """

    def __init__(
        self, domain: Domain, operator: TypedSigner, answered: Iterable[tuple[int, str]] = ()
    ) -> None:
        self._domain = domain
        self._operator = operator
        # The first key of a plain dict is found the slower the more stood before it.
        self._asked: OrderedDict[tuple[int, str], None] = OrderedDict.fromkeys(answered)

    def check(self, account: Account, voucher: SignedVoucher, request: SignedRequest) -> None:
        """See that whoever signs for the channel vouches for this request.

        Parameters
        ----------
        account, request
            Who pays, and for what.
        voucher
            That came with it, known to be by the channel's signer.

        Raises
        ------
        SignatureRejected
            Nobody vouches for it, or somebody else, or for another body, name, channel or contract.
        Closed
            The channel pays for nothing any more.
        """
        if request.mac is None:
            self._check_signature(account, request)
            return
        codes = self._codes(account, voucher)
        if not codes.fit(request.mac, account.number, request.name, request.body):
            raise SignatureRejected(
                f"call {request.name} on channel {account.number}",
                found="a code over something else, or by another key",
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
        if len(self._asked) > CALLS_REMEMBERED:
            self._asked.popitem(last=False)

    def _check_signature(self, account: Account, request: SignedRequest) -> None:
        if request.signature is None:
            raise SignatureRejected(
                "Tessera-Call-Mac",
                found="none, and no Tessera-Call-Signature",
                wanted=_WANTED,
            )
        name = bytes.fromhex(request.name)
        digest = call_digest(self._domain, account.number, name, request.body)
        signer = recover(digest, request.signature)
        if signer != account.check_open().signer:
            raise SignatureRejected(
                f"call {request.name} on channel {account.number}",
                found=f"signed by {address_text(signer)}",
                wanted=_WANTED,
            )

    def _codes(self, account: Account, voucher: SignedVoucher) -> CallCodes:
        # A reorg could give the number to a channel with another signer.
        signer = account.check_open().signer
        if account.codes is None or account.codes[0] != signer:
            digest = voucher_digest(self._domain, voucher.voucher.channel, voucher.voucher.lines)
            public = recover_key(digest, voucher.signature)
            if address_of_key(public) != signer:
                raise SignatureRejected(
                    f"voucher of channel {account.number}",
                    found=f"signed by {address_text(address_of_key(public))}",
                    wanted=address_text(signer),
                )
            operator = self._operator
            key = call_key(self._domain, operator, public, signer=signer, operator=operator.address)
            account.codes = signer, CallCodes(key)
        return account.codes[1]
