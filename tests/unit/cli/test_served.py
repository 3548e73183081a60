"""What an operator serves, as `up`, `reload` and `status` say it."""

from __future__ import annotations

from tessera.cli.served import served_lines


def test_what_is_refused_is_named_beside_what_is_served() -> None:
    lines = served_lines({"b": 1, "a": 2}, {"c": "bundle 0x12: found nothing"}, none="none yet")
    assert lines == ["models    a, b", "refused   c: bundle 0x12: found nothing"]


def test_nobody_is_told_to_publish_what_only_lacks_its_bundle() -> None:
    assert served_lines([], {}, none="none yet") == ["models    none yet"]
    assert served_lines([], {"c": "why"}, none="none yet")[0] == "models    none: see why below"
