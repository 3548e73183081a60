"""Perplexity: how probable a generator finds texts that it has not written."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Self

from tessera.validation.answers import COMPLETIONS, Ask
from tessera.validation.kinds.scoring import Answered, Item, Scores, known_options

__all__ = ["Perplexity", "echo"]

_LOWEST: Final = -1e9


@dataclass(frozen=True, slots=True)
class Perplexity:
    """Items ``{"text": ..., "prompt": ...}``; the prompt may be left out.

    An item's score is the geometric mean of the probabilities per byte, 2^-(bits per byte): higher
    is better, from 0 to 1, and independent of how a model cuts texts into tokens. Only an endpoint
    that gives the log probabilities of a given text can be asked; others are `unsupported`.
    """

    metric = "probability_per_byte"
    # A geometric mean within each item: Wilson's interval would say nothing about it.
    proportion = False
    code = b""

    @classmethod
    def of(cls, options: Mapping[str, Any]) -> Self:
        """Read the options: there are none."""
        known_options(options)
        return cls()

    def fault(self, item: Item) -> str | None:
        """Say what is wrong with an item, or nothing."""
        if not isinstance(item.get("text"), str) or not item["text"]:
            return "no text"
        if not isinstance(item.get("prompt", ""), str):
            return "a prompt that is no text"
        return None

    def fault_of_all(self, items: Sequence[Item]) -> str | None:
        """Find nothing: each item stands for itself."""
        return None

    def counted(self, item: Item) -> bool:
        """Every item has a score."""
        return True

    def asks(self, item: Item) -> tuple[Ask, ...]:
        """Ask how probable the text is behind its prompt."""
        return (echo(item.get("prompt", ""), item["text"]),)

    async def scores(self, answered: Sequence[Answered]) -> Scores:
        """Average the logarithms over bytes."""
        values, total, tokens, size = [], [], 0, 0
        for each in answered:
            if each.output is None:
                values.append(0.0)
                continue
            logs, length = each.output["logs"], each.output["bytes"]
            values.append(math.exp(max(_LOWEST, math.fsum(logs) / length)))
            total += logs
            tokens += len(logs)
            size += length
        details: dict[str, Any] = {"tokens": tokens, "bytes": size}
        if tokens:
            nats = -math.fsum(total)
            details["bits_per_byte"] = nats / math.log(2) / size
            # Of one model's tokens: no figure to compare models by.
            details["perplexity"] = math.exp(min(700.0, nats / tokens))
        return Scores(tuple(values), details)


def echo(prompt: str, text: str) -> Ask:
    """Return the question how probable a text is behind a prompt.

    It is asked as OpenAI's older route has it: the text goes in and comes back with its logarithms.
    One token is written too, as some servers write no fewer; it is not looked at.
    """
    return Ask(
        COMPLETIONS,
        {"prompt": prompt + text, "max_tokens": 1, "temperature": 0, "echo": True, "logprobs": 1},
        before=len(prompt),
    )
