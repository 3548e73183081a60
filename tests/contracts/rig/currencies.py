"""Every currency that a story is told with: three numbers of decimals, and the strange ones.

A currency that lies in `balanceOf`, or that shrinks balances in place, is out of scope: no contract
can keep a promise in money whose amount it cannot know. The contracts say so.
"""

from __future__ import annotations

from dataclasses import dataclass

from rig.compiling import Compiled, mock
from rig.system import World, deploy_world


@dataclass(frozen=True)
class Currency:
    """A mock with what it is deployed with."""

    mock: str
    arguments: tuple[int, ...] = (6,)

    def compiled(self) -> Compiled:
        return mock(self.mock)

    def world(self) -> World:
        """Deploy everything with this currency."""
        return deploy_world(currency=self.compiled(), currency_arguments=self.arguments)


CURRENCIES = {
    "six decimals": Currency("PlainCurrency", (6,)),
    "no decimals": Currency("PlainCurrency", (0,)),
    "eighteen decimals": Currency("PlainCurrency", (18,)),
    "no return value": Currency("SilentCurrency"),
    "false for no": Currency("FalseCurrency"),
    "fee in transit": Currency("FeeCurrency", (6, 137)),
    "blacklist": Currency("BlacklistCurrency"),
    "re-entrant": Currency("ReentrantCurrency"),
}
# What a payment looks like in each: from one base unit to a large purchase.
LARGEST = {0: 10**6, 6: 10**13, 18: 10**25}
