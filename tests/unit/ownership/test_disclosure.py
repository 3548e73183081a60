"""Which part of a long history is asked for."""

from __future__ import annotations

import pytest

from tessera.ownership.disclosure import _latest_span


@pytest.mark.parametrize(
    ("epochs", "span"),
    [
        ([], (0, 0)),
        ([7], (7, 1)),
        ([7, 9, 70], (7, 64)),
        # An asset that was marked twice in a year: the latest mark counts, not the oldest.
        ([7, 300], (237, 64)),
    ],
)
def test_the_latest_marks_are_asked_for(epochs: list[int], span: tuple[int, int]) -> None:
    assert _latest_span(epochs) == span
