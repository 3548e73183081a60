"""Our gateway under load, as `tessera up` runs it: `python -m bench.gateway.ours --help`.

Vouchers are checked, every charge and receipt is on the disk before its answer leaves, the model is
an OpenAI-compatible server behind HTTP. Only the chain is the contract's twin, as no call waits for
it. It is ended by SIGKILL: what its books say afterwards is what a crash would have left.
"""

from __future__ import annotations

import argparse
import asyncio
from pathlib import Path

import uvloop

from bench.gateway.calls import CEILING, CONNECTIONS, GAPS, STREAMS, channel, template, values
from bench.gateway.load import Exchange, exchange
from bench.paid_calls import (
    DOMAIN,
    KEY,
    OPERATOR,
    TwinChain,
    make_gateway,
    open_ledger,
)
from tessera.gateway.garbage import collect_seldom
from tessera.gateway.server import GatewayServer
from tessera.payments.header import PROOF_HEADER, SignedReceipt, parse_proof, parse_receipt
from tessera.serving.receipts import RECEIPT_EVENT
from tessera.serving.runner import Task
from tessera.serving.runners.upstream import UpstreamLimits, UpstreamRunner
from tessera.spec.signatures import keccak

PAID, FREE = "paid", "free"
# Channels of whole answers, of streams, and of the calls whose receipts are looked at.
WHOLE_FIRST, STREAM_FIRST, LOOKED_FIRST = 0, CONNECTIONS, CONNECTIONS + STREAMS
CHANNELS = LOOKED_FIRST + CONNECTIONS
HTTP_OK = 200
PROOF = PROOF_HEADER.encode()
RECEIPT = b"event: " + RECEIPT_EVENT.encode() + b"\n"


def chain_of_channels() -> TwinChain:
    """Open every channel that the load may use."""
    chain = TwinChain()
    for salt in range(CHANNELS):
        chain.open(salt)
    return chain


async def serve(folder: Path, port: int, upstream: str) -> None:
    """Serve until killed."""
    ledger = await open_ledger(folder, chain_of_channels())
    limits = UpstreamLimits(at_once=STREAMS)
    paid, free = (
        UpstreamRunner(name, upstream, "instant", frozenset({Task.CHAT}), limits=limits)
        for name in (PAID, FREE)
    )
    server = GatewayServer(make_gateway(ledger, paid, free=free), port=port)
    await server.start()
    collect_seldom()
    await server.wait()


async def charged(folder: Path, first: int, channels: int) -> int:
    """Replay the books and add up what they charged on these channels, base units."""
    ledger = await open_ledger(folder, chain_of_channels())
    total = 0
    for salt in range(first, first + channels):
        account = await ledger.account(channel(salt))
        if account is not None and KEY in account.lines:
            total += account.lines[KEY].charged
    await ledger.close()
    return total


async def cost_of_a_call(port: int, body: bytes, calls: int) -> int:
    """Make calls on all channels at once, check every receipt, and return what each cost.

    Raises
    ------
    ValueError
        A receipt is about other bytes, or not all cost the same.
    SignatureRejected
        A receipt is not the operator's.
    """
    pieces = template(port, body, GAPS).split(b"\0")
    work = [
        [
            pieces[0]
            + b"".join(part.encode() + piece for part, piece in zip(row, pieces[1:], strict=True))
            for row in values(salt, 0, calls, body)
        ]
        for salt in range(LOOKED_FIRST, LOOKED_FIRST + CONNECTIONS)
    ]
    costs = set()
    for answers in await asyncio.gather(*(exchange(port, requests) for requests in work)):
        before = 0
        for answer in answers:
            if answer.status != HTTP_OK:
                raise ValueError(f"call: found {answer.status} {answer.body!r}, wanted 200")
            said, proof = _receipt(answer)
            proof.verify(DOMAIN, OPERATOR.address)
            receipt = proof.receipt
            if (receipt.request, receipt.response) != (keccak(body), keccak(said)):
                raise ValueError("receipt: found other hashes, wanted those of what was sent")
            costs.add(receipt.charged - before)
            before = receipt.charged
    cost = min(costs)
    if len(costs) != 1 or not 0 < cost <= CEILING:
        raise ValueError(f"receipts: found costs {costs}, wanted one for equal calls")
    return cost


def _receipt(answer: Exchange) -> tuple[bytes, SignedReceipt]:
    """Return what was answered, and the receipt beside it or, of a stream, behind it."""
    if PROOF in answer.headers:
        return answer.body, parse_proof(answer.headers[PROOF].decode())
    said, _, rest = answer.body.partition(RECEIPT)
    return said, parse_receipt(rest.partition(b"data: ")[2].partition(b"\n\n")[0])


def main() -> None:
    parser = argparse.ArgumentParser(prog="bench.gateway.ours", description=__doc__)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--upstream", required=True)
    options = parser.parse_args()
    uvloop.run(serve(options.folder, options.port, options.upstream))


if __name__ == "__main__":
    main()
