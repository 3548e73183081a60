"""What holders of a Share earned: pro rata by the second, by hand."""

from __future__ import annotations

import pytest
from tests.unit.diligence.own.deployment import (
    CHANNELS,
    HOLDER,
    PERIOD,
    PUBLISHER,
    SHARE,
    SUPPLY,
    Deployment,
)

from tessera.bindings import share
from tessera.diligence.own.holders import earned_by
from tessera.errors import NotFound, TransactionReverted


def test_who_comes_in_the_middle_of_a_stream_gets_its_part_of_the_rest() -> None:
    """1,000 stream over 100 seconds; after 20 of them a quarter of the shares is handed over."""
    made = Deployment()
    made.flush(71, 1_000)
    began = made.now
    made.say((SHARE, share.Transfer(PUBLISHER, HOLDER, SUPPLY // 4)))
    made.say((SHARE, share.RevenueClaimed(HOLDER, 25)))
    found = earned_by(made.events, SHARE, began + PERIOD)
    assert made.now == began + 20
    holder, publisher = found[HOLDER], found[PUBLISHER]
    # 900 streamed after it came: a quarter is 225, of which 25 for its first ten seconds.
    assert (holder.claimed, holder.expected, holder.claimable) == (25, 25, 200)
    assert (publisher.claimed, publisher.claimable) == (0, 100 + 675)
    assert holder.entitled == 225


def test_a_claim_that_is_not_the_twins_shows_itself() -> None:
    made = Deployment()
    made.flush(71, 1_000)
    made.say((SHARE, share.RevenueClaimed(PUBLISHER, 999)))
    found = earned_by(made.events, SHARE, made.now)[PUBLISHER]
    assert (found.claimed, found.expected) == (999, 100)


def test_a_share_that_nobody_made() -> None:
    with pytest.raises(NotFound, match="Share"):
        earned_by(Deployment().events, CHANNELS, 10**6)


def test_a_transfer_of_shares_that_nobody_has() -> None:
    """A history with a hole: the twin refuses."""
    made = Deployment()
    made.say((SHARE, share.Transfer(HOLDER, PUBLISHER, 1)))
    with pytest.raises(TransactionReverted):
        earned_by(made.events, SHARE, made.now)
