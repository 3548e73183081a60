"""Many reads in one, as tools expect them at one address on every chain."""

from __future__ import annotations

import pytest
from rig.compiling import compiled, mock
from rig.contract import Contract, deployed, refused
from rig.people import person
from rig.system import World


@pytest.fixture
def multicall(world: World) -> Contract:
    return deployed(world.engine, compiled("Multicall"), by=person("deployer").address)


def test_answers_come_in_order(world: World, multicall: Contract) -> None:
    world.fund("0x" + "11" * 20, 5)
    data = world.currency.interface.call_data
    calls = [
        (world.currency.address, data("balanceOf", "0x" + "11" * 20)),
        (world.currency.address, data("decimals")),
    ]
    answers = multicall("tryAggregate", True, calls)
    assert answers == ((True, (5).to_bytes(32, "big")), (True, (6).to_bytes(32, "big")))
    allowed = [(target, False, call) for target, call in calls]
    assert multicall("aggregate3", allowed) == answers


def test_a_failure_is_told_or_ends_all(world: World, multicall: Contract) -> None:
    data = world.currency.interface.call_data
    bad = data("burn", "0x" + "11" * 20, 1)
    good = data("decimals")
    target = world.currency.address
    failed, answered = multicall("tryAggregate", False, [(target, bad), (target, good)])
    assert failed[0] is False
    assert answered == (True, (6).to_bytes(32, "big"))
    with refused("multicall: a call failed"):
        multicall("tryAggregate", True, [(target, bad), (target, good)])
    with refused("multicall: a call failed"):
        multicall("aggregate3", [(target, True, bad), (target, False, bad)])
    assert multicall("aggregate3", [(target, True, bad)])[0][0] is False


def test_what_a_call_returns_is_cut_at_a_kilobyte(world: World, multicall: Contract) -> None:
    wallet = deployed(world.engine, mock("ContractWallet"), by=person("deployer").address)
    data = wallet.interface.call_data("isValidSignature", bytes(32), b"")
    ((success, returned),) = multicall("tryAggregate", True, [(wallet.address, data)])
    assert (success, returned) == (True, bytes(32))
