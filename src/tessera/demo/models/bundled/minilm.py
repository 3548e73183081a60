"""Sentence embeddings by all-MiniLM-L6-v2: WordPiece here, the network in `minilm.onnx`.

This file travels in the bundle and runs on what every gateway has: onnxruntime and numpy. The
tokens are those of the model's own uncased tokenizer, with one difference that is meant: a text
cannot name a special token, so "[SEP]" in a text is a bracket, a word and a bracket.
"""

from __future__ import annotations

import functools
import string
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["GRAPH", "VOCABULARY", "Model", "WordPiece", "embed", "open_model"]

GRAPH = "minilm.onnx"
VOCABULARY = "vocab.txt"

_LONGEST_TEXT = 256
_LONGEST_WORD = 100
_PADDED_TOKENS = 4096
_WORDS_KEPT = 1 << 16
_PUNCTUATION = frozenset(string.punctuation)
_DROPPED = frozenset({"Cc", "Cf", "Co"})
# Written without spaces, so each is a word: the ranges that the model was trained with.
_IDEOGRAPHS = (
    (0x3400, 0x4DBF), (0x4E00, 0x9FFF), (0xF900, 0xFAFF), (0x20000, 0x2A6DF), (0x2A700, 0x2B73F),
    (0x2B740, 0x2B81F), (0x2B920, 0x2CEAF), (0x2F800, 0x2FA1F),
)  # fmt: skip


class WordPiece:
    """Cuts texts into the longest pieces that a vocabulary knows.

    Parameters
    ----------
    pieces
        In the order of their numbers; a piece that continues a word begins with `##`.
    """

    def __init__(self, pieces: Sequence[str]) -> None:
        self._number: Mapping[str, int] = {piece: at for at, piece in enumerate(pieces)}
        self._first, self._last = self._number["[CLS]"], self._number["[SEP]"]
        self._unknown = self._number["[UNK]"]
        self._cut = functools.lru_cache(_WORDS_KEPT)(self._pieces_of)

    def encode(self, text: str) -> list[int]:
        """Return the tokens of a text, marks at both ends included; the first 256 of a long one."""
        tokens = [self._first]
        for word in _words(text):
            # Long words never enter the cache, so its memory is bounded by its length.
            tokens += self._cut(word) if len(word) <= _LONGEST_WORD else (self._unknown,)
            if len(tokens) >= _LONGEST_TEXT:
                break
        return [*tokens[: _LONGEST_TEXT - 1], self._last]

    def _pieces_of(self, word: str) -> tuple[int, ...]:
        found, begin = [], 0
        while begin < len(word):
            mark = "##" if begin else ""
            for end in range(len(word), begin, -1):
                number = self._number.get(mark + word[begin:end])
                if number is not None:
                    found.append(number)
                    begin = end
                    break
            else:
                return (self._unknown,)
        return tuple(found)


class Model:
    """The tokenizer and the network of one bundle.

    Parameters
    ----------
    folder
        Where `minilm.onnx` and `vocab.txt` are.
    """

    def __init__(self, folder: Path) -> None:
        import onnxruntime as ort

        pieces = (folder / VOCABULARY).read_text(encoding="utf-8").split("\n")
        self.tokenizer = WordPiece(pieces)
        options = ort.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        # An arena keeps what the longest texts once needed; the process has a ceiling.
        options.enable_cpu_mem_arena = False
        options.log_severity_level = 3
        self._session = ort.InferenceSession(
            str(folder / GRAPH), options, providers=["CPUExecutionProvider"]
        )

    def embed(self, texts: Sequence[str]) -> npt.NDArray[np.float32]:
        """Return one vector of 384 numbers and length 1 per text."""
        encoded = [self.tokenizer.encode(text) for text in texts]
        vectors = np.empty((len(texts), 384), np.float32)
        for places in _batches(encoded):
            length = max(len(encoded[place]) for place in places)
            tokens = np.zeros((len(places), length), np.int64)
            mask = np.zeros((len(places), length), np.float32)
            for row, place in enumerate(places):
                tokens[row, : len(encoded[place])] = encoded[place]
                mask[row, : len(encoded[place])] = 1
            answer: Any = self._session.run(["embedding"], {"tokens": tokens, "mask": mask})
            vectors[places] = answer[0]
        return vectors


@functools.cache
def open_model(folder: Path) -> Model:
    """Read a bundle's model, once per process."""
    return Model(folder)


def embed(texts: list[str]) -> list[list[float]]:
    """Turn each text into 384 numbers; like texts point in like directions."""
    vectors: list[list[float]] = open_model(Path(__file__).parent).embed(texts).tolist()
    return vectors


def _batches(encoded: Sequence[Sequence[int]]) -> Iterator[list[int]]:
    """Group texts of like length, so that little is padded and memory stays bounded."""
    batch: list[int] = []
    for place in sorted(range(len(encoded)), key=lambda place: len(encoded[place])):
        if batch and (len(batch) + 1) * len(encoded[place]) > _PADDED_TOKENS:
            yield batch
            batch = []
        batch.append(place)
    if batch:
        yield batch


def _words(text: str) -> Iterator[str]:
    spaced = "".join(_spaced(character) for character in text)
    bare = (c for c in unicodedata.normalize("NFD", spaced) if unicodedata.category(c) != "Mn")
    # Each letter by itself: a whole word's lower case turns a final sigma into another letter.
    for stretch in "".join(c.lower() for c in bare).split():
        word = ""
        for character in stretch:
            if character in _PUNCTUATION or unicodedata.category(character)[0] == "P":
                if word:
                    yield word
                yield character
                word = ""
            else:
                word += character
        if word:
            yield word


def _spaced(character: str) -> str:
    if character in "\t\n\r":
        return " "
    if character == "\ufffd" or unicodedata.category(character) in _DROPPED:
        return ""
    code = ord(character)
    return f" {character} " if any(low <= code <= high for low, high in _IDEOGRAPHS) else character


if (Path(__file__).parent / GRAPH).is_file():
    open_model(Path(__file__).parent)  # in a bundle: before the first call waits for it
