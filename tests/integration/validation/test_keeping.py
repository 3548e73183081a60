"""A keeper on a real chain: everything that is due for anybody, once, and again for nothing."""

from __future__ import annotations

import asyncio
from collections import Counter
from pathlib import Path

from tests.integration.validation.subnet_rig import HOUR, TSR, Subnet
from tests.integration.validation.test_epoch_results import lied, restated

from tessera.app.epochs import EpochDesk
from tessera.app.keeping import Chore, Errand, keep

OPENING = 720 * TSR


async def kept(subnet: Subnet, desk: EpochDesk, **errand: object) -> list[Chore]:
    keeper = subnet.people["keeper"]
    return await keep(desk.world, keeper, desk, Errand(**errand))  # type: ignore[arg-type]


def counted(chores: list[Chore]) -> dict[str, int]:
    assert not [chore for chore in chores if chore.failed]
    return dict(Counter(chore.what for chore in chores))


async def bootstrapped(subnet: Subnet) -> None:
    """Let the subnet's owner open its pool, so that there is something to earn."""
    at, owner = subnet.chain.deployment, subnet.owner
    await owner.send(at.network_token.approve(at.subnet_pool.address, OPENING))
    await owner.send(at.subnet_pool.open(subnet.number, OPENING))


async def test_a_keeper_sees_an_epoch_through_to_the_last_claim(
    subnet: Subnet, tmp_path: Path
) -> None:
    at, read = subnet.chain.deployment, subnet.reader.read
    await bootstrapped(subnet)
    async with subnet.desk(tmp_path / "keeper") as desk:
        # Within one period nothing is due twice.
        assert counted(await kept(subnet, desk)) == {"bootstrap": 1, "collect_demand": 3}
        assert await kept(subnet, desk) == []
        await subnet.score(1)
        dry = await kept(subnet, desk, dry_run=True)
        assert {(chore.state, chore.what) for chore in dry} >= {("due", "skip"), ("due", "close")}
        # The bootstrap's period ended in the first epoch, which nobody scored in: it goes on.
        assert counted(await kept(subnet, desk, post=True)) == {
            "skip": 1, "post": 1, "bootstrap": 1, "carry": 1,
        }  # fmt: skip
        assert await kept(subnet, desk, post=True) == []
        await subnet.wait(12 * HOUR)
        done = counted(await kept(subnet, desk))
        assert done == {"finalize": 1, "bootstrap": 1}
        # What is counted in an epoch is what that one pays.
        await subnet.turn_to(3, 0.1)
        assert counted(await kept(subnet, desk)) == {"bootstrap": 1}
        # Where nothing more is to be counted, the period is closed for its own sake.
        subnets: tuple[int, ...] = ()
        await subnet.wait(HOUR)
        assert counted(await kept(subnet, desk, subnets=subnets)) == {"close": 1}
        await subnet.score(3)
        done = counted(await kept(subnet, desk, post=True))
        assert (done["post"], done["skip"], done["carry"]) == (1, 1, 1)
        await subnet.wait(12 * HOUR)
        left = await kept(subnet, desk, gas=1)
        assert {chore.state for chore in left} == {"left"}
        (limit,) = (chore.gas for chore in left if chore.what == "finalize")
        bounded = await kept(subnet, desk, gas=limit)
        assert [chore.what for chore in bounded if chore.state == "done"] == ["finalize"]
        assert sum(chore.gas for chore in bounded if chore.state == "done") <= limit

    # Somebody else, with a folder of his own, goes on where this one stops; while nobody serves
    # the rows it says so, of that epoch, and does all the rest.
    rows = [(file, file.read_bytes()) for file in (subnet.folder / "served").iterdir()]
    for file, _ in rows:
        file.unlink()
    async with subnet.desk(tmp_path / "another") as desk:
        blind = await kept(subnet, desk)
        assert [chore.about for chore in blind if chore.failed] == [
            f"epoch 3 of subnet {subnet.number}"
        ]
        assert "settle" in {chore.what for chore in blind if chore.state == "done"}
        for file, data in rows:
            file.write_bytes(data)
        done = counted(await kept(subnet, desk))
        assert (done["claim_model"], done["claim_validator"], done["flush"]) == (3, 3, 3)
        assert await kept(subnet, desk) == []
    models, validators, _, *left = await read(at.emission.payout_of(subnet.number, 3))
    assert models > 0 < validators
    assert max(left) < 3


async def test_two_keepers_do_each_thing_once(subnet: Subnet, tmp_path: Path) -> None:
    """Both see the same things due at the same moment: who comes second has nothing to do."""
    await subnet.score(1)
    async with subnet.desk(tmp_path / "one") as one, subnet.desk(tmp_path / "two") as two:
        both = await asyncio.gather(
            kept(subnet, one), keep(two.world, subnet.people["challenger"], two)
        )
    chores = [chore for chores in both for chore in chores]
    assert not [chore.why for chore in chores if chore.failed]
    assert [chore.what for chore in chores if chore.state == "done"].count("skip") == 1


async def test_a_newcomer_is_let_in_once_nobody_minds(subnet: Subnet, tmp_path: Path) -> None:
    at, newcomer = subnet.chain.deployment, subnet.people["challenger"]
    for spender in (at.bond, at.subnets):
        await newcomer.send(at.network_token.approve(spender.address, 10_000 * TSR))
    await newcomer.send(at.bond.enlist(at.scores.address))
    await newcomer.send(at.bond.stake(newcomer.address, 5_000 * TSR))
    await subnet.wait(97 * HOUR)
    # It names a better one than the lowest; who shows that earns a part of its deposit.
    await newcomer.send(at.subnets.register_validator(subnet.number, 2, 2**255))
    async with subnet.desk(tmp_path / "keeper") as desk:
        first = [chore.what for chore in await kept(subnet, desk, watch=True)]
        assert ("correct" in first, "admit" in first) == (True, False)
        assert "correct" not in [chore.what for chore in await kept(subnet, desk, watch=True)]
        await subnet.wait(24 * HOUR)
        assert counted(await kept(subnet, desk))["admit"] == 1
    seat = await subnet.reader.read(at.subnets.uid_of(subnet.number, newcomer.address))
    assert seat


async def test_one_thing_that_fails_holds_nothing_else_up(subnet: Subnet, tmp_path: Path) -> None:
    """A keeper without tokens cannot post; and a subnet that is none is told of."""
    await subnet.score(1)
    keeper, owner = subnet.people["keeper"], subnet.owner
    token = subnet.chain.deployment.network_token
    await keeper.send(token.transfer(owner.address, 10_000 * TSR))
    async with subnet.desk(tmp_path / "keeper") as desk:
        chores = await kept(subnet, desk, post=True, subnets=(subnet.number, 77))
        told = [(chore.what, chore.state, chore.about) for chore in chores]
        assert ("post", "failed", f"epoch 1 of subnet {subnet.number}") in told
        assert ("skip", "done", f"epoch 0 of subnet {subnet.number}") in told
        assert ("look at", "failed", "subnet 77") in told
        assert ("collect_demand", "done") in {each[:2] for each in told}
        # Nobody posts in time: then the epoch is passed over.
        await subnet.wait(24 * HOUR)
        chores = await kept(subnet, desk)
        assert ("skip", "done") in {(chore.what, chore.state) for chore in chores}


async def test_a_keeper_who_watches_proves_a_liar_false(subnet: Subnet, tmp_path: Path) -> None:
    """The keeper is paid the challenger's fifth, posts the true result, and answers for it."""
    await subnet.score(1)
    async with subnet.desk(tmp_path / "keeper") as desk:
        await kept(subnet, desk)
        true = await desk.built(subnet.number, 1)
        false = restated(true, 0)
        await lied(subnet, false)
        # Nobody serves it: the keeper asks, waits, and says so when nothing came.
        done = counted(await kept(subnet, desk, watch=True))
        assert done == {"challenge": 1}
        assert await kept(subnet, desk, watch=True) == []
        await subnet.wait(HOUR + 60)
        done = counted(await kept(subnet, desk, watch=True, post=True))
        assert (done["challenge"], done["collect"], done["take_back"]) == (1, 1, 3)
        assert counted(await kept(subnet, desk, post=True)) == {"post": 1}
        challenger, epochs = subnet.people["challenger"], subnet.chain.deployment.epochs
        await challenger.send(subnet.chain.deployment.network_token.approve(epochs.address, TSR))
        await challenger.send(epochs.ask(subnet.number, 1, 2**32 + 1))
        assert counted(await kept(subnet, desk, post=True))["answer"] == 1


async def test_a_keeper_has_the_rows_of_who_serves_them_no_more(
    subnet: Subnet, tmp_path: Path
) -> None:
    """A row is served until nobody can ask for it any more; its validator posts what it likes."""
    await subnet.turn_to(1, 0.5)
    await subnet.commit()
    await subnet.turn_to(1, 2.1)
    await subnet.reveal(1)
    await subnet.turn_to(1, 3.1)
    async with subnet.desk(tmp_path / "keeper") as desk:
        await kept(subnet, desk, watch=True)
    for row in (subnet.folder / "served").iterdir():
        row.unlink()
    await subnet.turn_to(1, 5)
    async with subnet.desk(tmp_path / "keeper") as desk:
        assert counted(await kept(subnet, desk, post=True))["post"] == 1


async def test_what_was_withheld_is_convicted_and_thawed(subnet: Subnet, tmp_path: Path) -> None:
    """A validator reveals a row that it shows nobody, and lets the clock run."""
    at, asker = subnet.chain.deployment, subnet.people["challenger"]
    await asker.send(at.network_token.approve(at.scores.address, TSR))
    await subnet.turn_to(1, 0.5)
    await subnet.commit()
    await subnet.turn_to(1, 2.1)
    await subnet.reveal(1)
    await asker.send(at.scores.ask(subnet.number, 1, 0, 0))
    await subnet.turn_to(1, 5)
    async with subnet.desk(tmp_path / "keeper") as desk:
        bonds_only = ()
        assert await kept(subnet, desk, subnets=bonds_only) == []
        done = counted(await kept(subnet, desk, dry_run=True))
        assert (done["convict"], done["skip"]) == (1, 1)
        # The freeze is over, and nobody convicted the validator: its bond is free again.
        await subnet.wait(288 * HOUR)
        assert counted(await kept(subnet, desk, subnets=bonds_only)) == {"thaw": 1}
        done = counted(await kept(subnet, desk))
        assert done["convict"] == 1
        assert counted(await kept(subnet, desk)).get("convict") is None
