"""Answers that were to fill a client's memory, or to stop it with an error of somebody else's."""

from __future__ import annotations

import base64
import gzip
import json
import sys
from collections.abc import Iterator
from concurrent.futures import Future

import httpx
import pytest
from tests.unit.payments.conftest import CONSUMER, DOMAIN, OPERATOR

from tessera.client import transport
from tessera.client.exchange import Exchange, Fetch
from tessera.client.gateway import GatewayView
from tessera.client.transport import PayingTransport
from tessera.errors import ServingError, SignatureRejected
from tessera.payments.header import parse_proof, parse_receipt
from tessera.payments.purse import Purse, Ticket
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
