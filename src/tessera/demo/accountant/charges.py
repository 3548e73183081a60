"""What calls cost: the price that was listed, the discount that the payer was due, the version."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from typing import Final, TypeVar

from tessera.bindings import governor, registry
from tessera.bindings.channels import ChannelOpened
from tessera.demo.accountant.checks import Checks
from tessera.demo.accountant.facts import ChannelKey, Facts, PaidCall
from tessera.spec.prices import Price

__all__ = ["check_charges"]

_SEEN_WITHIN_S: Final = 5
"""How long after a change a gateway may answer as before, and how far clocks may be apart."""


_ALL: Final = 2**96 - 1
"""As many raw shares as there can be."""

_Known = TypeVar("_Known")
_History = list[tuple[int, _Known]]
"""What has been so, each from a moment on: (unix seconds, what)."""


class _Listed:
    """Prices, versions, discounts and locks, as events tell them."""

    def __init__(self, facts: Facts) -> None:
        self.prices: defaultdict[tuple[int, str], _History[Price]] = defaultdict(list)
        self.versions: defaultdict[int, _History[int]] = defaultdict(list)
        self.locked: defaultdict[tuple[int, str], _History[int]] = defaultdict(list)
        # Discount and the shares to lock for it, by asset, operator and terms.
        self.discounts: dict[tuple[int, str, int], tuple[int, int]] = {}
        self.payers: dict[ChannelKey, str] = {}
        for entry in facts.entries:
            event, now = entry.event, entry.time
            match event:
                case registry.EndpointSet():
                    said = event.price
                    price = Price(said.per_call, said.per_1k_in, said.per_1k_out)
                    self.prices[event.asset, event.operator].append((now, price))
                case registry.DiscountSet() if event.discount_bps:
                    key = (event.asset, event.operator, event.terms)
                    self.discounts[key] = (event.discount_bps, event.min_locked)
                case registry.VersionReleased():
                    self.versions[event.asset].append((now, event.version))
                case governor.Locked() | governor.Unlocked():
                    more = isinstance(event, governor.Locked)
                    held = self.locked[event.asset, event.owner]
                    before = held[-1][1] if held else 0
                    held.append((now, before + (event.amount if more else -event.amount)))
                case ChannelOpened():
                    self.payers[ChannelKey(event.operator, event.channel)] = event.payer
                case _:
                    pass


def check_charges(facts: Facts, checks: Checks) -> None:
    """Every call cost what was listed for it, and nobody had a discount that was not his due."""
    listed = _Listed(facts)
    for call in facts.calls:
        line = call.line
        prices = _around(listed.prices[line.asset, line.operator], call.time)
        given = listed.discounts.get((line.asset, line.operator, line.terms))
        if given is not None:
            bps, least = given
            prices = [price.discounted(bps) for price in prices]
            payer = listed.payers.get(ChannelKey(line.operator, line.channel), "")
            locked = max(_around(listed.locked[line.asset, payer], call.time), default=0)
            checks.within("a discount is for who locked enough", facts.name(payer), locked,
                          least, _ALL)  # fmt: skip
        low, high = _bounds(prices, call)
        checks.within("a call costs what was listed", call.name, call.cost, low, high)
        newest = _around(listed.versions[line.asset], call.time)
        checks.same("a call is answered by the newest version", call.name,
                    call.version in newest, True)  # fmt: skip


def _bounds(prices: Iterable[Price], call: PaidCall) -> tuple[int, int]:
    # A receipt tells units in and out together: a call costs at least as if all were of the
    # cheaper kind, at most as if all were of the dearer one.
    costs = [
        price.cost_ceil(*units) for price in prices for units in ((call.units, 0), (0, call.units))
    ]
    return min(costs, default=0), max(costs, default=0)


def _around(history: _History[_Known], time: int) -> list[_Known]:
    """Return what was so at a time, and what may still have been taken for it."""
    begun = [row for row in history if row[0] <= time + _SEEN_WITHIN_S]
    ends = [*(since for since, _ in begun[1:]), time]
    return [
        known for (_, known), end in zip(begun, ends, strict=False) if end + _SEEN_WITHIN_S >= time
    ]
