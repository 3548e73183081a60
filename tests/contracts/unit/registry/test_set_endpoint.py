"""Who serves an asset, for what price, under which row of terms."""

from __future__ import annotations

import pytest
from rig.contract import NOBODY, refused
from rig.people import Person
from rig.system import TERMS_GRACE, World

MOST = 2**72 - 1


def test_new_bps_make_a_new_row_and_a_new_price_does_not(
    world: World, publisher: Person, operator: Person
) -> None:
    asset = world.publish(publisher)
    assert world.set_endpoint(asset, operator, 1_000, by=publisher) == 1
    assert world.set_endpoint(asset, operator, 1_000, by=publisher, price=(5, 6, 7)) == 1
    assert world.registry("endpoint_of", asset, operator.address)[4] == (5, 6, 7)
    assert world.set_endpoint(asset, operator, 1_001, by=publisher) == 2
    assert world.registry("terms_of", asset, operator.address, 1)[:2] == (100, 1_000)
    assert world.registry("terms_of", asset, operator.address, 2) == (100, 1_001, 0)


def test_a_new_fee_is_only_for_terms_yet_to_be_written(
    world: World, publisher: Person, operator: Person
) -> None:
    asset = world.publish(publisher, operator=operator)
    world.registry(
        "set_network",
        500,
        world.commons.address,
        world.commons.address,
        by=world.owner.address,
    )
    assert world.registry("endpoint_of", asset, operator.address)[1:3] == (1, 100)
    assert world.set_endpoint(asset, operator, 0, by=publisher) == 2
    assert world.registry("endpoint_of", asset, operator.address)[1:3] == (2, 500)


def test_a_replaced_cut_lapses_after_the_grace(
    world: World, publisher: Person, operator: Person
) -> None:
    asset = world.publish(publisher, operator=operator, cut_bps=8_000)
    world.set_endpoint(asset, operator, 1_000, by=publisher)
    lapses = world.now + TERMS_GRACE
    assert world.registry("terms_of", asset, operator.address, 1) == (100, 8_000, lapses)
    world.wait(TERMS_GRACE - 1)
    assert world.registry("split_of", asset, operator.address, 1)[:2] == (100, 8_000)
    world.wait(1)
    assert world.registry("split_of", asset, operator.address, 1)[:2] == (100, 0)
    assert world.registry("split_of", asset, operator.address, 2)[:2] == (100, 1_000)


def test_a_closed_endpoint_keeps_its_cut_for_the_grace(
    world: World, publisher: Person, operator: Person
) -> None:
    asset = world.publish(publisher, operator=operator, cut_bps=8_000)
    world.registry("close_endpoint", asset, operator.address, by=publisher.address)
    (event,) = world.registry.events()
    assert event.name == "EndpointClosed"
    assert event.arguments == {"asset": asset, "operator": operator.address}
    assert world.registry("endpoint_of", asset, operator.address)[0] is False
    assert world.registry("split_of", asset, operator.address, 1)[1] == 8_000
    world.wait(TERMS_GRACE)
    assert world.registry("split_of", asset, operator.address, 1)[1] == 0
    with refused("registry: no such endpoint"):
        world.registry("close_endpoint", asset, operator.address, by=publisher.address)


def test_a_closed_endpoint_opens_again_under_terms_of_its_own(
    world: World, publisher: Person, operator: Person
) -> None:
    asset = world.publish(publisher, operator=operator, cut_bps=8_000)
    world.registry("close_endpoint", asset, operator.address, by=publisher.address)
    assert world.set_endpoint(asset, operator, 8_000, by=publisher) == 2
    world.wait(TERMS_GRACE)
    assert world.registry("split_of", asset, operator.address, 1)[1] == 0
    assert world.registry("split_of", asset, operator.address, 2)[1] == 8_000


def test_only_the_controller_lists_operators(
    world: World, publisher: Person, attacker: Person
) -> None:
    asset = world.publish(publisher)
    with refused("registry: only the asset's controller"):
        world.set_endpoint(asset, attacker, 9_000, by=attacker)
    with refused("registry: only the asset's controller"):
        world.registry("close_endpoint", asset, attacker.address, by=attacker.address)


def test_nobody_serves_nothing(world: World, publisher: Person) -> None:
    asset = world.publish(publisher)
    endpoint = (NOBODY, 0, (0, 0, 0), "")
    with refused("registry: operator is the zero address"):
        world.registry("set_endpoint", asset, endpoint, by=publisher.address)


@pytest.mark.parametrize("field", range(3))
def test_a_price_fits_its_word(
    world: World, publisher: Person, operator: Person, field: int
) -> None:
    asset = world.publish(publisher)
    price = [0, 0, 0]
    price[field] = MOST
    world.set_endpoint(asset, operator, 0, by=publisher, price=(price[0], price[1], price[2]))
    assert list(world.registry("endpoint_of", asset, operator.address)[4]) == price
    price[field] += 1
    with refused("registry: price too high"):
        world.set_endpoint(asset, operator, 0, by=publisher, price=(price[0], price[1], price[2]))


@pytest.mark.parametrize(
    ("cut", "royalty", "floor", "fits"),
    [
        (9_500, 0, None, True),
        (9_501, 0, None, False),
        (8_500, 1_000, None, True),
        (8_501, 1_000, None, False),
        (5_500, 1_000, 3_000, True),
        (5_501, 1_000, 3_000, False),
        (2**256 - 1, 0, None, False),
    ],
)
def test_a_cut_leaves_the_highest_fee_the_royalties_and_the_holders_floor(
    world: World,
    publisher: Person,
    operator: Person,
    cut: int,
    royalty: int,
    floor: int | None,
    fits: bool,
) -> None:
    parents = ((world.publish(publisher), royalty),) if royalty else ()
    asset = world.publish(publisher, parents=parents)
    if floor is not None:
        world.tokenize(asset, publisher, floor_bps=floor)
    if fits:
        world.set_endpoint(asset, operator, cut, by=publisher)
    else:
        with refused("registry: cut leaves too little"):
            world.set_endpoint(asset, operator, cut, by=publisher)


def test_terms_that_were_never_written_split_nothing(
    world: World, publisher: Person, operator: Person
) -> None:
    asset = world.publish(publisher, operator=operator)
    for terms in (2, 2**200):
        with refused("registry: no such terms"):
            world.registry("split_of", asset, operator.address, terms)
    with refused("registry: no such terms"):
        world.registry("split_of", asset, publisher.address, 1)


def test_the_last_number_of_terms_is_not_passed(
    world: World, publisher: Person, operator: Person
) -> None:
    asset = world.publish(publisher, operator=operator)
    word = world.registry.slot("endpoints", asset, operator.address)
    world.registry.poke("endpoints", asset, operator.address, value=word | (2**32 - 1) << 216)
    with refused("registry: too many terms"):
        world.set_endpoint(asset, operator, 5, by=publisher)
