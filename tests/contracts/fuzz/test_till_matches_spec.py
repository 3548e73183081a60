"""Tills against `tessera.spec.till`: any names, paid before and after they exist, by anyone."""

from __future__ import annotations

from functools import partial

from hypothesis import given
from hypothesis import strategies as st
from rig.compiling import compiled, mock
from rig.contract import Contract, deployed
from rig.people import person
from rig.system import deploy_world
from rig.twins import both, key_of

from tessera.spec.signatures import Address, address_of
from tessera.spec.till import TillModel, clone_code, till_of

PUBLISHER, OPERATOR, ATTACKER = person("publisher"), person("operator"), person("attacker")
WORDS = st.one_of(st.integers(0, 2**16), st.integers(0, 2**256 - 1))


@given(asset=WORDS, operator=st.binary(min_size=20, max_size=20), terms=WORDS)
def test_every_address_is_the_specs(asset: int, operator: bytes, terms: int) -> None:
    world = deploy_world()
    maker = address_of(world.channels.address)
    implementation = address_of(world.till_implementation.address)
    expected = till_of(maker, implementation, asset, Address(operator), terms)
    assert world.channels("till_of", asset, "0x" + operator.hex(), terms) == "0x" + expected.hex()


@given(
    steps=st.lists(
        st.tuples(
            st.sampled_from(["pay", "flush", "flush", "gift", "rescue", "attack"]),
            st.integers(0, 10**12),
        ),
        max_size=10,
    )
)
def test_what_arrives_is_income_and_nobody_else_empties_it(steps: list[tuple[str, int]]) -> None:
    world = deploy_world()
    channels = world.channels
    names = (world.publish(PUBLISHER, operator=OPERATOR), OPERATOR.address, 1)
    gift = deployed(world.engine, mock("PlainCurrency"), 18, by=world.owner.address)
    at = till_of(
        address_of(channels.address), address_of(world.till_implementation.address),
        names[0], key_of(OPERATOR), 1,
    )  # fmt: skip
    till = Contract(world.engine, compiled("Till"), "0x" + at.hex())
    code = clone_code(
        address_of(world.till_implementation.address),
        names[0].to_bytes(32, "big") + bytes(12) + key_of(OPERATOR) + (1).to_bytes(32, "big"),
    )
    model, made, gifts = TillModel(address_of(channels.address)), False, 0
    for what, amount in steps:
        if what == "pay":
            world.fund(till.address, amount)
            model.held += amount
        elif what == "gift":
            gift("mint", till.address, amount, by=world.owner.address)
            gifts += amount
        elif what == "flush":
            both(partial(model.sweep, model.channels), partial(channels, "flush_till", *names))
            made = True
        elif what == "rescue":
            before = gift("balanceOf", PUBLISHER.address)
            channels("rescue_from_till", *names, gift.address, by=ATTACKER.address)
            rescued = gift("balanceOf", PUBLISHER.address) - before
            assert rescued == model.rescue(model.channels, gifts)
            gifts, made = 0, True
        elif made:
            thief = ATTACKER.address
            both(partial(model.sweep, key_of(ATTACKER)), partial(till, "sweep", by=thief))
            both(
                partial(model.rescue, key_of(ATTACKER), gifts),
                partial(till, "rescue", gift.address, thief, by=thief),
            )
        assert world.held(till) == model.held
        assert gift("balanceOf", till.address) == gifts
        assert world.engine.code(till.address) == (code.rstrip(b"\0") if made else b"")
