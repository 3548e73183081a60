"""Whether an endpoint hands its calls on to somebody else's API, by answers that were recorded.

At temperature 0 one model says the same twice; two models agree word for word on short answers
only. So answers of some length are compared with those of known APIs, and these with each other:
where all agree the prompts tell nothing. It is evidence, not proof: an honest host of open weights
answers as another host of the same weights does.
"""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from statistics import correlation
from typing import Annotated, Final

import msgspec

from tessera.diligence.results import Coverage, Evidence, Metric, Status, Step, hash_inputs
from tessera.diligence.wording import legible
from tessera.errors import DataError, InputError

__all__ = ["ENDPOINT", "LEAST_ANSWERS", "Answer", "Probe", "Record", "probe", "read_records"]

ENDPOINT: Final = "endpoint"
"""What the project's own endpoint is called in a record; all other names are known APIs."""

LEAST_ANSWERS: Final = 20
_LEAST_LETTERS: Final = 40
_SAME: Final = 0.9
_CONTROL: Final = 0.5
_MOST_BYTES: Final = 256 << 20
_MOST_APIS: Final = 32
# What the gateways of known vendors leave in errors and ids.
_SIGNS: Final = {
    vendor: re.compile(marks, re.IGNORECASE)
    for vendor, marks in (
        ("OpenAI", r"chatcmpl-|platform\.openai\.com|api\.openai\.com|\bopenai\b"),
        ("Anthropic", r"\bmsg_01\w{6}|anthropic|overloaded_error"),
        ("Google", r"generativelanguage\.googleapis|\bgemini-\d|vertex ai"),
        ("Mistral", r"api\.mistral\.ai|\bmistral-(?:large|small|medium)\b"),
        ("Azure", r"openai\.azure\.com|azure openai|content_filter_result"),
        ("OpenRouter", r"openrouter\.ai|\bgen-\d{10}-"),
    )
}


class Answer(msgspec.Struct, frozen=True):
    """What one server answered to one prompt.

    Attributes
    ----------
    prompt_tokens
        As it counted them; None where it does not say.
    seconds
        How long it took; None where nobody looked at the clock.
    error
        Its words where it refused, with ids and headers as far as recorded.
    """

    text: str = ""
    prompt_tokens: int | None = None
    seconds: Annotated[float, msgspec.Meta(ge=0)] | None = None
    error: str = ""


class Record(msgspec.Struct, frozen=True):
    """One prompt, asked at temperature 0, with the answers by server."""

    prompt: str
    answers: dict[str, Answer]


@dataclass(frozen=True, slots=True)
class Probe:
    """What comparing found.

    Attributes
    ----------
    compared
        Answers of some length by API, in which the endpoint's could be compared.
    same
        Share of them that is word for word the same.
    tokens
        Share of prompts that both count alike.
    pace
        Rank correlation (Spearman) of how long both take, prompt by prompt.
    control
        Largest share in which two known APIs agree; None with fewer than two.
    signs
        Vendors whose marks are in the endpoint's errors.
    """

    compared: Mapping[str, int]
    same: Mapping[str, float]
    tokens: Mapping[str, float]
    pace: Mapping[str, float]
    control: float | None
    signs: tuple[str, ...]

    @property
    def behind(self) -> str | None:
        """The API that the endpoint answers as; None where none is shown."""
        if self.control is None or self.control > _CONTROL:
            return None
        shown = [name for name, share in self.same.items() if share >= _SAME]
        return max(shown, key=lambda name: (self.same[name], name), default=None)

    def metric(self) -> Metric:
        """Say it as the metric `wrapper_probe`: the largest share of answers that are the same."""
        if not self.same:
            return Metric.without(
                "wrapper_probe", Step.PERFORMANCE, Status.INSUFFICIENT,
                f"fewer than {LEAST_ANSWERS} answers of {_LEAST_LETTERS} letters to compare",
                unit="share",
            )  # fmt: skip
        name = max(self.same, key=lambda each: (self.same[each], each))
        text = f"{self.same[name]:.0%} of the endpoint's answers are {legible(name, 40)}'s"
        missing: tuple[str, ...] = ()
        if self.control is None:
            missing = ("a second API, to see whether all answer alike",)
        elif self.control > _CONTROL:
            text += f"; but two APIs agree in {self.control:.0%}: the prompts tell nothing"
        return Metric(
            "wrapper_probe", Step.PERFORMANCE, self.same[name], "share", Status.OK, text,
            inputs_hash=hash_inputs(
                *(f"{each} {self.compared[each]} {self.same[each]}" for each in sorted(self.same))
            ),
            coverage=Coverage(None, missing),
            evidence=tuple(Evidence(f"marks of {each} in its errors") for each in self.signs),
            parts={
                "same": dict(self.same), "compared": dict(self.compared),
                "tokens": dict(self.tokens), "pace": dict(self.pace), "control": self.control,
                "signs": list(self.signs),
            },
        )  # fmt: skip


def read_records(file: Path) -> list[Record]:
    """Read recorded answers, one JSON object per line.

    Raises
    ------
    InputError
        There is no such file, or it is too large.
    DataError
        A line is no record; it is named.
    """
    if not file.is_file():
        raise InputError(f"answers {file.name}", found="nothing", wanted="a file")
    if file.stat().st_size > _MOST_BYTES:
        raise InputError(f"answers {file.name}", found="more than 256 MiB", wanted="some prompts")
    decoder = msgspec.json.Decoder(Record)
    records = []
    for number, line in enumerate(file.read_bytes().splitlines(), start=1):
        if not line.strip():
            continue
        try:
            record = decoder.decode(line)
        except (msgspec.MsgspecError, RecursionError) as error:
            raise DataError(
                f"answers {file.name}, line {number}", found=str(error), wanted="prompt and answers"
            ) from error
        if len(record.answers) > _MOST_APIS:
            raise DataError(
                f"answers {file.name}, line {number}", found=len(record.answers),
                wanted=f"{_MOST_APIS} servers or fewer",
            )  # fmt: skip
        records.append(record)
    return records


def probe(records: Sequence[Record]) -> Probe:
    """Compare an endpoint's answers with those of known APIs; a prompt counts once."""
    once = list({record.prompt: record for record in records}.values())
    names = sorted({name for record in once for name in record.answers} - {ENDPOINT})
    compared: dict[str, int] = {}
    same: dict[str, float] = {}
    tokens: dict[str, float] = {}
    pace: dict[str, float] = {}
    for name in names:
        pairs, equal = _agreement(once, ENDPOINT, name)
        if pairs >= LEAST_ANSWERS:
            compared[name], same[name] = pairs, equal / pairs
        both = [
            (mine, theirs)
            for record in once
            if (mine := record.answers.get(ENDPOINT)) and (theirs := record.answers.get(name))
        ]
        counts = [
            (one.prompt_tokens, other.prompt_tokens)
            for one, other in both
            if one.prompt_tokens is not None and other.prompt_tokens is not None
        ]
        if len(counts) >= LEAST_ANSWERS:
            tokens[name] = sum(one == other for one, other in counts) / len(counts)
        times = [
            (one.seconds, other.seconds)
            for one, other in both
            if one.seconds is not None and other.seconds is not None
        ]
        mine_s, theirs_s = ([pair[side] for pair in times] for side in (0, 1))
        if len(times) >= LEAST_ANSWERS and len(set(mine_s)) > 1 and len(set(theirs_s)) > 1:
            pace[name] = correlation(_ranks(mine_s), _ranks(theirs_s))
    controls = []
    for one, other in combinations(names, 2):
        pairs, equal = _agreement(once, one, other)
        if pairs >= LEAST_ANSWERS:
            controls.append(equal / pairs)
    said = " ".join(record.answers[ENDPOINT].error for record in once if ENDPOINT in record.answers)
    signs = tuple(name for name, mark in _SIGNS.items() if mark.search(said))
    return Probe(compared, same, tokens, pace, max(controls, default=None), signs)


def _agreement(records: Sequence[Record], one: str, other: str) -> tuple[int, int]:
    pairs = equal = 0
    for record in records:
        first, second = record.answers.get(one), record.answers.get(other)
        if first is None or second is None or first.error or second.error:
            continue
        texts = [" ".join(each.text.split()) for each in (first, second)]
        if min(len(text) for text in texts) < _LEAST_LETTERS:
            continue
        pairs += 1
        equal += texts[0] == texts[1]
    return pairs, equal


def _ranks(values: Sequence[float]) -> list[float]:
    """Return each value's place in their order; equal ones share the middle of theirs."""
    ordered = sorted(values)
    return [(bisect_left(ordered, each) + bisect_right(ordered, each)) / 2 for each in values]
