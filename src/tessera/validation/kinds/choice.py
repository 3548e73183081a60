"""Multiple choice: one of a few answers is right, and the model has to pick it."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Self

from tessera.validation.answers import CHAT, Ask
from tessera.validation.kinds.perplexity import echo
from tessera.validation.kinds.scoring import Answered, Decoding, Item, Scores, known_options

__all__ = ["Choice"]

_LETTERS: Final = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
_BY: Final = ("letter", "logprobs", "likelihood")
_FEWEST: Final = 2
_TOP: Final = 20


@dataclass(frozen=True, slots=True)
class Choice:
    """Items ``{"question": ..., "choices": [...], "answer": place of the right one}``.

    Attributes
    ----------
    by
        `letter`: the question and the choices by letters as a chat; the first letter of a choice
        that stands alone in the answer counts. `logprobs`: the same, and the letter that is most
        probable as the first token. `likelihood`: how probable each choice is behind the question,
        per byte, as language-model harnesses do it; needs an endpoint that gives log probabilities
        of a given text.
    decoding
        Of chats.
    """

    by: str
    decoding: Decoding

    metric = "accuracy"
    proportion = True
    code = b""

    @classmethod
    def of(cls, options: Mapping[str, Any], decoding: Decoding) -> Self:
        """Read the options."""
        known_options(options, "by")
        by = options.get("by", "letter")
        if by not in _BY:
            raise ValueError(f"option 'by': wanted one of {', '.join(_BY)}")
        return cls(by, decoding)

    def fault(self, item: Item) -> str | None:
        """Say what is wrong with an item, or nothing."""
        if not isinstance(item.get("question"), str) or not item["question"]:
            return "no question"
        choices, answer = item.get("choices"), item.get("answer")
        if (
            not isinstance(choices, list)
            or not all(isinstance(each, str) and each for each in choices)
            or not _FEWEST <= len(choices) <= len(_LETTERS)
            or len(set(choices)) != len(choices)
        ):
            return f"choices that are not {_FEWEST} to {len(_LETTERS)} different texts"
        if isinstance(answer, bool) or not isinstance(answer, int):
            return "no answer"
        if not 0 <= answer < len(choices):
            return f"answer {answer} of {len(choices)} choices, counted from 0"
        return None

    def fault_of_all(self, items: Sequence[Item]) -> str | None:
        """Find nothing: each item stands for itself."""
        return None

    def counted(self, item: Item) -> bool:
        """Every item has a score."""
        return True

    def asks(self, item: Item) -> tuple[Ask, ...]:
        """Ask once for a letter, or once per choice how probable it is."""
        if self.by == "likelihood":
            return tuple(echo(f"{item['question']} ", choice) for choice in item["choices"])
        lines = [
            f"{letter}. {text}" for letter, text in zip(_LETTERS, item["choices"], strict=False)
        ]
        said = "\n".join([item["question"], *lines, "Answer with the letter only."])
        fields: dict[str, Any] = {
            "messages": [{"role": "user", "content": said}],
            "max_tokens": self.decoding.max_tokens,
            "temperature": self.decoding.temperature,
            "seed": self.decoding.seed,
        }
        if self.by == "logprobs":
            fields |= {"max_tokens": 1, "logprobs": True, "top_logprobs": _TOP}
        return (Ask(CHAT, fields),)

    async def scores(self, answered: Sequence[Answered]) -> Scores:
        """Count the right ones."""
        picked = [self._picked(each) for each in answered]
        return Scores(
            tuple(
                float(pick == each.item["answer"])
                for pick, each in zip(picked, answered, strict=True)
            ),
            {"without_a_pick": sum(pick is None for pick in picked)},
        )

    def _picked(self, answered: Answered) -> int | None:
        if not answered.whole:
            return None
        item = answered.item
        if self.by == "likelihood":
            said = [answer.output for answer in answered.answers]
            return _only_highest([math.fsum(each["logs"]) / each["bytes"] for each in said])
        letters = _LETTERS[: len(item["choices"])]
        first = answered.output[0]
        if self.by == "logprobs":
            top: Mapping[str, float] = first.get("top", {})
            # The same letter may be several tokens, with a space before it.
            logs = [[log for token, log in top.items() if token.strip() == a] for a in letters]
            return _only_highest([max(each, default=None) for each in logs])
        alone = re.search(rf"(?<![A-Za-z])([{letters}])(?![A-Za-z])", first["text"])
        return None if alone is None else letters.index(alone[1])


def _only_highest(values: Sequence[float | None]) -> int | None:
    """Return the place of the highest; None where two are, or none has a value."""
    best = max((value for value in values if value is not None), default=None)
    places = [at for at, value in enumerate(values) if value is not None and value == best]
    return places[0] if len(places) == 1 else None
