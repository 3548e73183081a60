"""The official `openai` package pays by x402 where its http_client does: one line of its user."""

from __future__ import annotations

import asyncio

import openai
from tests.integration.x402.conftest import Gateway
from x402 import x402Client
from x402.http.clients.httpx import x402HttpxClient
from x402.mechanisms.evm.batch_settlement.client import BatchSettlementEvmScheme

SAY = [{"role": "user", "content": "hi"}]


async def test_chats_and_streams_are_paid(gateway: Gateway) -> None:
    payer = await asyncio.to_thread(gateway.payer)
    made = x402Client().register(gateway.network, BatchSettlementEvmScheme(payer))
    if gateway.controls:
        made.set_spend_controls(gateway.controls)  # type: ignore[arg-type]
    async with openai.AsyncOpenAI(
        base_url=gateway.base_url, api_key="unused", http_client=x402HttpxClient(made, timeout=30)
    ) as ai:
        answer = await ai.chat.completions.create(model="tiny", messages=SAY)  # type: ignore[arg-type]
        assert answer.choices[0].message.content == "Hello there"
        stream = await ai.chat.completions.create(model="tiny", messages=SAY, stream=True)  # type: ignore[call-overload]
        said = [c.choices[0].delta.content or "" async for c in stream if c.choices]
        assert "".join(said) == "Hello there"
        again = await ai.chat.completions.create(model="tiny", messages=SAY)  # type: ignore[arg-type]
        assert again.usage is not None
        assert again.usage.total_tokens == 6
