"""The acts of governance: holders lock shares, decide four things at once, and live by them."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Final

from tessera.app import World
from tessera.assets import validate
from tessera.assets.directory import AssetRecord
from tessera.assets.publish import release_of
from tessera.bindings.governor import Action
from tessera.demo.harvest import wait_until
from tessera.demo.market import Listed
from tessera.demo.stage import Stage
from tessera.demo.telling import Narrator, whole
from tessera.errors import InvariantViolation
from tessera.ownership import governance
from tessera.ownership.governance import ProposalView
from tessera.spec.prices import Price
from tessera.units import SHARE_DECIMALS, Shares, Units

__all__ = ["Votes"]

_WHOLE: Final = 10**SHARE_DECIMALS
_LOCKED: Final = {
    "publisher-1": 490_000,
    "holder-1": 55_000,
    "holder-2": 80_000,
    "holder-3": 60_000,
}
"""Whole shares by who locks them: two thirds of all, which a discount takes."""
_DONOR, _PAID = "consumer-1", "contributor-1"
_DONATED_DOLLARS: Final = 5
_PAID_DOLLARS: Final = 3
_DISCOUNT_BPS: Final = 2_000
_DISCOUNTED_FROM: Final = Shares(50_000 * _WHOLE)


class Votes:
    """What the holders of one model decide about it.

    Parameters
    ----------
    stage
        Where it happens.
    listed
        The model.
    successor
        Folder of its next version.
    """

    def __init__(self, stage: Stage, listed: Listed, successor: Path) -> None:
        self._stage = stage
        self._world: World = stage.world
        self._listed = listed
        self._successor = successor
        self._governor = stage.world.deployment.governor
        self._locks: dict[str, int] = {}
        self._proposals: dict[str, ProposalView] = {}
        self._locked_at = 0

    async def lock(self) -> str:
        """Lock shares: only who locked before a proposal votes on it."""
        listed = self._listed
        for name, amount in _LOCKED.items():
            self._locks[name], _ = await governance.lock(
                self._world.sender(name), self._governor, listed.share, listed.asset,
                Shares(amount * _WHOLE),
            )  # fmt: skip
        self._locked_at = (await self._world.reader.block()).timestamp
        return ", ".join(f"{name} {amount:,}" for name, amount in _LOCKED.items())

    async def fill_treasury(self) -> str:
        """Put money where only a vote takes it out."""
        world = self._world
        amount = Units(_DONATED_DOLLARS * 10**world.currency.decimals)
        arrived, _ = await governance.deposit(
            world.sender(_DONOR), self._governor, world.deployment.currency, self._listed.asset,
            amount,
        )  # fmt: skip
        return f"{_DONOR} gives {world.currency.shown(arrived)}"

    async def propose(self, narrator: Narrator) -> None:
        """Make four proposals, one by each who locked, and let everybody vote on all of them."""
        # A lock of the same second is no older than the proposal, and does not count.
        await wait_until(self._world, self._locked_at)
        listed, operator = self._listed, self._stage.operator.account.address
        world, now = self._world, (await self._record()).endpoints[operator]
        bundle = await asyncio.to_thread(
            validate, self._successor, decimals=world.currency.decimals
        )
        await asyncio.to_thread(world.store.add, bundle.folder, expected=bundle.root)
        release = release_of(bundle)
        price = Price(2 * now.price.per_call, 2 * now.price.per_1k_in, 2 * now.price.per_1k_out)
        paid = Units(_PAID_DOLLARS * 10**world.currency.decimals)
        shown = world.currency.shown
        plan: dict[str, tuple[str, str, Action, tuple[str, ...]]] = {
            "price": (
                "holder-1",
                "twice the price",
                governance.endpoint(operator, now.cut_bps, price, now.url),
                ("holder-2",),
            ),
            "release": (
                "publisher-1",
                f"version {bundle.manifest.version}, a wider network",
                governance.release(release.root, release.runner, release.uri),
                (),
            ),
            "payment": (
                "holder-2",
                f"{shown(paid)} of the treasury for {_PAID}",
                governance.payment(world.account(_PAID).address, paid),
                ("holder-1",),
            ),
            "discount": (
                "holder-3",
                f"{_DISCOUNT_BPS // 100} % off for whoever locks {whole(_DISCOUNTED_FROM)} shares",
                governance.discount(operator, _DISCOUNT_BPS, _DISCOUNTED_FROM),
                (),
            ),
        }
        for what, (proposer, title, action, against) in plan.items():
            with narrator.step(f"{proposer} proposes {title}") as step:
                made, _ = await governance.propose(
                    world.sender(proposer), self._governor, listed.asset, action, title
                )
                view = await self._view(made.proposal)
                for name in self._locks:
                    await governance.vote(
                        world.sender(name), self._governor, view, name not in against
                    )
                self._proposals[what] = view = await self._view(made.proposal)
                step.note = f"{whole(view.yes)} for it, {whole(view.no)} against, " + (
                    f"{whole(view.needed)} needed" + (", two thirds of all" if view.grave else "")
                )

    @property
    def executable_from(self) -> int:
        """When all votes and their delays are over, unix seconds."""
        return max((view.executable_from for view in self._proposals.values()), default=0)

    async def execute(self, narrator: Narrator) -> None:
        """Do what was voted for, in the order of the proposals; anyone may."""
        world, slug = self._world, self._listed.plan.slug
        for view in self._proposals.values():
            await governance.execute(world.sender(_DONOR), self._governor, view)
        record = await self._record()
        await self._stage.operator.refresh()
        served = self._stage.operator.models[slug].release
        if served.version != record.latest.version:
            raise InvariantViolation(
                f"version of {slug}", found=served.version, wanted=str(record.latest.version)
            )
        price = record.endpoints[self._stage.operator.account.address].price.per_call
        narrator.say(
            f"{slug} is at version {record.latest.version}, a call costs from "
            f"{world.currency.shown(price)}, {_PAID} has its money"
        )

    async def unlock(self) -> dict[str, Units]:
        """Let everybody claim what locked shares earned, and unlock them; base units by name."""
        found: dict[str, Units] = {}
        asset = self._listed.asset
        for name, lock in self._locks.items():
            sender = self._world.sender(name)
            found[name] = (await governance.claim(sender, self._governor, asset)).amount
            await governance.unlock(sender, self._governor, asset, lock)
        return found

    async def _view(self, number: int) -> ProposalView:
        return await governance.read_proposal(
            self._world.reader, self._governor, self._listed.asset, number
        )

    async def _record(self) -> AssetRecord:
        await self._world.directory.refresh()
        record = self._world.directory.get(self._listed.asset)
        if record is None:
            raise InvariantViolation(
                f"asset of {self._listed.plan.slug}", wanted="one that is published"
            )
        return record
