"""Whether weights are somebody else's: tensors held against those of public models.

Equal bytes under any name are a copy, and so are numbers that were rounded to another type; a light
retraining moves them by little. Both are told by samples of the same places. Numbers that were put
in another order, as units of a network can be without changing what it does, are told by their
sums. Units that were scaled are not recognised: only a copy that is found says something.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from tessera.diligence.training.safetensors import WIDTHS
from tessera.diligence.training.tensors import Tensor, fingerprint, opened

__all__ = ["DERIVED", "ROUNDED", "Likeness", "compare"]

ROUNDED: Final = 0.005
"""Relative distance up to which numbers are the same, rounded: 16 bits move them by 0.2 %."""

DERIVED: Final = 0.05
"""Up to which they were retrained lightly; two trainings are farther apart than 100 %."""

_SAMPLES: Final = 4096
_LEAST_ELEMENTS: Final = 64
_STEP: Final = 1 << 20
_ODD: Final = np.uint64(0x9E3779B97F4A7C15)


@dataclass(frozen=True, slots=True)
class Likeness:
    """What two models have in common.

    Attributes
    ----------
    exact, shuffled, rounded, derived
        Numbers of the model that are a public one's: byte for byte, in another order, rounded,
        moved by little.
    of_own, of_public
        Numbers of both that could be compared: tensors of one value are everybody's.
    """

    exact: int
    shuffled: int
    rounded: int
    derived: int
    of_own: int
    of_public: int

    @property
    def copied(self) -> float:
        """Share of the smaller one of both models that is in the other, whatever the order.

        Of the smaller one: neither padding with noise nor leaving parts out hides a copy.
        """
        return self._share(self.exact + self.shuffled + self.rounded)

    @property
    def related(self) -> float:
        """As `copied`, and what was moved by little."""
        return self._share(self.exact + self.shuffled + self.rounded + self.derived)

    def _share(self, count: int) -> float:
        smaller = min(self.of_own, self.of_public)
        return min(1.0, count / smaller) if smaller else 0.0


def compare(own: Sequence[Tensor], public: Sequence[Tensor]) -> Likeness:
    """Compare a model's tensors with a public model's; a public tensor stands for one of them."""
    mine, theirs = _comparable(own), _comparable(public)
    by_print: dict[bytes, list[Tensor]] = {}
    by_shape: dict[tuple[int, ...], list[Tensor]] = {}
    for tensor in theirs:
        by_print.setdefault(fingerprint(tensor), []).append(tensor)
        by_shape.setdefault(tensor.shape, []).append(tensor)
    exact = 0
    used: set[int] = set()
    rest = []
    for tensor in mine:
        found = next(
            (
                each
                for each in by_print.get(fingerprint(tensor), ())
                if id(each) not in used and _equal(tensor, each)
            ),
            None,
        )
        if found is None:
            rest.append(tensor)
            continue
        used.add(id(found))
        exact += tensor.elements
    shuffled, rest = _shuffled(rest, [each for each in theirs if id(each) not in used], used)
    rounded, derived = _near(rest, by_shape, used)
    return Likeness(
        exact,
        shuffled,
        rounded,
        derived,
        sum(each.elements for each in mine),
        sum(each.elements for each in theirs),
    )


def _near(
    rest: Sequence[Tensor], by_shape: Mapping[tuple[int, ...], Sequence[Tensor]], used: set[int]
) -> tuple[int, int]:
    """Count numbers of tensors that are a public one's rounded, and of those moved by little."""
    rounded = derived = 0
    samples: dict[int, NDArray[np.float64]] = {}
    for tensor in rest:
        one = _sample(tensor)
        if one is None:
            continue
        best, chosen = DERIVED, None
        for each in by_shape.get(tensor.shape, ()):
            if id(each) in used:
                continue
            if id(each) not in samples:
                other = _sample(each)
                samples[id(each)] = np.empty(0) if other is None else other
            apart = _distance(one, samples[id(each)])
            if apart < best:
                best, chosen = apart, each
        if chosen is None:
            continue
        used.add(id(chosen))
        if best < ROUNDED:
            rounded += tensor.elements
        else:
            derived += tensor.elements
    return rounded, derived


def _shuffled(
    mine: Sequence[Tensor], theirs: Sequence[Tensor], used: set[int]
) -> tuple[int, list[Tensor]]:
    """Count numbers of tensors that hold a public one's in another order; return the others."""
    sizes = {(each.kind, each.length) for each in mine}
    known: dict[tuple[object, ...], list[Tensor]] = {}
    for each in theirs:
        if (each.kind, each.length) in sizes and (sums := _sums(each)) is not None:
            known.setdefault(sums, []).append(each)
    lengths = {(each.kind, each.length) for held in known.values() for each in held}
    count, rest = 0, []
    for tensor in mine:
        sums = _sums(tensor) if (tensor.kind, tensor.length) in lengths else None
        found = known.get(sums, []) if sums is not None else []
        if not found:
            rest.append(tensor)
            continue
        used.add(id(found.pop()))
        count += tensor.elements
    return count, rest


def _sums(tensor: Tensor) -> tuple[object, ...] | None:
    """Return what does not depend on the order of a tensor's numbers; None of an unread type.

    Sums of their bit patterns and of these squared, modulo 2**64: exact, so no rounding differs.
    """
    width = WIDTHS.get(tensor.kind)
    if width is None or tensor.elements * width != tensor.length:
        return None
    total = np.uint64(0)
    squares = np.uint64(0)
    with opened(tensor.file) as file, np.errstate(over="ignore"):
        file.seek(tensor.offset)
        left = tensor.length
        while left > 0:
            piece = file.read(min(_STEP, left))
            if not piece:
                return None
            bits = np.frombuffer(piece, f"<u{width}").astype(np.uint64)
            mixed = (bits + _ODD) * _ODD
            mixed ^= mixed >> np.uint64(29)
            total += mixed.sum(dtype=np.uint64)
            squares += (mixed * mixed).sum(dtype=np.uint64)
            left -= len(piece)
    return tensor.kind, tensor.length, int(total), int(squares)


def _comparable(tensors: Sequence[Tensor]) -> list[Tensor]:
    kept = []
    for tensor in tensors:
        if tensor.elements < _LEAST_ELEMENTS or not tensor.length:
            continue
        sample = _sample(tensor)
        if sample is None or (sample.size and np.ptp(sample) > 0):
            kept.append(tensor)
    return kept


def _equal(one: Tensor, other: Tensor) -> bool:
    """Compare all bytes."""
    with opened(one.file) as first, opened(other.file) as second:
        first.seek(one.offset)
        second.seek(other.offset)
        left = one.length
        while left > 0:
            piece = first.read(min(_STEP, left))
            if not piece or piece != second.read(len(piece)):
                return False
            left -= len(piece)
    return True


def _sample(tensor: Tensor) -> NDArray[np.float64] | None:
    """Return numbers from evenly spaced places; None of a type that is not read."""
    width = WIDTHS.get(tensor.kind)
    if width is None or tensor.elements * width != tensor.length or tensor.kind not in _READ:
        return None
    count = min(_SAMPLES, tensor.elements)
    places = np.linspace(0, tensor.elements - 1, count).astype(np.int64)
    data = np.memmap(tensor.file, np.uint8, "r", tensor.offset, (tensor.length,))
    raw = data.reshape(tensor.elements, width)[places].copy()
    if tensor.kind == "BF16":
        high = np.ascontiguousarray(raw).view("<u2").astype(np.uint32) << 16
        numbers = high.view(np.float32).reshape(-1)
    else:
        numbers = np.ascontiguousarray(raw).view(_READ[tensor.kind]).reshape(-1)
    return np.nan_to_num(numbers.astype(np.float64))


_READ: Final = {
    "F64": "<f8", "F32": "<f4", "F16": "<f2", "BF16": "<u2", "I64": "<i8", "I32": "<i4",
    "I16": "<i2", "I8": "i1", "U8": "u1",
}  # fmt: skip


def _distance(one: NDArray[np.float64], other: NDArray[np.float64]) -> float:
    if one.shape != other.shape:
        return np.inf
    length = float(np.linalg.norm(other))
    return float(np.linalg.norm(one - other)) / length if length else np.inf
