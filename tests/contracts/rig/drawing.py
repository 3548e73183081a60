"""Strategies that several machines draw from."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from hypothesis import strategies as st


def mostly(good: Sequence[Any], *odd: Any) -> st.SearchStrategy[Any]:
    """Draw what is allowed, and so seldom something odd that few calls have two odd things."""
    return st.sampled_from([*good] * -(-8 * len(odd) // len(good)) + [*odd])
