"""What a node tells is read whole, or refused as one of our errors."""

from __future__ import annotations

from typing import Any

import pytest

from tessera.chain.receipts import Block, RawLog, TransactionReceipt
from tessera.errors import DataError

WHO = "0x" + "11" * 20
HASH = "0x" + "22" * 32
LOG: dict[str, Any] = {
    "address": WHO,
    "topics": [HASH],
    "data": "0x",
    "blockNumber": "0x1",
    "blockHash": HASH,
    "transactionHash": HASH,
    "logIndex": "0x0",
}
RECEIPT: dict[str, Any] = {
    "transactionHash": HASH,
    "blockNumber": "0x1",
    "blockHash": HASH,
    "from": WHO,
    "to": WHO,
    "status": "0x1",
    "gasUsed": "0x5208",
    "logs": [LOG],
}
BLOCK: dict[str, Any] = {
    "number": "0x1",
    "hash": HASH,
    "parentHash": HASH,
    "timestamp": "0x1",
    "gasLimit": "0x1",
}


@pytest.mark.parametrize(
    ("kind", "good", "field"),
    [
        *((TransactionReceipt, RECEIPT, name) for name in RECEIPT if name != "to"),
        *((RawLog, LOG, name) for name in LOG),
        *((Block, BLOCK, name) for name in BLOCK if name != "hash"),
    ],
)
def test_a_field_that_is_missing_or_no_such_value_is_a_refusal(
    kind: Any, good: dict[str, Any], field: str
) -> None:
    kind.from_json(good)
    without = {name: value for name, value in good.items() if name != field}
    with pytest.raises(DataError, match="as the node tells it"):
        kind.from_json(without)
    if field not in {"blockHash", "transactionHash", "parentHash"}:
        with pytest.raises(DataError, match="as the node tells it"):
            kind.from_json({**good, field: 7})
