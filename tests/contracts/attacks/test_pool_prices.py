"""Somebody bends a pool's price: around a trade, at its opening, with gifts, or with dust."""

from __future__ import annotations

import pytest
from rig.contract import refused
from rig.people import Person, person
from rig.pools import CURRENCY, TOKENS, Floor, open_floor
from rig.system import ONE_SHARE, World

from tessera.spec.exchange import Pool, bought_for, proceeds_of

PURCHASE = 10_000_000_000


@pytest.fixture
def floor(world: World) -> Floor:
    return open_floor(world)


def test_a_sandwich_gets_no_more_than_the_limit_left_open(
    floor: Floor, attacker: Person, buyer: Person
) -> None:
    """The attacker sees a purchase coming, buys before it and sells after it.

    Without a limit the buyer pays for that. With one, the purchase is refused, and the attacker
    has paid two fees for nothing.
    """
    floor.arm(attacker, money=CURRENCY)
    floor.arm(buyer, money=PURCHASE)
    sides = (floor.currency.address, floor.share.address)
    quoted = floor.exchange("preview_exact_in", *sides, PURCHASE)
    with floor.world.engine.trial():
        bought = floor.buy(CURRENCY, by=attacker)
        got = floor.buy(PURCHASE, by=buyer)
        floor.sell(bought, by=attacker)
        assert got < quoted // 2
        assert floor.world.held(attacker) > CURRENCY
    bought = floor.buy(CURRENCY, by=attacker)
    with refused("exchange: less than the limit"):
        floor.buy(PURCHASE, least=quoted * 995 // 1_000, by=buyer)
    assert floor.world.held(buyer) == PURCHASE
    floor.sell(bought, by=attacker)
    assert floor.world.held(attacker) < CURRENCY
    got = floor.buy(PURCHASE, least=quoted * 995 // 1_000, by=buyer)
    assert got >= quoted * 995 // 1_000


def test_a_limit_bounds_what_a_sandwich_takes(
    floor: Floor, attacker: Person, buyer: Person
) -> None:
    """However the attacker chooses the size, the gain is less than what the limit left open."""
    floor.arm(attacker, money=CURRENCY)
    floor.arm(buyer, money=PURCHASE)
    sides = (floor.currency.address, floor.share.address)
    limit = floor.exchange("preview_exact_in", *sides, PURCHASE) * 995 // 1_000
    gains = []
    for money in (10**6, 10**8, 3 * 10**8, 5 * 10**8, 10**9):
        with floor.world.engine.trial():
            bought = floor.buy(money, by=attacker)
            if floor.exchange("preview_exact_in", *sides, PURCHASE) < limit:
                continue
            floor.buy(PURCHASE, least=limit, by=buyer)
            floor.sell(bought, by=attacker)
            gains.append(floor.world.held(attacker) - CURRENCY)
    assert len(gains) >= 4
    assert max(gains) < PURCHASE * 5 // 1_000


def test_a_trade_that_was_held_back_is_worth_nothing_later(
    floor: Floor, attacker: Person, buyer: Person
) -> None:
    """A block builder keeps a signed trade until the price has come to its limit."""
    floor.arm(buyer, money=PURCHASE)
    deadline = floor.world.now + 60
    floor.world.wait(61)
    with refused("exchange: too late"):
        floor.buy(PURCHASE, deadline=deadline, by=buyer)


def test_the_first_provider_cannot_round_the_second_away(
    world: World, attacker: Person, buyer: Person
) -> None:
    """The classic: open with dust, make a unit of liquidity worth a fortune, and keep what the next
    provider loses to rounding.

    A gift changes no reserve here, so the attacker has to swap the fortune in; and the next
    provider pays for the liquidity minted, rounded up, and not for what was offered.
    """
    floor = open_floor(world, pool=False)
    floor.share("transfer", attacker.address, ONE_SHARE, by=floor.publisher.address)
    floor.pretend_price()
    floor.open(tokens=2, currency=2, by=attacker)
    fortune = 10**12
    floor.arm(attacker, money=2 * fortune)
    floor.currency("transfer", floor.exchange.address, fortune, by=attacker.address)
    assert floor.reserves() == (2, 2)
    floor.buy(fortune, by=attacker)
    assert floor.reserves() == (1, fortune + 2)
    floor.arm(buyer, shares=1_000, money=10 * fortune)
    before = floor.world.held(buyer), floor.share("balanceOf", buyer.address)
    for offered in (fortune // 2, fortune, 3 * fortune):
        with world.engine.trial():
            added = floor.add(buyer, 1_000, offered)
            floor.remove(buyer, added)
            after = floor.world.held(buyer), floor.share("balanceOf", buyer.address)
            # One raw share (10^-18 of one) and one unit of money, whatever was offered.
            assert before[0] - after[0] <= fortune + 3
            spent = before[0] - floor.world.held(buyer)
            tokens, money = floor.reserves()
            assert spent <= 1 or before[1] - after[1] <= 1
            assert tokens * money >= fortune


def test_gifts_move_no_price_and_open_no_door(
    floor: Floor, attacker: Person, publisher: Person
) -> None:
    sides = (floor.currency.address, floor.share.address)
    quoted = floor.exchange("preview_exact_in", *sides, PURCHASE)
    floor.arm(attacker, shares=ONE_SHARE, money=PURCHASE)
    floor.share("transfer", floor.exchange.address, ONE_SHARE, by=attacker.address)
    floor.currency("transfer", floor.exchange.address, PURCHASE, by=attacker.address)
    assert floor.reserves() == (TOKENS, CURRENCY)
    assert floor.exchange("preview_exact_in", *sides, PURCHASE) == quoted
    floor.exchange("skim", floor.share.address, by=attacker.address)
    assert floor.share("balanceOf", attacker.address) == 0
    with refused("exchange: neither a share nor an access"):
        floor.exchange("skim", floor.currency.address, by=attacker.address)
    # The money given can be swapped out by nobody: no pool counts it.
    floor.remove(publisher, floor.liquidity(publisher))
    assert floor.world.held(floor.exchange) >= PURCHASE


@pytest.mark.parametrize(
    ("tier", "amount"), [(0, 501_254_514_042), (0, 10**12 + 7), (1, 502_000_000_000), (3, 10**13)]
)
def test_dust_never_becomes_money(tier: int, amount: int) -> None:
    """100,000 round trips of amounts chosen for their remainders; the twin is the contract's."""
    pool = Pool(TOKENS, CURRENCY, tier=tier)
    for _ in range(100_000):
        product = pool.tokens * pool.currency
        out = proceeds_of(pool, amount)
        pool = Pool(pool.tokens + amount, pool.currency - out, tier=tier)
        back = bought_for(pool, out)
        pool = Pool(pool.tokens - back, pool.currency + out, tier=tier)
        assert back < amount
        assert pool.tokens * pool.currency > product


def test_dust_never_becomes_money_on_chain(floor: Floor, attacker: Person) -> None:
    floor.arm(attacker, shares=ONE_SHARE, money=1_000)
    shares, money = floor.share("balanceOf", attacker.address), floor.world.held(attacker)
    for step in range(500):
        bought = floor.swap(floor.currency, floor.share, 1 + step % 3, by=attacker)
        taken = floor.swap_out(floor.share, floor.currency, 1 + step % 3, by=attacker)
        assert taken > bought
    assert floor.world.held(attacker) == money
    assert floor.share("balanceOf", attacker.address) < shares
    product = TOKENS * CURRENCY
    tokens, currency = floor.reserves()
    assert tokens * currency > product


def test_coming_and_going_gains_no_dust(floor: Floor) -> None:
    attacker = person("attacker")
    floor.arm(attacker, shares=ONE_SHARE, money=10**9)
    held = floor.share("balanceOf", attacker.address), floor.world.held(attacker)
    for step in range(500):
        added = floor.add(attacker, 10**12 * (1 + step % 7) + 1, 10 + step % 3)
        floor.remove(attacker, added)
        now = floor.share("balanceOf", attacker.address), floor.world.held(attacker)
        assert now[0] <= held[0]
        assert now[1] <= held[1]
        held = now


def test_a_mean_price_moves_no_more_than_its_weight(floor: Floor, attacker: Person) -> None:
    """Whoever reads the mean over an hour is told what one paid for, second by second.

    Moved and moved back within a second: nothing. Held for k seconds: the k-th part of the
    hour, of the logarithm.
    """
    floor.arm(floor.trader, money=20)
    floor.arm(attacker, money=10 * CURRENCY)
    for _ in range(20):
        floor.world.wait(300)
        floor.buy(1)
    share, hour = floor.share.address, 3_600
    floor.world.wait(12)
    fair, covered = floor.exchange("twap", share, hour)
    with floor.world.engine.trial():
        bought = floor.buy(9 * CURRENCY, by=attacker)
        assert floor.exchange("twap", share, hour) == (fair, covered)
        floor.sell(bought, by=attacker)
        floor.world.wait(12)
        after, _ = floor.exchange("twap", share, hour)
        assert after == pytest.approx(fair, rel=0.001)
        assert floor.world.held(attacker) < 10 * CURRENCY
    for seconds in (1, 12, 60, 600):
        with floor.world.engine.trial():
            bought = floor.buy(9 * CURRENCY, by=attacker)
            tokens, currency = floor.reserves()
            factor = currency * 10**18 / tokens / fair
            assert factor > 99
            floor.world.wait(seconds)
            floor.sell(bought, by=attacker)
            moved, covered = floor.exchange("twap", share, hour)
            assert covered >= hour
            assert moved <= fair * factor ** (seconds / covered) * 1.001
            assert moved >= fair * factor ** (seconds / covered) * 0.998
