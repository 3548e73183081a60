"""Answers that were to fill a client's memory, or to stop it with an error of somebody else's."""

from __future__ import annotations

import base64
import gzip
import json
import sys
import time
from collections.abc import Iterator
from concurrent.futures import Future

import httpx
import pytest
from tests.unit.payments.conftest import CONSUMER, DOMAIN, OPERATOR

from tessera.client import scanner, transport
from tessera.client.auditing import items_of_answer
from tessera.client.exchange import Exchange, Fetch
from tessera.client.gateway import GatewayView
from tessera.client.scanner import ReceiptScanner
from tessera.client.transport import PayingTransport
from tessera.errors import ServingError, SignatureRejected
from tessera.payments.header import parse_proof, parse_receipt
from tessera.payments.purse import Purse, Ticket
from tessera.serving.equality.exact import compare, text_item
from tessera.serving.runner import Task
from tessera.serving.sse import EventReader
from tessera.spec.vouchers import TillKey

URL = "http://127.0.0.1:1"
RECEIPT = {
    "id": "", "operator": "", "chain_id": 1, "contract": "", "channel": "1", "asset": "1",
    "version": 1, "terms": 1, "charged": "1", "request": "0x" + "0" * 64,
    "response": "0x" + "0" * 64, "units": "1", "time": 1, "identity": 1,
    "signature": "0x" + "0" * 130, "cost": "1", "call": "",
}  # fmt: skip


@pytest.fixture(autouse=True)
def _pythons_own_recursion_limit() -> Iterator[None]:
    # Test tools raise it so far that the C stack ends first; no gateway and no client does.
    before = sys.getrecursionlimit()
    sys.setrecursionlimit(1_000)
    yield
    sys.setrecursionlimit(before)


class Endless(httpx.SyncByteStream):
    def __iter__(self) -> Iterator[bytes]:
        while True:
            yield b"x" * 1_000


class Liar(httpx.BaseTransport):
    """Answers everything with one stream."""

    def __init__(self, headers: dict[str, str], stream: httpx.SyncByteStream) -> None:
        self._headers, self._stream = headers, stream

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        assert request.headers["accept-encoding"] == "identity"
        return httpx.Response(200, headers=self._headers, stream=self._stream)


def get(liar: Liar) -> httpx.Response:
    view = GatewayView(URL, DOMAIN, OPERATOR.address)
    paying = PayingTransport(Exchange(view, Future, max_call_cost=1), liar)
    with httpx.Client(transport=paying) as http:
        return http.get(f"{URL}/v1/models")


def test_an_answer_without_end_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transport, "MOST_BYTES", 100_000)
    with pytest.raises(ServingError, match="100000 bytes or fewer"):
        get(Liar({}, Endless()))


def test_an_answer_that_unpacks_to_a_thousand_times_its_size_is_not_unpacked() -> None:
    bomb = gzip.compress(b"0" * 10_000_000)
    with pytest.raises(ServingError, match="gzip"):
        get(Liar({"content-encoding": "gzip"}, httpx.ByteStream(bomb)))


@pytest.mark.parametrize(
    "change",
    [
        {"charged": str(2**96)},
        {"charged": "9" * 78},
        {"channel": str(2**64)},
        {"version": -1},
        {"time": 2**64 - 1, "identity": 256},
        {"units": "\u0661"},
    ],
)
def test_a_receipt_with_numbers_that_no_contract_holds_is_refused(
    change: dict[str, object],
) -> None:
    """A lying operator's receipt was to end the client with an OverflowError that nothing of ours
    catches, as its numbers were hashed."""
    with pytest.raises(SignatureRejected):
        parse_receipt(json.dumps(RECEIPT | change)).verify(DOMAIN, CONSUMER.address)


def test_a_proof_nested_beyond_the_stack_is_refused() -> None:
    deep = json.dumps(RECEIPT)[:-1].encode() + b',"x":' + b"[" * 100_000 + b"]" * 100_000 + b"}"
    with pytest.raises(SignatureRejected):
        parse_proof(base64.urlsafe_b64encode(deep).rstrip(b"=").decode())


@pytest.mark.parametrize("nonsense", [b"", b"[]", b"\xff", b'{"state":' + b"[" * 100_000])
def test_nonsense_about_a_lost_call_is_the_gateways_failure(nonsense: bytes) -> None:
    """What became of a call whose answer was lost is asked before the next; an operator that says
    nonsense there was to end the client with an error of the decoder's."""
    view = GatewayView(URL, DOMAIN, OPERATOR.address)
    exchange = Exchange(view, Future, max_call_cost=1)
    purse = Purse(DOMAIN, OPERATOR.address, 1, CONSUMER)
    ticket = Ticket("0" * 32, TillKey(1, 1), 5, bytes(32))
    purse.begin(ticket)
    purse.lose(ticket)
    asking = exchange._ask_about_lost(purse)
    step = next(asking)
    assert isinstance(step, Fetch)
    with pytest.raises(ServingError, match="what a gateway says there"):
        asking.send(httpx.Response(200, content=nonsense))
    assert purse.lost == [ticket]


@pytest.mark.parametrize("piece", [b"x" * 1_000, b"line\n" * 200])
def test_attack_a_line_without_end_costs_no_more_than_its_bytes(piece: bytes) -> None:
    """One event of megabytes, in the pieces in which the network brings it: joined at each piece, 4
    megabytes took half a minute, and a gateway answered nobody else meanwhile."""
    for feed in (EventReader().feed, ReceiptScanner().feed):
        begun = time.perf_counter()
        for _ in range(4_000):
            assert not feed(piece)
        assert time.perf_counter() - begun < 5


def test_attack_a_stream_holds_no_more_than_its_share_of_memory(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """An event that never ends, and events behind the end whose receipt never comes."""
    monkeypatch.setattr(scanner, "MOST_HELD", 10_000)
    for first, piece in ((b"", b"x" * 999), (b"data: [DONE]\n\n", b"data: 1\n\n" * 99)):
        reader = ReceiptScanner()
        reader.feed(first)
        with pytest.raises(ServingError, match="10000 bytes"):
            all(reader.feed(piece) == b"" for _ in range(99))
    good = ReceiptScanner()
    for _ in range(99):
        good.feed(b"data: " + b"x" * 9_000)
        good.feed(b"\n\n")


def listed(**changes: object) -> bytes:
    card: dict[str, object] = {
        "asset": "7", "urn": "", "version": 1, "terms": 1, "tasks": [],
        "price": {"per_call": "1", "per_1k_in": "1", "per_1k_out": "1"},
        "limits": {"default": 1, "highest": 1},
    }  # fmt: skip
    terms = {
        "chain_id": DOMAIN.chain_id, "channels": "0x" + DOMAIN.contract.hex(),
        "operator": "0x" + OPERATOR.address.hex(), "currency": "0x" + OPERATOR.address.hex(),
    }  # fmt: skip
    return json.dumps({"data": [{"id": "m", "tessera": card | changes}], "tessera": terms}).encode()


PRICE = {"per_call": "-5", "per_1k_in": "1", "per_1k_out": "1"}


@pytest.mark.parametrize(
    "body",
    [
        listed(price=PRICE),
        listed(discount={"terms": 1, "price": PRICE}),
        listed(price=PRICE | {"per_call": str(2**72)}),
        listed(asset="-7"),
        listed(asset=str(2**256)),
        listed(terms=-1),
        listed(terms=2**32),
        listed(version=2**32),
        listed(limits={"default": -1, "highest": 1}),
        listed(tasks=[], urn=[]),
        b'{"data":[],"x":' + b"[" * 50_000 + b"]" * 50_000 + b"}",
    ],
)
def test_attack_a_list_of_numbers_that_no_voucher_holds_is_none(body: bytes) -> None:
    """A negative price, asset or limit makes the bound of a call negative, and the voucher one that
    cannot be encoded: no refusal but a crash, which keeps a router from asking the next operator,
    and a call in flight that is never ended."""
    view = GatewayView(URL, DOMAIN, OPERATOR.address)
    view.take_models(httpx.Response(200, content=listed()))
    with pytest.raises(ServingError):
        view.take_models(httpx.Response(200, content=body))


@pytest.mark.parametrize("number", ["1" + "0" * 400, "[" * 50_000 + "]" * 50_000, '"x"', "{}"])
@pytest.mark.parametrize("task", list(Task))
def test_attack_an_answer_that_cannot_be_read_is_none(task: Task, number: str) -> None:
    """An endpoint that answers an audit with what breaks it would never hear its verdict."""
    scores = f'{{"a":{number}}}'
    for body in (
        f'{{"data":[{{"embedding":[{number}],"scores":{scores},"label":"a"}}]}}',
        f'{{"outputs":[{scores}]}}',
        f'{{"results":[{{"category_scores":{scores},"categories":{scores}}}]}}',
        f'{{"choices":[{{"message":{{"content":{number}}},"finish_reason":"stop"}}]}}',
        f'data: {{"choices":[{{"index":{number},"delta":{{"content":{number}}}}}]}}\n\n',
    ):
        found = items_of_answer(task, body.encode())
        if found:
            compare(found, [text_item("x", "stop")] * len(found))
