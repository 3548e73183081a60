"""Who is pushed out of a full table after an epoch in which its models earned something."""

from __future__ import annotations

from pathlib import Path

from tests.integration.validation.subnet_rig import HOUR, Subnet

from tessera.app import contests, places
from tessera.app.epochs import EpochDesk
from tessera.bindings.registry import (
    AssetRegistered,
    EndpointTerms,
    Kind,
    Price,
    Publication,
    Release,
)
from tessera.chain.sender import Sender
from tessera.spec.signatures import keccak


async def published(desk: EpochDesk, owner: Sender, slug: str) -> int:
    publication = Publication(
        slug=slug, kind=Kind.MODEL, salt=bytes(32), contributions=bytes(32), parents=(),
        release=Release(keccak(slug.encode()), 1, ""),
    )  # fmt: skip
    terms = EndpointTerms(owner.address, 1_000, Price(1, 0, 0), "")
    call = desk.world.deployment.registry.publish(publication, terms)
    return (await owner.send(call)).one_of(AssetRegistered).asset


async def test_a_newcomer_that_names_the_best_model_is_shown_the_worst(
    subnet: Subnet, tmp_path: Path
) -> None:
    """A newcomer would push the best model out. A challenger shows a lower one by both incentives,
    and whoever comes after is told the lowest that is left."""
    number, owner, keeper = subnet.number, subnet.owner, subnet.people["keeper"]
    await subnet.score(1)
    async with subnet.desk(tmp_path) as desk:
        world = desk.world
        await desk.skip(keeper, number, 0)
        posted = await desk.post(subnet.people["poster"], number, 1)
        await subnet.wait(12 * HOUR)
        await desk.finalize(keeper, number, 1)
        ranks = [posted.model_proof(uid)[2] for uid in range(3)]
        best, second, worst = sorted(range(3), key=ranks.__getitem__, reverse=True)
        assert ranks[best] > ranks[second] > ranks[worst]

        new = [await published(desk, owner, f"newcomer-{place}") for place in range(3)]
        joined = await places.join_model(world, owner, number, new[0])
        assert (joined.uid, joined.admitted_from) == (3, 0)
        waiting = await places.join_model(world, owner, number, new[1], uid=best)
        assert waiting.deposit == waiting.burn

        shown = await contests.plan_correction(world, number, places.MODELS, best, worst)
        assert all(shown.evidence)
        reward, _ = await contests.correct(
            world, subnet.people["challenger"], number, places.MODELS, shown
        )
        assert reward == waiting.deposit // 5
        # The one that came after that epoch has earned nothing yet: nothing is to be shown of it.
        lowest = await contests.plan_correction(world, number, places.MODELS, worst)
        assert (lowest.lower, lowest.evidence[1]) == (3, b"")
        reward, _ = await contests.correct(
            world, subnet.people["challenger"], number, places.MODELS, lowest
        )
        assert reward == 0
        # A quarter of four places is given away in a period, and that is done.
        plan = await places.plan_model(world, owner.address, number, new[2])
        assert (plan.uid, plan.replaces) == (worst, subnet.chain.assets[worst])
        await subnet.wait(24 * HOUR)
        since, _ = await places.admit(world, keeper, number, places.MODELS, 3)
        assert since > joined.counts_from
