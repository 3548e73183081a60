"""The same calls through both doors: straight from the parser, and through ASGI.

A body of stated length takes the fast door, a chunked one the other; whoever chooses must gain
nothing by it.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass

import pytest
from tests.integration.gateway.conftest import FREE, PARROT, PRICE, Shop, sign_call
from tests.unit.payments.conftest import DOMAIN, OPERATOR

from tessera.gateway import fast
from tessera.payments.header import parse_proof
from tessera.serving.receipts import check_receipt

DOORS = pytest.mark.parametrize("door", ["fast", "asgi"])


@dataclass
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def last(self) -> bool:
        return self.headers.get("connection") == "close"


def request(door: str, path: str, body: bytes, headers: dict[str, str], *more: str) -> bytes:
    lines = [f"POST {path} HTTP/1.1", "host: x", *(f"{k}: {v}" for k, v in headers.items()), *more]
    if door == "fast":
        framed, length = body, f"content-length: {len(body)}"
    else:
        framed, length = b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body), "transfer-encoding: chunked"
    return "\r\n".join([*lines, length, "", ""]).encode() + framed


class Wire:
    """One connection to the gateway."""

    def __init__(self, shop: Shop, door: str) -> None:
        self.shop, self.door = shop, door

    async def open(self) -> None:
        server = self.shop.server
        self.reader, self.writer = await asyncio.open_connection(server.host, server.port)

    def paid(self, channel: int, words: str, maximum: int = 9_000, **more: object) -> bytes:
        """Make a chat that pays."""
        body = json.dumps(
            {"model": "parrot", "messages": [{"role": "user", "content": words}], **more}
        ).encode()
        headers = self.shop.pay(channel, (PARROT, maximum))
        headers["tessera-call-signature"] = sign_call(headers, body)
        self.body, self.call = body, headers["tessera-call"]
        return request(self.door, "/v1/chat/completions", body, headers)

    async def ask(self, raw: bytes) -> Answer:
        self.writer.write(raw)
        return await self.read()

    async def read(self) -> Answer:
        head = (await asyncio.wait_for(self.reader.readuntil(b"\r\n\r\n"), 30)).decode()
        first, *lines = head.split("\r\n")[:-2]
        headers = dict(line.lower().split(": ", 1) for line in lines)
        headers |= {k: v for k, v in (line.split(": ", 1) for line in lines) if "proof" in k}
        body = b""
        if "content-length" in headers:
            body = await self.reader.readexactly(int(headers["content-length"]))
        else:
            while size := int(await self.reader.readline(), 16):
                body += (await self.reader.readexactly(size + 2))[:-2]
            await self.reader.readline()
        return Answer(int(first.split()[1]), headers, body)


Connect = Callable[[str], Awaitable[Wire]]


@pytest.fixture
async def connect(shop: Shop) -> AsyncIterator[Connect]:
    wires: list[Wire] = []

    async def open_one(door: str) -> Wire:
        wires.append(Wire(shop, door))
        await wires[-1].open()
        return wires[-1]

    yield open_one
    for wire in wires:
        wire.writer.close()
        with contextlib.suppress(ConnectionError):
            await wire.writer.wait_closed()


@DOORS
async def test_calls_are_answered_charged_and_receipted(
    shop: Shop, connect: Connect, door: str
) -> None:
    channel = shop.books.chain.open(10**6)
    wire = await connect(door)
    for number in (1, 2):
        answer = await wire.ask(wire.paid(channel, "one two"))
        assert (answer.status, answer.last) == (200, False)
        proof = parse_proof(answer.headers["tessera-proof"])
        proof.verify(DOMAIN, OPERATOR.address)
        assert proof.receipt.charged == number * PRICE.cost_ceil(2, 2)
        assert answer.headers["tessera-charged"] == str(proof.receipt.charged)
        assert len(answer.headers["x-request-id"]) == 32
        assert answer.headers["content-type"] == "application/json"
        assert "date" in answer.headers
    streamed = await wire.ask(wire.paid(channel, "one two", stream=True))
    before, _, last = streamed.body.partition(b"event: tessera.receipt\ndata: ")
    checked = check_receipt(
        last.strip(), DOMAIN, OPERATOR.address, request=wire.body, response=before
    )
    assert checked.signed.receipt.charged == 3 * PRICE.cost_ceil(2, 2)
    assert before.endswith(b"data: [DONE]\n\n")
    again = await wire.ask(wire.paid(channel, "and the connection goes on"))
    assert again.status == 200


@DOORS
@pytest.mark.parametrize("words", ["[fail]", "[bug]", "[hang]"])
async def test_a_model_that_fails_is_paid_nothing(
    shop: Shop, connect: Connect, door: str, words: str
) -> None:
    channel = shop.books.chain.open(10**6)
    wire = await connect(door)
    for stream in (False, True) if words == "[fail]" else (False,):
        answer = await wire.ask(wire.paid(channel, words, stream=stream))
        assert answer.status in {500, 502}
        assert "tessera-receipt" not in answer.headers
    assert shop.books.ledger.in_flight == 0
    assert (await wire.ask(wire.paid(channel, "one"))).status == 200
    assert await shop.charged(channel) == {PARROT: PRICE.cost_ceil(1, 1)}


@DOORS
async def test_a_stream_that_breaks_off_is_paid_nothing_and_keeps_the_connection(
    shop: Shop, connect: Connect, door: str
) -> None:
    channel = shop.books.chain.open(10**6)
    wire = await connect(door)
    answer = await wire.ask(wire.paid(channel, "one two [break]", stream=True))
    assert b'"error"' in answer.body
    assert b"[DONE]" not in answer.body
    assert await shop.charged(channel) == {PARROT: 0}
    assert (await wire.ask(wire.paid(channel, "one"))).status == 200


@DOORS
@pytest.mark.parametrize("stream", [False, True])
async def test_who_leaves_before_the_first_word_pays_nothing(
    shop: Shop, connect: Connect, door: str, stream: bool
) -> None:
    """The answer is made for nobody; whoever reads nothing must not be charged for it."""
    channel = shop.books.chain.open(10**6)
    wire = await connect(door)
    wire.writer.write(wire.paid(channel, "[slow] one", stream=stream))
    while not shop.books.ledger.in_flight:  # noqa: ASYNC110 - the ledger tells nobody
        await asyncio.sleep(0.002)
    wire.writer.transport.abort()
    await asyncio.wait_for(shop.idle(), 30)
    assert await shop.charged(channel) == {PARROT: 0}


@DOORS
async def test_what_is_not_paid_is_not_answered(shop: Shop, connect: Connect, door: str) -> None:
    channel = shop.books.chain.open(10**6)
    wire = await connect(door)
    good = wire.paid(channel, "one")
    unpaid = re.sub(rb"tessera-payment: [^\r]+\r\n", b"", good)
    assert (await wire.ask(unpaid)).status == 402
    twice = good.replace(b"tessera-call: ", b"tessera-call: %b\r\ntessera-call: " % (b"0" * 32))
    assert (await wire.ask(twice)).status == 400
    other = good.replace(b"one", b"two")
    assert (await wire.ask(other)).status == 401
    assert (await wire.ask(wire.paid(channel, "one", maximum=3))).status == 402
    assert (await wire.ask(good)).status == 200
    assert (await wire.ask(good)).status == 409
    assert await shop.charged(channel) == {PARROT: PRICE.cost_ceil(1, 1)}


@DOORS
async def test_a_free_call_needs_nothing(shop: Shop, connect: Connect, door: str) -> None:
    wire = await connect(door)
    body = b'{"model": "free-parrot", "input": "four"}'
    answer = await wire.ask(request(door, "/v1/embeddings", body, {}))
    assert (answer.status, answer.headers["tessera-cost"]) == (200, "0")
    assert FREE[0] == parse_proof(answer.headers["tessera-proof"]).receipt.asset
    closing = await wire.ask(request(door, "/v1/embeddings", body, {}, "connection: close"))
    assert closing.last
    assert await wire.reader.read() == b""


@DOORS
async def test_calls_and_pages_sent_at_once_are_answered_in_order(
    shop: Shop, connect: Connect, door: str
) -> None:
    """Whoever is behind a proxy that pipelines must not get his neighbour's answer."""
    channel = shop.books.chain.open(10**6)
    wire = await connect(door)
    other = Wire(shop, "asgi" if door == "fast" else "fast")
    page = b"GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n"
    raw = [
        wire.paid(channel, "[slow] first", 300),
        page,
        wire.paid(channel, "second"),
        other.paid(channel, "third", stream=True),
        wire.paid(channel, "fourth"),
        page,
    ]
    wire.writer.write(b"".join(raw))
    answers = [await wire.read() for _ in raw]
    assert [answer.status for answer in answers] == [200] * 6
    for place, word in ((0, b"first"), (1, b"ok"), (2, b"second"), (3, b"third"), (4, b"fourth")):
        assert word in answers[place].body
    assert (await wire.ask(wire.paid(channel, "fifth"))).status == 200


async def test_a_body_may_come_in_small_pieces_but_in_time(shop: Shop, connect: Connect) -> None:
    channel = shop.books.chain.open(10**6)
    wire = await connect("fast")
    raw = wire.paid(channel, "one two three")
    for place in range(0, len(raw), 150):
        wire.writer.write(raw[place : place + 150])
        await asyncio.sleep(0.002)
    assert (await wire.read()).status == 200
    wire.writer.write(wire.paid(channel, "one two three")[:-5])
    late = await wire.read()
    assert (late.status, late.last) == (400, True)
    assert b"the whole of it" in late.body
    assert await wire.reader.read() == b""


async def test_garbage_behind_a_call_is_not_read_as_its_answer(
    shop: Shop, connect: Connect
) -> None:
    """A proxy forwards what an attacker put behind a consumer's call: the consumer must not get
    the refusal of the garbage, and not pay for an answer that he did not get."""
    channel = shop.books.chain.open(10**6)
    wire = await connect("fast")
    wire.writer.write(wire.paid(channel, "[slow] one") + b"\0\0 no http\r\n\r\n")
    assert await wire.reader.read() == b""
    await shop.idle()
    assert await shop.charged(channel) == {PARROT: 0}


async def test_more_requests_than_are_read_wait_outside(shop: Shop, connect: Connect) -> None:
    """Ten thousand requests behind one slow call must not come to lie in our memory."""
    channel = shop.books.chain.open(10**6)
    wire = await connect("fast")
    body = b'{"model": "free-parrot", "input": "%b"}' % (b"x" * 10_000)
    raw = request("fast", "/v1/embeddings", body, {})
    wire.writer.write(wire.paid(channel, "[slow] [slow] [slow] one"))
    wire.writer.write(raw * 2_000)
    while not shop.books.ledger.in_flight:  # noqa: ASYNC110 - the ledger tells nobody
        await asyncio.sleep(0.002)
    await asyncio.sleep(0.05)
    (protocol,) = shop.server._server.server_state.connections
    assert isinstance(protocol, fast.FastProtocol)
    assert len(protocol._waiting) < 100
    wire.writer.transport.abort()


async def test_thousands_behind_one_call_are_refused_without_harm(
    shop: Shop, connect: Connect
) -> None:
    """Each refusal begins the next request at once; as deep as there are requests, it fell."""
    wire = await connect("fast")
    slow, more = (b'{"model":"free-parrot","input":"%b"}' % word for word in (b"[slow]", b"x"))
    wire.writer.write(request("fast", "/v1/embeddings", slow, {}))
    wire.writer.write(request("fast", "/v1/embeddings", more, {}) * 1_500)
    while not shop.books.ledger.in_flight:  # noqa: ASYNC110 - the ledger tells nobody
        await asyncio.sleep(0.002)
    admission = shop.server.gateway.operations.admission
    assert admission.enter(), "somebody else's call"
    admission.limit = 1
    answers = [await wire.read() for _ in range(1_501)]
    assert [answer.status for answer in answers] == [200] + [429] * 1_500
    assert admission.in_hand == 1


async def test_an_upload_that_is_not_let_in_takes_no_memory(shop: Shop, connect: Connect) -> None:
    """A thousand clients each send all of the largest body but its last byte; beyond the calls in
    hand none of it is kept, and those that give up give back their place."""
    admission = shop.server.gateway.operations.admission
    # Half of the places are for calls that are still being sent.
    admission.limit = 4
    body = b'{"model":"free-parrot","input":"%b"}' % (b"x" * 15_000)
    raw = request("fast", "/v1/embeddings", body, {})
    wires = [await connect("fast") for _ in range(4)]
    for wire in wires:
        wire.writer.write(raw[:-1])
    while admission.refused < 2:  # noqa: ASYNC110 - nobody tells
        await asyncio.sleep(0.002)
    await asyncio.sleep(0.02)
    connections: list[fast.FastProtocol] = [*shop.server._server.server_state.connections]  # type: ignore[list-item]
    kept = sorted(len(one._message.body) for one in connections)
    assert kept == [0, 0, len(body) - 1, len(body) - 1]
    assert admission.in_hand == 2
    wires[0].writer.transport.abort()
    late = [await wire.read() for wire in wires[1:]]
    assert [(answer.status, answer.last) for answer in late] == [(400, True)] * 3
    assert admission.in_hand == 0
    wire = await connect("fast")
    assert (await wire.ask(raw)).status == 200
    for place in range(0, len(raw) - 1, 5_000):
        wire.writer.write(raw[place : place + 5_000])
        await asyncio.sleep(0.002)
    assert (await wire.read()).status == 200
    assert admission.in_hand == 0


@DOORS
async def test_attack_calls_that_are_announced_and_never_sent_keep_nobody_out(
    shop: Shop, connect: Connect, door: str
) -> None:
    """Whoever opens as many connections as a gateway takes calls, and sends of each the head alone,
    had every place for as long as it waits for a body: a hundred bytes each, and nobody served.
    """
    admission = shop.server.gateway.operations.admission
    admission.limit = 4
    small = b'{"model":"free-parrot","input":"x"}'
    large = b'{"model":"free-parrot","input":"%b"}' % (b"x" * 15_000)
    for body in (small, large):
        head = request(door, "/v1/embeddings", body, {}).partition(b"\r\n\r\n")[0]
        for _ in range(6):
            (await connect(door)).writer.write(head + b"\r\n\r\n")
    while admission.refused < 4:  # noqa: ASYNC110 - nobody tells
        await asyncio.sleep(0.002)
    wire = await connect("fast")
    for _ in range(3):
        assert (await wire.ask(request("fast", "/v1/embeddings", small, {}))).status == 200
    assert admission.in_hand == admission.reading == 2


async def test_a_gateway_that_stops_answers_what_it_was_asked(shop: Shop, connect: Connect) -> None:
    channel = shop.books.chain.open(10**6)
    wire = await connect("fast")
    wire.writer.write(wire.paid(channel, "[slow] one"))
    while not shop.books.ledger.in_flight:  # noqa: ASYNC110 - the ledger tells nobody
        await asyncio.sleep(0.002)
    stopping = asyncio.create_task(shop.server.stop())
    answer = await wire.read()
    assert (answer.status, answer.last) == (200, True)
    await stopping


async def test_who_takes_no_answers_gets_no_more_of_them(
    shop: Shop, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A client sends calls without end and reads nothing, to have the answers lie in our memory."""
    monkeypatch.setattr(fast, "_FLUSH_S", 0.1)
    wire = await connect("fast")
    wire.writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
    wire.writer.transport.pause_reading()  # type: ignore[attr-defined]
    message = {"role": "user", "content": "x" * 15_000}
    body = json.dumps({"model": "free-parrot", "messages": [message], "max_tokens": 1}).encode()
    connections = shop.server._server.server_state.connections
    for _ in range(2_000):
        wire.writer.write(request("fast", "/v1/chat/completions", body, {}))
        await asyncio.sleep(0)
        if wire.writer.transport.get_write_buffer_size() > 1 << 20:
            break
    while connections:  # noqa: ASYNC110 - uvicorn offers no event
        await asyncio.sleep(0.01)
    assert shop.books.ledger.in_flight == 0
