"""A discount is a terms row of its own, paid for by the holders, within what they agreed to."""

from __future__ import annotations

import pytest
from rig.contract import refused
from rig.people import Person
from rig.system import TERMS_GRACE, World

from tessera.spec.split import SplitTerms


def _asset(
    world: World, publisher: Person, operator: Person, *, most: int = 5_000, floor: int = 0
) -> tuple[int, int]:
    parent = world.publish(publisher)
    asset = world.publish(publisher, parents=((parent, 333),), operator=operator, cut_bps=2_000)
    world.tokenize(asset, publisher, max_discount_bps=most, floor_bps=floor)
    return asset, parent


def test_a_discount_raises_every_part_but_the_holders(
    world: World, publisher: Person, operator: Person
) -> None:
    asset, parent = _asset(world, publisher, operator)
    assert world.registry("discount_of", asset, operator.address) == (0, 0, 0)
    terms = world.registry("set_discount", asset, operator.address, 1_700, 77, by=publisher.address)
    assert terms == 2
    (event,) = world.registry.events()
    assert event.name == "DiscountSet"
    assert event.arguments == {
        "asset": asset,
        "operator": operator.address,
        "terms": 2,
        "discount_bps": 1_700,
        "min_locked": 77,
    }
    assert world.registry("discount_of", asset, operator.address) == (1_700, 2, 77)
    fee, cut, royalties, _, _ = world.registry("split_of", asset, operator.address, 2)
    expected = SplitTerms(100, 2_000, ((parent, 333),)).discounted(1_700)
    assert (fee, cut) == (expected.fee_bps, expected.cut_bps) == (121, 2_410)
    assert royalties == ((parent << 16) | 402,)
    assert expected.royalties == ((parent, 402),)
    # The full price's terms are what they were.
    assert world.registry("endpoint_of", asset, operator.address)[:4] == (True, 1, 100, 2_000)
    assert world.registry("split_of", asset, operator.address, 1)[:3] == (
        100, 2_000, ((parent << 16) | 333,),
    )  # fmt: skip


def test_a_change_of_terms_ends_the_discount_and_takes_a_number_of_its_own(
    world: World, publisher: Person, operator: Person
) -> None:
    asset, _ = _asset(world, publisher, operator)
    registry = world.registry
    registry("set_discount", asset, operator.address, 1_000, 5, by=publisher.address)
    # A price alone leaves it.
    assert world.set_endpoint(asset, operator, 2_000, by=publisher, price=(9, 9, 9)) == 1
    assert registry("discount_of", asset, operator.address) == (1_000, 2, 5)
    assert world.set_endpoint(asset, operator, 1_000, by=publisher) == 3
    (event,) = registry.events("DiscountSet")
    assert event.arguments["discount_bps"] == event.arguments["min_locked"] == 0
    assert registry("discount_of", asset, operator.address) == (0, 0, 0)
    lapses = world.now + TERMS_GRACE
    assert registry("terms_of", asset, operator.address, 2) == (112, 2_223, lapses)
    # The lapsed cut goes to the holders; fee and royalties stay raised, for calls made under it.
    world.wait(TERMS_GRACE)
    fee, cut, royalties, _, _ = registry("split_of", asset, operator.address, 2)
    assert (fee, cut, royalties[0] % 2**16) == (112, 0, 370)
    assert registry("set_discount", asset, operator.address, 1, 1, by=publisher.address) == 4
    assert world.set_endpoint(asset, operator, 2_000, by=publisher) == 5


def test_a_discount_is_replaced_and_ended(
    world: World, publisher: Person, operator: Person
) -> None:
    asset, _ = _asset(world, publisher, operator)
    registry = world.registry
    registry("set_discount", asset, operator.address, 1_000, 5, by=publisher.address)
    assert registry("set_discount", asset, operator.address, 2_000, 6, by=publisher.address) == 3
    assert registry("terms_of", asset, operator.address, 2)[2] == world.now + TERMS_GRACE
    assert registry("discount_of", asset, operator.address) == (2_000, 3, 6)
    assert registry("set_discount", asset, operator.address, 0, 0, by=publisher.address) == 0
    assert registry("discount_of", asset, operator.address) == (0, 0, 0)
    assert registry("set_discount", asset, operator.address, 0, 0, by=publisher.address) == 0
    assert registry.events() == []


def test_a_closed_endpoint_has_no_discount(
    world: World, publisher: Person, operator: Person
) -> None:
    asset, _ = _asset(world, publisher, operator)
    world.registry("set_discount", asset, operator.address, 1_000, 5, by=publisher.address)
    world.registry("close_endpoint", asset, operator.address, by=publisher.address)
    assert world.registry("discount_of", asset, operator.address) == (0, 0, 0)
    with refused("registry: no such endpoint"):
        world.registry("set_discount", asset, operator.address, 1, 1, by=publisher.address)


def test_a_new_parent_ends_it_once_the_terms_are_renewed(
    world: World, publisher: Person, operator: Person, keeper: Person
) -> None:
    older = world.publish(publisher)
    asset, parent = _asset(world, publisher, operator)
    registry = world.registry
    registry("set_discount", asset, operator.address, 1_000, 5, by=publisher.address)
    registry("add_parent", asset, older, 100, by=publisher.address)
    known = registry("split_of", asset, operator.address, 2)[2]
    assert [word >> 16 for word in known] == [parent]
    assert registry("renew_terms", asset, operator.address, by=keeper.address) == 3
    assert registry("discount_of", asset, operator.address) == (0, 0, 0)
    registry("set_discount", asset, operator.address, 1_000, 5, by=publisher.address)
    raised = registry("split_of", asset, operator.address, 4)[2]
    assert [(word >> 16, word % 2**16) for word in raised] == [(parent, 370), (older, 112)]


def test_only_the_controller_gives_one_and_only_for_shares(
    world: World, publisher: Person, operator: Person, attacker: Person
) -> None:
    asset = world.publish(publisher, operator=operator)
    with refused("registry: only the asset's controller"):
        world.registry("set_discount", asset, operator.address, 1, 1, by=attacker.address)
    with refused("registry: not tokenized"):
        world.registry("set_discount", asset, operator.address, 1, 1, by=publisher.address)


@pytest.mark.parametrize(
    ("most", "discount", "locked", "reason"),
    [
        (1_000, 1_001, 1, "registry: discount above the bound"),
        (10_000, 10_000, 1, "registry: discount above the bound"),
        (10_000, 2**256 - 1, 1, "registry: discount above the bound"),
        (1_000, 1_000, 0, "registry: discount without a lock"),
        (1_000, 1_000, 2**96, "registry: discount without a lock"),
        # 2,000 cut, 333 royalty and 100 fee of half the price are 4,866; the floor is 5,135.
        (5_000, 5_000, 1, "registry: discount leaves too little"),
    ],
)
def test_a_discount_out_of_bounds_is_refused(
    world: World,
    publisher: Person,
    operator: Person,
    most: int,
    discount: int,
    locked: int,
    reason: str,
) -> None:
    asset, _ = _asset(world, publisher, operator, most=most, floor=5_135)
    with refused(reason):
        world.registry(
            "set_discount", asset, operator.address, discount, locked, by=publisher.address
        )


def test_a_discount_down_to_the_floor_is_given(
    world: World, publisher: Person, operator: Person
) -> None:
    asset, _ = _asset(world, publisher, operator, floor=5_134)
    world.registry("set_discount", asset, operator.address, 5_000, 2**96 - 1, by=publisher.address)


def test_a_discount_stops_at_the_last_number_of_terms(
    world: World, publisher: Person, operator: Person
) -> None:
    asset, _ = _asset(world, publisher, operator)
    registry = world.registry
    row = registry.slot("terms_rows", asset, operator.address, 1)
    registry.poke("terms_rows", asset, operator.address, 2**32 - 1, value=row)
    word = registry.slot("endpoints", asset, operator.address)
    registry.poke("endpoints", asset, operator.address, value=word | (2**32 - 1) << 216)
    with refused("registry: too many terms"):
        registry("set_discount", asset, operator.address, 1, 1, by=publisher.address)
