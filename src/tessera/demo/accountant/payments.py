"""What consumers paid: deposits, receipts and settlements must tell one story."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass, field

from tessera.bindings.channels import Deposited, Settled, VouchersSettled, Withdrawn
from tessera.demo.accountant.checks import Checks
from tessera.demo.accountant.facts import ChannelKey, Facts, LineKey, PaidCall, TermsKey

__all__ = ["Paid", "check_payments"]

_CHANNEL_BITS = 64


@dataclass(slots=True)
class Paid:
    """What consumers put in, and where it went; base units.

    Attributes
    ----------
    deposited, charged, settled, withdrawn, left
        Of all channels: put in, charged by receipts, taken by settlements, taken back, and there.
    settlements, vouchers
        How many transactions settled how many vouchers.
    calls
        Answered and paid, by what they were charged under.
    """

    deposited: int = 0
    charged: int = 0
    settled: int = 0
    withdrawn: int = 0
    left: int = 0
    settlements: int = 0
    vouchers: int = 0
    calls: Counter[TermsKey] = field(default_factory=Counter)


def check_payments(facts: Facts, checks: Checks) -> Paid:
    """Hold receipts, vouchers and channels against each other."""
    paid = Paid()
    charged = _check_receipts(facts, checks, paid)
    _check_channels(facts, checks, paid, charged)
    paid.charged = sum(charged.values())
    checks.same(
        "deposits are what was charged, withdrawn and left",
        "all channels",
        paid.deposited,
        paid.charged + paid.withdrawn + paid.left,
    )
    return paid


def _check_receipts(facts: Facts, checks: Checks, paid: Paid) -> Counter[LineKey]:
    lines: defaultdict[LineKey, list[PaidCall]] = defaultdict(list)
    for call in facts.calls:
        lines[call.line].append(call)
        paid.calls[TermsKey(call.line.asset, call.line.operator, call.line.terms)] += 1
    names = len({call.name for call in facts.calls})
    checks.same("every receipt counts once", "receipts", len(facts.calls), names)
    charged: Counter[LineKey] = Counter()
    for line, calls in lines.items():
        for call in sorted(calls, key=lambda call: call.charged):
            charged[line] += call.cost
            checks.same(
                "each receipt continues the one before", call.name, call.charged, charged[line]
            )
    checks.same_all(
        "what is settled on a line is what receipts charged",
        facts.lines,
        charged,
        lambda line: f"channel {line.channel}, asset {line.asset}, terms {line.terms}",
    )
    return charged


def _check_channels(facts: Facts, checks: Checks, paid: Paid, charged: Counter[LineKey]) -> None:
    left: Counter[ChannelKey] = Counter()
    taken: Counter[ChannelKey] = Counter()
    by_transaction: Counter[str] = Counter()
    settled: Counter[TermsKey] = Counter()
    for entry in facts.entries:
        match entry.event:
            case Deposited(operator=operator, channel=channel, amount=amount):
                left[ChannelKey(operator, channel)] += amount
                paid.deposited += amount
            case Withdrawn(operator=operator, channel=channel, amount=amount):
                left[ChannelKey(operator, channel)] -= amount
                paid.withdrawn += amount
            case VouchersSettled(operator=operator, taken=words):
                paid.settlements += 1
                paid.vouchers += len(words)
                for word in words:
                    key = ChannelKey(operator, word % (1 << _CHANNEL_BITS))
                    taken[key] += word >> _CHANNEL_BITS
                    left[key] -= word >> _CHANNEL_BITS
                    by_transaction[entry.tx] += word >> _CHANNEL_BITS
            case Settled(asset=asset, operator=operator, terms=terms, amount=amount):
                settled[TermsKey(asset, operator, terms)] += amount
                by_transaction[entry.tx] -= amount
            case _:
                pass
    paid.settled = sum(settled.values())
    paid.left = sum(facts.channel_balances.values())
    checks.same_all(
        "a channel has its deposits less settlements and refunds",
        facts.channel_balances,
        left,
        lambda key: f"channel {key.channel}",
    )
    for tx, rest in by_transaction.items():
        checks.same("a settlement takes from channels what it credits to assets", tx, rest, 0)
    of_channels: Counter[ChannelKey] = Counter()
    of_terms: Counter[TermsKey] = Counter()
    for line, amount in charged.items():
        of_channels[ChannelKey(line.operator, line.channel)] += amount
        of_terms[TermsKey(line.asset, line.operator, line.terms)] += amount
    checks.same_all(
        "a channel paid what its receipts charged",
        taken,
        of_channels,
        lambda key: f"channel {key.channel}",
    )
    checks.same_all(
        "an asset is settled what its receipts charged",
        settled,
        of_terms,
        lambda key: f"asset {key.asset}, terms {key.terms}",
    )
