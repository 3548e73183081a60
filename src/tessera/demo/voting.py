"""The acts of governance: holders lock shares, vote a price up, and the next calls pay it."""

from __future__ import annotations

from typing import Final

from tessera.app import World
from tessera.bindings.governor import (
    Action,
    Discount,
    EndpointTerms,
    Kind,
    Licence,
    Locked,
    Parent,
    Payment,
    Price,
    Proposed,
    Release,
    RevenueClaimed,
)
from tessera.demo.market import Listed
from tessera.demo.stage import Stage
from tessera.errors import InvariantViolation
from tessera.ownership.offering import allow
from tessera.spec.signatures import ZERO_ADDRESS_TEXT
from tessera.units import SHARE_DECIMALS, Units

__all__ = ["Vote"]

_WHOLE: Final = 10**SHARE_DECIMALS
_LOCKED: Final = {"publisher-1": 150_000, "holder-1": 15_000, "holder-2": 30_000}
"""Whole shares by who locks them."""
_PROPOSER, _DISSENTER = "holder-1", "holder-2"
_TITLE: Final = "digits is worth twice as much"


class Vote:
    """A vote of one model's holders about its price.

    Parameters
    ----------
    stage
        Where it happens.
    listed
        The model.
    """

    def __init__(self, stage: Stage, listed: Listed) -> None:
        self._stage = stage
        self._world: World = stage.world
        self._listed = listed
        self._governor = stage.world.deployment.governor
        self._locks: dict[str, int] = {}
        self._proposal: Proposed | None = None

    async def lock(self) -> str:
        """Lock shares: only who locked before a proposal votes on it."""
        for name, amount in _LOCKED.items():
            sender = self._world.sender(name)
            await allow(sender, self._listed.share, self._governor.address, amount * _WHOLE)
            receipt = await sender.send(self._governor.lock(self._listed.asset, amount * _WHOLE))
            self._locks[name] = receipt.one_of(Locked, address=self._governor.address).lock
        return ", ".join(f"{name} {amount:,}" for name, amount in _LOCKED.items())

    async def propose(self) -> str:
        """Propose twice the price, and vote."""
        listed, operator = self._listed, self._stage.operator.account.address
        await self._world.directory.refresh()
        record = self._world.directory.get(listed.asset)
        if record is None:
            raise InvariantViolation(f"asset of {listed.plan.slug}", wanted="one that is published")
        now = record.endpoints[operator]
        action = Action(
            kind=Kind.ENDPOINT,
            release=Release(bytes(32), 0, ""),
            endpoint=EndpointTerms(
                operator,
                now.cut_bps,
                Price(2 * now.price.per_call, 2 * now.price.per_1k_in, 2 * now.price.per_1k_out),
                now.url,
            ),
            discount=Discount(0, 0),
            licence=Licence(bytes(32), "", ""),
            payment=Payment(ZERO_ADDRESS_TEXT, 0),
            parent=Parent(0, 0),
        )
        sender = self._world.sender(_PROPOSER)
        receipt = await sender.send(self._governor.propose(listed.asset, action, _TITLE))
        self._proposal = receipt.one_of(Proposed, address=self._governor.address)
        number = self._proposal.proposal
        for name, lock in self._locks.items():
            await self._world.sender(name).send(
                self._governor.vote(listed.asset, number, name != _DISSENTER, [lock])
            )
        row = await self._world.reader.read(self._governor.proposal_of(listed.asset, number))
        yes, no, needed = (amount // _WHOLE for amount in (row[7], row[8], row[10]))
        return f'"{_TITLE}": {yes:,} for it, {no:,} against, {needed:,} needed'

    @property
    def executable_from(self) -> int:
        """When the vote and its delay are over, unix seconds."""
        return self._known.executable_from

    @property
    def _known(self) -> Proposed:
        if self._proposal is None:
            raise InvariantViolation("proposal", wanted="one that was made")
        return self._proposal

    async def execute(self) -> str:
        """Do what was voted for; anyone may."""
        known = self._known
        await self._world.sender("consumer-1").send(
            self._governor.execute(known.asset, known.proposal, known.action)
        )
        await self._world.directory.refresh()
        await self._stage.operator.refresh()
        price = known.action.endpoint.price.per_call
        return f"a call to {self._listed.plan.slug} costs {self._world.currency.shown(price)} now"

    async def unlock(self) -> dict[str, Units]:
        """Let everybody claim what locked shares earned, and unlock them; base units by name."""
        found: dict[str, Units] = {}
        known = self._known
        for name, lock in self._locks.items():
            sender = self._world.sender(name)
            receipt = await sender.send(self._governor.claim(known.asset))
            paid = receipt.one_of(RevenueClaimed, address=self._governor.address)
            found[name] = Units(paid.amount)
            backed = [known.proposal] if name != _DISSENTER else []
            await sender.send(self._governor.unlock(known.asset, lock, backed))
        return found
