"""The numbers of the worked example in `docs/explain/protocol.md`, computed by the spec."""

from __future__ import annotations

import re
from pathlib import Path

from tessera.spec.revenue import FRACTION_BITS, ShareModel, revenue_at
from tessera.spec.split import SplitModel, SplitTerms

PAGE = Path(__file__).resolve().parents[2] / "docs/explain/protocol.md"
PARENT = 1
PUBLISHER, HOLDER_A, HOLDER_B = (bytes([n]) * 20 for n in (1, 2, 3))
WHOLE = 10**18


def table(name: str) -> list[list[str]]:
    """The body rows of the table that follows `<!-- example: name -->`."""
    text = PAGE.read_text()
    after = text.split(f"<!-- example: {name} -->\n", 1)[1]
    lines = re.match(r"(?:\|.*\n)+", after)
    assert lines is not None
    return [
        [cell.strip() for cell in line.strip("|").split("|")] for line in lines[0].splitlines()[2:]
    ]


def number(text: str) -> int:
    return int(text.replace(",", ""))


def test_the_split_of_the_example_is_what_the_spec_computes() -> None:
    terms = SplitTerms(fee_bps=100, cut_bps=2_000, royalties=((PARENT, 500),))
    split = SplitModel(terms)
    for _ in range(3):
        split.credit(333)
    at_once = SplitModel(terms)
    first = at_once.credit(999)
    assert (split.gross, split.credited) == (at_once.gross, at_once.credited)
    second = at_once.credit(1)
    bps = (terms.commons_bps, terms.validators_bps, terms.cut_bps, 500, terms.left_bps)
    before = (first.commons, first.validators, first.operator, first.parents[0][1], first.asset)
    growth = (
        second.commons,
        second.validators,
        second.operator,
        second.parents[0][1],
        second.asset,
    )
    *parties, left = table("split")
    for row, share, early, grown in zip(parties, bps, before, growth, strict=True):
        assert [number(cell) for cell in row[1:]] == [share, early, early + grown, grown], row[0]
    assert [number(left[2]), number(left[3])] == [split.left_over, at_once.left_over]
    assert (first.total, second.total) == (995, 5)


def test_the_stream_of_the_example_is_what_the_spec_computes() -> None:
    share = ShareModel(1_000 * WHOLE, 100, PUBLISHER, 0)
    share.transfer(PUBLISHER, HOLDER_A, 300 * WHOLE, 0)
    share.transfer(PUBLISHER, HOLDER_B, 200 * WHOLE, 0)
    share.absorb(740, 0)

    def row(now: int) -> list[int]:
        earned = [share.claimable(who, now) for who in (PUBLISHER, HOLDER_A, HOLDER_B)]
        return [revenue_at(share.stream, now), *earned]

    found = [row(0), row(50)]
    share.transfer(HOLDER_A, HOLDER_B, 100 * WHOLE, 50)
    found += [row(50), row(100)]
    assert [[number(cell) for cell in cells[1:]] for cells in table("stream")] == found
    paid = [share.claim(who, 100) for who in (PUBLISHER, HOLDER_A, HOLDER_B)]
    assert paid == [370, 185, 185]
    assert share.obligations() == 0


def test_the_fractions_of_the_example_wait_on_their_accounts() -> None:
    share = ShareModel(1_000 * WHOLE, 100, PUBLISHER, 0)
    share.transfer(PUBLISHER, HOLDER_A, 200 * WHOLE, 0)
    share.transfer(PUBLISHER, HOLDER_B, 300 * WHOLE, 0)
    share.absorb(1, 200)
    assert [share.claim(who, 300) for who in (PUBLISHER, HOLDER_A, HOLDER_B)] == [0, 0, 0]
    share.transfer(HOLDER_A, HOLDER_B, 1, 300)
    assert share.account_of(HOLDER_A).pocket == (1 << FRACTION_BITS) * 2 // 10
    share.absorb(2, 300)
    assert share.claim(PUBLISHER, 400) == 1
