"""`pay` credits every step of a plan or none; `reserve` sets its budget aside before."""

from __future__ import annotations

import pytest
from rig.contract import Contract, refused
from rig.market import open_market
from rig.people import Person
from rig.plans import OPERATORS, chain_of
from rig.system import DAY, World

from tessera.spec.workflows import MAX_STEPS, steps_hash

DEPOSIT = 1_000


@pytest.fixture
def workflows(world: World, consumer: Person) -> Contract:
    world.fund(consumer, DEPOSIT, spender=world.workflows)
    world.workflows("deposit", consumer.address, DEPOSIT, by=consumer.address)
    return world.workflows


def _owed(workflows: Contract, count: int) -> list[int]:
    return [workflows("owed_of", who.address) for who in OPERATORS[:count]]


@pytest.mark.parametrize("count", [1, 2, 10, MAX_STEPS])
def test_every_step_is_credited(
    world: World, workflows: Contract, consumer: Person, keeper: Person, count: int
) -> None:
    amounts = [10 + place for place in range(count)]
    chain = chain_of(world, consumer, amounts)
    assert chain.pay(by=keeper) == chain.digest
    (event,) = workflows.events()
    assert event.name == "Paid"
    assert event.arguments == {
        "payer": consumer.address,
        "plan": chain.digest,
        "budget": sum(amounts),
        "output": chain.outputs[-1],
    }
    assert _owed(workflows, count) == amounts
    assert workflows("balance_of", consumer.address) == DEPOSIT - sum(amounts)
    assert workflows("obligations") == DEPOSIT == world.held(workflows)
    assert workflows("is_used", consumer.address, 0)
    assert not workflows("is_used", consumer.address, 1)


def test_what_is_owed_is_collected_once(
    world: World, workflows: Contract, consumer: Person, keeper: Person
) -> None:
    """Two plans, one transfer; anyone may send it on."""
    for nonce in range(2):
        chain_of(world, consumer, [30, 40], nonce=nonce).pay(by=keeper)
    assert workflows("collect", OPERATORS[1].address, by=keeper.address) == 80
    (event,) = workflows.events("Collected")
    assert event.arguments == {"payee": OPERATORS[1].address, "amount": 80}
    assert workflows("collect", OPERATORS[1].address, by=keeper.address) == 0
    assert world.held(OPERATORS[1]) == 80
    assert workflows("obligations") == DEPOSIT - 80


def test_a_till_splits_what_it_gets(world: World, keeper: Person, consumer: Person) -> None:
    """The payee is an asset's Till: its share of a workflow is income of that asset's holders."""
    market = open_market(world)
    workflows, channels = world.workflows, world.channels
    world.fund(consumer, 10_000, spender=workflows)
    workflows("deposit", consumer.address, 10_000, by=consumer.address)
    key = (market.asset, market.operator.address, 1)
    till = channels("till_of", *key)
    chain_of(world, consumer, [10_000], payees=[till]).pay(by=keeper)
    workflows("collect", till, by=keeper.address)
    assert channels("flush_till", *key, by=keeper.address) == 10_000
    # Fee 1 %, cut 20 %; the rest is the holders'.
    assert channels("credit_of", market.operator.address) == 2_000
    assert channels("flush", market.asset) == 7_900
    assert channels("demand_of", market.asset) == 0


def test_one_payee_of_many_steps_and_a_free_step(
    world: World, workflows: Contract, consumer: Person, keeper: Person
) -> None:
    place = OPERATORS[0].address
    chain_of(world, consumer, [5, 0, 7], payees=[place] * 3).pay(by=keeper)
    assert workflows("owed_of", place) == 12


def test_plans_do_not_wait_for_one_another(
    world: World, workflows: Contract, consumer: Person, keeper: Person
) -> None:
    for nonce in (511, 0, 2**256 - 1, 255, 256):
        chain_of(world, consumer, [1], nonce=nonce).pay(by=keeper)
        assert workflows("is_used", consumer.address, nonce)
    assert workflows("owed_of", OPERATORS[0].address) == 5


def test_a_plan_without_steps(
    world: World, workflows: Contract, consumer: Person, keeper: Person
) -> None:
    with refused("workflows: no steps"):
        chain_of(world, consumer, []).pay(by=keeper)


def test_a_plan_of_seventeen_steps(
    world: World, workflows: Contract, consumer: Person, keeper: Person
) -> None:
    chain = chain_of(world, consumer, [1] * MAX_STEPS)
    steps = chain.steps(chain.answers())
    with refused(""):
        workflows(
            *("pay", *chain.head(), chain.plan.request, [*steps, steps[0]], *chain.signed()),
            by=keeper.address,
        )


def test_in_time_to_the_second(
    world: World, workflows: Contract, consumer: Person, keeper: Person
) -> None:
    in_time = chain_of(world, consumer, [1], deadline=world.now + DAY)
    late = chain_of(world, consumer, [1], nonce=1, deadline=world.now + DAY)
    world.wait(DAY)
    in_time.pay(by=keeper)
    world.wait(1)
    with refused("workflows: past the deadline"):
        late.pay(by=keeper)


def test_above_the_balance(
    world: World, workflows: Contract, consumer: Person, keeper: Person
) -> None:
    with refused("workflows: balance too low"):
        chain_of(world, consumer, [DEPOSIT, 1]).pay(by=keeper)
    chain_of(world, consumer, [DEPOSIT - 1, 1]).pay(by=keeper)
    assert workflows("balance_of", consumer.address) == 0


def test_a_reserved_plan_is_paid_out_of_its_reservation(
    world: World, workflows: Contract, consumer: Person, operator: Person
) -> None:
    """The first operator reserves, works, and is paid though the payer has withdrawn the rest."""
    chain = chain_of(world, consumer, [30, 40])
    plan = chain.plan
    chain.reservation()
    answer = chain.reserve(by=operator)
    (event,) = workflows.events()
    assert answer == chain.digest == event.arguments["plan"]
    assert event.arguments["budget"] == 70
    assert event.arguments["deadline"] == plan.deadline
    assert workflows("reserved_of", chain.digest) == 70
    workflows("withdraw", DEPOSIT - 70, by=consumer.address)
    with refused("workflows: balance too low"):
        workflows("withdraw", 1, by=consumer.address)
    # The payer's signature was looked at before.
    chain.pay(by=operator, signature=(0, 0))
    assert _owed(workflows, 2) == [30, 40]
    assert workflows("reserved_of", chain.digest) == 0
    with refused("workflows: nonce used already"):
        chain.pay(by=operator)


def test_a_reservation_comes_back_after_the_deadline(
    world: World, workflows: Contract, consumer: Person, keeper: Person
) -> None:
    chain = chain_of(world, consumer, [30, 40], deadline=world.now + 100)
    reservation = chain.reservation()
    with refused("workflows: before the deadline"):
        workflows("release", *reservation, by=keeper.address)
    chain.reserve(by=keeper)
    world.wait(100)
    with refused("workflows: before the deadline"):
        workflows("release", *reservation, by=keeper.address)
    world.wait(1)
    with refused("workflows: past the deadline"):
        chain.pay(by=keeper)
    workflows("release", *reservation, by=keeper.address)
    (event,) = workflows.events("Released")
    assert event.arguments == {"payer": consumer.address, "plan": chain.digest, "budget": 70}
    assert workflows("balance_of", consumer.address) == DEPOSIT
    with refused("workflows: not reserved"):
        workflows("release", *reservation, by=keeper.address)
    with refused("workflows: past the deadline"):
        chain.reserve(by=keeper)


def test_nothing_to_reserve(
    world: World, workflows: Contract, consumer: Person, keeper: Person
) -> None:
    chain = chain_of(world, consumer, [0])
    plan = chain.plan
    with refused("workflows: nothing to reserve"):
        workflows(
            *("reserve", *chain.head(), 0, plan.request, steps_hash(plan.steps)),
            *chain.signed(),
            by=keeper.address,
        )


def test_a_cancelled_nonce(
    world: World, workflows: Contract, consumer: Person, keeper: Person
) -> None:
    chain = chain_of(world, consumer, [30], nonce=7)
    workflows("cancel", 7, by=consumer.address)
    (event,) = workflows.events("Cancelled")
    assert event.arguments == {"payer": consumer.address, "nonce": 7}
    with refused("workflows: nonce used already"):
        chain.pay(by=keeper)
    with refused("workflows: nonce used already"):
        workflows("cancel", 7, by=consumer.address)
    # Somebody else's nonces are their own.
    workflows("cancel", 8, by=keeper.address)
    chain_of(world, consumer, [30], nonce=8).pay(by=keeper)


def test_outputs_are_paid_for_by_hash_only(
    world: World, workflows: Contract, consumer: Person, keeper: Person
) -> None:
    """Whatever an operator signs is its output; the chain of hashes is what is checked."""
    chain = chain_of(world, consumer, [3])
    answer = chain.answer(OPERATORS[0], 0, chain.plan.request, bytes(32))
    chain.pay(by=keeper, outputs=[answer])
    (event,) = workflows.events("Paid")
    assert event.arguments["output"] == bytes(32)
