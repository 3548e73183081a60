"""A payer's balance: in from anybody, out at once, and what was sent by mistake."""

from __future__ import annotations

import pytest
from rig.contract import NOBODY, refused
from rig.people import Person
from rig.system import World, deploy_world


@pytest.fixture(autouse=True)
def funded(world: World, consumer: Person) -> None:
    world.fund(consumer, 1_000, spender=world.workflows)


def test_a_deposit_is_the_payers(world: World, consumer: Person, keeper: Person) -> None:
    """A keeper fills a payer's balance; only the payer takes from it."""
    workflows = world.workflows
    assert workflows("deposit", keeper.address, 400, by=consumer.address) == 400
    (event,) = workflows.events("Deposited")
    assert event.arguments == {"payer": keeper.address, "amount": 400}
    assert workflows("balance_of", keeper.address) == 400
    assert workflows("balance_of", consumer.address) == 0
    assert workflows("obligations") == world.held(workflows) == 400


def test_only_what_arrives_counts(consumer: Person) -> None:
    from rig.currencies import CURRENCIES

    world = CURRENCIES["fee in transit"].world()
    world.fund(consumer, 10**6, spender=world.workflows)
    arrived = world.workflows("deposit", consumer.address, 10**6, by=consumer.address)
    assert 0 < arrived < 10**6
    assert world.workflows("balance_of", consumer.address) == arrived == world.held(world.workflows)


def test_withdrawn_at_once_to_anybody(world: World, consumer: Person, buyer: Person) -> None:
    workflows = world.workflows
    workflows("deposit", consumer.address, 1_000, by=consumer.address)
    workflows("withdraw", 300, by=consumer.address)
    workflows("withdraw", 600, buyer.address, by=consumer.address)
    (event,) = workflows.events("Withdrawn")
    assert event.arguments == {
        "payer": consumer.address,
        "receiver": buyer.address,
        "amount": 600,
    }
    assert (world.held(consumer), world.held(buyer)) == (300, 600)
    with refused("workflows: balance too low"):
        workflows("withdraw", 101, by=consumer.address)
    workflows("withdraw", 100, by=consumer.address)
    assert workflows("obligations") == 0


def test_nobodys_balance(world: World, consumer: Person) -> None:
    """The zero address signs nothing, so what it is given would be lost."""
    with refused("workflows: zero address"):
        world.workflows("deposit", NOBODY, 1, by=consumer.address)


def test_a_currency_that_says_no(consumer: Person) -> None:
    from rig.currencies import CURRENCIES

    world = deploy_world(currency=CURRENCIES["false for no"].compiled())
    workflows = world.workflows
    world.fund(consumer, 1_000, spender=workflows)
    workflows("deposit", consumer.address, 500, by=consumer.address)
    world.currency("set_refuses", True)
    with refused("workflows: currency refused the transfer"):
        workflows("deposit", consumer.address, 500, by=consumer.address)
    with refused("workflows: currency refused the transfer"):
        workflows("withdraw", 500, by=consumer.address)
    world.currency("set_refuses", False)
    workflows("withdraw", 500, by=consumer.address)
    assert world.held(consumer) == 1_000


def test_money_sent_by_mistake_is_the_commons(world: World, consumer: Person) -> None:
    workflows = world.workflows
    workflows("deposit", consumer.address, 500, by=consumer.address)
    world.fund(workflows.address, 77)
    assert workflows("absorb_surplus") == 77
    assert workflows("absorb_surplus") == 0
    assert workflows("collect", world.commons.address) == 77
    assert world.held(world.commons) == 77
    assert workflows("balance_of", consumer.address) == 500 == world.held(workflows)


def test_other_tokens_sent_by_mistake_go_to_the_commons(world: World, holder: Person) -> None:
    share = world.new_share(holder)
    share("transfer", world.workflows.address, 5, by=holder.address)
    assert world.workflows("rescue", share) == 5
    assert share("balanceOf", world.commons.address) == 5
    with refused("workflows: the currency is somebody's; use absorb_surplus"):
        world.workflows("rescue", world.currency)


def test_it_says_what_it_is(world: World) -> None:
    workflows = world.workflows
    assert workflows("currency") == world.currency.address
    assert workflows("registry") == world.registry.address
    fields, name, version, chain_id, contract, salt, extensions = workflows("eip712Domain")
    assert (fields, name, version) == (b"\x0f", "Tessera Workflows", "1")
    assert (chain_id, contract) == (world.engine.chain_id, workflows.address)
    assert (salt, extensions) == (bytes(32), ())
