"""The books of our own assets, by hand: who got what, who paid, and what cannot be relied on."""

from __future__ import annotations

import pytest
from tests.unit.diligence.own.deployment import (
    CHANNELS,
    CHILD,
    DOLLAR,
    EMISSION,
    OPERATOR,
    PARENT,
    PAYER,
    PRICE,
    PUBLISHER,
    REGISTRY,
    SECOND,
    SHARE,
    TILL,
    WORKFLOWS,
    Deployment,
)

from tessera.bindings import channels, emission, registry, share, workflows
from tessera.diligence.own.books import AssetBooks, read_books
from tessera.diligence.own.payers import till_payers
from tessera.errors import DataError
from tessera.facts import Row, Transfers
from tessera.spec.vouchers import TillKey


def books(made: Deployment, **more: object) -> dict[int, AssetBooks]:
    return read_books(made.events, calldata=made.calldata, **more)  # type: ignore[arg-type]


def payers(book: AssetBooks) -> dict[str | None, int]:
    found: dict[str | None, int] = {}
    for each in book.paid:
        found[each.payer] = found.get(each.payer, 0) + each.at.amount
    return found


def test_a_payment_is_divided_by_hand() -> None:
    """1,000 for the child: a fee of 1 %, a tenth for the operator, a twentieth for its parent."""
    made = Deployment()
    made.settle([(1, 1_000)], (CHILD, 1_000, 5))
    found = books(made)
    child = found[CHILD]
    assert (child.gross, child.settled, child.till_income) == (1_000, 1_000, 0)
    assert (child.commons, child.validators, child.operator) == (5, 5, 100)
    assert (child.royalties, child.holders, child.left_over) == (50, 840, 0)
    assert [each.amount for each in found[PARENT].received] == [50]
    assert payers(child) == {PAYER: 1_000}
    assert (child.share, child.creator, child.doubts) == (SHARE, PUBLISHER, [])


def test_floors_leave_units_until_they_are_whole() -> None:
    """Nine payments of 1: each floor is 0, all but the holders' who get theirs as it grows."""
    made = Deployment()
    for _ in range(9):
        made.settle([(1, 1)], (CHILD, 1, 0))
    child = books(made)[CHILD]
    # floor(9 x 0.84) = 7, floor(9 x 0.1) = 0.
    assert (child.holders, child.operator, child.left_over) == (7, 0, 2)


def test_a_flush_that_fits_confirms_the_books() -> None:
    made = Deployment()
    made.settle([(1, 1_000)], (CHILD, 1_000, 5))
    made.flush(CHILD, 840)
    made.flush(PARENT, 50, PUBLISHER)
    found = books(made)
    assert [each.amount for each in found[CHILD].to_share] == [840]
    assert [each.amount for each in found[CHILD].distributed] == [840]
    assert [each.amount for each in found[PARENT].to_owner] == [50]
    assert not found[CHILD].doubts
    assert not found[PARENT].doubts


def test_a_hole_in_the_history_shows_itself() -> None:
    """One settlement was not indexed: what is flushed is more than the books have."""
    made = Deployment()
    made.settle([(1, 1_000)], (CHILD, 1_000, 5))
    made.settle([(1, 1_000)], (CHILD, 1_000, 5))
    made.flush(CHILD, 1_680)
    del made.events[-5:-3]
    (doubt,) = books(made)[CHILD].doubts
    assert "flushed 1680, the books say 840" in doubt


def test_a_split_that_is_not_ours_shows_itself() -> None:
    made = Deployment()
    made.settle([(1, 1_000)], (CHILD, 1_000, 6))
    (doubt,) = books(made)[CHILD].doubts
    assert "the commons got 6, the terms say 5" in doubt


def test_a_stranger_who_speaks_as_channels_is_refused() -> None:
    """A contract that copies our events could credit an asset with any revenue."""
    made = Deployment()
    fake = channels.Settled(asset=CHILD, operator=OPERATOR, terms=1, amount=10**12, commons=0)
    made.say((DOLLAR, fake))
    with pytest.raises(DataError, match="those of one contract"):
        books(made)


def test_a_history_without_its_beginning_is_refused() -> None:
    made = Deployment()
    made.settle([(1, 1_000)], (CHILD, 1_000, 5))
    with pytest.raises(DataError, match="before its registration"):
        read_books(made.events[-2:])


def test_two_payers_of_two_assets_are_told_apart_by_calldata() -> None:
    made = Deployment()
    one, two = TillKey(PARENT, 1), TillKey(CHILD, 1)
    made.settle(
        [(1, 700), (2, 300)], (PARENT, 600, 3), (CHILD, 400, 2),
        charges={1: {one: 500, two: 200}, 2: {one: 100, two: 200}},
    )  # fmt: skip
    made.settle(
        [(1, 10), (2, 20)], (PARENT, 10, 0), (CHILD, 20, 0),
        charges={1: {one: 510, two: 200}, 2: {one: 100, two: 220}},
    )  # fmt: skip
    found = books(made)
    assert payers(found[PARENT]) == {PAYER: 510, SECOND: 100}
    assert payers(found[CHILD]) == {PAYER: 200, SECOND: 220}


def test_without_calldata_nobody_guesses_who_paid() -> None:
    made = Deployment()
    made.settle([(1, 700), (2, 300)], (PARENT, 600, 3), (CHILD, 400, 2))
    found = books(made)
    assert payers(found[PARENT]) == {None: 600}
    assert found[CHILD].gross == 400


def test_one_channel_pays_for_all_assets() -> None:
    made = Deployment()
    made.settle([(2, 1_000)], (PARENT, 600, 3), (CHILD, 400, 2))
    found = books(made)
    assert payers(found[PARENT]) == {SECOND: 600}
    assert payers(found[CHILD]) == {SECOND: 400}


def test_calldata_that_contradicts_the_chain_is_not_believed() -> None:
    """A forged input that moves a payer's money to another asset does not add up."""
    made = Deployment()
    one, two = TillKey(PARENT, 1), TillKey(CHILD, 1)
    made.settle(
        [(1, 700), (2, 300)], (PARENT, 600, 3), (CHILD, 400, 2),
        charges={1: {one: 600, two: 100}, 2: {one: 200, two: 100}},
    )  # fmt: skip
    assert payers(books(made)[PARENT]) == {None: 600}
    made.calldata[made.block, 0] = b"\x6c\x13\x66\x4c garbage"
    assert payers(books(made)[PARENT]) == {None: 600}


def test_ended_terms_are_in_doubt_until_a_flush_shows_the_cut() -> None:
    """How long a cut outlives its terms is a setting of the Registry that nobody can ask for."""
    made = Deployment()
    made.say((REGISTRY, registry.EndpointSet(
        asset=CHILD, operator=OPERATOR, terms=2, cut_bps=0, fee_bps=100, price=PRICE, url=""
    )))  # fmt: skip
    made.settle([(1, 1_000)], (CHILD, 1_000, 5), terms=1)
    (doubt,) = books(made)[CHILD].doubts
    assert "terms 1 had ended" in doubt
    made.flush(CHILD, 840)
    assert books(made)[CHILD].doubts == []
    lapsed = books(made, terms_grace=0)[CHILD]
    assert (lapsed.operator, lapsed.holders) == (0, 940)


def test_a_discount_costs_the_holders_alone() -> None:
    """At half the price the fee, the cut and the royalty are worth what they were."""
    made = Deployment()
    made.say((REGISTRY, registry.DiscountSet(
        asset=CHILD, operator=OPERATOR, terms=2, discount_bps=5_000, min_locked=1
    )))  # fmt: skip
    made.settle([(1, 500)], (CHILD, 500, 5), terms=2)
    child = books(made)[CHILD]
    assert (child.commons, child.operator, child.royalties, child.holders) == (5, 100, 50, 340)


def test_money_for_emission_is_no_revenue() -> None:
    """A buyer pays the Share for network tokens that the asset was given: the subsidy, sold."""
    made = Deployment()
    made.say(
        (EMISSION, emission.SoldForHolders(asset=CHILD, buyer=PAYER, amount=5, cost=300)),
        (SHARE, share.RevenueDistributed(EMISSION, 300, made.now + 200)),
    )
    child = books(made)[CHILD]
    assert [each.amount for each in child.distributed] == [300]
    assert [each.amount for each in child.emission_sold] == [300]
    assert not child.to_share
    assert child.gross == 0


def till(made: Deployment, *sent: tuple[str, int], swept: int, told: str = "") -> Transfers:
    """Money sent to a Till, one transaction each, and swept: (source, amount)."""
    rows = []
    for source, amount in sent:
        paid = (WORKFLOWS, workflows.Paid(told, bytes(32), amount, bytes(32)))
        other = (REGISTRY, registry.OwnerNominated(PUBLISHER))
        block = made.say(paid if told else other)
        rows.append(Row(block, made.now, 0, 99, source, TILL, amount))
    block = made.block + 1
    rows.append(Row(block, made.now + 10, 0, 0, TILL, CHANNELS, swept))
    income = channels.IncomeReceived(asset=CHILD, operator=OPERATOR, terms=1, amount=swept)
    made.say((DOLLAR, share.NomineeSet(PAYER, PAYER)), (CHANNELS, income))
    return Transfers.of(DOLLAR, rows)


def test_who_sent_money_to_a_till_paid_it() -> None:
    made = Deployment()
    moved = till(made, (PAYER, 30), (SECOND, 12), swept=42)
    found = books(made, till_payers=till_payers(made.events, moved))
    assert payers(found[CHILD]) == {PAYER: 30, SECOND: 12}
    assert (found[CHILD].till_income, found[CHILD].settled) == (42, 0)


def test_what_came_from_a_contract_of_ours_hides_its_payer() -> None:
    """Where the money of a product lies, its buyers cannot be told apart any more."""
    made = Deployment()
    moved = till(made, (SHARE, 30), (SECOND, 12), swept=42)
    found = books(made, till_payers=till_payers(made.events, moved))
    assert payers(found[CHILD]) == {SECOND: 12, None: 30}


def test_a_workflow_pays_for_who_ordered_it() -> None:
    made = Deployment()
    moved = till(made, (WORKFLOWS, 30), swept=30, told=PAYER)
    found = books(made, till_payers=till_payers(made.events, moved))
    assert payers(found[CHILD]) == {PAYER: 30}


def test_a_till_that_held_money_before_the_facts_begin_hides_that() -> None:
    made = Deployment()
    moved = till(made, (PAYER, 30), swept=42)
    found = books(made, till_payers=till_payers(made.events, moved))
    assert payers(found[CHILD]) == {PAYER: 30, None: 12}
