"""A real HTTP server plays the upstream; it streams, refuses, stalls and breaks off."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator
from typing import Any

import pytest

from tessera.errors import BackendFailed, InputError, NotFound, TooLarge, Unprocessable
from tessera.serving.discover import discover
from tessera.serving.runner import (
    ChatDelta,
    ChatEnd,
    ChatRequest,
    ClassifyRequest,
    EmbeddingsRequest,
    Identity,
    Message,
    PredictRequest,
    ScoreRequest,
    Task,
    Units,
)
from tessera.serving.runners.upstream import UpstreamLimits, UpstreamRunner

ASK = ChatRequest((Message("user", "Say hello to me, please"),), max_tokens=50)


@pytest.fixture
async def runner(upstream: Any) -> AsyncIterator[UpstreamRunner]:
    runner = UpstreamRunner(
        "friendly",
        upstream.url,
        "tiny",
        frozenset({Task.CHAT, Task.EMBEDDINGS, Task.MODERATION}),
        key="sk-secret",
        limits=UpstreamLimits(timeout_s=0.5, response_bytes=1 << 20, max_batch=4),
    )
    yield runner
    await runner.close()


async def test_a_chat_is_passed_on_with_the_servers_own_count(
    runner: UpstreamRunner, upstream: Any
) -> None:
    result = await runner.chat(ASK)
    assert (result.text, result.finish, result.units) == ("Hello there", "stop", Units(7, 2))
    assert runner.identity is Identity.DECLARED
    assert upstream.asked[0]["model"] == "tiny"
    assert upstream.asked[0]["max_tokens"] == 50
    assert upstream.headers[0]["authorization"] == "Bearer sk-secret"
    known = {"host", "accept", "accept-encoding", "user-agent", "authorization"}
    assert set(upstream.headers[0]) <= known | {"content-type", "content-length"}


async def test_a_stream_is_passed_on_piece_by_piece(runner: UpstreamRunner) -> None:
    events = [event async for event in runner.chat_stream(ASK)]
    assert [e.text for e in events if isinstance(e, ChatDelta)] == ["Hel", "lo ", "thé", "re"]
    assert events[-1] == ChatEnd("length", Units(7, 4))
    assert [e.units.output for e in events[:-1]] == [1, 2, 3, 3]


async def test_a_stream_without_usage_is_counted_by_bytes(
    runner: UpstreamRunner, upstream: Any
) -> None:
    upstream.mode = "no usage"
    events = [event async for event in runner.chat_stream(ASK)]
    assert events[-1].units == Units(input=6, output=3)


@pytest.mark.parametrize(
    ("mode", "said"),
    [
        ("breaks off", "broke off"),
        ("ends early", "in the middle of its answer"),
        ("error event", "failed in the middle"),
        ("stalls", "did not answer in 0.5 s"),
        ("garbage", "whose answer is none"),
    ],
)
async def test_a_stream_that_fails_midway_is_a_failure_after_what_came(
    runner: UpstreamRunner, upstream: Any, mode: str, said: str
) -> None:
    upstream.mode = mode
    stream = runner.chat_stream(ASK)
    assert isinstance(await anext(stream), ChatDelta)
    assert isinstance(await anext(stream), ChatDelta)
    with pytest.raises(BackendFailed, match=said) as caught:
        await anext(stream)
    assert "/srv" not in str(caught.value)


@pytest.mark.parametrize(
    "limits", [UpstreamLimits(response_bytes=1 << 17), UpstreamLimits(stream_s=0.3)]
)
async def test_attack_who_asks_for_more_than_fits_has_nothing_for_nothing(
    upstream: Any, limits: UpstreamLimits
) -> None:
    """Sixteen texts with twenty log probabilities per token are larger than any limit. Were that a
    failure, the call would cost nothing, and the consumer has read the text by then."""
    upstream.mode = "goes on and on"
    runner = UpstreamRunner("long", upstream.url, "tiny", frozenset({Task.CHAT}), limits=limits)
    events = [event async for event in runner.chat_stream(ASK)]
    await runner.close()
    read = sum(len(event.text.encode()) for event in events if isinstance(event, ChatDelta))
    assert read > 12
    assert events[-1] == ChatEnd("length", Units(6, min(-(-read // 4), ASK.max_tokens)))


@pytest.mark.parametrize(
    ("mode", "said"),
    [
        ("400", "answered 400: .*context too long"),
        ("401", "answered 401;"),
        ("500", "answered 500;"),
        ("redirect", "answered 307"),
        ("huge", "over 1048576 bytes"),
        ("slow", "did not answer in 0.5 s"),
    ],
)
async def test_a_refusal_costs_nothing_and_tells_only_what_concerns_the_consumer(
    runner: UpstreamRunner, upstream: Any, mode: str, said: str
) -> None:
    upstream.mode = mode
    with pytest.raises(BackendFailed, match=said) as whole:
        await runner.chat(ASK)
    assert "sk-secret" not in str(whole.value)
    assert "traceback" not in str(whole.value)
    if mode != "huge":
        with pytest.raises(BackendFailed, match=said):
            await anext(runner.chat_stream(ASK))


async def test_a_server_that_is_not_there_is_a_failure() -> None:
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        port = held.getsockname()[1]
        runner = UpstreamRunner("x", f"http://127.0.0.1:{port}", "m", frozenset({Task.CHAT}))
        with pytest.raises(BackendFailed, match="cannot be reached"):
            await runner.chat(ASK)
        await runner.close()


async def test_vectors_come_back_in_the_order_of_the_texts(
    runner: UpstreamRunner, upstream: Any
) -> None:
    result = await runner.embed(EmbeddingsRequest(("a", "bbbbb")))
    assert result.vectors == [[1.0, 1.0], [5.0, 1.0]]
    assert result.units == Units(input=3)
    upstream.mode = "nan"
    with pytest.raises(BackendFailed, match="none"):
        await runner.embed(EmbeddingsRequest(("a",)))


async def test_moderations_are_scores_by_category(runner: UpstreamRunner) -> None:
    assert (await runner.classify(ClassifyRequest(("a", "b")))).scores == [{"hate": 0.1}] * 2
    with pytest.raises(TooLarge):
        await runner.classify(ClassifyRequest(("a",) * 5))
    with pytest.raises(Unprocessable):
        await runner.predict(PredictRequest(((1,),)))


async def test_loading_names_the_models_that_are_there(
    runner: UpstreamRunner, upstream: Any
) -> None:
    await runner.load()
    other = UpstreamRunner("x", upstream.url, "tinny", frozenset({Task.CHAT}))
    with pytest.raises(NotFound, match="one of embedder, tiny:latest"):
        await other.load()
    await other.close()


async def test_discovery_lists_what_answers_and_gives_up_what_does_not(
    upstream: Any,
) -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen(1)
        mute = f"http://127.0.0.1:{silent.getsockname()[1]}/v1"
        found = await discover(
            [upstream.url, mute], key="sk-secret", local=[mute + "/x"], timeout_s=1.0
        )
    assert [(server.url, server.models) for server in found] == [
        (upstream.url + "/v1", ("tiny:latest", "embedder")),
        (mute, ()),
    ]
    assert "did not answer" in (found[1].failure or "")
    (local,) = await discover(local=[upstream.url], key="sk-secret")
    assert local.models
    assert "authorization" not in upstream.headers[-1], "the key goes to named servers only"


async def test_a_url_that_is_none_or_holds_a_password_is_refused() -> None:
    with pytest.raises(InputError, match="a URL such as"):
        await discover(["localhost:11434"])
    with pytest.raises(InputError, match="password") as caught:
        await discover(["http://me:hunter2@127.0.0.1/v1"])
    assert "hunter2" not in str(caught.value)


async def test_attack_nothing_is_computed_of_a_text_whose_answer_could_not_be_read(
    runner: UpstreamRunner, upstream: Any
) -> None:
    """Who asks for more than fits into an answer would have the operator's server work for nothing:
    a call that fails costs nothing."""
    found = await runner.score_text(ScoreRequest("so it is"))
    assert (found.logs, found.units) == ((None, -3.0, -2.0), Units(input=3))
    asked = len(upstream.asked)
    with pytest.raises(TooLarge, match="bytes of text"):
        await runner.score_text(ScoreRequest("x" * 4_097))
    assert len(upstream.asked) == asked
    upstream.mode = "no offsets"
    assert (await runner.score_text(ScoreRequest("so it is"))).starts == (0, 3, 6)
