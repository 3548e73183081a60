"""What is covered, what is missing, and how many blocks are asked for at once."""

from __future__ import annotations

import itertools

from hypothesis import given
from hypothesis import strategies as st

from tessera.indexer.book import merged, without
from tessera.indexer.spans import Span

RANGES = st.lists(
    st.tuples(st.integers(0, 60), st.integers(0, 12)).map(lambda each: (each[0], sum(each)))
)


def blocks_of(ranges: list[tuple[int, int]]) -> set[int]:
    return {block for first, last in ranges for block in range(first, last + 1)}


@given(RANGES, st.integers(0, 60), st.integers(0, 60))
def test_what_is_covered_and_what_is_missing_are_all_and_apart(
    ranges: list[tuple[int, int]], first: int, last: int
) -> None:
    covered = merged(ranges)
    assert blocks_of(covered) == blocks_of(ranges)
    assert all(low[1] + 1 < high[0] for low, high in itertools.pairwise(covered))
    missing = without(first, last, covered)
    assert blocks_of(missing) == set(range(first, last + 1)) - blocks_of(ranges)
    assert missing == merged(missing)


def test_a_span_grows_over_empty_blocks_and_shrinks_over_full_ones() -> None:
    span = Span(10, rows=1_000, most=5_000)
    for _ in range(6):
        span.answered(span.blocks, 0)
    assert span.blocks == 5_000
    span.answered(5_000, 500_000)
    assert span.blocks == 10


def test_a_span_that_was_refused_stays_below_and_is_tried_again_later() -> None:
    span = Span(100, rows=1_000, most=5_000)
    span.refused(100)
    assert span.blocks == 50
    for _ in range(5):
        span.answered(span.blocks, 0)
    assert span.blocks == 50
    for _ in range(20):
        span.answered(span.blocks, 0)
    assert span.blocks > 50


def test_a_span_is_never_less_than_a_block() -> None:
    span = Span(3, rows=10, most=100)
    for _ in range(5):
        span.refused(span.blocks)
        span.answered(span.blocks, 10**6)
    assert span.blocks == 1
