"""Calls to one model through several real operators on one chain."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import httpx
import openai
import pytest
from tests.integration.client.conftest import Stand
from tests.integration.gateway.conftest import Parrot
from tests.integration.routing.conftest import Market

from tessera.client import Router
from tessera.client.routing import Wish
from tessera.errors import InputError, WrongVersionServed
from tessera.serving.runner import EmbeddingsRequest, EmbeddingsResult

CALLS = 200
SAY: Any = [{"role": "user", "content": "polly wants a cracker"}]


class Slow(Parrot):
    async def embed(self, request: EmbeddingsRequest) -> EmbeddingsResult:
        await asyncio.sleep(0.1)
        return await super().embed(request)


class Broken(Parrot):
    async def _obey(self, word: str) -> None:
        raise self.failed("is broken")


class Blaming(Parrot):
    """Says of every request that it is at fault itself."""

    async def embed(self, request: EmbeddingsRequest) -> EmbeddingsResult:
        raise InputError("input", found=request.texts[0], wanted="something better")


async def embed(router: Router, model: str, times: int = 1, **more: Any) -> list[Any]:
    """Make calls, a few at once; return their raw answers."""
    turns = asyncio.Semaphore(8)
    async with router.async_openai(max_retries=0) as ai:

        async def one() -> Any:
            async with turns:
                return await ai.embeddings.with_raw_response.create(
                    model=model, input="four", extra_body=more or None
                )

        return await asyncio.gather(*(one() for _ in range(times)))


def tried(answer: Any) -> list[tuple[str, str]]:
    return [(t["operator"], t["outcome"]) for t in json.loads(answer.headers["tessera-route"])]


def address(stand: Stand) -> str:
    return stand.world.operator.address


def earned(router: Router, stand: Stand) -> int:
    return sum(signed.cost for signed in router.receipts.get(address(stand), ()))


async def test_attack_the_cheapest_operator_cannot_deny_a_model_by_blaming_every_request(
    market: Market,
) -> None:
    blaming = await market.operator(1, Blaming())
    honest = await market.operator(50)
    router = await market.router()
    for _ in range(3):
        (answer,) = await embed(router, market.slug)
        assert answer.headers["tessera-operator"] == address(honest)
    assert router.standings[address(blaming)].failures == 3
    # By now it is asked last. Alone, it is believed.
    with pytest.raises(openai.BadRequestError):
        await embed(router, market.slug, provider={"only": [address(blaming)]})


async def test_no_call_fails_none_gets_another_version_and_who_serves_is_paid(
    market: Market,
) -> None:
    """Four operators of one asset: the cheapest is broken, the next signs for another version, a
    third serves an older one only, and one, dearer than all, is honest."""
    broken = await market.operator(1, Broken())
    liar = await market.operator(2, lies=True)
    old = await market.operator(3, version=3)
    honest = await market.operator(50)
    router = await market.router(look_every_s=2.0)
    answers = await embed(router, market.slug, CALLS)
    assert len(answers) == CALLS
    assert {json.loads(answer.text)["model"] for answer in answers} == {f"{market.slug}@1"}
    assert {answer.headers["tessera-operator"] for answer in answers} == {address(honest)}

    paid = router.receipts
    assert len(paid[address(honest)]) == CALLS
    assert {signed.receipt.version for signed in paid[address(honest)]} == {1}
    assert earned(router, honest) == CALLS * 50
    assert paid[address(broken)] == ()
    assert address(old) not in paid or paid[address(old)] == ()
    # The liar was believed by the calls that were under way together, and then never again.
    caught = [
        outcome for answer in answers for who, outcome in tried(answer) if who == address(liar)
    ]
    assert 1 <= len(caught) <= 8
    assert all(outcome.startswith("caught: receipt of") for outcome in caught)
    assert {signed.receipt.version for signed in router.evidence} == {7}
    assert len(router.evidence) == len(caught)
    # The broken one is left alone after its third failure in a row, but for a try now and then.
    failures = [w for answer in answers for w, o in tried(answer) if w == address(broken)]
    assert 3 <= len(failures) <= 30
    # What each ledger has is what the payer's receipts say.
    for stand in (broken, old):
        assert await stand.ledger.claims() == []
    assert sum(claim.due for claim in await honest.ledger.claims()) == CALLS * 50


async def test_the_fastest_answers_where_that_is_wished_and_a_wish_of_a_call_wins(
    market: Market,
) -> None:
    slow, fast = await market.operator(1, Slow()), await market.operator(9)
    router = await market.router(wish=Wish(sort="latency"))
    answers = await embed(router, market.slug, 1) + await embed(router, market.slug, 1)
    for answer in await embed(router, market.slug, 6):
        assert tried(answer) == [(address(fast), "answered")]
    assert {answer.headers["tessera-operator"] for answer in answers} == {
        address(slow), address(fast),
    }  # fmt: skip
    (cheap,) = await embed(router, market.slug, provider={"sort": "price"})
    assert cheap.headers["tessera-operator"] == address(slow)
    with pytest.raises(openai.UnprocessableEntityError, match="SLUG@VERSION"):
        await embed(router, market.slug, provider={"quantizations": ["int8"]})
    with pytest.raises(openai.APIStatusError, match="named out"):
        await embed(router, market.slug, provider={"ignore": [address(slow), address(fast)]})


async def test_an_operator_that_asks_more_than_the_chain_says_is_not_paid(market: Market) -> None:
    """An operator lists itself cheaply on the chain, to be asked first, and charges more."""
    greedy = await market.operator(1, asks=100)
    honest = await market.operator(2)
    router = await market.router()
    (answer,) = await embed(router, market.slug)
    assert tried(answer) == [
        (address(greedy), "it asks for more than the chain says"),
        (address(honest), "answered"),
    ]
    assert earned(router, greedy) == 0


async def test_a_stream_falls_back_before_its_first_word_and_the_receipt_at_its_end_is_checked(
    market: Market,
) -> None:
    broken, honest = await market.operator(1, Broken()), await market.operator(2)
    router = await market.router()

    def use() -> list[str]:
        with router.openai(max_retries=0) as ai:
            stream = ai.chat.completions.create(model=market.slug, messages=SAY, stream=True)
            return [chunk.choices[0].delta.content or "" for chunk in stream]

    assert "".join(await asyncio.to_thread(use)) == "polly wants a cracker "
    assert earned(router, honest) == 2
    assert earned(router, broken) == 0

    liar = await market.operator(1, lies=True)
    await embed(router, market.slug, 2)
    chosen = Wish(only=(address(liar),))
    other = await market.router(wish=chosen)

    def read() -> None:
        with other.openai(max_retries=0) as ai:
            for _ in ai.chat.completions.create(model=market.slug, messages=SAY, stream=True):
                pass

    with pytest.raises(WrongVersionServed, match="version 7 of asset"):
        await asyncio.to_thread(read)
    with pytest.raises(openai.InternalServerError, match="something else than it was asked for"):
        await embed(other, market.slug)


async def test_the_newest_version_of_the_chain_is_meant_and_a_named_one_stays(
    market: Market,
) -> None:
    first = await market.operator(1)
    router = await market.router()
    await embed(router, market.slug)
    await market.release()
    with pytest.raises(openai.InternalServerError, match=f"does not serve {market.slug}@2"):
        await embed(router, market.slug)
    (named,) = await embed(router, f"{market.slug}@1")
    assert named.headers["tessera-operator"] == address(first)
    second = await market.operator(5, version=2)
    (newest,) = await embed(router, market.slug)
    assert newest.headers["tessera-operator"] == address(second)
    with pytest.raises(openai.NotFoundError, match="version: found '9'"):
        await embed(router, f"{market.slug}@9")


async def test_an_operator_that_is_gone_is_passed_and_a_budget_bounds_all_channels(
    market: Market,
) -> None:
    gone, cheap, dear = (
        await market.operator(1), await market.operator(2), await market.operator(3),
    )  # fmt: skip
    await gone.server.stop()
    router = await market.router(deposit=10**5, budget=10**5)
    (answer,) = await embed(router, market.slug)
    (who, outcome), (second, _) = tried(answer)
    assert (who, second) == (address(gone), address(cheap))
    assert outcome.startswith("no answer: ")
    # The only channel that the budget allows is open toward the second operator.
    with pytest.raises(openai.InternalServerError, match="budget for channels"):
        await embed(router, market.slug, provider={"only": [address(dear)]})
    assert router.deposited == 10**5
    async with router.async_openai() as ai:
        listed = {model.id: model async for model in ai.models.list()}
    assert len(listed[market.slug].model_extra["tessera"]["operators"]) == 3  # type: ignore[index]


async def test_a_stream_that_breaks_off_counts_against_who_sent_it(market: Market) -> None:
    stand = await market.operator(1)
    router = await market.router()
    breaking: Any = [{"role": "user", "content": "polly [break] wants"}]

    def use() -> None:
        with router.openai(max_retries=0) as ai:
            for _ in ai.chat.completions.create(model=market.slug, messages=breaking, stream=True):
                pass

    with pytest.raises((openai.APIError, httpx.TransportError)):
        await asyncio.to_thread(use)
    assert router.standings[address(stand)].failures == 1
    assert earned(router, stand) == 0


async def test_where_all_are_busy_the_caller_hears_when_the_first_has_room(
    market: Market,
) -> None:
    stands = [await market.operator(1), await market.operator(2)]
    for stand in stands:
        admission = stand.server.gateway.operations.admission
        admission.in_hand = admission.limit
    router = await market.router()
    with pytest.raises(openai.RateLimitError, match="no operator answered") as caught:
        await embed(router, market.slug)
    assert 1 <= int(caught.value.response.headers["retry-after"]) <= 60
    assert caught.value.response.headers["x-should-retry"] == "true"
    for stand in stands:
        stand.server.gateway.operations.admission.in_hand = 0
    assert len(await embed(router, market.slug)) == 1
