"""The accountant finds nothing in true books, and every lie in others."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import msgspec
import pytest
from tests.unit.demo.town import (
    CHANNELS,
    CHILD,
    COMMONS,
    COSTS,
    GIFT,
    HOLDER,
    OPERATOR,
    PARENT,
    SHARES,
    Town,
    a_year_in_town,
)

from tessera.bindings import channels, share, test_dollar
from tessera.bindings.calls import Event
from tessera.demo.accountant import Entry, Facts, TermsKey, audit

Lie = Callable[[Facts], Facts]


@pytest.fixture(scope="module")
def town() -> Town:
    return a_year_in_town()


def test_true_books_balance_and_every_unit_is_somebodys(town: Town) -> None:
    found = audit(town.facts())
    assert [str(difference) for difference in found.differences] == []
    assert found.balanced
    child = found.divisions[CHILD]
    assert (child.settled, child.income) == (sum(COSTS), GIFT)
    assert child.gross == child.divided
    assert child.royalties[PARENT] == found.divisions[PARENT].received > 0
    assert found.calls[CHILD] == len(COSTS)
    assert found.paid.deposited == found.paid.charged + found.paid.withdrawn
    earned = found.earnings[CHILD]
    assert earned.distributed == sum(earned.claimed.values()) + earned.dust
    assert earned.claimed[HOLDER] > 0
    assert sum(found.checks.values()) > 40


def test_revenue_that_is_not_claimed_yet_is_a_difference() -> None:
    town = a_year_in_town()
    town.tx += 1
    town.call(4_321)
    town.settle()
    town.flush(CHILD)
    rules = {difference.rule for difference in audit(town.facts()).differences}
    assert "the stream has ended" in rules


def changed(kind: type[Event], nth: int = 0, *, shift: int = 0, **change: int) -> Lie:
    """Add to fields of the nth event of a kind, or move it in time."""

    def lie(facts: Facts) -> Facts:
        at = [i for i, entry in enumerate(facts.entries) if isinstance(entry.event, kind)][nth]
        entries = list(facts.entries)
        old = entries[at]
        fields = {name: getattr(old.event, name) + by for name, by in change.items()}
        event = msgspec.structs.replace(old.event, **fields)
        entries[at] = Entry(event, old.address, old.time + shift, old.tx)
        return dataclasses.replace(facts, entries=tuple(entries))

    return lie


def dropped(kind: type[Event], nth: int = 0) -> Lie:
    def lie(facts: Facts) -> Facts:
        gone = [entry for entry in facts.entries if isinstance(entry.event, kind)][nth]
        kept = tuple(entry for entry in facts.entries if entry is not gone)
        return dataclasses.replace(facts, entries=kept)

    return lie


def without_receipt(nth: int) -> Lie:
    def lie(facts: Facts) -> Facts:
        calls = tuple(call for at, call in enumerate(facts.calls) if at != nth)
        return dataclasses.replace(facts, calls=calls)

    return lie


def dearer_receipt(nth: int) -> Lie:
    def lie(facts: Facts) -> Facts:
        calls = tuple(
            call._replace(cost=call.cost + 1) if at == nth else call
            for at, call in enumerate(facts.calls)
        )
        return dataclasses.replace(facts, calls=calls)

    return lie


def receipt_twice(facts: Facts) -> Facts:
    return dataclasses.replace(facts, calls=(*facts.calls, facts.calls[-1]))


def other_number(field: str, key: object) -> Lie:
    def lie(facts: Facts) -> Facts:
        table = {**getattr(facts, field)}
        table[key] = table.get(key, 0) + 1
        return dataclasses.replace(facts, **{field: table})

    return lie


def other_share(field: str) -> Lie:
    def lie(facts: Facts) -> Facts:
        found = facts.shares[SHARES[CHILD]]
        changed = dataclasses.replace(found, **{field: getattr(found, field) + 1})
        return dataclasses.replace(facts, shares={**facts.shares, SHARES[CHILD]: changed})

    return lie


@pytest.mark.parametrize(
    ("lie", "rule"),
    [
        (without_receipt(1), "each receipt continues the one before"),
        (without_receipt(3), "what is settled on a line is what receipts charged"),
        (dearer_receipt(2), "each receipt continues the one before"),
        (receipt_twice, "every receipt counts once"),
        (changed(channels.Settled, amount=1), "a settlement takes from channels"),
        (changed(channels.Settled, commons=1), "the commons' half"),
        (dropped(channels.VouchersSettled), "a channel has its deposits"),
        (changed(channels.Deposited, amount=-1), "deposits are what was charged"),
        (changed(channels.IncomeReceived, amount=1), "money into Channels"),
        (changed(channels.Flushed, 1, amount=-1), "a flush hands on exactly what was pending"),
        (changed(channels.Flushed, 2, amount=-1), "what Channels flushed is what the Share"),
        (changed(channels.CreditWithdrawn, amount=1), "a credit is withdrawn whole"),
        (changed(channels.Withdrawn, amount=-1), "money out of Channels"),
        (dropped(test_dollar.Transfer, 2), "transfers add up to balances"),
        (changed(test_dollar.Transfer, 0, value=1), "all money comes from the faucet"),
        (changed(share.RevenueClaimed, 0, amount=1), "a claim is the twin's, bit for bit"),
        (changed(share.RevenueClaimed, 0, shift=-1), "a claim is the twin's, bit for bit"),
        (changed(share.RevenueDistributed, 0, amount=1), "a Share distributed its part"),
        (changed(share.RevenueDistributed, 0, streams_until=1), "a stream ends when the twin says"),
        (dropped(share.RevenueClaimed, 2), "everybody has claimed"),
        (changed(share.Transfer, 4, value=1), "shares held"),
        (other_number("balances", OPERATOR), "what the faucet gave is with people"),
        (other_number("balances", CHANNELS), "transfers add up to balances"),
        (other_number("balances", SHARES[CHILD]), "a Share holds what it owes"),
        (other_number("gross", TermsKey(CHILD, OPERATOR, 1)), "gross"),
        (other_number("pending", CHILD), "pending income"),
        (other_number("credit", COMMONS), "credit"),
        (other_share("paid"), "paid"),
        (other_share("obligations"), "obligations"),
    ],
)
def test_one_unit_that_is_not_true_is_found(town: Town, lie: Lie, rule: str) -> None:
    found = audit(lie(town.facts()))
    assert not found.balanced
    told = [str(difference) for difference in found.differences]
    assert any(line.startswith(rule) for line in told), told


def test_a_transfer_that_is_written_down_too_early_gives_the_past_away(town: Town) -> None:
    """`no_past_revenue`: had the shares changed hands earlier, other claims would have been due."""
    found = audit(changed(share.Transfer, 4, shift=-2)(town.facts()))
    assert "a claim is the twin's, bit for bit" in {d.rule for d in found.differences}
