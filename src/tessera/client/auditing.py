"""An audit: calls to an endpoint, the same on one's own copy, and what may be said of both.

Calls are paid like anybody's and come in random order. What was answered is read off the wire as
any client would read it; a body that is no answer counts as another model's.
"""

from __future__ import annotations

import asyncio
import random as randomness
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final, TypeVar

import httpx
import msgspec
import numpy as np

from tessera.assets.manifest import Field
from tessera.client.consumer import Client
from tessera.client.evidence import PaidCall
from tessera.client.patience import post_patiently
from tessera.client.probes import made_prompts, made_rows, made_texts
from tessera.client.reading import items_of_answer, path_of, texts_of
from tessera.errors import InputError, Unprocessable, WrongVersionServed
from tessera.payments.header import SignedReceipt
from tessera.serving.asking import ask as answer_of
from tessera.serving.bodies import TokenLimits, read_body
from tessera.serving.equality.exact import (
    Item,
    Likeness,
    compare,
    items_of,
)
from tessera.serving.equality.mmd import Sample, two_sample
from tessera.serving.equality.verdict import ALPHA, Verdict, judge_answers, judge_texts
from tessera.serving.runner import ChatRequest, Request, Runner, Scorer, Task

__all__ = ["Copy", "Plan", "Progress", "ask", "judge", "questions"]

Progress = Callable[[int, int], None]
"""Told how many of how many steps are done."""

_T = TypeVar("_T")
_R = TypeVar("_R")

_OK: Final = 200
_REPEATED: Final = 3
_CONTROL: Final = 1.25


@dataclass(frozen=True, slots=True, kw_only=True)
class Copy:
    """One's own copy of a version.

    Attributes
    ----------
    slug, asset, version
        What it is a copy of.
    runner
        Loaded, from bytes that match the version's content root; or a server of one's own.
    limits
        How long answers of the audited endpoint may be.
    inputs
        What the manifest says about its inputs.
    """

    slug: str
    asset: int
    version: int
    runner: Runner
    limits: TokenLimits = field(default_factory=TokenLimits)
    inputs: tuple[Field, ...] = ()

    @property
    def task(self) -> Task:
        """What is asked of it."""
        return min(self.runner.tasks)

    @property
    def path(self) -> str:
        """Where that is asked."""
        return path_of(self.task)


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """How an audit goes.

    Attributes
    ----------
    samples
        Calls to the endpoint.
    alpha
        Part of the honest endpoints that it may accuse.
    seed
        Of everything that is drawn; whoever audits keeps it to himself until afterwards.
    repeatable
        Ask a text generator with seeds, and compare letter by letter.
    prompts
        Different beginnings that a generator is given, at most.
    references
        Texts of one's own copy for each of the endpoint's.
    temperature, max_tokens
        Of texts.
    permutations
        Of the test of texts.
    at_once
        Calls at the same time.
    """

    samples: int = 200
    alpha: float = ALPHA
    seed: int = 0
    repeatable: bool = False
    prompts: int = 10
    references: int = 3
    temperature: float = 1.0
    max_tokens: int = 24
    permutations: int = 9_999
    at_once: int = 4


def questions(copy: Copy, plan: Plan, inputs: Sequence[Any] = ()) -> list[bytes]:
    """Write the bodies of an audit's calls, in random order.

    Parameters
    ----------
    copy
        Of the model.
    plan
        How many.
    inputs
        Texts, or rows as lists, to draw from; where there are none they are made up.

    Raises
    ------
    InputError
        An input is of the wrong kind, or none can be made up.
    """
    random = randomness.Random(plan.seed)  # noqa: S311 - a sample, no secret
    pinned: dict[str, Any] = {"model": f"{copy.slug}@{copy.version}"}
    match copy.task:
        case Task.PREDICT:
            rows = _drawn(list(inputs), plan.samples, random) or made_rows(
                copy.inputs, plan.samples, random
            )
            bodies = [{**pinned, "rows": [row]} for row in rows]
        case Task.CHAT:
            texts = _texts(inputs)
            random.shuffle(texts)
            prompts = texts[: plan.prompts] or made_prompts(plan.prompts, random)
            bodies = [
                {
                    **pinned,
                    "messages": [{"role": "user", "content": prompts[at % len(prompts)]}],
                    "temperature": plan.temperature,
                    "max_tokens": plan.max_tokens,
                    **({"seed": random.getrandbits(53)} if plan.repeatable else {}),
                }
                for at in range(plan.samples)
            ]
        case Task.EMBEDDINGS:
            texts = _drawn(_texts(inputs), plan.samples, random)
            texts = texts or made_texts(plan.samples, random)
            bodies = [{**pinned, "input": [text], "encoding_format": "float"} for text in texts]
        case _:
            texts = _drawn(_texts(inputs), plan.samples, random)
            texts = texts or made_texts(plan.samples, random)
            bodies = [{**pinned, "input": [text]} for text in texts]
    random.shuffle(bodies)
    return [msgspec.json.encode(body) for body in bodies]


async def ask(
    client: Client, copy: Copy, bodies: Sequence[bytes], plan: Plan, progress: Progress
) -> list[PaidCall]:
    """Make the calls and pay for them.

    Raises
    ------
    WrongVersionServed
        A receipt is about another version or asset than was asked for.
    TesseraError
        The endpoint refuses or fails, again and again.
    """
    done = 0

    async with client.async_http() as http:

        async def one(body: bytes) -> PaidCall:
            nonlocal done
            content = await _answered(http, copy.path, body)
            done += 1
            progress(done, len(bodies))
            return PaidCall(body, content)

        calls = await _at_once(one, bodies, plan.at_once)
    # Calls with the same bodies have receipts of their own; which is whose makes no difference.
    receipts: dict[tuple[bytes, bytes], list[SignedReceipt]] = {}
    for signed in reversed(client.receipts):
        receipts.setdefault((signed.receipt.request, signed.receipt.response), []).append(signed)
    calls = [
        PaidCall(call.request, call.response, found.pop() if found else None)
        for call in calls
        for found in [receipts.get(call.hashes, [])]
    ]
    for call in calls:
        _check_version(copy, call)
    return calls


async def judge(
    copy: Copy, calls: Sequence[PaidCall], plan: Plan, progress: Progress = lambda _done, _all: None
) -> Verdict:
    """Make the same calls on one's own copy and compare.

    Texts that were drawn without a seed are compared as two samples; everything else one by one.
    Where there are calls of both kinds, each test gets half of the false alarms, and the verdict is
    that of the smaller p-value.

    Raises
    ------
    Unprocessable
        The own copy answers one request in two ways, so nothing can be compared one by one.
    InputError
        There is nothing to compare, or a request is none.
    """
    drawn: list[tuple[ChatRequest, PaidCall]] = []
    repeated: list[tuple[Request, PaidCall]] = []
    for call in calls:
        request = read_body(path_of(copy.task, call.request), call.request, copy.limits).request
        if isinstance(request, ChatRequest) and _is_drawn(request):
            drawn.append((request, call))
        else:
            repeated.append((request, call))
    if drawn and repeated:
        plan = replace(plan, alpha=plan.alpha / 2)
    verdicts = []
    if repeated or not drawn:
        verdicts.append(await _judge_one_by_one(copy, repeated, plan, progress))
    if drawn:
        verdicts.append(await _judge_texts(copy, drawn, plan, progress))
    return min(verdicts, key=lambda verdict: verdict.p_value)


# --- One by one -----------------------------------------------------------------------------


async def _judge_one_by_one(
    copy: Copy, repeated: Sequence[tuple[Request, PaidCall]], plan: Plan, progress: Progress
) -> Verdict:
    requests = [request for request, _ in repeated]
    await _check_repeats(copy, requests)
    done = 0

    async def own(request: Request) -> list[Item]:
        nonlocal done
        items = items_of(await answer_of(copy.runner, request), copy.task)
        done += 1
        progress(done, len(requests))
        return items

    wanted = await _at_once(own, requests, copy.runner.at_once)
    theirs: list[Item] = []
    flat: list[Item] = []
    seen: set[tuple[object, ...]] = set()
    for (_, call), items in zip(repeated, wanted, strict=True):
        found = items_of_answer(copy.task, call.response)
        if len(found) != len(items):
            # An answer about more or fewer things than were asked is none.
            found = [_NO_ANSWER] * len(items)
        # Whoever repeats himself says nothing new: one spoilt answer is one, however often it is
        # asked for or handed on.
        said = (call.request, *((i.shape, i.numbers.tobytes(), repr(i.decisions)) for i in found))
        if said not in seen:
            seen.add(said)
            theirs += found
            flat += items
    return judge_answers(compare(theirs, flat), plan.alpha)


_NO_ANSWER: Final = Item((("no answer", 0),), np.zeros(0), ("no answer",))


# --- Texts ----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Wanted:
    """One text that was wanted, and the number of its prompt."""

    prompt: int
    request: ChatRequest


async def _judge_texts(
    copy: Copy, drawn: Sequence[tuple[ChatRequest, PaidCall]], plan: Plan, progress: Progress
) -> Verdict:
    number: dict[bytes, int] = {}
    asked: list[_Wanted] = []
    said: list[str] = []
    for request, call in drawn:
        single = msgspec.structs.replace(request, n=1)
        prompt = number.setdefault(msgspec.json.encode(single), len(number))
        # As many as were asked for: saying nothing must not help, and one call that brings a
        # thousand good texts must not outweigh all others.
        texts = [text for text, _ in texts_of(call.response)][: request.n]
        asked += [_Wanted(prompt, single)] * request.n
        said += texts + [""] * (request.n - len(texts))
    references = [one for one in asked for _ in range(plan.references)]
    changed = [
        _Wanted(
            one.prompt,
            msgspec.structs.replace(one.request, temperature=one.request.temperature * _CONTROL),
        )
        for one in asked
    ]
    total = len(references) + len(changed)
    done = 0

    async def own(one: _Wanted) -> str:
        nonlocal done
        text = (await copy.runner.chat(one.request)).text
        done += 1
        progress(done, total)
        return text

    async def scored(one: _Wanted, text: str) -> Sample:
        logs = None
        if isinstance(copy.runner, Scorer):
            logs = await copy.runner.log_probabilities(one.request.messages, text)
        return Sample(one.prompt, text, logs)

    async def samples(those: Sequence[_Wanted], texts: Sequence[str]) -> list[Sample]:
        pairs = list(zip(those, texts, strict=True))
        return await _at_once(lambda pair: scored(*pair), pairs, copy.runner.at_once)

    theirs = await samples(asked, said)
    own_texts = await _at_once(own, references, copy.runner.at_once)
    mine = await samples(references, own_texts)
    control = await samples(asked, await _at_once(own, changed, copy.runner.at_once))
    random = np.random.default_rng(plan.seed)
    found = await asyncio.to_thread(
        two_sample, theirs, mine, permutations=plan.permutations, random=random
    )
    known = await asyncio.to_thread(
        two_sample, control, mine, permutations=plan.permutations, random=random
    )
    return judge_texts(
        found,
        plan.alpha,
        control=known,
        changed=f"one's own copy at {_CONTROL:g} times the temperature",
    )


def _is_drawn(request: ChatRequest) -> bool:
    return request.temperature > 0 and request.seed is None


# --- Both -----------------------------------------------------------------------------------


async def _answered(http: httpx.AsyncClient, path: str, body: bytes) -> bytes:
    reply = await post_patiently(http, path, body)
    if reply.status != _OK:
        raise reply.error(f"audit of {http.base_url}")
    return reply.content


def _check_version(copy: Copy, call: PaidCall) -> None:
    if call.receipt is None:
        return
    receipt = call.receipt.receipt
    if (receipt.asset, receipt.version) != (copy.asset, copy.version):
        raise WrongVersionServed(
            f"receipt of {copy.slug}@{copy.version}",
            found=f"version {receipt.version} of asset {receipt.asset}",
            wanted=f"version {copy.version} of asset {copy.asset}, as was asked",
        )


async def _check_repeats(copy: Copy, requests: Sequence[Request]) -> None:
    for request in requests[:_REPEATED]:
        first = items_of(await answer_of(copy.runner, request), copy.task)
        second = items_of(await answer_of(copy.runner, request), copy.task)
        if compare(first, second).count(Likeness.DIFFERENT):
            raise Unprocessable(
                f"model {copy.slug}: own copy", found="two answers to one request",
                wanted="a runner that repeats itself, to compare answers one by one",
            )  # fmt: skip


async def _at_once(work: Callable[[_T], Awaitable[_R]], given: Sequence[_T], most: int) -> list[_R]:
    """Do the same with everything, so many at a time; the first failure ends it all."""
    turns = asyncio.Semaphore(max(1, most))

    async def one(item: _T) -> _R:
        async with turns:
            return await work(item)

    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(one(item)) for item in given]
    except* Exception as errors:
        raise _first(errors) from errors
    return [task.result() for task in tasks]


def _first(errors: BaseExceptionGroup[Exception]) -> BaseException:
    error: BaseException = errors
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


def _drawn(given: list[_T], count: int, random: randomness.Random) -> list[_T]:
    """Draw as many as wanted: each once where there are enough, else all over and over."""
    if not given:
        return []
    drawn: list[_T] = []
    while len(drawn) < count:
        drawn += random.sample(given, min(len(given), count - len(drawn)))
    return drawn


def _texts(inputs: Sequence[Any]) -> list[str]:
    for text in inputs:
        if not isinstance(text, str) or not text:
            raise InputError("inputs", found=text, wanted="texts that are not empty")
    return list(inputs)
