"""A stream cut anywhere gives the same text, the same hash and the same receipt."""

from __future__ import annotations

import itertools

from hypothesis import given
from hypothesis import strategies as st

from tessera.client.scanner import ReceiptScanner
from tessera.serving.receipts import receipt_event
from tessera.spec.signatures import keccak

BODY = b'data: {"a":1}\n\ndata: {"b":"[DONE]"}\n\ndata: [DONE]\n\n'
RECEIPT = b'{"id":"x"}'


def cut(data: bytes, places: list[int]) -> list[bytes]:
    ends = sorted({min(place, len(data)) for place in places} | {0, len(data)})
    return [data[a:b] for a, b in itertools.pairwise(ends)]


@given(st.lists(st.integers(0, 200), max_size=30))
def test_the_receipt_is_found_wherever_the_network_cuts(places: list[int]) -> None:
    scanner = ReceiptScanner()
    read = b"".join(scanner.feed(piece) for piece in cut(BODY + receipt_event(RECEIPT), places))
    assert read + scanner.finish() == BODY
    assert scanner.receipt == RECEIPT
    assert scanner.hash.digest() == keccak(BODY)


@given(st.lists(st.integers(0, 200), max_size=30))
def test_done_is_not_read_before_the_receipt_is_there(places: list[int]) -> None:
    scanner = ReceiptScanner()
    read = b"".join(scanner.feed(piece) for piece in cut(BODY, places))
    assert not read.endswith(b"[DONE]\n\n")
    assert scanner.receipt is None
    assert read + scanner.finish() == BODY
