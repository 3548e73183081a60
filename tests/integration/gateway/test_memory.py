"""A gateway that answered a million calls is no larger than one that answered some."""

from __future__ import annotations

import asyncio
import gc
import os
import secrets
from pathlib import Path

import pytest
from tests.integration.gateway.conftest import CALL_KEY, PARROT, Parrot, make_gateway
from tests.unit.payments.conftest import Books, Clock, WrittenChain, sign

from tessera.gateway.asgi import Gateway
from tessera.gateway.messages import Limits
from tessera.payments.callmac import call_mac
from tessera.payments.header import payment_header
from tessera.spec.signatures import keccak

PAGE = os.sysconf("SC_PAGE_SIZE")
BODY = b'{"model":"parrot","input":["%b"]}' % (b"x" * 2_000)
REQUEST = keccak(BODY)
PAYERS = 32
# The names of answered calls are remembered, so many of them, against copies.
REMEMBERED = 65_536


class Nowhere:
    """A client who is there, and whose socket costs nothing."""

    async def has_left(self) -> bool:
        return False


def resident() -> int:
    """Return the bytes of this process that are in memory."""
    gc.collect()
    return int(Path("/proc/self/statm").read_text().split()[1]) * PAGE


class Head(dict[str, bytes]):
    """The headers of a request."""


async def call(gateway: Gateway, channel: int, payment: bytes, calls: int) -> None:
    for _ in range(calls):
        name = secrets.token_hex(16)
        mac = call_mac(CALL_KEY, channel, name, REQUEST).hex().encode()
        head = Head({"tessera-payment": payment, "tessera-call": name.encode()})
        head["tessera-call-mac"] = mac
        reply = await gateway.paid_calls.answer("/v1/embeddings", head, BODY, name, Nowhere())  # type: ignore[arg-type]
        assert reply is not None
        assert reply.status == 200


@pytest.mark.parametrize(
    ("before", "calls", "most_bytes"),
    [
        # A call that stays keeps its body and its answer, four kilobytes at the least.
        (2_000, 5_000, 8 << 20),
        pytest.param(REMEMBERED * 2, 1_000_000, 8 << 20, marks=pytest.mark.deep),
    ],
)
async def test_what_was_answered_is_forgotten(
    tmp_path: Path, before: int, calls: int, most_bytes: int
) -> None:
    books = Books(tmp_path / "books.db", WrittenChain(), Clock())
    await books.reopen()
    gateway = make_gateway(books, Parrot(), Limits())
    payers = []
    for salt in range(PAYERS):
        channel = books.chain.open(10**15, salt=salt)
        payment = payment_header(sign(channel, (PARROT, 10**14))).encode()  # type: ignore[arg-type]
        payers.append((channel, payment))

    async def make(number: int) -> int:
        await asyncio.gather(*(call(gateway, *payer, number // PAYERS) for payer in payers))
        return resident()

    begun = await make(before)
    grown = await make(calls) - begun
    await books.ledger.close()
    assert grown <= most_bytes, f"{grown} bytes more after {calls} calls"
