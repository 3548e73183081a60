"""Plans of any steps: what a wallet hashes, what the twin hashes and what the contract pays."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from rig.contract import refused
from rig.effort import times
from rig.people import key_of, person
from rig.plans import OPERATORS, chain_of
from rig.system import World, deploy_world

from tessera.errors import TransactionReverted
from tessera.spec.signatures import expand, recover
from tessera.spec.workflows import Output, WorkflowsModel, workflows_domain

PAYER, KEEPER = person("consumer"), person("keeper")
PAYEES = [who.address for who in OPERATORS]
BALANCE = 2**100
WORDS = st.integers(0, 2**256 - 1)
_KEPT: list[World] = []


def _world() -> World:
    if not _KEPT:
        world = deploy_world()
        world.fund(PAYER, BALANCE, spender=world.workflows)
        world.workflows("deposit", PAYER.address, BALANCE, by=PAYER.address)
        _KEPT.append(world)
    return _KEPT[0]


amounts = st.one_of(st.integers(0, 9), st.integers(0, 2**96 - 1))
steps = st.lists(st.tuples(amounts, st.sampled_from(PAYEES)), min_size=1, max_size=16)


@times(1)
@given(steps=steps, nonce=WORDS, late=WORDS, request=st.binary(min_size=32, max_size=32))
def test_a_wallet_signs_what_the_twin_and_the_contract_hash(
    steps: list[tuple[int, str]], nonce: int, late: int, request: bytes
) -> None:
    world = _world()
    chain = chain_of(
        world, PAYER, [amount for amount, _ in steps], payees=[payee for _, payee in steps]
    ).changed(nonce=nonce, deadline=max(late, world.now), request=request)
    assert recover(chain.digest, expand(*chain.signed())) == key_of(PAYER)
    model = _model(world)
    outputs = chain.answers()
    with world.engine.trial():
        try:
            digest = model.pay(chain.plan, outputs, chain.signed(), world.now)
        except TransactionReverted as error:
            with refused(error.reason):
                chain.pay(by=KEEPER, outputs=outputs)
            return
        assert chain.pay(by=KEEPER, outputs=outputs) == digest == chain.digest
        for payee in PAYEES:
            assert world.workflows("owed_of", payee) == model.owed_of[key_of(payee)]
        assert world.workflows("balance_of", PAYER.address) == model.balance_of[key_of(PAYER)]
        assert sum(model.owed_of.values()) == BALANCE - model.balance_of[key_of(PAYER)]


@times(1)
@given(
    count=st.integers(1, 4),
    word=st.integers(0, 30),
    bit=st.integers(0, 255),
    reserved=st.booleans(),
)
def test_one_bit_anywhere_pays_what_the_twin_says(
    count: int, word: int, bit: int, reserved: bool
) -> None:
    """Any bit of what is sent is turned: mostly nobody is paid, and always what the twin says."""
    world = _world()
    chain = chain_of(world, PAYER, list(range(10, 10 + count)))
    outputs, signature = chain.answers(), chain.signed()
    model = _model(world)
    pairs = zip(chain.plan.steps, outputs, strict=True)
    rows = [part for step, answer in pairs for part in (step.amount, *_words(answer))]
    words = [*rows, *signature]
    words[word % len(words)] ^= 1 << bit
    *rows, r, vs = words
    changed = [rows[at : at + 4] for at in range(0, len(rows), 4)]
    if any(row[0] >= 2**96 for row in changed):
        return
    plan = chain.plan._replace(
        steps=tuple(
            step._replace(amount=row[0])
            for step, row in zip(chain.plan.steps, changed, strict=True)
        )
    )
    bent = chain.changed(steps=plan.steps)
    answers = [
        answer._replace(output=row[1].to_bytes(32, "big"), r=row[2], vs=row[3])
        for answer, row in zip(outputs, changed, strict=True)
    ]
    with world.engine.trial():
        if reserved:
            model.reserve(chain.plan, chain.signed(), world.now)
            chain.reserve(by=KEEPER)
        try:
            digest = model.pay(plan, answers, (r, vs), world.now)
        except TransactionReverted as error:
            with refused(error.reason):
                bent.pay(by=KEEPER, outputs=answers, signature=(r, vs))
            return
        assert bent.pay(by=KEEPER, outputs=answers, signature=(r, vs)) == digest
        for payee in PAYEES:
            assert world.workflows("owed_of", payee) == model.owed_of[key_of(payee)]


def _words(answer: Output) -> tuple[int, int, int]:
    return int.from_bytes(answer.output, "big"), answer.r, answer.vs


def _model(world: World) -> WorkflowsModel:
    domain = workflows_domain(world.engine.chain_id, key_of(world.workflows))
    model = WorkflowsModel(domain, key_of(world.commons))
    model.deposit(key_of(PAYER), BALANCE)
    return model
