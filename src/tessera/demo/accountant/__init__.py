"""An independent accountant: is every unit that consumers paid accounted for?

It is given events, balances and receipts (`Facts`), and writes the books again with the twins of
`tessera.spec`, which share no code with the contracts. It asks nobody and changes nothing.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from tessera.demo.accountant.cash import check_cash, check_remainders
from tessera.demo.accountant.charges import check_charges
from tessera.demo.accountant.checks import Checks, Difference
from tessera.demo.accountant.contributors import check_contributors
from tessera.demo.accountant.facts import (
    ChannelKey,
    Entry,
    Facts,
    LineKey,
    NetworkFacts,
    PaidCall,
    ShareFacts,
    TermsKey,
)
from tessera.demo.accountant.network import check_network
from tessera.demo.accountant.payments import Paid, check_payments
from tessera.demo.accountant.pools import check_pools
from tessera.demo.accountant.rights import check_rights
from tessera.demo.accountant.sales import check_sales
from tessera.demo.accountant.shares import Earnings, check_shares, check_vestings
from tessera.demo.accountant.split import Division, check_split
from tessera.demo.accountant.votes import check_votes

__all__ = [
    "Audit",
    "ChannelKey",
    "Difference",
    "Division",
    "Earnings",
    "Entry",
    "Facts",
    "LineKey",
    "NetworkFacts",
    "Paid",
    "PaidCall",
    "ShareFacts",
    "TermsKey",
    "audit",
]


@dataclass(frozen=True, slots=True)
class Audit:
    """What the accountant found.

    Attributes
    ----------
    checks
        Number of comparisons by rule.
    differences
        Those that failed; none if the books balance.
    paid
        What consumers put in, and where it went.
    calls, divisions, earnings
        By asset: paid calls, the division of the gross, and what its Share passed on.
    remainders
        What lies in contracts at the end: base units by what it is.
    tokens
        Where all TSR is at the end: raw TSR by what it is.
    """

    checks: Counter[str]
    differences: tuple[Difference, ...]
    paid: Paid
    calls: Counter[int]
    divisions: dict[int, Division]
    earnings: dict[int, Earnings]
    remainders: dict[str, int]
    tokens: dict[str, int]

    @property
    def balanced(self) -> bool:
        """Whether nothing contradicts anything."""
        return not self.differences


def audit(facts: Facts) -> Audit:
    """Write the books again and compare.

    Parameters
    ----------
    facts
        Of a world whose streams have ended and where everybody has claimed; whoever has not is a
        difference.
    """
    checks = Checks()
    check_cash(facts, checks)
    paid = check_payments(facts, checks)
    check_charges(facts, checks)
    divisions = check_split(facts, checks)
    earnings = check_shares(facts, checks)
    check_vestings(facts, checks)
    tokens, of_network = check_network(facts, checks)
    named = {
        "deposits in channels": sum(facts.channel_balances.values()),
        "income to be flushed": sum(facts.pending.values()),
        "credits": sum(facts.credit.values()),
        "left over by splits": sum(division.remainder for division in divisions.values()),
        **{f"dust of {facts.name(found.share)}": found.dust for found in earnings.values()},
        **check_sales(facts, checks),
        **check_contributors(facts, checks),
        **check_rights(facts, checks),
        **check_pools(facts, checks),
        **check_votes(facts, checks),
        **of_network,
    }
    calls: Counter[int] = Counter()
    for key, count in paid.calls.items():
        calls[key.asset] += count
    for asset, division in divisions.items():
        if asset in earnings:
            checks.same(
                "a Share distributed its part and its royalties",
                f"asset {asset}",
                earnings[asset].distributed,
                division.holders + division.received,
            )
    remainders = check_remainders(facts, checks, named) if facts.contracts else {}
    return Audit(
        checks.made, tuple(checks.differences), paid, calls, divisions, earnings, remainders,
        tokens,
    )  # fmt: skip
