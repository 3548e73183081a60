"""A two-sample test of texts: did the same generator write both piles?

After "Model Equality Testing: Which Model Is This API Serving?" (arXiv 2410.20247): the maximum
mean discrepancy between texts of the endpoint and texts of one's own copy, its null distribution by
permuting who wrote what. Texts are compared, and permuted, only with texts for the same prompt, so
the test is exact whatever the kernels are and however different the prompts: an honest endpoint is
accused with at most the stated probability, at any number of samples.

Three kernels look at different things. *Hamming*, the paper's, counts equal characters at equal
places; *spectrum* is the cosine of the square roots of how often runs of 2 to 5 characters occur;
*likelihood* compares how probable one's own copy finds the texts, and exists only where it can say
so. Each statistic is standardised by its own permutations. The verdict rests on one p-value, of
their weighted sum or of the largest of them, whichever is further out, counted on the same
permutations: no correction for several tests is needed.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from tessera.errors import InputError

__all__ = ["LENGTH", "Sample", "TwoSample", "two_sample"]

LENGTH: Final = 64
"""Characters of a text that are compared."""

_GRAMS: Final = range(2, 6)
_WEIGHTS: Final = {"hamming": 1.0, "spectrum": 1.0, "likelihood": 2.0}
_TIE: Final = 1e-6
_ROUNDING: Final = 1e-9
_ONE_THREAD: Final = 1 << 18
_Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Sample:
    """One text.

    Attributes
    ----------
    prompt
        Which prompt it answers; only texts of one prompt are compared.
    text
        As it was written.
    logs
        Natural logarithms of the probabilities that the own copy gives to its tokens; None where
        the copy cannot say. Either all samples have them or none.
    """

    prompt: int
    text: str
    logs: tuple[float, ...] | None = None


@dataclass(frozen=True, slots=True)
class TwoSample:
    """What the test found.

    Attributes
    ----------
    p_value
        Probability of a statistic this large or larger if both piles have one author; never 0, at
        least 1 / (permutations + 1).
    by_kernel
        The p-value of each kernel by itself, for the reader; the verdict does not rest on them.
    theirs, own
        Texts on each side that took part.
    permutations
        Drawn beside the arrangement that was observed.
    """

    p_value: float
    by_kernel: Mapping[str, float]
    theirs: int
    own: int
    permutations: int


def two_sample(
    theirs: Sequence[Sample],
    own: Sequence[Sample],
    *,
    permutations: int = 9_999,
    random: np.random.Generator,
) -> TwoSample:
    """Test whether two piles of texts have one author.

    Parameters
    ----------
    theirs, own
        What the endpoint wrote and what one's own copy wrote. Prompts that only one side answered
        say nothing and are left out.
    permutations
        The smallest p-value that can come out is one of this many and one.
    random
        Draws them.

    Raises
    ------
    InputError
        No prompt has texts on both sides.
    """
    piles = _piles(theirs, own)
    if not piles:
        raise InputError("samples", found="no prompt with texts on both sides", wanted="some")
    count = sum(split for _, split in piles)
    statistics: dict[str, _Floats] = {}
    scored = all(sample.logs is not None for pile, _ in piles for sample in pile)
    features = _standard([_features(s) for pile, _ in piles for s in pile]) if scored else None
    at = 0
    for pile, split in piles:
        kernels = {"hamming": _hamming(pile), "spectrum": _spectrum(pile)}
        if features is not None:
            kernels["likelihood"] = _gaussian(features[at : at + len(pile)])
            at += len(pile)
        weights = _weights(len(pile), split, permutations, random)
        for name, kernel in kernels.items():
            values = _statistics(kernel, weights) * (split / count)
            statistics[name] = statistics.get(name, 0.0) + values
    scores = {name: _standard_scores(values) for name, values in statistics.items()}
    total = np.asarray(sum(_WEIGHTS[name] * score for name, score in scores.items()))
    largest = np.max(np.stack(list(scores.values())), axis=0)
    further = np.maximum(_standard_scores(total), _standard_scores(largest))
    return TwoSample(
        p_value=_p_value(further),
        by_kernel={name: _p_value(score) for name, score in scores.items()},
        theirs=count,
        own=sum(len(pile) - split for pile, split in piles),
        permutations=permutations,
    )


def _piles(theirs: Sequence[Sample], own: Sequence[Sample]) -> list[tuple[list[Sample], int]]:
    """Put the texts of each prompt together, theirs first, and say how many are theirs."""
    prompts = sorted({s.prompt for s in theirs} & {s.prompt for s in own})
    piles = []
    for prompt in prompts:
        left = [sample for sample in theirs if sample.prompt == prompt]
        right = [sample for sample in own if sample.prompt == prompt]
        piles.append((left + right, len(left)))
    return piles


def _weights(
    size: int, split: int, permutations: int, random: np.random.Generator
) -> npt.NDArray[np.float32]:
    """Return who wrote what: the first row as it was, the others permuted."""
    row = np.full(size, -1.0 / (size - split), dtype=np.float32)
    row[:split] = 1.0 / split
    rows = np.tile(row, (permutations + 1, 1))
    rows[1:] = random.permuted(rows[1:], axis=1)
    return rows


def _statistics(kernel: _Floats, weights: npt.NDArray[np.float32]) -> _Floats:
    """Return the weighted sums of a kernel, one per arrangement, up to one constant for all."""
    size = len(kernel)
    apart = ~np.eye(size, dtype=bool)
    # Weights add up to 0, so a constant may be taken away; texts that are alike then leave zeros.
    usual = float(np.median(kernel[apart])) if size > 1 else 0.0
    centred = np.where(apart, kernel - usual, 0.0).astype(np.float32)
    # In pieces that a BLAS multiplies in one thread: others cost more than they save here, and
    # very much more on a busy machine.
    step = max(16, _ONE_THREAD // size**2)
    parts = [
        np.einsum("ij,ij->i", rows @ centred, rows, dtype=np.float64)
        for rows in (weights[at : at + step] for at in range(0, len(weights), step))
    ]
    return np.concatenate(parts)


def _hamming(pile: Sequence[Sample]) -> _Floats:
    """Return for each pair the part of places at which they agree; an end agrees with an end."""
    letters = np.full((len(pile), LENGTH), -1, dtype=np.int32)
    for row, sample in enumerate(pile):
        codes = [ord(letter) for letter in sample.text[:LENGTH]]
        letters[row, : len(codes)] = codes
    agree = np.zeros((len(pile), len(pile)), dtype=np.float64)
    for place in range(LENGTH):
        agree += letters[:, place][:, None] == letters[:, place][None, :]
    agree /= LENGTH
    return agree


def _spectrum(pile: Sequence[Sample]) -> _Floats:
    """Return for each pair the cosine of the square roots of their n-grams' counts."""
    counted = [_grams(sample.text[:LENGTH]) for sample in pile]
    # What only one text has adds to its length and to no product.
    texts_with = Counter(gram for counts in counted for gram in counts)
    shared = (gram for gram, texts in texts_with.items() if texts > 1)
    columns = {gram: at for at, gram in enumerate(shared)}
    table = np.zeros((len(pile), max(1, len(columns))), dtype=np.float64)
    for row, counts in enumerate(counted):
        length = np.sqrt(counts.total())
        for gram, count in counts.items():
            if gram in columns:
                table[row, columns[gram]] = np.sqrt(count) / length
    cosines: _Floats = np.einsum("ik,jk->ij", table, table)
    return cosines


def _grams(text: str) -> Counter[str]:
    return Counter(text[at : at + n] for n in _GRAMS for at in range(len(text) - n + 1))


def _features(sample: Sample) -> tuple[float, float, float]:
    logs = np.asarray(sample.logs or (0.0,))
    return float(logs.mean()), float(logs.std()), float(logs.min())


def _standard(rows: Sequence[tuple[float, ...]]) -> _Floats:
    table = np.asarray(rows, dtype=np.float64)
    spread = table.std(axis=0)
    scaled: _Floats = (table - table.mean(axis=0)) / np.where(spread > 0, spread, 1.0)
    return scaled


def _gaussian(rows: _Floats) -> _Floats:
    """Return a Gaussian of the distance of each pair, as wide as half of the distances."""
    squares = ((rows[:, None, :] - rows[None, :, :]) ** 2).sum(axis=2)
    width = float(np.median(squares[np.triu_indices(len(rows), 1)])) if len(rows) > 1 else 1.0
    kernel: _Floats = np.exp(-squares / (width or 1.0))
    return kernel


def _standard_scores(values: _Floats) -> _Floats:
    spread = float(values.std())
    if spread <= _ROUNDING:
        # Nothing but rounding tells the arrangements apart; magnified it would look like evidence.
        return np.zeros_like(values)
    scores: _Floats = (values - values.mean()) / spread
    return scores


def _p_value(scores: npt.NDArray[Any]) -> float:
    """Count the arrangements at least as far out as the observed one, itself included."""
    return float((scores >= scores[0] - _TIE).sum()) / len(scores)
