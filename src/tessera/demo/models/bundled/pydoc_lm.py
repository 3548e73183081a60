"""A toy language model: interpolated Kneser-Ney 4-grams over byte-pair tokens of docstrings.

It continues what it is given in the manner of Python's documentation. It knows nothing, follows
no instructions, and is here to show a text being generated, streamed and paid for.

This file travels in the bundle and runs on the standard library alone: `model.npz` is a zip of
plain arrays, which nothing here unpickles.
"""

from __future__ import annotations

import array
import ast
import bisect
import itertools
import math
import random
import re
import struct
import zipfile
from collections.abc import Generator, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

__all__ = [
    "END",
    "MERGED",
    "Model",
    "Tokenizer",
    "count_tokens",
    "generate",
    "load",
    "log_probabilities",
    "score_text",
    "words_of",
]

VOCABULARY = 2048
END = VOCABULARY - 1
MERGED = 256
ORDER = 4
_BITS = 11
_WORDS = re.compile(rb" ?[A-Za-z]+| ?[0-9]+| ?[^\sA-Za-z0-9]+|\n\s*|\s+")


def words_of(text: str) -> list[bytes]:
    """Cut a text into the stretches that tokens never cross; nothing is lost."""
    return _WORDS.findall(text.encode())


class Tokenizer:
    """Byte-level byte-pair encoding: ids below 256 are bytes, the rest pairs of earlier ids.

    Parameters
    ----------
    merges
        The pairs in the order in which they were learned; pair `i` becomes id 256 + i.
    """

    def __init__(self, merges: Sequence[tuple[int, int]]) -> None:
        self.merges = list(merges)
        self._rank = {pair: MERGED + i for i, pair in enumerate(self.merges)}
        self.bytes_of = [bytes([value]) for value in range(MERGED)]
        for left, right in self.merges:
            self.bytes_of.append(self.bytes_of[left] + self.bytes_of[right])
        self._cache: dict[bytes, list[int]] = {}

    def encode(self, text: str) -> list[int]:
        """Turn a text into tokens; the same text always gives the same tokens."""
        tokens: list[int] = []
        for word in words_of(text):
            known = self._cache.get(word)
            if known is None:
                known = self._merge(list(word))
                if len(self._cache) < 1 << 16:
                    self._cache[word] = known
            tokens += known
        return tokens

    def _merge(self, tokens: list[int]) -> list[int]:
        while len(tokens) > 1:
            best = min(
                itertools.pairwise(tokens), key=lambda pair: self._rank.get(pair, VOCABULARY)
            )
            merged = self._rank.get(best)
            if merged is None:
                break
            at, joined = 0, []
            while at < len(tokens):
                if at + 1 < len(tokens) and (tokens[at], tokens[at + 1]) == best:
                    joined.append(merged)
                    at += 2
                else:
                    joined.append(tokens[at])
                    at += 1
            tokens = joined
        return tokens


class Model:
    """Probabilities of the next token, from up to three tokens before it.

    Parameters
    ----------
    tables
        Named flat arrays: `merges` (pairs), `unigram` (probabilities), and for the orders 2 to 4
        `contexts` (packed, ascending), `starts` (one longer), `totals`, and per entry `tokens`
        (ascending per context) and `counts`; `discounts` holds one number per order.
    """

    def __init__(self, tables: Mapping[str, Sequence[Any]]) -> None:
        flat = tables["merges"]
        self.tokenizer = Tokenizer(list(zip(flat[0::2], flat[1::2], strict=True)))
        self._unigram = list(tables["unigram"])
        self._discounts = list(tables["discounts"])
        self._levels = [
            (
                tables[f"contexts{order}"],
                tables[f"starts{order}"],
                tables[f"totals{order}"],
                tables[f"tokens{order}"],
                tables[f"counts{order}"],
            )
            for order in range(2, ORDER + 1)
        ]

    def probability(self, history: Sequence[int], token: int) -> float:
        """Probability of one token after a history."""
        value: float = self._unigram[token]
        for level in range(len(self._levels)):
            span = self._span(level, history)
            if span is None:
                break
            first, last, total = span
            *_, tokens, counts = self._levels[level]
            discount = self._discounts[level]
            at = bisect.bisect_left(tokens, token, first, last)
            seen = counts[at] - discount if at < last and tokens[at] == token else 0.0
            value = (seen + discount * (last - first) * value) / total
        return value

    def distribution(self, history: Sequence[int]) -> list[float]:
        """Probabilities of all tokens after a history; they add up to 1."""
        values = self._unigram
        for level in range(len(self._levels)):
            span = self._span(level, history)
            if span is None:
                break
            first, last, total = span
            *_, tokens, counts = self._levels[level]
            counted = counts[first:last]
            discount = self._discounts[level]
            rest = discount * (last - first) / total
            values = [rest * value for value in values]
            for token, count in zip(tokens[first:last], counted, strict=True):
                values[token] += (count - discount) / total
        return values

    def write(
        self,
        prompt: str,
        *,
        most: int,
        temperature: float = 1.0,
        top_p: float = 1.0,
        seed: int | None = None,
    ) -> Iterator[int]:
        """Continue a text, token by token, until it ends or there are `most`."""
        draw = random.Random(seed)
        history = [END, *self.tokenizer.encode(prompt)][-(ORDER - 1) :]
        for _ in range(most):
            values = self.distribution(history)
            token = _choose(values, temperature, top_p, draw)
            if token == END:
                return
            yield token
            history = [*history, token][-(ORDER - 1) :]

    def _span(self, level: int, history: Sequence[int]) -> tuple[int, int, int] | None:
        length = level + 1
        if len(history) < length:
            return None
        packed = 0
        for token in history[-length:]:
            packed = packed << _BITS | token
        contexts, starts, totals, _, _ = self._levels[level]
        at = bisect.bisect_left(contexts, packed)
        if at == len(contexts) or contexts[at] != packed:
            return None
        return starts[at], starts[at + 1], totals[at]


def _choose(values: list[float], temperature: float, top_p: float, draw: random.Random) -> int:
    if temperature <= 0:
        return max(range(len(values)), key=values.__getitem__)
    if temperature != 1.0:
        # Relative to the largest, so that a low temperature does not underflow to nothing.
        peak = max(values)
        values = [(value / peak) ** (1 / temperature) for value in values]
    tokens: Sequence[int] = range(len(values))
    if top_p < 1.0:
        tokens = sorted(tokens, key=values.__getitem__, reverse=True)
        sums = list(itertools.accumulate(values[token] for token in tokens))
        tokens = tokens[: bisect.bisect_left(sums, top_p * sums[-1]) + 1]
        values = [values[token] for token in tokens]
    return draw.choices(tokens, values)[0]


def load(path: Path) -> Model:
    """Read the arrays of an npz file without numpy."""
    with zipfile.ZipFile(path) as archive:
        return Model(
            {name.removesuffix(".npy"): _array(archive.read(name)) for name in archive.namelist()}
        )


def _array(data: bytes) -> array.array[Any]:
    """Read one array in the npy format, version 1: a magic, a header in Python's syntax, items."""
    if data[:6] != b"\x93NUMPY" or data[6] != 1:
        raise ValueError("no npy array of version 1")
    (length,) = struct.unpack_from("<H", data, 8)
    header = ast.literal_eval(data[10 : 10 + length].decode("latin-1"))
    codes = {"<u2": "H", "<u4": "I", "<u8": "Q", "<f8": "d"}
    values: array.array[Any] = array.array(codes[header["descr"]])
    values.frombytes(data[10 + length :])
    return values


_loaded: list[Model] = []


def _model() -> Model:
    if not _loaded:
        _loaded.append(load(Path(__file__).with_name("model.npz")))
    return _loaded[0]


def count_tokens(text: str) -> int:
    """Count the tokens of a text; what the call is charged by."""
    return len(_model().tokenizer.encode(text))


def generate(
    messages: list[dict[str, str]], options: dict[str, Any]
) -> Generator[tuple[str, int], None, str]:
    """Continue the last message in the manner of a docstring.

    Yields
    ------
    tuple
        A piece of text and how many tokens it took. Bytes of an unfinished character wait for
        the rest of it.
    """
    model = _model()
    held, tokens, written = b"", 0, 0
    for token in model.write(
        messages[-1]["content"],
        most=options["max_tokens"],
        temperature=options["temperature"],
        top_p=options["top_p"],
        seed=options["seed"],
    ):
        held += model.tokenizer.bytes_of[token]
        tokens += 1
        written += 1
        text, held = _whole_characters(held)
        if text:
            yield text, tokens
            tokens = 0
    if held:
        yield held.decode(errors="replace"), tokens
    return "length" if written == options["max_tokens"] else "stop"


def log_probabilities(messages: list[dict[str, str]], text: str) -> list[float]:
    """Say how probable a text is after the last message, token by token."""
    return [log for _, log in _scored(_model().tokenizer.encode(messages[-1]["content"]), text)]


def score_text(text: str) -> list[tuple[int, float]]:
    """Give each token of a text: its bytes, and the logarithm of its probability."""
    bytes_of = _model().tokenizer.bytes_of
    return [(len(bytes_of[token]), log) for token, log in _scored([], text)]


def _scored(before: list[int], text: str) -> Iterator[tuple[int, float]]:
    model = _model()
    history = [END, *before]
    for token in model.tokenizer.encode(text):
        yield token, math.log(model.probability(history[-(ORDER - 1) :], token))
        history.append(token)


def _whole_characters(data: bytes) -> tuple[str, bytes]:
    """Split off an unfinished UTF-8 character at the end; what can never be one is replaced."""
    for cut in range(min(4, len(data) + 1)):
        head = data[: len(data) - cut]
        try:
            return head.decode(), data[len(data) - cut :]
        except UnicodeDecodeError as error:
            if error.reason != "unexpected end of data" and cut == 0:
                return data.decode(errors="replace"), b""
    return data.decode(errors="replace"), b""


# Loading here puts the time into the runner's start instead of the first call.
if Path(__file__).with_name("model.npz").exists():
    _model()
