"""How commands say what an operator serves, and what it would and cannot."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

__all__ = ["served_lines"]


def served_lines(models: Iterable[str], refused: Mapping[str, str], *, none: str) -> list[str]:
    """Return the models and, by slug, why others are refused; `none` where there are neither."""
    named = ", ".join(sorted(models)) or ("none: see why below" if refused else none)
    return [f"models    {named}", *(f"refused   {slug}: {why}" for slug, why in refused.items())]
