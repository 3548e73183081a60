"""The manifest is the publisher's own text: its contributors are exchanged, and nothing else."""

from __future__ import annotations

import tomllib

import pytest

from tessera.assets.attribution.leaves import with_contributors
from tessera.assets.manifest import Contributor, Evidence, Role
from tessera.errors import Conflict
from tessera.units import Bps

NEW = (
    Contributor(Role.DATA, Bps(6_000), None, "archive", Evidence(file="attribution.json")),
    Contributor(Role.CODE, Bps(4_000), "0x" + "11" * 20, 'the "writer"', Evidence()),
)
BEFORE = """\
# my model
name = "mean"   # a comment

[[contributors]]  # of old
name = "old"
weight = 10000
[contributors.evidence]
file = "a.csv"

# of the price
[price]
per_call = "0.01"

[[contributors]]
name = "older"
"""


def test_old_tables_go_new_ones_come_and_comments_stay() -> None:
    after = with_contributors(BEFORE, NEW)
    assert "# my model" in after
    assert "# a comment" in after
    assert "older" not in after
    found = tomllib.loads(after)
    assert found["price"] == {"per_call": "0.01"}
    assert found["contributors"] == [
        {
            "name": "archive",
            "role": "data",
            "weight": 6_000,
            "evidence": {"file": "attribution.json"},
        },
        {"name": 'the "writer"', "account": "0x" + "11" * 20, "role": "code", "weight": 4_000},
    ]
    assert with_contributors(after, NEW) == after


@pytest.mark.parametrize(
    "text",
    [
        'contributors = [{ name = "inline" }]\n',
        'text = """\n[[contributors]]\n"""\nname = "x"\n',
        'text = """\n[[contributors]]\n[other]\n"""\n',
    ],
)
def test_what_cannot_be_exchanged_by_itself_is_left_alone(text: str) -> None:
    with pytest.raises(Conflict, match="by hand"):
        with_contributors(text, NEW)
