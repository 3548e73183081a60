"""Calls with their receipts, kept as files: what anybody can check and re-run later.

::

    <folder>/<receipt id>.json        the receipt, as `GET /receipts/{id}` gives it
    <folder>/<receipt id>.request     the exact body of the request
    <folder>/<receipt id>.response    the exact body of the answer
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tessera.errors import InputError
from tessera.payments.header import SignedReceipt, parse_receipt, receipt_json
from tessera.serving.receipts import check_receipt
from tessera.spec.signatures import Address, Domain, keccak

__all__ = ["PaidCall", "keep", "kept"]


@dataclass(frozen=True, slots=True)
class PaidCall:
    """One call and what the operator signed about it.

    Attributes
    ----------
    request, response
        The exact bodies.
    receipt
        About these; None for a call that cost nothing, about which nobody signs anything.
    """

    request: bytes
    response: bytes
    receipt: SignedReceipt | None = None

    @property
    def hashes(self) -> tuple[bytes, bytes]:
        """What its receipt names."""
        return keccak(self.request), keccak(self.response)


def keep(folder: Path, call: PaidCall, domain: Domain, operator: Address) -> None:
    """Write a call that has a receipt; one without proves nothing and is not kept.

    Raises
    ------
    InputError
        The folder cannot be written to.
    """
    if call.receipt is None:
        return
    name = call.receipt.id(domain)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{name}.request").write_bytes(call.request)
        (folder / f"{name}.response").write_bytes(call.response)
        # Last: a receipt that is there has its bodies beside it.
        (folder / f"{name}.json").write_bytes(receipt_json(call.receipt, domain, operator))
    except OSError as error:
        raise InputError(
            f"folder {folder}", found=error.strerror, wanted="one that can be written to"
        ) from error


def kept(
    folder: Path, domain: Domain, signer_of: Callable[[SignedReceipt], Address]
) -> list[PaidCall]:
    """Read and check every call in a folder, each once.

    Parameters
    ----------
    folder
        As `keep` writes it.
    domain
        Chain and contract that receipts are signed for.
    signer_of
        Who must have signed a receipt; raises where nobody could.

    Raises
    ------
    SignatureRejected
        A receipt is not its operator's, or not about the bodies beside it.
    InputError
        A body is missing, or there is no receipt at all.
    """
    calls: dict[str, PaidCall] = {}
    for file in sorted(folder.glob("*.json")):
        try:
            request = file.with_suffix(".request").read_bytes()
            response = file.with_suffix(".response").read_bytes()
            data = file.read_bytes()
        except OSError as error:
            raise InputError(
                str(error.filename or file), found=error.strerror,
                wanted="the bodies of the receipt, beside it",
            ) from error  # fmt: skip
        operator = signer_of(parse_receipt(data))
        checked = check_receipt(data, domain, operator, request=request, response=response)
        # Under whatever names it lies there: one call is one piece of evidence.
        calls[checked.id] = PaidCall(request, response, checked.signed)
    if not calls:
        raise InputError(f"folder {folder}", found="no receipts", wanted="ID.json with its bodies")
    return list(calls.values())
