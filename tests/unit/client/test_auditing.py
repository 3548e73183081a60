"""What an audit asks, and how it reads answers that may be anything."""

from __future__ import annotations

import base64
import json
import random
from dataclasses import replace

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tessera.assets.manifest import Field
from tessera.client.auditing import Copy, Plan, judge, questions
from tessera.client.evidence import PaidCall
from tessera.client.probes import made_prompts, made_rows, made_texts
from tessera.client.reading import items_of_answer
from tessera.errors import InputError, Unprocessable
from tessera.gateway.responses import ResponseEvents, response_of
from tessera.serving.responses import ResponsesBody
from tessera.serving.runner import (
    ChatDelta,
    ChatRequest,
    ChatResult,
    Choice,
    EmbeddingsRequest,
    EmbeddingsResult,
    Identity,
    Message,
    RunnerBase,
    ScoreRequest,
    ScoreResult,
    Task,
    Units,
)


class Fixed(RunnerBase):
    """Embeds by length; one that is moody never says the same twice."""

    def __init__(self, task: Task = Task.EMBEDDINGS, *, moody: bool = False) -> None:
        super().__init__("fixed", frozenset({task}), Identity.HASHED)
        self._moody, self._calls = moody, 0

    async def embed(self, request: EmbeddingsRequest) -> EmbeddingsResult:
        self._calls += self._moody
        vectors = [[float(len(text)), 1.0 + self._calls] for text in request.texts]
        return EmbeddingsResult(vectors, Units(1))

    async def score_text(self, request: ScoreRequest) -> ScoreResult:
        parts = (request.text[:2], request.text[2:])
        return ScoreResult(parts, (0, 2), (None, -2.0), Units(2))


def copy(task: Task = Task.EMBEDDINGS, *, moody: bool = False) -> Copy:
    return Copy(slug="m", asset=7, version=2, runner=Fixed(task, moody=moody))


def answered(body: bytes, *, extra: int = 0) -> PaidCall:
    texts = json.loads(body)["input"] + ["x"] * extra
    vectors = [{"embedding": [float(len(text)), 1.0]} for text in texts]
    return PaidCall(body, json.dumps({"data": vectors}).encode())


def test_the_same_seed_asks_the_same_and_every_question_pins_the_version() -> None:
    plan = Plan(samples=30, seed=5)
    first, again = questions(copy(), plan), questions(copy(), plan)
    assert first == again != questions(copy(), Plan(samples=30, seed=6))
    assert len(set(first)) == 30
    assert {json.loads(body)["model"] for body in first} == {"m@2"}


def test_own_inputs_are_asked_each_once_before_any_twice() -> None:
    texts = [f"text {number}" for number in range(10)]
    bodies = questions(copy(), Plan(samples=25), texts)
    asked = [json.loads(body)["input"][0] for body in bodies]
    assert {asked.count(text) for text in texts} == {2, 3}


def test_texts_are_drawn_for_few_prompts_and_with_seeds_only_where_wanted() -> None:
    chat = copy(Task.CHAT)
    bodies = [json.loads(body) for body in questions(chat, Plan(samples=40, prompts=8))]
    prompts = [body["messages"][0]["content"] for body in bodies]
    assert {prompts.count(prompt) for prompt in prompts} == {5}
    assert not any("seed" in body for body in bodies)
    seeded = questions(chat, Plan(samples=40, repeatable=True))
    assert len({json.loads(body)["seed"] for body in seeded}) == 40


def test_rows_follow_the_manifest_and_a_manifest_without_inputs_is_said() -> None:
    inputs = (
        Field("pixels", "float32", (-1, 4)),
        Field("name", "string", (-1,)),
        Field("age", "int64"),
        Field("new", "bool"),
    )
    rows = made_rows(inputs, 20, random.Random(1))
    for row in rows:
        assert [type(cell) for cell in row] == [float] * 4 + [str, int, bool]
    with pytest.raises(InputError, match="--inputs FILE"):
        made_rows((), 3, random.Random(1))
    with pytest.raises(InputError, match="columns"):
        made_rows((Field("all", "float32", (1_000_000,)),), 1, random.Random(1))


def test_made_texts_are_many_and_prompts_all_different() -> None:
    assert len(set(made_texts(500, random.Random(1)))) == 500
    prompts = made_prompts(200, random.Random(1))
    assert len(set(prompts)) == 200
    assert all(prompt.strip() == prompt and prompt for prompt in prompts)


async def test_an_answer_about_more_things_than_were_asked_is_another_models() -> None:
    bodies = questions(copy(), Plan(samples=4))
    same = await judge(copy(), [answered(body) for body in bodies], Plan())
    assert (same.details["identical"], same.accuses) == (4, False)
    more = await judge(copy(), [answered(body, extra=1) for body in bodies], Plan())
    assert (more.details["different"], more.accuses) == (4, True)


@pytest.mark.parametrize("lie", [False, True])
async def test_a_kept_call_about_a_given_text_is_held_against_the_copys_logarithms(
    lie: bool,
) -> None:
    """Whoever is asked how probable texts are may not flatter himself unseen."""
    calls = []
    for number in range(4):
        body = {"model": "m@2", "prompt": f"ab{number}", "echo": True, "logprobs": 0}
        found = {"tokens": ["ab", str(number)], "token_logprobs": [None, -0.1 if lie else -2.0]}
        answer = {"choices": [{"text": f"ab{number}", "logprobs": found}]}
        calls.append(PaidCall(json.dumps(body).encode(), json.dumps(answer).encode()))
    verdict = await judge(copy(Task.CHAT), calls, Plan())
    assert verdict.accuses is lie


async def test_attack_an_honest_endpoint_is_not_accused_of_one_spoilt_answer_many_times() -> None:
    """Whoever wants an honest operator accused has one answer that its machine spoilt: he asks the
    same again and again, or hands the call on in a hundred copies."""
    good = [answered(body) for body in questions(copy(), Plan(samples=20))]
    body = json.dumps({"model": "m@2", "input": ["four"]}).encode()
    spoilt = PaidCall(body, json.dumps({"data": [{"embedding": [4.0, 1.5]}]}).encode())
    verdict = await judge(copy(), [*good, *[spoilt] * 100], Plan())
    assert (verdict.details["different"], verdict.samples, verdict.accuses) == (1, 21, False)


async def test_an_own_copy_that_does_not_repeat_itself_compares_nothing() -> None:
    calls = [answered(body) for body in questions(copy(), Plan(samples=4))]
    with pytest.raises(Unprocessable, match="two answers to one request"):
        await judge(copy(moody=True), calls, Plan())


def test_vectors_are_read_as_numbers_and_as_base64() -> None:
    packed = base64.b64encode(np.array([1.5, -2.0], dtype="<f4").tobytes()).decode()
    for shown in ([1.5, -2.0], packed):
        body = json.dumps({"data": [{"embedding": shown}]}).encode()
        (item,) = items_of_answer(Task.EMBEDDINGS, body)
        assert item.numbers.tolist() == [1.5, -2.0]


def test_a_streamed_text_is_read_whole() -> None:
    pieces = [{"choices": [{"delta": {"content": p}, "finish_reason": None}]} for p in ("a", "b")]
    end = {"choices": [{"delta": {}, "finish_reason": "stop"}]}
    events = b"".join(b"data: " + json.dumps(e).encode() + b"\n\n" for e in (*pieces, end))
    (item,) = items_of_answer(Task.CHAT, events + b"data: [DONE]\n\n")
    assert item.decisions == ("ab", "stop")


def test_a_text_that_was_asked_for_as_a_response_is_read_whole_and_streamed() -> None:
    asked = ResponsesBody(model="m@2", input="x")
    units = Units(1, 2)
    for finish in ("stop", "length"):
        result = ChatResult((Choice("ab", finish),), units)  # type: ignore[arg-type]
        whole = response_of(asked, result, model="m@2", name="7", now=1)
        events = ResponseEvents(asked, "m@2", "7", 1)
        streamed = events.first() + events.piece(ChatDelta("a", units))
        streamed += events.piece(ChatDelta("b", units)) + events.last(finish)
        streamed += events.usage(units) + events.DONE
        for body in (msgspec.json.encode(whole), streamed):
            (item,) = items_of_answer(Task.CHAT, body)
            assert item.decisions == ("ab", finish)


@given(st.sampled_from(list(Task)), st.binary(max_size=200))
def test_bytes_that_are_no_answer_are_nothing(task: Task, body: bytes) -> None:
    assert items_of_answer(task, body) == []


_JSON = st.recursive(
    st.none() | st.booleans() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["data", "embedding", "outputs", "results", "scores", "label", "choices",
                 "category_scores", "categories", "message", "content", "finish_reason", "output",
                 "status", "type", "text"]
            ),
            inner, max_size=3,
        )
    ),
    max_leaves=12,
)  # fmt: skip


@given(st.sampled_from(list(Task)), _JSON)
def test_json_of_any_other_shape_breaks_nothing(task: Task, value: object) -> None:
    """A lying operator answers with what might crash whoever looks closer."""
    items_of_answer(task, json.dumps(value).encode())


class Letters(RunnerBase):
    """Writes one of two letters, by chance; a heavier coin is another model."""

    def __init__(self, heads: float, seed: int) -> None:
        super().__init__("letters", frozenset({Task.CHAT}), Identity.HASHED)
        self._heads, self._random = heads, random.Random(seed)

    async def chat(self, request: ChatRequest) -> ChatResult:
        coin = self._random if request.seed is None else random.Random(request.seed)
        text = "".join("a" if coin.random() < self._heads else "b" for _ in range(24))
        return ChatResult((Choice(text, "length"),), Units(1, 1))


async def spoken(runner: RunnerBase, bodies: list[bytes]) -> list[PaidCall]:
    calls = []
    for body in bodies:
        wanted = json.loads(body)
        request = ChatRequest(
            (Message("user", wanted["messages"][0]["content"]),), 24, seed=wanted.get("seed")
        )
        choices = [
            {"index": at, "message": {"content": (await runner.chat(request)).text},
             "finish_reason": "length"}
            for at in range(wanted.get("n", 1))
        ]  # fmt: skip
        calls.append(PaidCall(body, json.dumps({"choices": choices}).encode()))
    return calls


async def test_drawn_texts_are_judged_as_two_samples_and_several_per_call_count_each() -> None:
    own = Copy(slug="m", asset=7, version=2, runner=Letters(0.5, 1))
    plan = Plan(samples=60, permutations=1_999)
    bodies = questions(own, plan)
    honest = await judge(own, await spoken(Letters(0.5, 2), bodies), plan)
    assert (honest.method, honest.samples, honest.accuses) == ("mmd", 60, False)
    several = [body.replace(b"{", b'{"n":2,', 1) for body in bodies]
    other = await judge(own, await spoken(Letters(0.8, 3), several), plan)
    assert (other.samples, other.accuses, other.p_value) == (120, True, 1 / 2_000)
    silent = [PaidCall(body, b"{}") for body in bodies]
    assert (await judge(own, silent, plan)).accuses


async def test_attack_one_answer_full_of_good_texts_hides_all_the_others() -> None:
    """An operator swaps the model, and answers one call in sixty with a thousand texts of the right
    one, so that nearly all texts are good. A call counts for as many texts as it asked for."""
    own = Copy(slug="m", asset=7, version=2, runner=Letters(0.5, 1))
    plan = Plan(samples=60, permutations=1_999)
    bodies = questions(own, plan)
    swapped = await spoken(Letters(0.8, 2), bodies)
    many = [bodies[0].replace(b"{", b'{"n":1000,', 1)]
    (full,) = await spoken(Letters(0.5, 3), many)
    found = await judge(own, [PaidCall(bodies[0], full.response), *swapped[1:]], plan)
    assert (found.samples, found.accuses) == (60, True)


async def test_kept_responses_are_judged_as_the_chats_that_they_are() -> None:
    own = Copy(slug="m", asset=7, version=2, runner=Letters(0.5, 1))
    plan = Plan(samples=60, permutations=1_999)
    body = json.dumps({"model": "m@2", "input": "say", "max_output_tokens": 24}).encode()
    for heads, accuses in ((0.5, False), (0.8, True)):
        runner = Letters(heads, 2)
        calls = []
        for _ in range(60):
            text = (await runner.chat(ChatRequest((Message("user", "say"),), 24))).text
            part = {"type": "output_text", "text": text}
            answer = {"output": [{"type": "message", "content": [part]}], "status": "incomplete"}
            calls.append(PaidCall(body, json.dumps(answer).encode()))
        assert (await judge(own, calls, plan)).accuses is accuses


async def test_calls_with_and_without_seeds_are_both_judged() -> None:
    """Kept calls are of all kinds; what is swapped for some of them is found among all."""
    own = Copy(slug="m", asset=7, version=2, runner=Letters(0.5, 1))
    plan = Plan(samples=60, permutations=3_999)
    drawn, seeded = questions(own, plan), questions(own, replace(plan, samples=5, repeatable=True))
    honest = await spoken(Letters(0.5, 2), drawn)
    both = await judge(own, honest + await spoken(Letters(0.5, 2), seeded), plan)
    assert (both.accuses, both.alpha) == (False, plan.alpha / 2)
    found = await judge(own, honest + await spoken(Letters(0.8, 3), seeded), plan)
    assert (found.method, found.accuses) == ("exact", True)
    texts = await spoken(Letters(0.8, 2), drawn)
    found = await judge(own, texts + await spoken(Letters(0.5, 2), seeded), plan)
    assert (found.method, found.accuses) == ("mmd", True)


async def test_texts_with_seeds_are_compared_letter_by_letter() -> None:
    own = Copy(slug="m", asset=7, version=2, runner=Letters(0.5, 1))
    plan = Plan(samples=5, repeatable=True)
    bodies = questions(own, plan)
    honest = await judge(own, await spoken(Letters(0.5, 2), bodies), plan)
    assert (honest.method, honest.details["identical"]) == ("exact", 5)
    near = await judge(own, await spoken(Letters(0.6, 3), bodies), plan)
    assert (near.method, near.accuses) == ("exact", True)
