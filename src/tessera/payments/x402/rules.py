"""What both ways of paying by x402 stand on: an operator's rules, and its books."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

from sqlalchemy import Connection, Table

from tessera.payments.header import SignedReceipt
from tessera.payments.ledger import Call, Evidence
from tessera.payments.x402.wire import BATCH, Accept, network_of
from tessera.spec.signatures import Address, Domain, address_text

__all__ = ["Books", "Till", "X402Rules"]

Result = TypeVar("Result")

Till = Callable[[int, int], Address]
"""Where the income of (asset, terms) goes."""


class Books(Protocol):
    """Where it is written what was charged; `Ledger` is such."""

    def begin(self, call: Call) -> None:
        """Count a call as in flight."""

    def end(self, call: Call) -> None:
        """Count it no more."""

    async def issue(
        self,
        call: Call,
        cost: int,
        charged: int,
        evidence: Evidence,
        *changes: tuple[Table, dict[str, Any]],
    ) -> SignedReceipt:
        """Write a call's receipt, together with other rows."""

    async def keep(self, *changes: tuple[Table, dict[str, Any]]) -> None:
        """Write rows."""

    async def look_up(self, query: Callable[[Connection], Result]) -> Result:
        """Read rows."""


@dataclass(frozen=True, slots=True, kw_only=True)
class X402Rules:
    """What an operator asks of payments.

    Attributes
    ----------
    chain_id
        Where they are settled.
    operator
        Who may claim and refund.
    token
        The currency's EIP-712 domain; its contract is the asset.
    withdraw_delay_s
        What channels are asked to have.
    least_delay_s
        And what they must have: two settlements fit into it.
    min_deposit, least_deposit
        What deposits are asked to be, and must be; base units.
    timeout_s
        How long an authorization must be good for when it is asked for.
    answer_s
        How long it must still be good for when an answer is begun.
    wait_s
        Longest that a call waits for the one before it on its channel.
    refresh_s
        How old a channel's state may be when it is relied on.
    quiet_s
        How long a channel must have been quiet before a voucher that strangers know gives its rest
        back.
    refunds_per_hour, refunds_of_payer
        How often money is given back in an hour, to all and to each payer: the operator pays for
        the gas. Whoever cannot wait withdraws by himself.
    exact_least
        The least that a one-time payment brings; the operator pays for its gas.
    """

    chain_id: int
    operator: Address
    token: Domain
    withdraw_delay_s: int
    least_delay_s: int
    min_deposit: int
    least_deposit: int
    timeout_s: int
    answer_s: int
    wait_s: float = 30.0
    refresh_s: float = 15.0
    quiet_s: float = 600.0
    refunds_per_hour: int = 120
    refunds_of_payer: int = 4
    exact_least: int = 1

    @property
    def network(self) -> str:
        """The chain's CAIP-2 name."""
        return network_of(self.chain_id)

    def accept(self, scheme: str, amount: int, till: Address) -> Accept:
        """Return the offer to take `amount` for a Till by one of the schemes."""
        extra: dict[str, Any] = {"name": self.token.name, "version": self.token.version}
        if scheme == BATCH:
            extra["receiverAuthorizer"] = address_text(self.operator)
            extra["withdrawDelay"] = self.withdraw_delay_s
            extra["minDeposit"] = str(self.min_deposit)
        return Accept(
            scheme=scheme,
            network=self.network,
            asset=address_text(self.token.contract),
            amount=str(amount),
            pay_to=address_text(till),
            max_timeout_seconds=self.timeout_s,
            extra=extra,
        )
