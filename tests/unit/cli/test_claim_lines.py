"""What `tessera claim` says of what came."""

from __future__ import annotations

from tessera.app.world import Currency
from tessera.cli.revenue import _total_lines
from tessera.ownership.claiming import ClaimedItem
from tessera.units import Shares, Units

TUSD = Currency("0x", "TUSD", 6)


def test_who_claimed_only_shares_hears_no_sum_of_money() -> None:
    shares = ClaimedItem("shares of an auction", "0x1", shares=Shares(80))
    money = ClaimedItem("revenue", "0x2", amount=Units(1_500_000))
    assert _total_lines(TUSD, [], 0) == []
    assert _total_lines(TUSD, [shares], 0) == []
    assert _total_lines(TUSD, [shares, money], 1_500_000) == ["1.50 TUSD in all"]
    nothing = ClaimedItem("revenue", "0x2")
    assert _total_lines(TUSD, [nothing], 0) == ["0.00 TUSD in all"], "it was to be money"
