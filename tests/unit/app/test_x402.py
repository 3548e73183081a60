"""Which withdraw delay x402 channels must have follows from how often is settled."""

from __future__ import annotations

import pytest

from tessera.app.x402 import delays_s
from tessera.config import load_config
from tessera.errors import InputError


@pytest.mark.parametrize(
    ("every_s", "delay_s", "found"),
    [
        (3_600, None, (7_200, 86_400)),
        (60, None, (900, 86_400)),
        (60_000, None, (120_000, 120_000)),
        (60_000, 130_000, (120_000, 130_000)),
    ],
)
def test_two_settlements_fit_into_the_delay(
    every_s: int, delay_s: int | None, found: tuple[int, int]
) -> None:
    flags = {"settle_every_s": every_s, "x402_withdraw_delay_s": delay_s}
    assert delays_s(load_config(flags, {})) == found


@pytest.mark.parametrize(("every_s", "delay_s"), [(60_000, 119_999), (1_296_001, None)])
def test_a_delay_that_is_too_short_is_refused_at_the_start(
    every_s: int, delay_s: int | None
) -> None:
    flags = {"settle_every_s": every_s, "x402_withdraw_delay_s": delay_s}
    with pytest.raises(InputError, match="x402_withdraw_delay_s"):
        delays_s(load_config(flags, {}))
