"""The operator settles many vouchers at once; a bad one is skipped, by name, and harms no other."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from rig.contract import Contract, refused
from rig.people import Person, person
from rig.signing import Batch, SignedLine, compact, domain_of, settle_one, sign_voucher
from rig.system import DAY, World

NO_CHANNEL, BAD_SIGNATURE, BELOW_SETTLED, ABOVE_MAXIMUM, NOT_GRANTED, BALANCE_TOO_LOW = (
    1 << bit for bit in range(6)
)


@dataclass
class Shop:
    """One asset, its operator, and a consumer with 1,000 in a channel."""

    world: World
    asset: int
    operator: Person
    consumer: Person
    channel: int

    @property
    def channels(self) -> Contract:
        return self.world.channels

    def line(self, maximum: int, charged: int | None = None, terms: int = 1) -> SignedLine:
        return SignedLine(self.asset, terms, maximum, maximum if charged is None else charged)

    def settle(self, *lines: SignedLine, signer: Person | None = None) -> int:
        return settle_one(
            self.channels, self.operator, self.channel, list(lines), signer or self.consumer
        )

    def batch(self, *vouchers: tuple[int, Person, SignedLine]) -> Batch:
        batch = Batch([(self.asset, 1)])
        for channel, signer, line in vouchers:
            signature = sign_voucher(signer, domain_of(self.channels), channel, [line])
            batch.add(channel, [line], compact(*signature))
        return batch

    def send(self, batch: Batch) -> int:
        return int(self.channels("settle", batch.tills, batch.words, by=self.operator.address))

    def reasons(self) -> list[int]:
        return [event.arguments["reason"] for event in self.channels.events("VoucherSkipped")]


@pytest.fixture
def shop(world: World, publisher: Person, operator: Person, consumer: Person) -> Shop:
    asset = world.publish(publisher, operator=operator, cut_bps=2_000)
    channel = world.open_channel(consumer, operator, 1_000)
    return Shop(world, asset, operator, consumer, channel)


def test_a_voucher_pays_what_was_charged_and_says_so(shop: Shop) -> None:
    assert shop.settle(shop.line(600, charged=400)) == 400
    settled, split = shop.channels.events()
    assert settled.name == "VouchersSettled"
    assert settled.arguments == {
        "operator": shop.operator.address,
        "taken": (shop.channel | 400 << 64,),
    }
    assert split.name == "Settled"
    assert split.arguments == {
        "asset": shop.asset,
        "operator": shop.operator.address,
        "terms": 1,
        "amount": 400,
        "commons": 2,
    }
    assert shop.world.balance_of(shop.operator, shop.channel) == 600
    assert shop.channels("line_of", shop.operator.address, shop.channel, shop.asset, 1)[0] == 400
    assert shop.channels("credit_of", shop.operator.address) == 80
    assert shop.channels("pending_of", shop.asset) == 400 - 2 - 2 - 80


def test_later_vouchers_pay_only_what_is_new(shop: Shop) -> None:
    assert [shop.settle(shop.line(n)) for n in (100, 350, 350)] == [100, 250, 0]
    assert shop.channels.events() == []


def test_lines_of_several_assets_and_terms_are_one_signature(shop: Shop, publisher: Person) -> None:
    other = shop.world.publish(publisher)
    shop.world.set_endpoint(shop.asset, shop.operator, 500, by=publisher)
    lines = [shop.line(100), shop.line(50, terms=2), SignedLine(other, 0, 30, 30)]
    assert shop.settle(*lines) == 180
    for line in lines:
        at = (shop.operator.address, shop.channel, line.asset, line.terms)
        assert shop.channels("line_of", *at)[0] == line.charged


def test_a_line_with_nothing_charged_is_left_alone(shop: Shop, publisher: Person) -> None:
    other = shop.world.publish(publisher)
    shop.settle(shop.line(100))
    assert shop.settle(shop.line(100, charged=0), SignedLine(other, 0, 30, 30)) == 30
    assert shop.channels("line_of", shop.operator.address, shop.channel, shop.asset, 1)[0] == 100


def test_sixteen_lines_are_the_most(shop: Shop, publisher: Person) -> None:
    assets = [shop.world.publish(publisher) for _ in range(17)]
    lines = [SignedLine(asset, 0, 2, 2) for asset in assets]
    assert shop.settle(*lines[:16]) == 32
    with refused("channels: malformed batch"):
        shop.settle(*lines)


@pytest.mark.parametrize(
    ("story", "reason"),
    [
        ("another channel", NO_CHANNEL),
        ("a stranger's signature", BAD_SIGNATURE),
        ("charged below what was settled", BELOW_SETTLED),
        ("charged above the maximum", ABOVE_MAXIMUM),
        ("more than is in the channel", BALANCE_TOO_LOW),
    ],
)
def test_a_bad_voucher_is_skipped_and_the_good_ones_count(
    shop: Shop, story: str, reason: int
) -> None:
    shop.settle(shop.line(100))
    second = shop.world.open_channel(person("second consumer"), shop.operator, 1_000)
    bad = {
        "another channel": (shop.channel + 1, shop.consumer, shop.line(200)),
        "a stranger's signature": (shop.channel, person("stranger"), shop.line(200)),
        "charged below what was settled": (shop.channel, shop.consumer, shop.line(99)),
        "charged above the maximum": (shop.channel, shop.consumer, shop.line(200, 201)),
        "more than is in the channel": (shop.channel, shop.consumer, shop.line(1_001)),
    }[story]
    good = (second, person("second consumer"), shop.line(70))
    assert shop.send(shop.batch(bad, good)) == 70
    assert shop.reasons() == [reason]
    (event,) = shop.channels.events("VoucherSkipped")
    assert event.arguments["operator"] == shop.operator.address
    assert event.arguments["channel"] == bad[0]


@pytest.mark.parametrize(
    ("cap", "life", "wait", "charged", "taken"),
    [
        (300, DAY, 0, 300, 300),
        (300, DAY, 0, 301, 0),
        (300, DAY, DAY, 300, 300),
        (300, DAY, DAY + 1, 300, 0),
    ],
)
def test_a_session_key_spends_within_its_grant(
    shop: Shop,
    session_key: Person,
    cap: int,
    life: int,
    wait: int,
    charged: int,
    taken: int,
) -> None:
    world = shop.world
    grants = ((shop.asset, 1, cap, world.now + life),)
    shop.channel = world.open_channel(
        shop.consumer, shop.operator, 1_000, signer=session_key, grants=grants
    )
    world.wait(wait)
    assert shop.settle(shop.line(1_000, charged), signer=session_key) == taken
    assert shop.reasons() == ([] if taken else [NOT_GRANTED])


def test_a_session_key_spends_on_nothing_else(shop: Shop, session_key: Person) -> None:
    grants = ((shop.asset, 2, 300, shop.world.now + DAY),)
    shop.channel = shop.world.open_channel(
        shop.consumer, shop.operator, 1_000, signer=session_key, grants=grants
    )
    assert shop.settle(shop.line(10), signer=session_key) == 0
    assert shop.reasons() == [NOT_GRANTED]
    # And the payer, who named the key, does not sign beside it.
    assert shop.settle(shop.line(10, terms=1)) == 0
    assert shop.reasons() == [BAD_SIGNATURE]


def test_a_batch_that_is_no_batch_is_refused_whole(shop: Shop) -> None:
    good = shop.batch((shop.channel, shop.consumer, shop.line(100)))
    tills, words = good.tills, good.words

    def refuse(reason: str, tills: list[tuple[int, int]], words: list[int]) -> None:
        with refused(reason):
            shop.channels("settle", tills, words, by=shop.operator.address)

    refuse("channels: tills are not in order", [(2, 1), (1, 1)], words)
    refuse("channels: tills are not in order", [(2, 1), (2, 1)], words)
    refuse("channels: tills are not in order", [(2, 2), (2, 1)], words)
    refuse("channels: malformed batch", tills, [shop.channel, *words[1:]])
    refuse("channels: malformed batch", tills, [shop.channel | 17 << 64, *words[1:]])
    refuse("channels: malformed batch", tills, [2**256 - 1, *words[1:]])
    twice = [shop.channel | 2 << 64, words[1], words[1], *words[2:]]
    refuse("channels: malformed batch", tills, twice)
    refuse("", tills, [words[0], words[1] | 1 << 192, *words[2:]])
    refuse("", [], words)
    for length in range(1, len(words)):
        refuse("", tills, words[:length])
    assert shop.channels("settle", [], [], by=shop.operator.address) == 0


def test_money_for_an_asset_that_is_not_there_takes_nothing(shop: Shop) -> None:
    with refused("registry: no such asset"):
        shop.settle(SignedLine(5, 0, 10, 10))
    with refused("registry: no such terms"):
        shop.settle(shop.line(10, terms=2))
    assert shop.world.balance_of(shop.operator, shop.channel) == 1_000


def test_a_full_batch_of_256_vouchers_settles(shop: Shop) -> None:
    lines = [(shop.channel, shop.consumer, shop.line(n)) for n in range(1, 257)]
    assert shop.send(shop.batch(*lines)) == 256
    (event,) = shop.channels.events("VouchersSettled")
    assert event.arguments["taken"] == tuple(shop.channel | 1 << 64 for _ in range(256))
    more = shop.batch(*lines, (shop.channel, shop.consumer, shop.line(257)))
    with refused(""):
        shop.send(more)
