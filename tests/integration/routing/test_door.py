"""The loopback server of `tessera route`: for clients that know nothing but OpenAI's API."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx
import openai
import pytest
from tests.integration.routing.conftest import Market

from tessera.client.routing import Wish
from tessera.gateway.route_door import RouteDoor, listening

KEY = "the owner's own key"
SAY: Any = [{"role": "user", "content": "polly wants a cracker"}]


async def test_an_ordinary_client_streams_and_is_told_who_answered(market: Market) -> None:
    stand = await market.operator(2)
    router = await market.router()
    async with listening(RouteDoor(router, KEY), port=0) as url:
        async with openai.AsyncOpenAI(base_url=f"{url}/v1", api_key=KEY, max_retries=0) as ai:
            stream = await ai.chat.completions.create(model=market.slug, messages=SAY, stream=True)
            said = "".join([c.choices[0].delta.content or "" async for c in stream])
            raw = await ai.embeddings.with_raw_response.create(model=market.slug, input="four")
            assert market.slug in [model.id async for model in ai.models.list()]
            with pytest.raises(openai.NotFoundError, match="asset"):
                await ai.embeddings.create(model="nobody-made-this", input="four")
        assert said == "polly wants a cracker "
        assert raw.headers["tessera-operator"] == stand.world.operator.address
        assert raw.headers["tessera-cost"] == "2"
        assert sum(claim.due for claim in await stand.ledger.claims()) == 4
        async with httpx.AsyncClient() as http:
            assert (await http.get(f"{url}/healthz")).json() == {"ok": True}


async def test_whoever_does_not_know_the_key_spends_nothing(market: Market) -> None:
    """Another user of the machine, or a page in the owner's browser, finds the port and calls a
    model at the owner's expense."""
    stand = await market.operator(2)
    router = await market.router()
    async with listening(RouteDoor(router, KEY), port=0) as url, httpx.AsyncClient() as http:
        for shown in ({}, {"authorization": "Bearer guessed"}, {"authorization": KEY}):
            answer = await http.post(
                f"{url}/v1/embeddings",
                json={"model": market.slug, "input": "four"},
                headers=shown,
            )
            assert answer.status_code == 401
            assert answer.json()["error"]["code"] == "signature_rejected"
    assert await stand.ledger.claims() == []


async def test_a_stream_that_turns_out_to_be_of_another_version_ends_with_an_error(
    market: Market,
) -> None:
    liar = await market.operator(1, lies=True)
    router = await market.router(wish=Wish(only=(liar.world.operator.address,)))
    async with (
        listening(RouteDoor(router, KEY), port=0) as url,
        openai.AsyncOpenAI(base_url=f"{url}/v1", api_key=KEY, max_retries=0) as ai,
    ):
        stream = await ai.chat.completions.create(model=market.slug, messages=SAY, stream=True)
        with pytest.raises(openai.APIError, match="version 7 of asset"):
            async for _ in stream:
                pass


async def test_a_reader_who_leaves_ends_the_stream_that_he_pays_for(market: Market) -> None:
    stand = await market.operator(1)
    router = await market.router()
    words = "[slow] " * 200
    async with listening(RouteDoor(router, KEY), port=0) as url:
        async with httpx.AsyncClient(headers={"authorization": f"Bearer {KEY}"}) as http:
            body = {
                "model": market.slug,
                "messages": [{"role": "user", "content": words}],
                "stream": True,
            }
            async with http.stream("POST", f"{url}/v1/chat/completions", json=body) as answer:
                async for _ in answer.aiter_raw():
                    break
        async with asyncio.timeout(30):
            while stand.parrot.closed_streams == 0:  # noqa: ASYNC110 - the model tells nobody
                await asyncio.sleep(0.02)
    # That is nothing that the operator did.
    assert router.standings[stand.world.operator.address].failures == 0
