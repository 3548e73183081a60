"""An asset of our own as a subject, and step 1 of it, from its contracts' events alone."""

from __future__ import annotations

from datetime import date

import pytest
from tests.unit.diligence.own.deployment import (
    CHANNELS,
    CHILD,
    DOLLAR,
    HOLDER,
    OPERATOR,
    PARENT,
    PAYER,
    PUBLISHER,
    REGISTRY,
    SHARE,
    SUPPLY,
    Deployment,
)

from tessera.bindings import channels, exchange, launchpad, registry, share, test_dollar
from tessera.diligence.money import measure
from tessera.diligence.own import asset_of_share, slugs_of, subject_of_asset
from tessera.diligence.own.prices import traded
from tessera.diligence.results import DAY_S, Metric, Status
from tessera.diligence.view import View
from tessera.errors import DataError, NotFound
from tessera.facts import ZERO, Facts, Head, Row, Transfers
from tessera.facts.memory import Memory

EXCHANGE, VESTING = "0x" + "7" * 40, "0x" + "8" * 40


def facts(made: Deployment, *, observed: bool = True) -> Facts:
    """What an indexer keeps of it: events, and transfers of the Share and of the dollar."""
    moved: dict[str, list[Row]] = {SHARE: [], DOLLAR: []}
    for each in made.events:
        if isinstance(each.event, share.Transfer | test_dollar.Transfer):
            said = each.event
            where = each.block, each.time, each.tx, each.log
            row = Row(*where, said.sender.lower(), said.receiver.lower(), said.value)
            moved[each.address].append(row)
    return Facts(
        Memory(
            chain_id=1,
            newest=Head(made.block, made.now),
            held={token: Transfers.of(token, rows) for token, rows in moved.items()},
            emitted=tuple(made.events) if observed else None,
        )
    )


def deposited(made: Deployment) -> None:
    made.say((DOLLAR, test_dollar.Transfer(ZERO, PAYER, 5_000)))
    made.say(
        (DOLLAR, test_dollar.Transfer(PAYER, CHANNELS, 5_000)),
        (CHANNELS, channels.Deposited(operator=OPERATOR, channel=1, amount=5_000)),
    )


def test_the_chain_describes_an_asset() -> None:
    made = Deployment()
    deposited(made)
    schedule = launchpad.Schedule(HOLDER, 500, made.now, 10 * DAY_S, 20 * DAY_S)
    made.say((EXCHANGE, launchpad.VestingOpened(
        asset=CHILD, vesting=VESTING, beneficiary=HOLDER, schedule=schedule
    )))  # fmt: skip
    about = subject_of_asset(facts(made), CHILD)
    assert (about.token, about.asset, about.decimals) == (SHARE, CHILD, 18)
    assert about.payments.contracts == (CHANNELS,)
    (currency,) = about.payments.currencies
    assert (currency.address, currency.decimals, currency.usd) == (DOLLAR, 6, 1.0)
    assert about.holders.distributors == (SHARE,)
    assert about.labels == {VESTING: "vesting"}
    (unlock,) = about.unlocks
    assert (unlock.amount, unlock.cliff, unlock.end) == (
        "500",
        date(1970, 1, 11),
        date(1970, 1, 21),
    )
    assert slugs_of(facts(made)) == {"model-71": CHILD}
    assert asset_of_share(facts(made), SHARE) == CHILD
    assert asset_of_share(facts(made), DOLLAR) is None


def test_what_is_no_subject() -> None:
    made = Deployment()
    with pytest.raises(NotFound, match="no Share"):
        subject_of_asset(facts(made), PARENT)
    with pytest.raises(NotFound, match="not registered"):
        subject_of_asset(facts(made), 5)
    with pytest.raises(DataError, match="not observed"):
        subject_of_asset(facts(made, observed=False), CHILD)
    assert asset_of_share(facts(made, observed=False), SHARE) is None


def test_nobody_takes_over_a_name() -> None:
    """An attacker registers an asset with the slug of a known one, and tokenizes it."""
    made = Deployment()
    for slug, asset in (("model-71", 99), ("model-70", 98)):
        made.say((REGISTRY, registry.AssetRegistered(
            asset=asset, creator=PAYER, number=asset, kind=registry.Kind.MODEL, slug=slug,
            contributions=bytes(32), parents=(),
        )))  # fmt: skip
        made.say((REGISTRY, registry.Tokenized(
            asset=asset, share=f"0x{asset:040x}", receiver=PAYER, supply=SUPPLY, floor_bps=0,
            max_discount_bps=0, period=1,
        )))  # fmt: skip
    # The parent has no Share; its name is not for the taking all the same.
    assert slugs_of(facts(made)) == {"model-71": CHILD}


def test_step_1_of_our_own_asset() -> None:
    """1,000 for the child, of which 840 reach its Share and stream to its only holder."""
    made = Deployment()
    deposited(made)
    made.settle([(1, 1_000)], (CHILD, 1_000, 5))
    made.flush(CHILD, 840)
    for _ in range(12):
        made.say()
    made.say((SHARE, share.RevenueClaimed(PUBLISHER, 840)))
    found = facts(made)
    metrics = {each.name: each for each in measure(View(found, subject_of_asset(found, CHILD)))}
    assert metrics["gross_fees"].value == 1_000
    revenue = metrics["holders_revenue"]
    assert revenue.value == 840
    wanted = {"operator": 100, "royalties": 50, "streamed": 840, "claimed": 840}
    assert {name: revenue.parts[name] for name in wanted} == wanted
    assert metrics["gross_fees_usd"].value == 0.001
    assert metrics["payout_coverage"].value == 1.0
    assert metrics["payout_coverage"].parts["to_the_unit"] == 1
    assert metrics["inference_calls"].status is Status.UNKNOWN
    assert metrics["payer_count"].value == 1


def own_answers(made: Deployment) -> dict[str, Metric]:
    found = facts(made)
    return {each.name: each for each in measure(View(found, subject_of_asset(found, CHILD)))}


def test_who_owns_what_it_pays_for_pays_itself() -> None:
    """A holder of a quarter pays 1,000, of which 840 stream to all holders: 210 come back to it."""
    made = Deployment()
    deposited(made)
    made.say((SHARE, share.Transfer(PUBLISHER, PAYER, SUPPLY // 4)))
    made.settle([(1, 1_000)], (CHILD, 1_000, 5))
    made.flush(CHILD, 840)
    for _ in range(12):
        made.say()
    found = own_answers(made)
    assert found["gross_fees_usd"].parts["micro_usd"] == [1_000]
    assert found["clean_fees_usd"].value == pytest.approx(790e-6)
    assert found["subsidy_share"].value == pytest.approx(0.21)


def test_what_a_holder_earns_of_others_is_no_circle() -> None:
    """The same quarter, and somebody else pays nine times as much: still 210 of its own 1,000."""
    made = Deployment()
    deposited(made)
    made.say((SHARE, share.Transfer(PUBLISHER, PAYER, SUPPLY // 4)))
    made.settle([(1, 1_000)], (CHILD, 1_000, 5))
    made.settle([(2, 9_000)], (CHILD, 9_000, 45))
    made.flush(CHILD, 8_400)
    for _ in range(12):
        made.say()
    found = own_answers(made)
    assert found["clean_fees_usd"].value == pytest.approx((10_000 - 210) * 1e-6)


def test_an_operator_that_calls_itself_is_no_demand() -> None:
    """Whoever serves an asset, or made it, pays into its own pocket."""
    made = Deployment()
    deposited(made)
    made.say(
        (CHANNELS, channels.ChannelOpened(
            operator=OPERATOR, payer=OPERATOR, channel=3, signer=OPERATOR, restricted=False
        )),
    )  # fmt: skip
    made.settle([(3, 1_000)], (CHILD, 1_000, 5))
    made.settle([(1, 3_000)], (CHILD, 3_000, 15))
    found = own_answers(made)
    assert found["clean_fees_usd"].value == pytest.approx(3e-3)
    assert found["payer_count"].value == 1


def test_a_copy_of_our_contracts_adds_nothing_and_stops_nothing() -> None:
    """Our code is open: an attacker deploys it again, with a currency of its own making.

    Its Channels says that the child earned a billion; its Registry has other assets. The books are
    those of the contracts that spoke of the child first.
    """
    made = Deployment()
    deposited(made)
    made.settle([(1, 1_000)], (CHILD, 1_000, 5))
    false_channels, false_registry = "0x" + "9" * 40, "0x" + "a" * 40
    made.say((false_registry, registry.AssetRegistered(
        asset=99, creator=PAYER, number=1, kind=registry.Kind.MODEL, slug="copy",
        contributions=bytes(32), parents=(),
    )))  # fmt: skip
    made.say(
        (false_channels, channels.VouchersSettled(operator=OPERATOR, taken=(1 | 10**15 << 64,))),
        (false_channels, channels.Settled(
            asset=CHILD, operator=OPERATOR, terms=1, amount=10**15, commons=5 * 10**12
        )),
    )  # fmt: skip
    found = own_answers(made)
    assert found["gross_fees"].value == 1_000
    assert found["payer_count"].value == 1


def test_books_with_a_hole_answer_nothing() -> None:
    made = Deployment()
    deposited(made)
    made.settle([(1, 1_000)], (CHILD, 1_000, 5))
    made.flush(CHILD, 841)
    found = facts(made)
    metrics = measure(View(found, subject_of_asset(found, CHILD)))
    assert {each.status for each in metrics} == {Status.UNKNOWN}
    assert all("do not add up" in each.text for each in metrics)


def test_a_share_is_worth_what_was_paid_for_it() -> None:
    """Two trades of a day, 10 shares for 5 dollars and 30 for 25: 0.75; nothing the day after."""
    made = Deployment()
    for tokens, paid in ((10, 5), (30, 25)):
        made.say((EXCHANGE, exchange.Bought(
            token=SHARE, buyer=PAYER, receiver=PAYER, tokens=tokens * 10**18, cost=paid * 10**6
        )))  # fmt: skip
    made.say((EXCHANGE, exchange.Sold(
        token=DOLLAR, seller=PAYER, receiver=PAYER, tokens=10**18, proceeds=10**9
    )))  # fmt: skip
    quotes = traded(made.events, SHARE, 18, 6)
    assert quotes is not None
    assert quotes.prices == (75 * 10**22,)
    assert quotes.times.tolist() == [0]
    assert traded(made.events, CHANNELS, 18, 6) is None
    assert SUPPLY == 1_000 * 10**18
