from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tessera.errors import Unprocessable
from tessera.serving.metering import chat_input, chat_output, most, score_input, text_units
from tessera.serving.runner import (
    ChatRequest,
    ClassifyRequest,
    EmbeddingsRequest,
    Message,
    PredictRequest,
    ScoreRequest,
    Units,
)
from tessera.serving.text import GrowingText

# Surrogates are no text; they are refused, which another test shows.
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=60)
pieces = st.lists(st.tuples(texts, st.none() | st.integers(-5, 50)), max_size=12)


def ask(content: str, max_tokens: int, *stop: str) -> ChatRequest:
    return ChatRequest((Message("user", content),), max_tokens, stop=stop)


def test_the_bound_of_each_task() -> None:
    assert most(EmbeddingsRequest(("hello", "é"))) == Units(3)
    assert most(ClassifyRequest(("", "four"))) == Units(1)
    assert most(PredictRequest(((1,), (2,)))) == Units(2)
    assert most(ask("hello", 7)) == Units(5 + 16, 7)
    assert most(ScoreRequest("é")) == Units(2)
    assert score_input(ScoreRequest("é"), 9) == 2


def test_half_a_surrogate_pair_is_refused() -> None:
    with pytest.raises(Unprocessable, match="Unicode"):
        text_units("\ud800")


@given(texts, st.none() | st.integers(-10, 10_000))
def test_no_tokenizer_can_charge_a_prompt_beyond_the_bound(content: str, said: int | None) -> None:
    request = ask(content, 1)
    assert 0 <= chat_input(request, said) <= most(request).input


@given(st.integers(0, 500), st.none() | st.integers(-10, 10_000), st.integers(1, 100))
def test_no_model_can_charge_an_answer_beyond_the_bound(
    size: int, said: int | None, allowed: int
) -> None:
    assert 0 <= chat_output(size, said, ask("x", allowed)) <= min(size, allowed)


@given(texts, st.integers(1, 40), pieces, st.none() | texts.filter(bool), st.integers(-9, 999))
def test_a_growing_text_stays_inside_every_limit(
    content: str, allowed: int, given_pieces: list[tuple[str, int | None]],
    stop: str | None, prompt: int,
) -> None:  # fmt: skip
    request = ask(content, allowed, *([stop] if stop else []))
    text = GrowingText(request, most_bytes=10_000)
    text.begin(prompt)
    shown, charged = "", 0
    for piece, tokens in given_pieces:
        shown += text.take(piece, tokens)
        assert text.units.output >= charged or tokens is None
        charged = text.units.output
        if text.finish is not None:
            break
    shown += text.rest()
    assert text.units.input <= most(request).input
    assert text.units.output <= min(allowed, len(shown.encode()))
    if stop:
        assert stop not in shown
    whole = "".join(piece for piece, _ in given_pieces)
    assert whole.startswith(shown)


def test_a_text_beyond_its_bytes_is_over() -> None:
    text = GrowingText(ask("x", 1000), most_bytes=10)
    assert text.take("a" * 20, 1) == ""
    assert text.over


TOOLS = {"tools": msgspec.Raw(b'[{"type":"function"}]')}


@given(texts, st.integers(1, 16), st.integers(1, 100), st.none() | st.integers(-10, 100_000))
def test_tools_and_several_texts_stay_inside_the_bound_too(
    content: str, n: int, allowed: int, said: int | None
) -> None:
    turns = (Message("user", content), Message("assistant", "", {"tool_calls": TOOLS["tools"]}))
    request = ChatRequest(turns, allowed, n=n, passed=TOOLS)
    assert 0 <= chat_input(request, said) <= most(request).input
    assert chat_output(10**6, said, request) <= most(request).output == n * allowed


def test_what_is_handed_on_counts_as_it_is_written() -> None:
    turn = Message("user", "hello")
    plain, with_tools = ChatRequest((turn,), 9), ChatRequest((turn,), 9, passed=TOOLS)
    assert most(with_tools).input - most(plain).input == len(TOOLS["tools"]) == 21
    assert chat_input(with_tools, None) - chat_input(plain, None) == 6
