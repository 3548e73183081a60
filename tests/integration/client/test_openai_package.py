"""The official `openai` package, unmodified, calls paid models: one line of its user changes."""

from __future__ import annotations

import asyncio

import openai
import pytest
from tests.integration.client.conftest import PRICE, Stand

from tessera.spec.signatures import keccak

SAY = [{"role": "user", "content": "polly wants a cracker"}]
# "polly wants a cracker" is 21 bytes, so 6 units in; 4 words come out.
CHAT_COST = PRICE.cost_ceil(6, 4)


def talk(client: openai.OpenAI, **more: object) -> object:
    return client.chat.completions.create(model="parrot", messages=SAY, **more)  # type: ignore[call-overload]


async def test_embeddings_chat_and_moderation_are_paid_by_themselves(stand: Stand) -> None:
    client = await stand.client()

    def use() -> None:
        with client.openai() as ai:
            vectors = ai.embeddings.create(model="parrot", input=["four", "words"])
            assert [row.embedding for row in vectors.data] == [[4, 0.5, -1], [5, 0.5, -1]]
            answer = ai.chat.completions.create(model="parrot", messages=SAY)  # type: ignore[arg-type]
            assert answer.choices[0].message.content == "polly wants a cracker "
            assert answer.usage is not None
            assert answer.usage.completion_tokens == 4
            judged = ai.moderations.create(model="parrot", input="LOUD")
            assert judged.results[0].flagged
            assert [model.id for model in ai.models.list()][:2] == ["parrot", "parrot-1"]

    await asyncio.to_thread(use)
    expected = PRICE.cost_ceil(3, 0) + CHAT_COST + PRICE.cost_ceil(1, 0)
    assert client.spent == expected
    assert await stand.charged(client.open()) == expected
    assert len(client.receipts) == 3


async def test_a_stream_is_read_with_the_official_client_and_paid(stand: Stand) -> None:
    client = await stand.client()

    def use() -> list[str]:
        with client.openai() as ai:
            stream = ai.chat.completions.create(
                model="parrot",
                messages=SAY,  # type: ignore[arg-type]
                stream=True,
                stream_options={"include_usage": True},
            )
            chunks = list(stream)
        assert chunks[-1].usage is not None
        assert chunks[-1].usage.total_tokens == 10
        return [chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices]

    said = await asyncio.to_thread(use)
    assert "".join(said) == "polly wants a cracker "
    assert client.spent == CHAT_COST
    (receipt,) = client.receipts
    assert receipt.receipt.charged == CHAT_COST


async def test_the_asynchronous_client_streams_and_pays_too(stand: Stand) -> None:
    client = await stand.client()
    async with client.async_openai() as ai:
        stream = await ai.chat.completions.create(model="parrot", messages=SAY, stream=True)  # type: ignore[call-overload]
        said = [chunk.choices[0].delta.content or "" async for chunk in stream]
        await ai.embeddings.create(model="parrot", input="four")
    assert "".join(said) == "polly wants a cracker "
    assert client.spent == CHAT_COST + PRICE.cost_ceil(1, 0)


async def test_thirty_two_calls_at_once_share_one_channel(stand: Stand) -> None:
    client = await stand.client()
    async with client.async_openai() as ai:
        await asyncio.gather(
            *(ai.embeddings.create(model="parrot", input="four") for _ in range(32)),
            *(ai.chat.completions.create(model="parrot-1", messages=SAY) for _ in range(16)),  # type: ignore[arg-type]
        )
    expected = 32 * PRICE.cost_ceil(1, 0) + 16 * CHAT_COST
    assert client.spent == expected
    assert await stand.charged(client.open()) == expected


async def test_a_failing_model_is_an_api_error_and_costs_nothing(stand: Stand) -> None:
    client = await stand.client()

    def use() -> None:
        with client.openai(max_retries=0) as ai:
            with pytest.raises(openai.InternalServerError, match="not charged"):
                ai.embeddings.create(model="parrot", input="[fail]")
            with pytest.raises(openai.NotFoundError, match="did you mean 'parrot'"):
                ai.embeddings.create(model="parot", input="four")
            with pytest.raises(openai.UnprocessableEntityError):
                ai.embeddings.create(model="parrot", input="four", dimensions=3)

    await asyncio.to_thread(use)
    assert client.spent == 0


async def test_a_retry_of_the_official_client_is_a_call_of_its_own(stand: Stand) -> None:
    client = await stand.client()

    def use() -> None:
        with client.openai(max_retries=2) as ai, pytest.raises(openai.InternalServerError):
            ai.embeddings.create(model="parrot", input="[fail]")
        with client.openai() as ai:
            ai.embeddings.create(model="parrot", input="four")

    await asyncio.to_thread(use)
    assert client.spent == PRICE.cost_ceil(1, 0)


async def test_a_model_that_breaks_off_in_the_middle_costs_nothing(stand: Stand) -> None:
    client = await stand.client()

    def use() -> list[str]:
        said: list[str] = []
        with client.openai(max_retries=0) as ai:
            stream = ai.chat.completions.create(
                model="parrot",
                messages=[{"role": "user", "content": "one two [fail] three"}],
                stream=True,
            )
            try:
                said.extend(chunk.choices[0].delta.content or "" for chunk in stream)
            except openai.APIError as error:
                said.append(str(error))
            ai.embeddings.create(model="parrot", input="four")
        return said

    *said, error = await asyncio.to_thread(use)
    assert said == ["", "one ", "two "]
    assert "not charged" in error
    assert client.spent == PRICE.cost_ceil(1, 0)
    assert await stand.charged(client.open()) == PRICE.cost_ceil(1, 0)


async def test_a_reader_who_stops_in_the_middle_pays_for_what_came(stand: Stand) -> None:
    client = await stand.client()
    words = " ".join(["[slow]"] * 15)

    def use() -> None:
        with client.openai() as ai:
            stream = ai.chat.completions.create(
                model="parrot", messages=[{"role": "user", "content": words}], stream=True
            )
            for chunk in stream:
                if chunk.choices[0].delta.content:
                    break
            stream.close()

    await asyncio.to_thread(use)
    while stand.ledger.in_flight:  # noqa: ASYNC110 - the ledger tells nobody
        await asyncio.sleep(0.01)
    async with client.async_openai() as ai:
        await ai.embeddings.create(model="parrot", input="four")
    charged = await stand.charged(client.open())
    assert client.spent == charged
    assert PRICE.cost_ceil(27, 1) < charged < PRICE.cost_ceil(27, 15)


async def test_the_receipt_is_about_the_bytes_that_were_sent_and_received(stand: Stand) -> None:
    client = await stand.client()

    def use() -> None:
        with client.http() as http:
            answer = http.post("/v1/embeddings", json={"model": "parrot", "input": "four"})
        receipt = client.receipt(answer.headers["tessera-receipt"]).receipt
        assert receipt.request == keccak(answer.request.content)
        assert receipt.response == keccak(answer.content)

    await asyncio.to_thread(use)


async def test_tables_and_classifiers_have_calls_of_their_own(stand: Stand) -> None:
    client = await stand.client()
    assert await asyncio.to_thread(client.predict, "parrot", [[1, 2.5]]) == [{"cells": 2}]
    (row,) = await asyncio.to_thread(client.classify, "parrot", "LOUD")
    assert row["label"] == "loud"


async def test_responses_are_paid_whole_and_streamed(stand: Stand) -> None:
    client = await stand.client()

    def use() -> tuple[str, str]:
        with client.openai() as ai:
            whole = ai.responses.create(model="parrot", input="polly wants a cracker")
            stream = ai.responses.create(model="parrot", input="polly wants a cracker", stream=True)
            events = list(stream)
        assert events[-1].type == "response.completed"
        return whole.output_text, events[-1].response.output_text

    assert await asyncio.to_thread(use) == ("polly wants a cracker ",) * 2
    assert client.spent == 2 * CHAT_COST
    assert len(client.receipts) == 2
