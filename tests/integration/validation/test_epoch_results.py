"""Results of epochs on a real chain: posted, served, checked, proved false, made final."""

from __future__ import annotations

import asyncio
import re
import signal
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.integration.cli.conftest import Outcome, Program
from tests.integration.validation.conftest import SECRETS
from tests.integration.validation.subnet_rig import HOUR, TSR, Subnet

from tessera.bindings.epochs import Result
from tessera.errors import Conflict, InputError, NotFound, TransactionReverted
from tessera.spec.epochs import PostedEpoch
from tessera.spec.epochs.results import assembled
from tessera.validation.parts import name_of, read_parts, write_parts


def restated(posted: PostedEpoch, uid: int) -> PostedEpoch:
    """Make a false result: another consensus for one model, and everything that states it."""
    columns = [column for column in posted.columns if column is not None]
    columns[uid] = columns[uid]._replace(consensus=columns[uid].consensus + 1)
    header = posted.header
    return assembled(
        header.inputs, header.rules, header.previous,
        stakes=posted.stakes or (), sums=header.sums, columns=tuple(columns),
        rows=tuple(row for row in posted.rows if row is not None),
    )  # fmt: skip


async def settle_empty(subnet: Subnet, folder: Path, *epochs: int) -> None:
    """Skip epochs in which nobody scored anything."""
    async with subnet.desk(folder) as desk:
        for epoch in epochs:
            await desk.skip(subnet.people["keeper"], subnet.number, epoch)


async def lied(subnet: Subnet, false: PostedEpoch) -> None:
    """Post a false result by hand."""
    epochs, attacker = subnet.chain.deployment.epochs, subnet.people["attacker"]
    token = subnet.chain.deployment.network_token
    await attacker.send(token.approve(epochs.address, 10**30))
    await attacker.send(epochs.post(subnet.number, 1, Result.from_values(false.header.call)))


async def test_from_rows_to_a_final_result(subnet: Subnet, tmp_path: Path) -> None:
    number, poster, keeper = subnet.number, subnet.people["poster"], subnet.people["keeper"]
    await subnet.score(1)
    async with subnet.desk(tmp_path) as desk:
        assert (await desk.status(number)).stage == "empty"
        assert (await desk.status(number, 1)).stage == "waiting"
        with pytest.raises(InputError, match="next to be settled: 0"):
            await desk.post(poster, number, 1)
        for _ in range(2):
            await desk.skip(keeper, number, 0)
        assert (await desk.status(number, 0)).stage == "skipped"
        assert (await desk.status(number)).stage == "postable"
        with pytest.raises(NotFound):
            await desk.check(number, 1)
        for _ in range(2):
            posted = await desk.post(poster, number, 1)
        status = await desk.status(number)
        assert (status.stage, status.poster, status.rows, status.columns) == (
            "posted", poster.address, 3, 3,
        )  # fmt: skip
        with pytest.raises(TransactionReverted, match="window still open"):
            await desk.finalize(keeper, number, 1)

    file = tmp_path / "served" / name_of(posted.header.digest)
    assert write_parts(read_parts(file.read_bytes(), posted.header, 3, 3)) == file.read_bytes()
    # Somebody else computes it from the validators' rows.
    async with subnet.desk(tmp_path / "watcher") as desk:
        verdict = await desk.check(number, 1)
        assert (verdict.true, verdict.fault, verdict.questions) == (True, None, ())
        assert await desk.challenge(subnet.people["challenger"], number, 1) == []
        await subnet.wait(12 * HOUR)
        for _ in range(2):
            await desk.finalize(keeper, number, 1)
        assert (await desk.status(number, 1)).stage == "final"
        assert await desk.collect(poster) == 100 * TSR
        assert await desk.collect(poster) == 0

    # The next one with rows follows from this one's bonds.
    await subnet.score(3)
    await settle_empty(subnet, tmp_path, 2)
    async with subnet.desk(tmp_path) as desk:
        inputs = await desk.inputs(number, 3)
        assert inputs.former is not None
        assert (inputs.former.posted.header, inputs.former.kept) == (posted.header, (True,) * 3)
        second = await desk.post(poster, number, 3)
    # The first rows are gone, and the parts are beside those of later ones; and the other way.
    away = tmp_path / "away"
    away.mkdir()
    for number_of_case, gone in enumerate(("1-*.json", file.name)):
        for path in sorted((tmp_path / "served").glob(gone)):
            path.rename(away / path.name)
        async with subnet.desk(tmp_path / f"case {number_of_case}") as desk:
            assert (await desk.built(number, 3)).header == second.header
        for path in sorted(away.iterdir()):
            path.rename(tmp_path / "served" / path.name)


async def test_a_false_result_that_is_served_is_proved_false(
    subnet: Subnet, tmp_path: Path
) -> None:
    """One model's consensus is one unit off, and everything above it is as it follows from that."""
    number, challenger = subnet.number, subnet.people["challenger"]
    await subnet.score(1)
    await settle_empty(subnet, tmp_path, 0)
    async with subnet.desk(tmp_path / "watcher") as desk:
        true = await desk.built(number, 1)
        false = restated(true, 1)
        await lied(subnet, false)
        data = write_parts(false)
        (tmp_path / "served" / name_of(false.header.digest)).write_bytes(data)
        with pytest.raises(Conflict, match="another result"):
            await desk.post(subnet.people["poster"], number, 1)
        verdict = await desk.check(number, 1)
        assert verdict.fault is not None
        assert await desk.challenge(challenger, number, 1) == ["challenge_column"]
        status = await desk.status(number, 1)
        assert (status.stage, status.voided) == ("postable", 1)
        assert await desk.collect(challenger) == 20 * TSR
        assert await desk.collect(subnet.people["attacker"]) == 0
        await desk.post(subnet.people["poster"], number, 1)
        assert (await desk.check(number, 1)).true


async def test_a_false_result_that_is_kept_back_is_asked_for(
    subnet: Subnet, tmp_path: Path
) -> None:
    """It is served by nobody; what is served in its name is something else.

    Once the attacker answers, from the file that only he has, and is proved false by his answer;
    once he does not, and it is void as if it were false.
    """
    number, challenger = subnet.number, subnet.people["challenger"]
    await subnet.score(1)
    await settle_empty(subnet, tmp_path, 0)
    async with (
        subnet.desk(tmp_path / "watcher") as desk,
        subnet.desk(tmp_path / "attacker") as his,
    ):
        true = await desk.built(number, 1)
        false = restated(true, 2)
        await lied(subnet, false)
        bad = bytearray(write_parts(false))
        bad[-1] ^= 1
        bad[20 * 32] ^= 1
        (tmp_path / "served" / name_of(false.header.digest)).write_bytes(bad)
        verdict = await desk.check(number, 1)
        assert (verdict.true, verdict.fault) == (False, None)
        asked = await desk.challenge(challenger, number, 1)
        assert asked == [f"ask {question.arguments[0]}" for question in verdict.questions] != []
        assert await desk.challenge(challenger, number, 1) == []
        with pytest.raises(NotFound, match="nobody serves it"):
            await desk.answer(challenger, number, 1)
        await his.read.keep(false)
        shown = await his.answer(subnet.people["attacker"], number, 1)
        assert [f"ask {part}" for part in shown] == asked
        assert await his.answer(subnet.people["attacker"], number, 1) == []
        sent: list[str] = []
        while not sent or sent[-1].startswith("ask"):
            sent += await desk.challenge(challenger, number, 1)
            await his.answer(subnet.people["attacker"], number, 1)
            assert len(sent) < 10
        assert sent[-1] == "challenge_column"

        await lied(subnet, replace(false, header=replace(false.header, sums=1)))
        assert await desk.challenge(challenger, number, 1) == ["challenge_stakes"]
        await lied(subnet, restated(true, 0))
        fees = len(await desk.challenge(challenger, number, 1)) * TSR
        assert fees
        await subnet.wait(HOUR + 10)
        assert (await desk.challenge(challenger, number, 1))[0].startswith("accuse")
        assert (await desk.status(number, 1)).voided == 3
        assert await desk.collect(challenger) == 60 * TSR + fees


async def test_the_commands_see_an_epoch_through(subnet: Subnet, tmp_path: Path) -> None:
    """A poster's own data folder, and a chain that somebody else runs."""
    program = Program(tmp_path / "data")
    chain = ("--rpc-url", subnet.chain.node.url, "--deployment", tmp_path / "deployment.json")
    number = subnet.number

    async def tessera(*arguments: object, code: int = 0) -> dict[str, Any]:
        # In a thread of its own, as it brings a loop of its own.
        done = await asyncio.to_thread(program, *arguments, *chain, "--json")
        assert done.code == code, done.err
        return done.json

    key = tmp_path / "key"
    key.write_text(SECRETS["poster"].hex())
    await tessera("account", "import", "poster", "--file", key)
    await subnet.score(1)
    assert (await tessera("epoch", "info", number))["stage"] == "empty"
    mine = ("--as", "poster")
    dry = await tessera("epoch", "skip", number, "--dry-run", *mine)
    assert (dry["epoch"], dry["dry_run"]) == (0, True)
    await tessera("epoch", "skip", number, *mine)
    early = await tessera("epoch", "finalize", number, *mine, code=5)
    assert early["code"] == "epochs_no_live_result"
    dry = await tessera("epoch", "post", number, "--dry-run")
    assert [effect["change"] for effect in dry["effects"]] == [str(-100 * TSR), str(100 * TSR)]
    posted = await tessera("epoch", "post", number)
    assert posted["digest"] == dry["digest"]
    assert Path(posted["parts"]).parent == tmp_path / "data" / "served"
    told = await tessera("epoch", "info", number)
    assert (told["stage"], told["digest"], told["ends_at"]) == (
        "posted", posted["digest"], posted["ends_at"],
    )  # fmt: skip
    assert (await tessera("epoch", "check", number))["true"] is True
    assert (await tessera("epoch", "challenge", number, *mine))["true"] is True
    # A keeper that goes round and round serves what is there until it is ended.
    arguments = map(str, ("keep", *mine, "--yes", "--every", "1s", "--listen", "127.0.0.1:0"))
    keeper = program.start(*arguments, *map(str, chain))
    try:
        assert keeper.stderr is not None
        line = await asyncio.to_thread(keeper.stderr.readline)
        address = re.search(r"http://\S+/", line)
        assert address, line
        async with httpx.AsyncClient(trust_env=False) as http:
            parts = await http.get(address[0] + Path(posted["parts"]).name)
        kept = await asyncio.to_thread(Path(posted["parts"]).read_bytes)
        assert parts.content == kept
    finally:
        keeper.send_signal(signal.SIGINT)
        await asyncio.to_thread(keeper.communicate)
    at, asker = subnet.chain.deployment, subnet.people["challenger"]
    await asker.send(at.network_token.approve(at.epochs.address, TSR))
    await asker.send(at.epochs.ask(number, 1, 2))
    assert (await tessera("epoch", "answer", number, "--dry-run"))["parts"] == [2]
    assert (await tessera("epoch", "answer", number))["shown"] == [2]
    assert (await tessera("epoch", "answer", number))["parts"] == []
    await subnet.wait(14 * HOUR)
    done = await tessera("keep", "--once", "--dry-run", *mine)
    assert ("finalize", "due") in {(each["what"], each["state"]) for each in done["chores"]}
    await tessera("epoch", "finalize", number, *mine)
    assert (await tessera("epoch", "collect"))["amount"] == str(101 * TSR)
    done = await tessera("keep", "--once", "--gas", 10**7, *mine)
    assert {each["state"] for each in done["chores"]} <= {"done"}
    assert (await tessera("keep", "--once", *mine))["chores"] == []
    missing = await tessera("epoch", "check", number, 9, code=2)
    assert missing["code"] == "not_found"


async def test_a_command_says_what_is_false(subnet: Subnet, tmp_path: Path) -> None:
    program = Program(tmp_path / "data")
    chain = ("--rpc-url", subnet.chain.node.url, "--deployment", tmp_path / "deployment.json")
    key = tmp_path / "key"
    key.write_text(SECRETS["challenger"].hex())
    await subnet.score(1)
    await settle_empty(subnet, tmp_path, 0)
    async with subnet.desk(tmp_path) as desk:
        false = restated(await desk.built(subnet.number, 1), 0)
        await lied(subnet, false)
        await desk.read.keep(false)

    def tessera(*arguments: object) -> Outcome:
        return program(*arguments, *chain)

    await asyncio.to_thread(tessera, "account", "import", "challenger", "--file", key)
    check = await asyncio.to_thread(tessera, "epoch", "check", subnet.number)
    assert check.code == 1
    assert "false, and can be proved so (challenge_column)" in check.out
    done = await asyncio.to_thread(tessera, "epoch", "challenge", subnet.number)
    assert done.code == 0, done.err
    assert "sent      challenge_column" in done.out
    assert "void      the result is" in done.out
