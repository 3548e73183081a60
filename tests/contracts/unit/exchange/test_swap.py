"""Trades through one pool and through two: amounts, limits, deadlines, and who gets what."""

from __future__ import annotations

import pytest
from rig.compiling import mock
from rig.contract import NOBODY, deployed, refused
from rig.people import Person
from rig.pools import CURRENCY, TOKENS, Floor, open_floor
from rig.signing import domain_of, sign
from rig.system import ONE_SHARE, deploy_world

from tessera.spec.exchange import Pool, bought_for, cost_of, needed_for, proceeds_of

MONEY = 1_000_000
PERMIT = [
    {"name": "owner", "type": "address"},
    {"name": "spender", "type": "address"},
    {"name": "value", "type": "uint256"},
    {"name": "nonce", "type": "uint256"},
    {"name": "deadline", "type": "uint256"},
]


def test_money_buys_shares(floor: Floor, trader: Person) -> None:
    floor.arm(trader, money=MONEY)
    out = floor.buy(MONEY)
    assert out == bought_for(Pool(TOKENS, CURRENCY), MONEY)
    assert floor.exchange.events()[0].arguments == {
        "token": floor.share.address,
        "buyer": trader.address,
        "receiver": trader.address,
        "tokens": out,
        "cost": MONEY,
    }
    assert floor.exchange.events()[0].name == "Bought"
    assert floor.share("balanceOf", trader.address) == out
    assert floor.world.held(trader) == 0
    assert floor.reserves() == (TOKENS - out, CURRENCY + MONEY)
    # 2.00 a share, less 0.3 %, and rounded down.
    assert out == pytest.approx(ONE_SHARE // 2 * 0.997, rel=1e-4)


def test_shares_bring_money(floor: Floor, trader: Person) -> None:
    floor.arm(trader, shares=ONE_SHARE)
    out = floor.sell(ONE_SHARE)
    assert out == proceeds_of(Pool(TOKENS, CURRENCY), ONE_SHARE) == 1_993_980
    assert floor.exchange.events()[0].name == "Sold"
    assert floor.exchange.events()[0].arguments == {
        "token": floor.share.address,
        "seller": trader.address,
        "receiver": trader.address,
        "tokens": ONE_SHARE,
        "proceeds": out,
    }
    assert floor.world.held(trader) == out


def test_an_exact_amount_of_shares_costs_what_the_preview_said(
    floor: Floor, trader: Person
) -> None:
    floor.arm(trader, money=3_000_000)
    sides = (floor.currency.address, floor.share.address)
    asked = floor.exchange("preview_exact_out", *sides, ONE_SHARE)
    cost = floor.swap_out(floor.currency, floor.share, ONE_SHARE)
    assert cost == asked == cost_of(Pool(TOKENS, CURRENCY), ONE_SHARE)
    assert floor.share("balanceOf", trader.address) == ONE_SHARE
    assert floor.world.held(trader) == 3_000_000 - cost


def test_an_exact_amount_of_money_takes_what_the_preview_said(floor: Floor, trader: Person) -> None:
    floor.arm(trader, shares=ONE_SHARE)
    sides = (floor.share.address, floor.currency.address)
    asked = floor.exchange("preview_exact_out", *sides, MONEY)
    taken = floor.swap_out(floor.share, floor.currency, MONEY)
    assert taken == asked == needed_for(Pool(TOKENS, CURRENCY), MONEY)
    assert floor.world.held(trader) == MONEY


def test_two_pools_make_one_trade_without_a_transfer_between(floor: Floor, trader: Person) -> None:
    access = floor.new_access()
    floor.open(access, tokens=1_000, currency=50_000_000, tier=3)
    floor.arm(trader, shares=10 * ONE_SHARE)
    through = proceeds_of(Pool(TOKENS, CURRENCY), 5 * ONE_SHARE)
    wanted = bought_for(Pool(1_000, 50_000_000, tier=3), through)
    sides = (floor.share.address, access.address)
    assert floor.exchange("preview_exact_in", *sides, 5 * ONE_SHARE) == wanted
    held = floor.world.held(floor.exchange)
    assert floor.swap(floor.share, access, 5 * ONE_SHARE) == wanted
    assert [event.name for event in floor.exchange.events()] == ["Sold", "Bought"]
    assert access("balanceOf", trader.address) == wanted
    assert floor.world.held(floor.exchange) == held
    asked = floor.exchange("preview_exact_out", *sides, 3)
    assert floor.swap_out(floor.share, access, 3) == asked
    assert floor.exchange("fee_bps_of", access.address) == 300


def test_somebody_else_may_receive(floor: Floor, trader: Person, keeper: Person) -> None:
    floor.arm(trader, money=MONEY)
    sides = (floor.currency.address, floor.share.address)
    until = floor.world.now
    out = floor.exchange(
        "swap_exact_in", *sides, MONEY, 1, keeper.address, until, by=trader.address
    )
    assert floor.share("balanceOf", keeper.address) == out


def test_limits_hold_to_the_unit(floor: Floor, trader: Person) -> None:
    floor.arm(trader, money=10 * MONEY)
    sides = (floor.currency.address, floor.share.address)
    out = floor.exchange("preview_exact_in", *sides, MONEY)
    with refused("exchange: less than the limit"):
        floor.buy(MONEY, least=out + 1)
    assert floor.buy(MONEY, least=out) == out
    cost = floor.exchange("preview_exact_out", *sides, ONE_SHARE)
    with refused("exchange: more than the limit"):
        floor.swap_out(floor.currency, floor.share, ONE_SHARE, most=cost - 1)
    assert floor.swap_out(floor.currency, floor.share, ONE_SHARE, most=cost) == cost


def test_a_deadline_is_the_last_second(floor: Floor, trader: Person) -> None:
    floor.arm(trader, money=2 * MONEY)
    with refused("exchange: too late"):
        floor.buy(MONEY, deadline=floor.world.now - 1)
    floor.buy(MONEY, deadline=floor.world.now)


def test_what_makes_no_trade_is_refused(floor: Floor, trader: Person) -> None:
    floor.arm(trader, shares=ONE_SHARE, money=MONEY)
    currency, share, now = floor.currency.address, floor.share.address, floor.world.now
    with refused("exchange: one token on both sides"):
        floor.swap(floor.currency, floor.currency, MONEY)
    for preview in ("preview_exact_in", "preview_exact_out"):
        with refused("exchange: one token on both sides"):
            floor.exchange(preview, share, share, 1)
    with refused("exchange: receiver is the exchange"):
        to = floor.exchange.address
        floor.exchange("swap_exact_in", currency, share, 1, 0, to, now, by=trader.address)
    with refused("exchange: no such pool"):
        floor.exchange("preview_exact_in", currency, NOBODY, 1)
    with refused("exchange: nothing comes out"):
        floor.buy(0)
    # One raw unit of a share is worth less than a base unit: it must not be taken for nothing.
    with refused("exchange: nothing comes out"):
        floor.sell(1)
    for sides in ((currency, share), (share, currency)):
        with refused("exchange: nothing comes out"):
            floor.exchange("preview_exact_out", *sides, 0)
        with refused("exchange: more than the pool has"):
            floor.exchange("preview_exact_out", *sides, TOKENS)


def test_a_reserve_never_outgrows_its_field(floor: Floor) -> None:
    currency, share = floor.currency.address, floor.share.address
    for sides, room in (
        ((currency, share), 2**86 - 1 - CURRENCY),
        ((share, currency), 2**96 - 1 - TOKENS),
    ):
        floor.exchange("preview_exact_in", *sides, room)
        with refused("exchange: pool is full"):
            floor.exchange("preview_exact_in", *sides, room + 1)
        with refused("exchange: pool is full"):
            floor.exchange("preview_exact_in", *sides, 2**256 - 1)
    full = Pool(2**96 - 10, 2**86 - 10)
    floor.exchange.poke("pools", share, value=full.word())
    with refused("exchange: pool is full"):
        floor.exchange("preview_exact_out", currency, share, 2**90)
    with refused("exchange: pool is full"):
        floor.exchange("preview_exact_out", share, currency, 2**80)


def test_a_permit_saves_the_approval(floor: Floor, trader: Person, attacker: Person) -> None:
    """Also when somebody used it first, to be in the way."""
    share, now = floor.share, floor.world.now
    share("transfer", trader.address, 4 * ONE_SHARE, by=floor.publisher.address)

    def signed(value: int) -> tuple[int, bytes, bytes]:
        message = {
            "owner": trader.address,
            "spender": floor.exchange.address,
            "value": value,
            "nonce": share("nonces", trader.address),
            "deadline": now,
        }
        domain = domain_of(share, "Share")
        v, r, s = sign(trader, domain, "Permit", {"Permit": PERMIT}, message)
        return v, r.to_bytes(32, "big"), s.to_bytes(32, "big")

    sides = (share.address, floor.currency.address)
    plan = (*sides, ONE_SHARE, 1, trader.address, now)
    permit = signed(ONE_SHARE)
    out = floor.exchange("swap_exact_in_with_permit", *plan, *permit, by=trader.address)
    assert floor.world.held(trader) == out
    permit = signed(ONE_SHARE)
    owner = trader.address
    share("permit", owner, floor.exchange.address, ONE_SHARE, now, *permit, by=attacker.address)
    floor.exchange("swap_exact_in_with_permit", *plan, *permit, by=trader.address)
    permit = signed(2 * ONE_SHARE)
    plan = (*sides, MONEY, 2 * ONE_SHARE, trader.address, now)
    floor.exchange("swap_exact_out_with_permit", *plan, *permit, by=trader.address)
    with refused("erc20: allowance too low"):
        floor.exchange("swap_exact_out_with_permit", *plan, *permit, by=attacker.address)


def test_a_currency_that_refuses_or_keeps_something_is_refused(
    trader: Person, publisher: Person
) -> None:
    floor = open_floor(deploy_world(currency=mock("FalseCurrency")))
    floor.arm(trader, shares=ONE_SHARE, money=MONEY)
    floor.currency("set_refuses", True)
    with refused("exchange: currency refused the transfer"):
        floor.buy(MONEY)
    with refused("exchange: token refused the transfer"):
        floor.sell(ONE_SHARE)
    taking = open_floor(
        deploy_world(currency=mock("FeeCurrency"), currency_arguments=(6, 137)), pool=False
    )
    with refused("exchange: currency takes a fee"):
        taking.open()


def test_a_token_that_says_no_is_refused(floor: Floor, trader: Person) -> None:
    deployer = floor.world.owner.address
    false = deployed(floor.world.engine, mock("FalseShare"), floor.currency, by=deployer)
    floor.pretend_access(false)
    floor.world.fund(floor.publisher, CURRENCY, spender=floor.exchange)
    with refused("exchange: token refused the transfer"):
        to = floor.publisher.address
        floor.exchange("open_pool", false.address, TOKENS, CURRENCY, 1, to, 0, by=to)
