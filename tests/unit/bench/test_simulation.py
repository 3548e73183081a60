"""A small market whose books close; and faults that it must not overlook."""

from __future__ import annotations

import xml.etree.ElementTree as ET

import pytest
from eth_utils.crypto import keccak

pytest.importorskip("pyrevm", reason="the simulation's EVM has no build for this Python")

from bench.simulation import actors, keepers, licences
from bench.simulation.chart import draw
from bench.simulation.market import Asset
from bench.simulation.run import Simulation, simulate

from tessera.contracts import load_artifact
from tessera.errors import InvariantViolation

ACTORS, STEPS = 24, 160


def _running(steps: int = STEPS) -> Simulation:
    simulation = Simulation(actors=ACTORS, steps=STEPS, seed=7)
    for _ in range(steps):
        simulation.step()
    return simulation


def _slot(contract: str, *path: str) -> int:
    row = load_artifact(contract).content["layout"]["storage_layout"]
    for name in path:
        row = row[name]
    return int(row["slot"])


def _entry(slot: int, key: str) -> int:
    word = bytes.fromhex(key[2:]).rjust(32, b"\0")
    return int.from_bytes(keccak(slot.to_bytes(32, "big") + word), "big")


def _with_a_pool(simulation: Simulation) -> Asset:
    return next(asset for asset in simulation.market.assets if asset.prices)


def test_books_of_a_small_market_close_to_the_unit() -> None:
    outcome = simulate(actors=ACTORS, steps=STEPS, seed=7)
    market = outcome.market
    assert outcome.transactions > STEPS
    assert {"launch", "open pool", "swap exact in", "settle vouchers"} <= set(market.counts)
    left = {row.what for row in outcome.remainders}
    assert "splits that do not divide" in left
    assert all(row.amount > 0 for row in outcome.remainders)


def test_licences_are_served_rented_traded_and_resold_and_the_books_close() -> None:
    simulation = _running(20)
    market = simulation.market
    for number in range(120):
        market.evm.pass_time(3_600)
        licences.turn(market, market.rng.choice(market.people))
        if number % 10 == 0:
            keepers.keep(market)
        simulation.books.check()
    done = {"buy and order access", "prove service", "rent", "swap exact out", "fill order"}
    assert done <= set(market.counts)
    assert all(row.amount > 0 for row in simulation.finish())


def test_a_lock_backs_more_proposals_than_one_call_lets_go() -> None:
    simulation = _running(60)
    market = simulation.market
    asset, governor = market.assets[0], market.system.governor
    who = asset.publisher
    market.allow(who, asset.share, governor)
    amount = market.ledger.of(asset.share, who.address)
    number = market.send("lock", who, governor, "lock", asset.number, amount)
    market.locks[asset.number, number] = who
    for _ in range(20):
        market.evm.pass_time(60)
        actors.propose(market, who, asset)
        proposal = governor.read("last_proposal_of", asset.number, who.address)
        market.send("vote", who, governor, "vote", asset.number, proposal, True, [number])
        market.backed.setdefault((asset.number, number), []).append(proposal)
        market.send("cancel", who, governor, "cancel", asset.number, proposal)
        market.proposals.clear()
    simulation.books.check()
    assert all(row.amount > 0 for row in simulation.finish())
    assert market.counts["let go"] == 1


def test_the_same_seed_is_the_same_market() -> None:
    one, other = _running(40), _running(40)
    assert one.market.evm.transactions == other.market.evm.transactions
    another = Simulation(actors=ACTORS, steps=STEPS, seed=8)
    for _ in range(40):
        another.step()
    assert another.market.evm.transactions != one.market.evm.transactions


def test_a_reserve_that_was_tampered_with_is_not_overlooked() -> None:
    simulation = _running()
    market = simulation.market
    share = _with_a_pool(simulation).share.address
    slot = _entry(_slot("Exchange", "pools"), share)
    word = market.evm.word(market.system.exchange.address, slot)
    market.evm.tamper(market.system.exchange.address, slot, word + (10**9 << 96))
    with pytest.raises(InvariantViolation, match="solvent: currency in Exchange"):
        simulation.books.check()


def test_a_licence_without_backing_is_not_overlooked() -> None:
    simulation = _running(20)
    market = simulation.market
    slot = _entry(_slot("TestDollar", "erc20", "balanceOf"), market.licence.address)
    word = market.evm.word(market.system.currency.address, slot)
    market.evm.tamper(market.system.currency.address, slot, word - 1)
    market.ledger.balances[market.system.currency.address][market.licence.address] -= 1
    with pytest.raises(InvariantViolation, match="solvent: currency in Access"):
        simulation.books.check()


def test_a_pool_of_licences_that_shrank_is_not_overlooked() -> None:
    simulation = _running(20)
    market = simulation.market
    slot = _entry(_slot("Exchange", "pools"), market.licence.address)
    word = market.evm.word(market.system.exchange.address, slot)
    market.evm.tamper(market.system.exchange.address, slot, word - (1 << 96))
    with pytest.raises(InvariantViolation, match="price_honest: pool of licences"):
        simulation.books.check()


def test_a_reserve_that_shrank_by_itself_is_not_overlooked() -> None:
    simulation = _running()
    market = simulation.market
    share = _with_a_pool(simulation).share.address
    slot = _entry(_slot("Exchange", "pools"), share)
    word = market.evm.word(market.system.exchange.address, slot)
    market.evm.tamper(market.system.exchange.address, slot, word - (1 << 96))
    with pytest.raises(InvariantViolation, match="price_honest"):
        simulation.books.check()


def test_money_from_nowhere_is_not_overlooked() -> None:
    simulation = _running(20)
    market = simulation.market
    slot = _entry(_slot("TestDollar", "erc20", "balanceOf"), market.people[0].address)
    word = market.evm.word(market.system.currency.address, slot)
    market.evm.tamper(market.system.currency.address, slot, word + 1)
    with pytest.raises(InvariantViolation, match="conserved"):
        market.ledger.check_all()


def test_revenue_that_disappears_is_not_overlooked() -> None:
    simulation = _running()
    market = simulation.market
    shares = [asset.share for asset in market.assets]
    share = max(shares, key=lambda one: one.read("revenue_index"))
    slot = _slot("Share", "stream")
    word = market.evm.word(share.address, slot)
    # One base unit less that was streamed, and one less that ever will be.
    market.evm.tamper(share.address, slot, word - 1 - 2**96)
    with pytest.raises(InvariantViolation, match="index_never_falls"):
        simulation.books.check()


def test_the_chart_is_a_picture_with_a_line_for_each_asset() -> None:
    simulation = _running()
    assets = simulation.market.assets
    picture = draw(assets, "a market")
    root = ET.fromstring(picture)
    lines = [part for part in root if part.tag.endswith("polyline")]
    assert len(lines) == len(assets)
    assert "prefers-color-scheme: dark" in picture
    assert picture == draw(assets, "a market")
