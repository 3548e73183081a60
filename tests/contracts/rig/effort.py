"""How long a property is searched: a multiple of what the chosen hypothesis profile says."""

from __future__ import annotations

from hypothesis import settings


def times(factor: float, *, steps: float = 1) -> settings:
    """Scale the profile's number of examples, and of a machine's steps, for one test."""
    profile = settings.default
    assert profile is not None
    return settings(
        max_examples=max(1, int(profile.max_examples * factor)),
        stateful_step_count=max(1, int(profile.stateful_step_count * steps)),
    )
