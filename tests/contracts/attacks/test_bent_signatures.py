"""A signature is bent until it looks like another one, or like nobody's.

For each signature there is a second one with a high s that plain ecrecover takes as well; garbage
recovers to the zero address, which a careless contract takes for an empty signer. Neither may
count.
"""

from __future__ import annotations

import pytest
from rig.contract import NOBODY, refused
from rig.market import DEPOSIT, Market
from rig.people import Person
from rig.signing import domain_of, sign_voucher, twin

ORDER = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
BAD_SIGNATURE, NO_CHANNEL = 2, 1


def test_the_twin_with_a_high_s(market: Market) -> None:
    line = market.line(5_000)
    v, r, s = twin(
        *sign_voucher(market.consumer, domain_of(market.channels), market.channel, [line])
    )
    assert s > ORDER // 2
    for parity in (v - 27, 28 - v):
        # EIP-2098 has no room for a 256-bit s; what remains is either refused or somebody else's.
        vs = (s | parity << 255) % 2**256
        assert market.settle((market.channel, line, (r, vs))) == 0
        assert market.skipped() == [BAD_SIGNATURE]
    assert market.left() == DEPOSIT


@pytest.mark.parametrize(
    "signature",
    [
        (0, 0),
        (0, 1),
        (1, 0),
        (ORDER, 1),
        (ORDER - 1, ORDER // 2),
        (2**256 - 1, 2**256 - 1),
        (1, 1 << 255),
    ],
)
def test_garbage_that_recovers_to_nobody(market: Market, signature: tuple[int, int]) -> None:
    line = market.line(5_000)
    assert market.settle((market.channel, line, signature)) == 0
    assert market.skipped() == [BAD_SIGNATURE]
    # Where there is no channel the stored signer is the zero address, too.
    assert market.settle((market.channel + 1, line, signature)) == 0
    assert market.skipped() == [NO_CHANNEL]


def test_no_channel_has_nobody_as_its_signer(market: Market, attacker: Person) -> None:
    with refused("channels: zero address"):
        market.channels(
            "open", market.operator.address, bytes(32), 0, NOBODY, [], by=attacker.address
        )


def test_one_bit_of_a_good_signature(market: Market) -> None:
    line = market.line(5_000)
    r, vs = market.sign(line)
    for bit in (0, 100, 254, 255):
        assert market.settle((market.channel, line, (r, vs ^ 1 << bit))) == 0
        assert market.settle((market.channel, line, (r ^ 1 << bit, vs))) == 0
    assert market.settle((market.channel, line, (r, vs))) == 5_000
