"""What those who run a gateway see of it: its counters, whether it is ready, and its log."""

from __future__ import annotations

import asyncio
import io
import logging
from collections.abc import Iterator

import pytest
from prometheus_client.parser import text_string_to_metric_families
from tests.integration.gateway.conftest import PARROT, Shop, offer

from tessera.gateway.catalogue import ListedModels
from tessera.gateway.logs import log_to
from tessera.spec.prices import Price

CHAT = {"model": "parrot", "messages": [{"role": "user", "content": "one two"}]}


async def test_prometheus_reads_the_page_of_a_gateway(shop: Shop) -> None:
    answer = await shop.http.get("/metrics")
    assert answer.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    found = {family.name for family in text_string_to_metric_families(answer.text)}
    assert {"tessera_calls", "tessera_calls_in_hand", "tessera_loop_lag_seconds"} <= found


@pytest.mark.parametrize("header", ["x-forwarded-for", "forwarded", "via"])
async def test_attack_a_stranger_reads_the_counters_through_a_proxy(
    shop: Shop, header: str
) -> None:
    """A proxy on the same machine makes every stranger look like a neighbour."""
    answer = await shop.http.get("/metrics", headers={header: "203.0.113.7"})
    assert answer.status_code == 403
    assert "tessera_calls" not in answer.text


async def test_a_call_beyond_what_the_gateway_has_in_hand_is_told_to_come_back(shop: Shop) -> None:
    admission = shop.server.gateway.operations.admission
    admission.limit = 1
    assert admission.enter()
    channel = shop.books.chain.open(10**6)
    pays = shop.pay(channel, (PARROT, 9_000))
    answer = await shop.post("/v1/chat/completions", CHAT, pays)
    assert answer.status_code == 429
    assert int(answer.headers["retry-after"]) >= 1
    assert answer.json()["error"]["code"] == "too_busy"
    assert answer.headers["x-request-id"]
    assert (await shop.http.get("/healthz")).status_code == 200
    admission.leave(0.1)
    assert (await shop.post("/v1/chat/completions", CHAT, pays)).status_code == 200
    assert (await shop.post("/v1/chat/completions", CHAT, pays)).status_code == 409
    assert admission.in_hand == 0


async def test_a_call_ends_at_the_price_that_it_began_with(shop: Shop) -> None:
    channel = shop.books.chain.open(10**6)
    body = {**CHAT, "messages": [{"role": "user", "content": "[slow] [slow] one"}]}
    pays = shop.pay(channel, (PARROT, 90_000))
    asking = asyncio.create_task(shop.post("/v1/chat/completions", body, pays))
    while not shop.books.ledger.in_flight:  # noqa: ASYNC110 - the ledger tells nobody
        await asyncio.sleep(0.005)
    dearer = offer("parrot", 7, shop.parrot, Price(per_call=5_000))
    catalogue = shop.server.gateway.catalogue
    assert isinstance(catalogue, ListedModels)
    catalogue.replace([dearer])
    before = await asking
    assert int(before.headers["tessera-cost"]) < 5_000
    after = await shop.post("/v1/chat/completions", body, shop.pay(channel, (PARROT, 90_000)))
    assert int(after.headers["tessera-cost"]) == 5_000


@pytest.fixture
def log() -> Iterator[io.StringIO]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    stream = io.StringIO()
    log_to("debug", "json", (), stream)
    yield stream
    root.handlers = handlers
    root.setLevel(level)


async def test_no_line_of_the_log_pays_or_opens_anything(shop: Shop, log: io.StringIO) -> None:
    """Whatever is sent, refused or breaks: nobody who reads the log can spend with it."""
    channel = shop.books.chain.open(10**6)
    pays = shop.pay(channel, (PARROT, 9_000))
    pays["authorization"] = "Bearer sk-planted-secret-0123456789"
    planted = [pays["tessera-payment"], "sk-planted-secret-0123456789"]
    for words in ("one", "[fail]", "[bug]", "[hang]", "[break]"):
        for stream in (False, True):
            body = {**CHAT, "messages": [{"role": "user", "content": words}], "stream": stream}
            headers = {
                **shop.pay(channel, (PARROT, 90_000)),
                "authorization": pays["authorization"],
            }
            answer = await shop.post("/v1/chat/completions", body, headers)
            sent = answer.request.headers
            planted += [headers["tessera-payment"], sent["tessera-call-mac"]]
    damaged = {**pays, "tessera-payment": pays["tessera-payment"][:-8] + "AAAAAAAA"}
    assert (await shop.post("/v1/chat/completions", CHAT, damaged)).status_code in {400, 401}
    text = log.getvalue()
    assert "a bug of the runner" in text
    for secret in planted:
        assert secret[:60] not in text
        assert secret[-60:-8] not in text
