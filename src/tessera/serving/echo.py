"""Log probabilities of a given text, as servers with OpenAI's older route write them."""

from __future__ import annotations

import itertools
import math
from typing import Any, Final

import msgspec

from tessera.serving.metering import score_input
from tessera.serving.runner import ScoreRequest, ScoreResult, Units

__all__ = ["Completions", "Echo", "scored"]


_Likeliest: Final = tuple[dict[str, float] | None, ...]


class Echo(msgspec.Struct):
    """What a server says of each token, those that it wrote itself behind the text included."""

    tokens: list[str]
    token_logprobs: list[float | None]
    top_logprobs: Any = None
    text_offset: list[int] = []

    @property
    def starts(self) -> list[int]:
        """The character that each begins at; servers that do not say cut the text into tokens."""
        ends = itertools.accumulate(map(len, self.tokens), initial=0)
        return self.text_offset or list(ends)[:-1]


class _Choice(msgspec.Struct):
    text: str = ""
    logprobs: Echo | None = None


class Completions(msgspec.Struct):
    """An answer of the route."""

    choices: list[_Choice]


def scored(request: ScoreRequest, found: Echo) -> ScoreResult:
    """Take what is about the text that was given; what the server wrote behind it is left out.

    Raises
    ------
    ValueError
        It is not about this text, or holds what is no logarithm of a probability.
    """
    starts, logs = found.starts, found.token_logprobs
    count = sum(start < len(request.text) for start in starts)
    if (
        not len(found.tokens) == len(starts) == len(logs)
        or starts != sorted(starts)
        or count == 0
        or starts[0] != 0
        or None in logs[1:count]
        or not all(log is None or -math.inf < log <= 0 for log in logs[:count])
    ):
        raise ValueError("log probabilities of another text, or none")
    tops = None
    if request.likeliest and found.top_logprobs is not None:
        # Some servers have a form of their own here, and nobody asked for it.
        tops = msgspec.convert(found.top_logprobs, _Likeliest)[:count]
        if len(tops) != count:
            raise ValueError("the likeliest tokens of another text")
    return ScoreResult(
        tuple(found.tokens[:count]),
        tuple(starts[:count]),
        tuple(logs[:count]),
        Units(input=score_input(request, count)),
        tops,
    )
