"""What a chain would refuse is said before anything is sent to it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tessera.assets.directory import AssetDirectory
from tessera.assets.publish import Endpoint, PublishPlan, plan_publication, publish
from tessera.assets.refusals import BundleInvalid
from tessera.assets.store import Store
from tessera.chain.deploy import deploy_or_load
from tessera.chain.deployments import Deployment, Parameters
from tessera.chain.node import EmbeddedNode
from tessera.chain.reader import ChainReader
from tessera.chain.sender import Sender
from tessera.chain.wallet import Account
from tessera.errors import NotAllowed
from tessera.ownership.share import ShareTerms, tokenize
from tessera.units import Bps, Seconds, Shares

MANIFEST = """\
name = "{name}"
title = "A model"
kind = "dataset"
version = "1.0.0"
licence = "CC0-1.0"
[price]
per_call = "0.001"
"""


@dataclass
class Desk:
    """A publisher with folders, a store and a chain."""

    folder: Path
    store: Store
    sender: Sender
    deployment: Deployment
    directory: AssetDirectory

    async def plan(
        self, name: str, data: str, *, more: str = "", cut: int | None = 1_000
    ) -> PublishPlan:
        folder = self.folder / name
        folder.mkdir(exist_ok=True)
        (folder / "tessera.toml").write_text(MANIFEST.format(name=name) + more)
        (folder / "data.txt").write_text(data)
        endpoint = None
        if cut is not None:
            endpoint = Endpoint(self.sender.address, "http://127.0.0.1:1", Bps(cut))
        return await plan_publication(
            folder,
            self.directory,
            self.sender.address,
            endpoint=endpoint,
            decimals=6,
        )

    async def publish(self, plan: PublishPlan) -> int:
        done = await publish(plan, self.store, self.deployment.registry, self.sender)
        return done.asset


@pytest.fixture
async def desk(tmp_path: Path) -> AsyncIterator[Desk]:
    account = Account.generate()
    async with (
        EmbeddedNode.start(tmp_path / "chain", prefund={account.address: 10**21}) as node,
        ChainReader(node.url, chain_id=node.chain_id) as reader,
        Sender(reader, account, longest_poll_s=0.1) as sender,
    ):
        parameters = Parameters(owner=account.address, commons=account.address)
        deployment = await deploy_or_load(sender, parameters, tmp_path / "deployment.json")
        directory = AssetDirectory(reader, deployment.registry, first_block=deployment.since)
        (tmp_path / "bundles").mkdir()
        yield Desk(tmp_path / "bundles", Store(tmp_path / "store"), sender, deployment, directory)


async def problems(desk: Desk, name: str, data: str, *, more: str = "", cut: int | None) -> str:
    with pytest.raises(BundleInvalid) as caught:
        await desk.plan(name, data, more=more, cut=cut)
    return str(caught.value)


async def test_a_plan_refuses_what_the_registry_would(desk: Desk) -> None:
    parent = '[[parents]]\nasset = "base"\nroyalty_bps = {bps}\n'
    await desk.publish(await desk.plan("base", "one"))

    said = await problems(desk, "child", "two", more=parent.format(bps=9_501), cut=None)
    assert "at most 9500 together" in said

    child = await desk.publish(await desk.plan("child", "two", more=parent.format(bps=500)))
    await tokenize(
        desk.sender,
        desk.deployment.registry,
        child,
        ShareTerms(
            name="Child",
            symbol="CHILD",
            supply=Shares(10**21),
            period=Seconds(60),
            floor=Bps(6_000),
        ),
    )
    # 500 royalty, 500 network fee and 6,000 floor leave 3,000 for the operator.
    said = await problems(desk, "child", "three", more=parent.format(bps=500), cut=3_001)
    assert "6000 are the holders' floor" in said
    # What the Registry would take is for the holders to decide now; the bundle is kept for it.
    plan = await desk.plan("child", "three", more=parent.format(bps=500), cut=3_000)
    assert plan.needs_proposal
    with pytest.raises(NotAllowed) as caught:
        await desk.publish(plan)
    assert caught.value.next_step == f"tessera govern propose release child {plan.bundle.folder}"
    assert plan.bundle.root in desk.store.list()
    # What is there already takes nothing.
    same = await desk.plan("child", "two", more=parent.format(bps=500))
    assert not same.needs_proposal
    assert await desk.publish(same) == child

    said = await problems(desk, "child", "four", more=parent.format(bps=400), cut=3_000)
    assert "parents" in said
    assert "those that holders voted in included" in said


async def test_a_plan_refuses_contributors_that_would_bind_nobody(desk: Desk) -> None:
    part = (
        '[[contributors]]\naccount = "0x000000000000000000000000000000000000dEaD"\n'
        'role = "{role}"\nweight = {weight}\n'
    )
    one = part.format(role="data", weight=10_000)
    other = part.format(role="data", weight=4_000) + part.format(role="code", weight=6_000)
    await desk.publish(await desk.plan("made", "one", more=one))
    for more in (other, ""):
        said = await problems(desk, "made", "two", more=more, cut=None)
        assert "contributors" in said
        assert "frozen" in said
    await desk.publish(await desk.plan("made", "two", more=one))

    await desk.publish(await desk.plan("alone", "one"))
    said = await problems(desk, "alone", "two", more=one, cut=None)
    assert "contributors" in said
