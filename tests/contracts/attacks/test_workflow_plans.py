"""A plan is a payer's word to ten strangers, and ten strangers' words to each other.

An operator who did nothing wants its money; one copies another's output, answers something else
than what came before, or is paid by a second plan of the same signature. Somebody changes who gets
how much, carries signatures to another chain or contract, and bends them. A payer who has all
outputs tries to get its money back before they are paid.
"""

from __future__ import annotations

from dataclasses import replace

import pytest
from eth_utils import keccak
from rig.compiling import compiled, mock
from rig.contract import Contract, deployed, refused
from rig.engines import Boa
from rig.people import Person, key_of
from rig.plans import OPERATORS, Chain, chain_of
from rig.signing import domain_of
from rig.system import DAY, World, deploy_world

from tessera.spec.signatures import ZERO_ADDRESS
from tessera.spec.workflows import Output, Step, steps_hash

DEPOSIT = 1_000
UNSIGNED = "workflows: output not signed by its operator"
_LOW_255 = 2**255 - 1
_ORDER = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141


def _filled(world: World, consumer: Person, contract: Contract | None = None) -> Contract:
    workflows = contract or world.workflows
    world.fund(consumer, DEPOSIT, spender=workflows)
    workflows("deposit", consumer.address, DEPOSIT, by=consumer.address)
    return workflows


@pytest.fixture
def chain(world: World, consumer: Person) -> Chain:
    _filled(world, consumer)
    return chain_of(world, consumer, [30, 40, 50])


def _unpaid(chain: Chain) -> None:
    """All or nothing: with one step refused, nobody has anything, and the payer has it all."""
    workflows = chain.contract
    assert all(workflows("owed_of", who.address) == 0 for who in chain.operators)
    assert workflows("balance_of", chain.payer.address) == DEPOSIT
    assert not workflows("is_used", chain.payer.address, chain.plan.nonce)


@pytest.mark.parametrize("place", [0, 1, 2])
def test_an_operator_that_did_not_answer(chain: Chain, attacker: Person, place: int) -> None:
    """Its neighbours' signatures are good; the attacker signs in its place."""
    outputs = chain.answers()
    before = chain.outputs[place - 1] if place else chain.plan.request
    outputs[place] = chain.answer(attacker, place, before, chain.outputs[place])
    with refused(UNSIGNED):
        chain.pay(by=attacker, outputs=outputs)
    _unpaid(chain)


def test_an_answer_to_another_input(chain: Chain, attacker: Person) -> None:
    """The second operator worked on something that the first never said."""
    outputs = chain.answers()
    outputs[1] = chain.answer(OPERATORS[1], 1, keccak(text="made up"), chain.outputs[1])
    with refused(UNSIGNED):
        chain.pay(by=attacker, outputs=outputs)
    _unpaid(chain)


def test_an_output_that_is_exchanged_after_it_was_built_upon(
    chain: Chain, attacker: Person
) -> None:
    """The first operator signs a second output when the third has long answered: nobody is paid,
    so that it cannot deliver one thing and be paid for another."""
    outputs = chain.answers()
    outputs[0] = chain.answer(OPERATORS[0], 0, chain.plan.request, keccak(text="another"))
    with refused(UNSIGNED):
        chain.pay(by=attacker, outputs=outputs)
    _unpaid(chain)


def test_steps_in_another_order(chain: Chain, attacker: Person) -> None:
    outputs = chain.answers()
    steps = chain.steps(outputs)
    signed = chain.signed()
    with refused("workflows: plan not signed by its payer"):
        chain.contract(
            *("pay", *chain.head(), chain.plan.request, [steps[1], steps[0], steps[2]], *signed),
            by=attacker.address,
        )
    _unpaid(chain)


@pytest.mark.parametrize("change", ["amount", "payee", "dropped", "doubled"])
def test_other_money_than_what_was_signed(chain: Chain, attacker: Person, change: str) -> None:
    """Who sends the payment writes the steps; the payer's signature covers each of them."""
    first, second, third = chain.plan.steps
    steps = {
        "amount": (first._replace(amount=31), second, third),
        "payee": (first, second, third._replace(payee=key_of(attacker))),
        "dropped": (first, second),
        "doubled": (first, second, third, third),
    }[change]
    places = [chain.plan.steps.index(step) if step in chain.plan.steps else 0 for step in steps]
    bent = replace(
        chain,
        operators=tuple(chain.operators[place] for place in places),
        outputs=tuple(chain.outputs[place] for place in places),
    ).changed(steps=steps)
    signature = chain.signed()
    with refused("workflows: plan not signed by its payer"):
        bent.pay(by=attacker, signature=signature)
    _unpaid(chain)


def test_the_same_plan_twice(chain: Chain, attacker: Person) -> None:
    chain.pay(by=attacker)
    with refused("workflows: nonce used already"):
        chain.pay(by=attacker)
    assert chain.contract("owed_of", OPERATORS[2].address) == 50


def test_outputs_of_another_plan(chain: Chain, attacker: Person) -> None:
    """The same request and the same steps a second time: each answer is signed for its own plan."""
    again = chain.changed(nonce=1)
    with refused(UNSIGNED):
        again.pay(by=attacker, outputs=chain.answers())


def test_on_another_chain_and_at_another_contract(
    world: World, chain: Chain, consumer: Person, attacker: Person
) -> None:
    second = deployed(
        world.engine, compiled("Workflows"), world.currency, world.registry, by=attacker.address
    )
    _filled(world, consumer, second)
    here = domain_of(chain.contract, "Tessera Workflows")
    there = replace(chain, contract=second)
    with refused("workflows: plan not signed by its payer"):
        there.pay(by=attacker, signature=chain.signed())
    with refused(UNSIGNED):
        there.pay(by=attacker, outputs=there.answers(here))
    other = {**here, "chainId": here["chainId"] + 1}
    with refused("workflows: plan not signed by its payer"):
        chain.pay(by=attacker, signature=chain.signed(domain=other))
    with refused(UNSIGNED):
        chain.pay(by=attacker, outputs=chain.answers(other))
    _unpaid(chain)


def test_on_a_chain_that_split(consumer: Person, attacker: Person) -> None:
    engine = Boa()
    world = deploy_world(engine=engine)
    workflows = _filled(world, consumer)
    chain = chain_of(world, consumer, [5])
    signature, outputs = chain.signed(), chain.answers()
    before = workflows("DOMAIN_SEPARATOR")
    engine.split(engine.chain_id + 1)
    assert workflows("DOMAIN_SEPARATOR") != before
    with refused("workflows: plan not signed by its payer"):
        chain.pay(by=attacker, signature=signature, outputs=outputs)


def test_bent_signatures(chain: Chain, attacker: Person) -> None:
    """The twin with a high s, and numbers that are no signature."""
    r, vs = chain.signed()
    s, parity = vs & _LOW_255, vs >> 255
    high = _ORDER - s
    assert high > _LOW_255 // 2
    for bad in ((r, (high & _LOW_255) | (1 - parity) << 255), (0, 0), (r, 0)):
        with refused("workflows: plan not signed by its payer"):
            chain.pay(by=attacker, signature=bad)
    outputs = chain.answers()
    outputs[2] = Output(outputs[2].output, 0, 0)
    with refused(UNSIGNED):
        chain.pay(by=attacker, outputs=outputs)
    _unpaid(chain)


def test_nobody_as_payer_and_nobody_as_operator(
    world: World, chain: Chain, attacker: Person
) -> None:
    """ecrecover answers garbage with the zero address, which must neither pay nor have worked."""
    nobody = chain.changed(payer=ZERO_ADDRESS)
    with refused("workflows: plan not signed by its payer"):
        nobody.pay(by=attacker, signature=(0, 0))
    idle = replace(chain.changed(steps=(Step(ZERO_ADDRESS, 5, key_of(attacker)),)), outputs=())
    with refused(UNSIGNED):
        idle.pay(by=attacker, outputs=[Output(bytes(32), 0, 0)])
    assert world.workflows("owed_of", attacker.address) == 0


def test_a_payer_takes_the_money_back_before_it_pays(
    world: World, chain: Chain, consumer: Person, operator: Person
) -> None:
    """With all outputs in hand the payer withdraws, cancels, or spends the balance elsewhere.
    Without a reservation that works, as the contract says; with one, none of it does."""
    workflows, plan = chain.contract, chain.plan
    with world.engine.trial():
        workflows("withdraw", DEPOSIT, by=consumer.address)
        with refused("workflows: balance too low"):
            chain.pay(by=operator)
    reservation = chain.reservation()
    chain.reserve(by=operator)
    workflows("withdraw", DEPOSIT - plan.budget, by=consumer.address)
    with refused("workflows: nonce used already"):
        workflows("cancel", plan.nonce, by=consumer.address)
    with refused("workflows: balance too low"):
        chain_of(world, consumer, [1], nonce=9).pay(by=consumer)
    with refused("workflows: before the deadline"):
        workflows("release", *reservation, by=consumer.address)
    world.wait(DAY)
    chain.pay(by=operator)
    assert workflows("owed_of", OPERATORS[2].address) == 50


def test_reserved_twice_or_under_another_budget(chain: Chain, attacker: Person) -> None:
    """A stranger with the payer's signature locks no more than it names, and once."""
    workflows, plan = chain.contract, chain.plan
    head, rest = chain.head(), (plan.request, steps_hash(plan.steps))
    for budget in (plan.budget + 1, plan.budget - 1):
        with refused("workflows: plan not signed by its payer"):
            workflows("reserve", *head, budget, *rest, *chain.signed(), by=attacker.address)
    workflows("reserve", *head, plan.budget, *rest, *chain.signed(), by=attacker.address)
    with refused("workflows: nonce used already"):
        workflows("reserve", *head, plan.budget, *rest, *chain.signed(), by=attacker.address)
    assert workflows("balance_of", chain.payer.address) == DEPOSIT - plan.budget


def test_a_reservation_is_released_once(
    world: World, chain: Chain, consumer: Person, attacker: Person
) -> None:
    workflows, _plan = chain.contract, chain.plan
    reservation = chain.reservation()
    chain.reserve(by=attacker)
    chain.pay(by=attacker)
    world.wait(DAY + 1)
    with refused("workflows: not reserved"):
        workflows("release", *reservation, by=consumer.address)


def test_the_currency_calls_back(consumer: Person, attacker: Person) -> None:
    """In the middle of every transfer it tries to collect and to deposit again."""
    world = deploy_world(currency=mock("ReentrantCurrency"))
    workflows = _filled(world, consumer)
    chain_of(world, consumer, [30, 40]).pay(by=attacker)
    first, second = (who.address for who in OPERATORS[:2])
    for name, arguments in (
        ("collect", (second,)),
        ("deposit", (attacker.address, 1)),
        ("absorb_surplus", ()),
    ):
        payload = workflows.interface.call_data(name, *arguments)
        world.currency("arm", workflows.address, payload)
        with world.engine.trial():
            assert workflows("collect", first) == 30
            workflows("withdraw", 10, by=consumer.address)
            assert world.currency("tries") > 0
            assert world.currency("hits") == 0
            assert workflows("owed_of", second) == 40
            assert workflows("obligations") == world.held(workflows) == DEPOSIT - 40


def test_one_payee_that_the_currency_closed_holds_up_nobody(
    consumer: Person, attacker: Person
) -> None:
    world = deploy_world(currency=mock("BlacklistCurrency"))
    workflows = _filled(world, consumer)
    first, second = (who.address for who in OPERATORS[:2])
    world.currency("set_blocked", first, True)
    chain_of(world, consumer, [30, 40]).pay(by=attacker)
    assert workflows("collect", second) == 40
    with refused("blacklist_currency: blocked"):
        workflows("collect", first)
    assert workflows("owed_of", first) == 30
