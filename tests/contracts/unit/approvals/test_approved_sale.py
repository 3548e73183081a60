"""Shares sold on an approval that is still to come, with the proceeds kept until it is final."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from rig.approving import LEAST_BOND, Approving, answers, open_approving
from rig.compiling import compiled
from rig.contract import Contract, deployed, refused
from rig.currencies import CURRENCIES
from rig.people import Person, person
from rig.system import DAY, ONE_SHARE

from tessera.spec.approved_sale import EscrowModel, early_limit, refund_of

PRICE, FOR_SALE = 10**6, 1_000 * ONE_SHARE
CAP = 2 * 10**9


@dataclass
class Selling:
    """A round, and a sale on it."""

    approving: Approving
    share: Contract
    offering: Contract

    @property
    def escrow(self) -> Any:
        return self.approving.sale("escrow_of", self.offering.address)

    def buy(self, who: Person, shares: int) -> int:
        """Buy whole shares; what they cost."""
        self.approving.world.fund(who, shares * PRICE, spender=self.offering)
        amount = shares * ONE_SHARE
        return int(self.offering("buy", amount, who.address, by=who.address)[1])

    def release(self, *, by: Person | None = None) -> int:
        """Let the issuer take what it may have."""
        who = by or self.approving.issuer
        return int(self.approving.sale("release", self.offering.address, by=who.address))

    def refund(self, who: Person, shares: int) -> int:
        """Bring whole shares back."""
        self.share("approve", self.approving.sale, 2**256 - 1, by=who.address)
        sale, amount = self.approving.sale, shares * ONE_SHARE
        return int(sale("refund", self.offering.address, amount, by=who.address))


def terms(sale: Contract, **changes: Any) -> tuple[Any, ...]:
    """Fill the terms of an offering in."""
    now = sale.engine.now
    fields = {
        "publisher": sale.address,
        "price": PRICE,
        "for_sale": FOR_SALE,
        "soft_cap": 0,
        "most": FOR_SALE,
        "start": now,
        "end": now + 30 * DAY,
        "allowed": bytes(32),
        "liquidity": (0, 0, 0),
        **changes,
    }
    return tuple(fields.values())


def sell(approving: Approving, **changes: Any) -> Selling:
    """Tokenize the asset, start a round and put shares up for sale on it."""
    world, issuer = approving.world, approving.issuer
    share = world.tokenize(approving.asset, issuer, supply=10_000 * ONE_SHARE)
    approving.add_jurors(6)
    approving.start(cap=CAP)
    share("approve", approving.sale, 2**256 - 1, by=issuer.address)
    row = terms(approving.sale, **changes)
    address = approving.sale("open", approving.round, row, by=issuer.address)
    return Selling(approving, share, Contract(world.engine, compiled("Offering"), address))


_KEPT: list[Selling] = []


@pytest.fixture
def selling() -> Iterator[Selling]:
    """1,000 shares for sale at 1, on a round that has begun; undone after the test."""
    if not _KEPT:
        _KEPT.append(sell(open_approving()))
    kept = _KEPT[0]
    with kept.approving.world.engine.trial():
        yield kept
        kept.approving.reports.clear()


def finish(selling: Selling, correct: int) -> int:
    """Let the five approve, and the model turn out so good."""
    selling.approving.all_approve()
    selling.approving.reveal_truth()
    selling.approving.count(answers(correct))
    return selling.approving.finish()


def test_the_issuer_gets_everything_when_it_is_final(selling: Selling, buyer: Person) -> None:
    assert selling.buy(buyer, 600) == 600 * PRICE
    with refused("approved_sale: not approved"):
        selling.release()
    with refused("approved_sale: nothing to refund"):
        selling.refund(buyer, 1)
    with refused("approved_sale: only the issuer"):
        selling.release(by=buyer)
    assert selling.approving.sale("collect", selling.offering.address) == 600 * PRICE
    assert selling.approving.sale("obligations") == 600 * PRICE
    assert finish(selling, 85) == 2
    assert selling.release() == 600 * PRICE
    selling.buy(buyer, 10)
    assert selling.release() == 10 * PRICE
    with refused("approved_sale: nothing to refund"):
        selling.refund(buyer, 1)
    assert selling.approving.world.held(selling.approving.sale) == 0


def test_buyers_of_a_bad_model_get_their_money(selling: Selling, buyer: Person) -> None:
    """The shares go back to the issuer."""
    other = person("second buyer")
    for who, shares in ((buyer, 600), (other, 400)):
        selling.buy(who, shares)
    assert finish(selling, 60) == 3
    with refused("approved_sale: not approved"):
        selling.release()
    held = selling.share("balanceOf", selling.approving.issuer.address)
    assert selling.refund(buyer, 600) == 600 * PRICE
    assert selling.refund(other, 400) == 400 * PRICE
    back = selling.share("balanceOf", selling.approving.issuer.address) - held
    assert back == 1_000 * ONE_SHARE
    with refused("approved_sale: more than the caller bought"):
        selling.refund(buyer, 1)
    assert selling.approving.sale("obligations") == 0


def test_what_leaves_early_is_a_fifth_of_the_bonds(selling: Selling, buyer: Person) -> None:
    approving = selling.approving
    # Five bonds of 1,000 tokens at 0.10: a fifth of what they are worth is 100.
    approving.price("set_price", 10**5)
    selling.buy(buyer, 600)
    approving.all_approve()
    limit = early_limit(approving.price("value_of", 5 * LEAST_BOND), 0)
    assert selling.release() == limit == 100 * PRICE
    assert selling.release() == 0
    approving.reveal_truth()
    approving.count(answers(60))
    assert approving.finish() == 3
    model = EscrowModel(held=500 * PRICE, bought={buyer.address: 600 * ONE_SHARE})
    for shares in (200, 399, 1):
        expected = model.refund(buyer.address, shares * ONE_SHARE)
        assert selling.refund(buyer, shares) == expected
    assert refund_of(500 * PRICE, 200, 600) == 500 * PRICE * 200 // 600
    assert approving.sale("obligations") == 0


def test_a_round_that_ends_void_refunds(selling: Selling, buyer: Person) -> None:
    selling.buy(buyer, 5)
    selling.approving.all_approve()
    selling.approving.hours(80)
    selling.approving.approvals("fail_set", selling.approving.test_set, buyer.address)
    selling.approving.approvals("finish", selling.approving.round)
    assert selling.refund(buyer, 5) == 5 * PRICE


def test_unsold_shares_and_what_they_earned_are_the_issuers(
    selling: Selling, buyer: Person
) -> None:
    approving, share = selling.approving, selling.share
    selling.buy(buyer, 100)
    approving.world.fund(share.address, 10_000)
    share("sync")
    approving.world.wait(31 * DAY)
    before = approving.world.held(approving.issuer)
    earned = approving.sale("claim_revenue", selling.offering.address)
    # Nine tenths of 10,000 in the stream's part of the supply, rounded down.
    assert approving.world.held(approving.issuer) - before == earned == 899
    held = share("balanceOf", approving.issuer.address)
    assert approving.sale("return_unsold", selling.offering.address) == 900 * ONE_SHARE
    assert share("balanceOf", approving.issuer.address) - held == 900 * ONE_SHARE


def test_sales_that_are_not_opened(selling: Selling, attacker: Person) -> None:
    sale, round_ = selling.approving.sale, selling.approving.round
    issuer = selling.approving.issuer.address
    with refused("approved_sale: only who opened the round"):
        sale("open", round_, terms(sale), by=attacker.address)
    for changes in ({"publisher": issuer}, {"liquidity": (100, 0, DAY)}):
        with refused("approved_sale: not to be sold that way"):
            sale("open", round_, terms(sale, **changes), by=issuer)
    with refused("approved_sale: above the cap of the round"):
        sale("open", round_, terms(sale, price=PRICE + 10), by=issuer)
    with refused("approved_sale: no such sale"):
        sale("collect", attacker.address)
    for name in ("return_unsold", "claim_revenue"):
        with refused("approved_sale: no such sale"):
            sale(name, attacker.address)
    finish(selling, 85)
    with refused("approved_sale: the round is over"):
        sale("open", round_, terms(sale), by=issuer)


def test_only_shares_are_sold() -> None:
    approving = open_approving()
    approving.commit_set()
    approving.open_round(cap=CAP)
    with refused("approved_sale: asset is not tokenized"):
        approving.sale("open", approving.round, terms(approving.sale), by=approving.issuer.address)


def test_a_currency_that_answers_false_is_believed(buyer: Person) -> None:
    world = CURRENCIES["false for no"].world()
    selling = sell(open_approving(world=world))
    selling.buy(buyer, 10)
    finish(selling, 85)
    selling.approving.sale("collect", selling.offering.address)
    world.currency("set_refuses", True)
    with refused("approved_sale: currency refused the transfer"):
        selling.release()


def test_without_prices_nothing_leaves_early(buyer: Person) -> None:
    selling = sell(open_approving())
    plain = deployed(
        selling.approving.world.engine, compiled("ApprovedSale"),
        selling.approving.world.currency, selling.approving.world.registry,
        selling.approving.world.launchpad, selling.approving.approvals, "0x" + "00" * 20,
        by=buyer.address,
    )  # fmt: skip
    issuer = selling.approving.issuer.address
    selling.share("approve", plain, 2**256 - 1, by=issuer)
    address = plain("open", selling.approving.round, terms(plain), by=issuer)
    offering = Contract(plain.engine, compiled("Offering"), address)
    selling.approving.world.fund(buyer, PRICE, spender=offering)
    offering("buy", ONE_SHARE, buyer.address, by=buyer.address)
    selling.approving.all_approve()
    assert plain("release", address, by=issuer) == 0
