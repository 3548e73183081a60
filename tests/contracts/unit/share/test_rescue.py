"""What is sent to a Share by mistake is handed to the asset's controller, with what it earned."""

from __future__ import annotations

from rig.compiling import mock
from rig.contract import deployed, refused
from rig.people import Person
from rig.system import DAY, ONE_SHARE, World


def test_another_token_goes_to_the_controller(
    world: World, publisher: Person, attacker: Person
) -> None:
    share = world.new_share(publisher)
    token = deployed(world.engine, mock("PlainCurrency"), 18, by=world.owner.address)
    token("mint", share, 55)
    assert share("rescue", token, by=attacker.address) == 55
    assert token("balanceOf", publisher.address) == 55


def test_the_currency_is_revenue_and_stays(world: World, publisher: Person) -> None:
    share = world.new_share(publisher)
    with refused("share: the currency is revenue; use sync"):
        share("rescue", world.currency, by=publisher.address)


def test_a_token_that_refuses_is_left_alone(world: World, publisher: Person) -> None:
    share = world.new_share(publisher)
    token = deployed(world.engine, mock("FalseCurrency"), 18, by=world.owner.address)
    token("mint", share, 55)
    token("set_refuses", True)
    with refused("rescue: token refused the transfer"):
        share("rescue", token)


def test_shares_that_reached_a_share_before_its_birth_come_out_with_what_they_earned(
    world: World, publisher: Person, holder: Person
) -> None:
    shares = world.new_share(holder, supply=4 * ONE_SHARE)
    asset = world.publish(publisher)
    with world.engine.trial():
        unborn = world.tokenize(asset, publisher).address
    shares("transfer", unborn, ONE_SHARE, by=holder.address)
    share = world.tokenize(asset, publisher)
    assert share.address == unborn
    world.fund(shares.address, 1_000)
    shares("sync")
    world.wait(DAY)
    assert share("rescue", shares) == ONE_SHARE
    assert shares("balanceOf", publisher.address) == ONE_SHARE
    assert world.held(publisher) == 250
