"""From what a node says about a refused call to the exception of that refusal."""

from __future__ import annotations

import re
from typing import Any, Final

from tessera.bindings.codec import decode
from tessera.bindings.reverts import CUSTOM_ERRORS, reverted
from tessera.chain.jsonrpc import RpcRefused
from tessera.errors import DataError, TransactionReverted

__all__ = ["revert_of", "revert_reason"]

_ERROR: Final = bytes.fromhex("08c379a0")
_PANIC: Final = bytes.fromhex("4e487b71")
_EXECUTION_REVERTED: Final = 3
_HEX: Final = re.compile(r"0x(?:[0-9a-fA-F]{2})*")
_SAID: Final = re.compile(r"execution reverted(?:: (?P<reason>.*))?", re.DOTALL | re.IGNORECASE)


def revert_of(
    refused: RpcRefused, contract: str, *, tx_hash: str | None = None, **operands: Any
) -> TransactionReverted | None:
    """Return the typed refusal of a contract, or None where the node refused something else.

    Parameters
    ----------
    refused
        The answer to eth_call, eth_estimateGas or eth_sendRawTransaction.
    contract
        Name of what was called.
    tx_hash
        Of the transaction that is being explained, if there is one.
    operands
        More to say, such as `function`.
    """
    data = _returned(refused.data)
    said = _SAID.search(refused.said)
    if not said and refused.rpc_code != _EXECUTION_REVERTED and not data:
        return None
    reason = revert_reason(data) if data else ""
    if not reason and said:
        reason = (said["reason"] or "").strip()
    return reverted(contract, reason, tx_hash, **operands)


def revert_reason(data: bytes) -> str:
    """Read the reason from what a reverting call returned.

    Returns
    -------
    str
        The contract's string; for a custom error that our bindings know its signature, such as
        "EmptyBatch()"; for a panic "panic 0x11"; for anything else its hex; empty for none.
    """
    if not data:
        return ""
    try:
        if data[:4] == _ERROR:
            return str(decode("revert", ("string",), data[4:])[0])
        if data[:4] == _PANIC:
            return f"panic {decode('revert', ('uint256',), data[4:])[0]:#04x}"
    except DataError:
        # A contract may return what only looks like a reason.
        return f"0x{data.hex()}"
    return CUSTOM_ERRORS.get(data, f"0x{data.hex()}")


def _returned(data: Any) -> bytes:
    # Nodes differ: "0x08c3...", {"data": "0x..."}, "Reverted 0x...".
    while isinstance(data, dict):
        data = data.get("data", data.get("result"))
    if not isinstance(data, str):
        return b""
    found = _HEX.search(data)
    return bytes.fromhex(found[0][2:]) if found else b""
