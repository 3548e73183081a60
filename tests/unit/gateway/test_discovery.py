"""Discovery: what a facilitator lists is what each server says of itself, a page at a time."""

from __future__ import annotations

import base64
import json
from typing import Any

import httpx
import pytest

from tessera.errors import InputError
from tessera.gateway.discovery import listed
from tessera.gateway.listing import Listed

ACCEPT = {"scheme": "exact", "network": "eip155:31337", "asset": "0x01", "payTo": "0xAB"}


def _server(request: httpx.Request) -> httpx.Response:
    said: dict[str, Any] = {
        "x402Version": 2,
        "accepts": [ACCEPT],
        "resource": {"url": "http://evil.example/else", "description": "a model"},
        "extensions": {"bazaar": {"info": {}}},
    }
    header = base64.b64encode(json.dumps(said).encode()).decode()
    match request.url.path:
        case "/good":
            return httpx.Response(402, headers={"PAYMENT-REQUIRED": header})
        case "/free":
            return httpx.Response(200)
        case "/garbage":
            return httpx.Response(402, headers={"PAYMENT-REQUIRED": "!!"})
        case "/long":
            return httpx.Response(402, headers={"PAYMENT-REQUIRED": "A" * 100_000})
        case _:
            raise httpx.ConnectError("nobody there")


async def test_what_a_server_says_is_listed_under_the_url_that_was_asked() -> None:
    paths = ("good", "free", "garbage", "long", "nobody")
    urls = [f"http://server.example/{path}" for path in paths]
    told: list[str] = []
    resources = Listed(urls, httpx.MockTransport(_server))
    await resources.look(told.append)
    (found,) = resources()
    assert found["resource"] == "http://server.example/good"
    assert found["accepts"] == [ACCEPT]
    assert found["description"] == "a model"
    assert found["extensions"] == {"bazaar": {"info": {}}}
    assert len(told) == 4
    assert all("is not listed" in line for line in told)


async def test_who_stops_answering_is_listed_no_more() -> None:
    there = True

    def server(request: httpx.Request) -> httpx.Response:
        return _server(request) if there else httpx.Response(200)

    resources = Listed(["http://server.example/good"], httpx.MockTransport(server))
    await resources.look(lambda _: None)
    assert len(resources()) == 1
    there = False
    await resources.look(lambda _: None)
    assert resources() == []


def _many(count: int) -> list[dict[str, Any]]:
    return [
        {
            "resource": f"http://server.example/{n}",
            "type": "http",
            "accepts": [{**ACCEPT, "payTo": "0xAB" if n % 2 else "0xCD"}],
        }
        for n in range(count)
    ]


def test_pages_are_turned() -> None:
    many = _many(45)
    first = listed(many, b"")
    assert first["pagination"] == {"limit": 20, "offset": 0, "total": 45}
    last = listed(many, b"limit=1000&offset=40")
    assert last["pagination"]["limit"] == 100
    assert [item["resource"] for item in last["items"]] == [r["resource"] for r in many[40:]]
    assert listed(many, b"offset=100")["items"] == []


@pytest.mark.parametrize(
    ("query", "count"),
    [
        (b"payTo=0xab", 22),
        (b"scheme=exact&payTo=0xCD", 23),
        (b"scheme=batch-settlement", 0),
        (b"network=eip155:1", 0),
        (b"type=mcp", 0),
        (b"type=http", 45),
    ],
)
def test_what_is_looked_for_is_found(query: bytes, count: int) -> None:
    assert listed(_many(45), query)["pagination"]["total"] == count


@pytest.mark.parametrize("query", [b"limit=-1", b"offset=x", b"limit=99999999999999999999"])
def test_a_page_that_is_no_number_is_refused(query: bytes) -> None:
    with pytest.raises(InputError, match="whole number"):
        listed([], query)
