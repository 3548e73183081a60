"""The currency itself: every transfer replayed, as if no other contract existed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from tessera.bindings import channels, test_dollar
from tessera.demo.accountant.checks import Checks
from tessera.demo.accountant.facts import Facts
from tessera.spec.signatures import ZERO_ADDRESS_TEXT

__all__ = ["check_cash", "check_remainders"]


def check_cash(facts: Facts, checks: Checks) -> None:
    """Replay the currency's transfers, and explain each that touches `Channels` by its events."""
    held: Counter[str] = Counter()
    minted = into_channels = out_of_channels = 0
    for entry in facts.entries:
        event = entry.event
        if entry.address != facts.currency or not isinstance(event, test_dollar.Transfer):
            continue
        if event.sender == ZERO_ADDRESS_TEXT:
            minted += event.value
        else:
            held[event.sender] -= event.value
            checks.within(
                "nobody spends what he has not",
                facts.name(event.sender),
                held[event.sender],
                0,
                facts.supply,
            )
        held[event.receiver] += event.value
        into_channels += event.value if event.receiver == facts.channels else 0
        out_of_channels += event.value if event.sender == facts.channels else 0
    checks.same("all money comes from the faucet", "currency", facts.supply, minted)
    checks.same_all("transfers add up to balances", facts.balances, held, facts.name)
    _check_channels_cash(facts, checks, into_channels, out_of_channels)


def check_remainders(facts: Facts, checks: Checks, named: Mapping[str, int]) -> dict[str, int]:
    """What people do not have lies in contracts under a name, and there is nothing else.

    Parameters
    ----------
    named
        What the other checks know to lie in a contract: base units by what it is.

    Returns
    -------
    dict
        Those that are not 0.
    """
    with_people = sum(
        amount for address, amount in facts.balances.items() if address not in facts.contracts
    )
    checks.same(
        "what the faucet gave is with people, or has a name",
        "currency",
        facts.supply,
        with_people + sum(named.values()),
    )
    return {name: amount for name, amount in sorted(named.items()) if amount}


def _check_channels_cash(facts: Facts, checks: Checks, into: int, out_of: int) -> None:
    deposited = income = paid_back = flushed = withdrawn = 0
    shares = facts.shares
    for entry in facts.entries:
        match entry.event:
            case channels.Deposited(amount=amount):
                deposited += amount
            case channels.IncomeReceived(amount=amount):
                income += amount
            case channels.Withdrawn(amount=amount):
                paid_back += amount
            case channels.Flushed(receiver=receiver, amount=amount) if receiver in shares:
                flushed += amount
            case channels.CreditWithdrawn(amount=amount):
                withdrawn += amount
            case _:
                pass
    checks.same(
        "money into Channels is deposits and Till income", "Channels", into, deposited + income
    )
    checks.same(
        "money out of Channels is refunds, revenue and credits",
        "Channels",
        out_of,
        paid_back + flushed + withdrawn,
    )
    held = facts.balances.get(facts.channels, 0)
    checks.within("solvent: Channels", "Channels", held - facts.obligations, 0, held)
