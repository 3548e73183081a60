"""Paid calls a second through the gateway: `make bench-calls`.

`python -m bench.paid_calls [CALLS]` makes another number of them.

Thirty-two connections, each with a channel of its own and vouchers signed beforehand; a model that
answers at once; every voucher, charge and receipt synced to the disk. The chain is the contract's
twin, as no call waits for it. The load runs in a process of its own on the same machine, so the
figure is a lower bound. Prints, and gates nothing.
"""

from __future__ import annotations

import asyncio
import json
import multiprocessing
import sys
import tempfile
import time
from collections.abc import Sequence
from multiprocessing.connection import Connection
from pathlib import Path

import uvloop

from tessera.gateway.asgi import Gateway
from tessera.gateway.catalogue import ListedModels, Offer
from tessera.gateway.paying import Cashier, PaymentTerms
from tessera.gateway.server import GatewayServer
from tessera.payments.callmac import call_key, call_mac
from tessera.payments.header import payment_header
from tessera.payments.ledger import Ledger
from tessera.payments.ports import ChannelView, SettleResult
from tessera.serving.runner import (
    EmbeddingsRequest,
    EmbeddingsResult,
    Identity,
    RunnerBase,
    Task,
    Units,
)
from tessera.serving.turns import Turns
from tessera.spec.channels import ChannelsModel
from tessera.spec.prices import Price
from tessera.spec.signatures import Address, Domain, Signer, keccak
from tessera.spec.vouchers import (
    Line,
    SignedVoucher,
    TillKey,
    Voucher,
    voucher_digest,
)

CONNECTIONS = 32
DEPOSIT = 10**12
BODY = json.dumps({"model": "instant", "input": ["hello world"]}).encode()
UNITS = 3
PRICE = Price(per_call=100, per_1k_in=1_000, per_1k_out=10_000)
KEY = TillKey(asset=7, terms=1)
DOMAIN = Domain(31_337, Address(keccak(b"channels")[12:]))
OPERATOR = Signer(keccak(b"operator"))
CONSUMER = Signer(keccak(b"consumer"))
DELAY_S = 3_600
CALL_KEY = call_key(
    DOMAIN, CONSUMER, OPERATOR.public_key, signer=CONSUMER.address, operator=OPERATOR.address
)


class Instant(RunnerBase):
    """Answers at once."""

    def __init__(self) -> None:
        super().__init__("instant", frozenset({Task.EMBEDDINGS}), Identity.HASHED)

    async def load(self) -> None:
        """There is nothing to load."""

    async def close(self) -> None:
        """There is nothing to let go of."""

    async def embed(self, request: EmbeddingsRequest) -> EmbeddingsResult:
        return EmbeddingsResult([[1.0, 2.0, 3.0]] * len(request.texts), Units(UNITS))


class TwinChain:
    """The twin of Channels behind an operator's port."""

    def __init__(self) -> None:
        self.model = ChannelsModel(DOMAIN, withdraw_delay=DELAY_S)

    def open(self, salt: int, payer: Signer = CONSUMER) -> int:
        word = salt.to_bytes(32, "big")
        return self.model.open(payer.address, OPERATOR.address, word, DEPOSIT, CONSUMER.address, ())

    async def read_channel(self, channel: int, keys: Sequence[TillKey]) -> ChannelView | None:
        state = self.model.channels.get((OPERATOR.address, channel))
        if state is None:
            return None
        lines = {key: self.model.line_of(OPERATOR.address, channel, *key) for key in keys}
        return ChannelView(
            state.payer,
            state.signer,
            state.restricted,
            state.balance,
            state.available_at,
            lines,
        )

    async def settle(self, tills: Sequence[TillKey], words: Sequence[int]) -> SettleResult:
        done = self.model.settle(OPERATOR.address, tills, words, int(time.time()))
        return SettleResult("0x", 1, done.total, tuple(done.skipped), (KEY.asset,))

    async def flush(self, asset: int) -> str:
        return f"0x{asset:x}"


async def open_ledger(folder: Path, chain: TwinChain) -> Ledger:
    """Open the books of a folder, replaying what they hold."""
    return await Ledger.open(
        folder / "books.db", DOMAIN, OPERATOR, chain, time.time, knows=KEY.__eq__
    )


def make_gateway(
    ledger: Ledger,
    runner: RunnerBase | None = None,
    turns: Turns | None = None,
    *,
    free: RunnerBase | None = None,
) -> Gateway:
    """Offer one model for money and, where it is given, another for nothing."""
    terms = PaymentTerms(
        domain=DOMAIN,
        operator=OPERATOR.address,
        operator_key=OPERATOR.public_key,
        currency=OPERATOR.address,
        decimals=6,
        symbol="TUSD",
        withdraw_delay_s=DELAY_S,
    )
    offered = [(KEY.asset, PRICE, runner or Instant())]
    if free is not None:
        offered.append((KEY.asset + 1, Price(per_call=0, per_1k_in=0, per_1k_out=0), free))
    offers = [
        Offer(
            slug=each.name,
            asset=asset,
            version=1,
            terms=KEY.terms,
            urn=f"eip155:31337/erc721:0x{'0' * 39}1/{asset}",
            price=price,
            runner=each,
            owner="publisher",
        )
        for asset, price, each in offered
    ]
    return Gateway(ListedModels(offers), Cashier(ledger, terms), time.time, turns=turns)


def sign(channel: int, maximum: int) -> SignedVoucher:
    voucher = Voucher(channel, (Line(*KEY, maximum),))
    return SignedVoucher(voucher, CONSUMER.sign(voucher_digest(DOMAIN, channel, voucher.lines)))


def serve(pipe: Connection, folder: str) -> None:
    async def main() -> None:
        chain = TwinChain()
        channels = [chain.open(salt) for salt in range(CONNECTIONS)]
        ledger = await open_ledger(Path(folder), chain)
        server = GatewayServer(make_gateway(ledger))
        await server.start()
        pipe.send((server.port, channels))
        started = time.process_time()
        await asyncio.get_running_loop().run_in_executor(None, pipe.recv)
        pipe.send(time.process_time() - started)
        await server.stop()
        await ledger.close()

    uvloop.run(main())


def vouched_call(channel: int, number: int) -> bytes:
    name = f"{number:032x}"
    code = call_mac(CALL_KEY, channel, name, keccak(BODY))
    return f"\r\ntessera-call: {name}\r\ntessera-call-mac: {code.hex()}".encode()


def requests_for(channel: int, calls: int) -> list[bytes]:
    cost = PRICE.cost_ceil(UNITS, 0)
    return [
        b"POST /v1/embeddings HTTP/1.1\r\nhost: bench\r\ntessera-payment: "
        + payment_header(sign(channel, cost * number)).encode()
        + vouched_call(channel, number)
        + b"\r\ncontent-length: %d\r\n\r\n" % len(BODY)
        + BODY
        for number in range(1, calls + 1)
    ]


async def call(port: int, requests: list[bytes], times: list[float]) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    for request in requests:
        begun = time.perf_counter()
        writer.write(request)
        head = await reader.readuntil(b"\r\n\r\n")
        if not head.startswith(b"HTTP/1.1 200"):
            raise SystemExit(f"the gateway refused: {head.decode()}")
        length = head.lower().split(b"content-length: ")[1].split(b"\r\n")[0]
        await reader.readexactly(int(length))
        times.append(time.perf_counter() - begun)
    writer.close()


async def load(port: int, work: list[list[bytes]]) -> tuple[float, list[float]]:
    times: list[float] = []
    begun = time.perf_counter()
    await asyncio.gather(*(call(port, requests, times) for requests in work))
    return time.perf_counter() - begun, sorted(times)


def main(calls: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        ours, theirs = multiprocessing.Pipe()
        server = multiprocessing.get_context("spawn").Process(target=serve, args=(theirs, folder))
        server.start()
        port, channels = ours.recv()
        work = [requests_for(channel, calls // CONNECTIONS) for channel in channels]
        taken, times = uvloop.run(load(port, work))
        ours.send(None)
        cpu = ours.recv()
        server.join()
    done = len(times)
    print(f"{done} paid calls over {CONNECTIONS} connections, each on the disk")
    print(f"{done / taken:,.0f} calls/s; server CPU {cpu / done * 1e6:.0f} us per call")
    print(f"p50 {times[done // 2] * 1e3:.1f} ms, p99 {times[int(done * 0.99)] * 1e3:.1f} ms")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 8_000)
