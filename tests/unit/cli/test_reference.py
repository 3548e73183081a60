from __future__ import annotations

from pathlib import Path

from tessera.cli.reference import reference

PAGE = Path(__file__).parents[3] / "docs" / "reference" / "cli.md"


def test_the_reference_is_what_the_commands_say() -> None:
    """Write it again with `python -m tessera.cli.reference`."""
    assert PAGE.read_text(encoding="utf-8") == reference()
