"""Taking what waits, one after the other."""

from __future__ import annotations

from typing import cast

from tessera.chain.sender import Sender
from tessera.errors import TransactionReverted
from tessera.ownership.claiming import Claim, ClaimedItem, Take, claim
from tessera.units import Units


def claims(*whats: str) -> list[Claim]:
    def taking(item: ClaimedItem) -> Take:
        async def take(_sender: Sender) -> list[ClaimedItem]:
            if item.what == "stuck":
                raise TransactionReverted("Share", "share: currency refused the transfer")
            return [item]

        return take

    items = [ClaimedItem(what, "0x" + "11" * 20, Units(5)) for what in whats]
    return [Claim(None, (item,), taking(item)) for item in items]


async def test_a_claim_that_fails_does_not_stop_those_behind_it() -> None:
    sender = cast("Sender", None)  # the claims of this test send nothing
    first, stuck, last = await claim(sender, claims("one", "stuck", "two"))
    assert (first.what, first.failure, last.what, last.failure) == ("one", None, "two", None)
    assert isinstance(stuck.failure, TransactionReverted)
    assert "currency refused" in stuck.failure.message
