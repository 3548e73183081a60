"""One model of the demo on a real chain: published once, however often and by whom it is asked."""

from __future__ import annotations

import asyncio
import io
import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from rich.console import Console

from tessera.bindings.launchpad import OfferingOpened, VestingOpened
from tessera.demo.cast import assemble
from tessera.demo.market import PLANS, Listed, buy_shares, manifest_ending, put_on_market
from tessera.demo.playing import populate
from tessera.demo.stage import Stage, set_stage, theatre
from tessera.demo.telling import Narrator
from tessera.demo.training import train
from tessera.errors import BackendFailed
from tessera.ownership.offering import find_offerings, read_offering
from tessera.ownership.selling import Stage as Selling
from tessera.units import Seconds

README = Path(__file__).parents[3] / "README.md"
(DIGITS,) = (plan for plan in PLANS if plan.slug == "digits")


@pytest.fixture
async def stage(tmp_path: Path) -> AsyncIterator[Stage]:
    narrator = Narrator(Console(file=io.StringIO()))
    async with set_stage(theatre(tmp_path / "data"), narrator) as stage:
        await assemble(stage.world)
        yield stage


async def sell(stage: Stage, folder: Path) -> Listed:
    listed = await put_on_market(
        stage.world, DIGITS, folder, operator=stage.operator.account.address, url=stage.url,
        period=Seconds(5), short_sale_s=10,
    )  # fmt: skip
    return await buy_shares(stage.world, listed)


async def test_a_model_is_put_on_the_market_once_and_served_whoever_reads_the_news(
    stage: Stage, tmp_path: Path
) -> None:
    """An interrupted story is taken up, and many readers of one directory see each event once."""
    folder = tmp_path / "digits"
    built = [b async for b in train({"digits": folder}, {"digits": manifest_ending(DIGITS)})]
    assert [b.slug for b in built] == ["digits"]
    first = await sell(stage, folder)
    directory = stage.world.directory
    await asyncio.gather(*(directory.refresh() for _ in range(5)), stage.operator.refresh())
    assert set(stage.operator.models) == {"digits"}

    again = await sell(stage, folder)
    assert (again.asset, again.share, again.offering.address, again.vesting.address) == (
        first.asset, first.share, first.offering.address, first.vesting.address,
    )  # fmt: skip
    assert set(first.bought) == {"holder-1", "holder-2", "holder-3"}
    assert again.bought == {}, "nobody buys twice"
    record = directory.get(first.asset)
    assert record is not None
    assert [release.version for release in record.versions] == [1]
    for kind in (OfferingOpened, VestingOpened):
        address = stage.world.deployment.launchpad.address
        assert len(await stage.world.reader.logs(kind, address=address)) == 1


async def test_a_training_that_fails_says_what_it_said_last(tmp_path: Path) -> None:
    with pytest.raises(BackendFailed, match="no-such-model"):
        [b async for b in train({"no-such-model": tmp_path / "x"}, {})]


async def what_the_readme_buys_is_for_sale(stage: Stage) -> None:
    """A newcomer types it into this world; the story's sales changed once, and it was refused."""
    world = stage.world
    slug, shares = re.findall(r"^\$ tessera buy (\S+) (\d+)", README.read_text(), re.MULTILINE)[0]
    record = world.directory.find(slug)
    launchpad, now = world.deployment.launchpad, world.now()
    found = await find_offerings(world.reader, launchpad, asset=record.asset)
    views = [await read_offering(world.reader, sale, now=now) for sale in found]
    assert [
        view for view in views if view.stage is Selling.OPEN and view.unsold >= int(shares) * 10**18
    ]
    assert f"tessera call {slug} " in README.read_text()


async def test_a_running_world_is_filled_once(tmp_path: Path) -> None:
    """What `tessera up --demo` does: afterwards models are served, and a second time is none."""
    output = io.StringIO()
    console = Console(file=output, width=100)
    async with set_stage(theatre(tmp_path / "data"), Narrator(console)) as stage:
        fill = (stage.world, stage.operator, stage.url)
        assert await populate(*fill, calls=40, console=console)
        assert set(stage.operator.models) == {plan.slug for plan in PLANS}
        assert "40 calls answered and paid" in output.getvalue()
        await what_the_readme_buys_is_for_sale(stage)
        height = await stage.world.reader.block_number()
        assert not await populate(*fill, calls=40, console=console)
        assert await stage.world.reader.block_number() == height, "nothing was done twice"
