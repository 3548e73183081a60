"""What an embedded chain starts from: record zero of its journal."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from tessera.errors import DataError, InputError

__all__ = ["BLOCK_GAS_LIMIT", "Genesis"]

BLOCK_GAS_LIMIT: Final = 300_000_000
_ZERO_WORD: Final = "0x" + "00" * 32
_ADDRESS_LENGTH: Final = 42


class Genesis(msgspec.Struct, frozen=True, kw_only=True):
    """The one part of a chain's history that is no transaction; it never changes afterwards.

    Parameters
    ----------
    chain_id
        EIP-155 number.
    timestamp
        Of block zero, unix seconds.
    balances
        Wei by address (lower-case 0x-hex); decimal strings, because JSON numbers lose digits.
    code
        Deployed bytecode (0x-hex) by address, for contracts that have no deployment transaction.
    """

    chain_id: int
    timestamp: int
    balances: dict[str, str] = {}
    code: dict[str, str] = {}

    @classmethod
    def of(
        cls,
        *,
        chain_id: int,
        timestamp: int,
        prefund: Mapping[str, int] | None = None,
        code: Mapping[str, bytes] | None = None,
    ) -> Genesis:
        """Check and normalise the parts.

        Raises
        ------
        InputError
            An address is no address, or a balance or the chain id is out of range.
        """
        if not 0 < chain_id < 2**53:
            raise InputError("chain id", found=chain_id, wanted="1 to 2**53 - 1")
        balances = {}
        for address, wei in (prefund or {}).items():
            if not 0 <= wei < 2**128:
                raise InputError(f"prefund of {address}", found=wei, wanted="0 to 2**128 - 1 wei")
            balances[_address(address)] = str(wei)
        return cls(
            chain_id=chain_id,
            timestamp=timestamp,
            balances=dict(sorted(balances.items())),
            code={_address(at): "0x" + data.hex() for at, data in sorted((code or {}).items())},
        )

    @classmethod
    def from_json(cls, text: bytes) -> Genesis:
        """Read record zero; raises DataError where it is damaged."""
        try:
            return msgspec.json.decode(text, type=cls)
        except msgspec.DecodeError as error:
            raise DataError(
                "journal: record zero", found=str(error), wanted="a genesis record"
            ) from error

    def to_json(self) -> bytes:
        """Write record zero."""
        return msgspec.json.encode(self)

    def as_node_genesis(self) -> dict[str, Any]:
        """Return the genesis file that the node's process reads."""
        alloc: dict[str, dict[str, str]] = {
            address: {"balance": hex(int(wei))} for address, wei in self.balances.items()
        }
        for address, code in self.code.items():
            alloc.setdefault(address, {"balance": "0x0"})["code"] = code
        return {
            "config": {"chainId": self.chain_id},
            "timestamp": hex(self.timestamp),
            "gasLimit": hex(BLOCK_GAS_LIMIT),
            "difficulty": "0x0",
            "nonce": "0x0",
            "extraData": "0x",
            "mixHash": _ZERO_WORD,
            "coinbase": "0x" + "00" * 20,
            "alloc": alloc,
        }


def _address(text: str) -> str:
    lowered = text.lower()
    digits = lowered.removeprefix("0x")
    if len(lowered) != _ADDRESS_LENGTH or len(digits) != _ADDRESS_LENGTH - 2:
        raise InputError("address", found=text, wanted="0x and 40 hexadecimal digits")
    try:
        bytes.fromhex(digits)
    except ValueError:
        raise InputError("address", found=text, wanted="0x and 40 hexadecimal digits") from None
    return lowered
