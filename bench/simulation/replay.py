"""Gas from receipts: the very transactions of a run, sent once more to a node of its own.

revm in process keeps what one transaction warmed for all that follow, so what it says about gas is
too low. Here each transaction is mined in a block of its own, at the second at which it was sent
in process, and `gasUsed` is read from its receipt: 21,000 base and calldata are in it. A node that
refuses something, or leaves another number of events, ends the run with an error.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path

from bench.gas.node import fresh_chain
from bench.simulation.evm import Transaction
from tessera.errors import InvariantViolation

_GAS = hex(30_000_000)


def gas_by_action(
    anvil: Path,
    transactions: Sequence[Transaction],
    progress: Callable[[int], None] | None = None,
) -> dict[str, list[int]]:
    """Send every transaction to a fresh node.

    Returns
    -------
    dict
        For each kind of action, the gas of each of its transactions in their order.

    Raises
    ------
    InvariantViolation
        The node and the EVM in process disagree about a transaction.
    """
    found: dict[str, list[int]] = defaultdict(list)
    # Old states are of no use here, and keeping one for every block would slow the node down.
    with fresh_chain(anvil, "--prune-history") as chain:
        chain.rpc("anvil_autoImpersonateAccount", True)
        chain.rpc("evm_setAutomine", False)
        for number, sent in enumerate(transactions):
            call = {"from": sent.sender, "gas": _GAS, "gasPrice": "0x0"}
            call["data"] = "0x" + sent.data.hex()
            if sent.to is not None:
                call["to"] = sent.to
            identity = chain.rpc("eth_sendTransaction", call)
            chain.rpc("evm_mine", hex(sent.time))
            receipt = chain.rpc("eth_getTransactionReceipt", identity)
            answer = (
                "no receipt"
                if receipt is None
                else f"status {int(receipt['status'], 16)}, {len(receipt['logs'])} events"
            )
            wanted = f"status 1, {sent.logs} events"
            if answer != wanted:
                raise InvariantViolation(
                    f"transaction {number} ({sent.action}) on the node",
                    found=answer,
                    wanted=f"{wanted}, as in process",
                )
            found[sent.action].append(int(receipt["gasUsed"], 16))
            if progress is not None:
                progress(number)
    return dict(found)
