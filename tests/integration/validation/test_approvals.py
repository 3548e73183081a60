"""A round of approvals on a real chain, by a skipped clock: from a hidden set to the last pay."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections.abc import AsyncIterator, Iterable, Iterator
from copy import copy
from dataclasses import dataclass, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from tests.integration.cli.conftest import Outcome, Program
from tests.unit.validation.folders import Written, as_json, benchmark

from tessera.app.approvals import (
    advance,
    commit,
    commit_set,
    execute,
    open_round,
    reveal,
    reveal_truth,
    set_of,
    show,
    situation,
    statement_kept,
)
from tessera.app.court import (
    choice_for,
    count,
    differences,
    enlist,
    revealed_approval,
    take_part,
    vote,
)
from tessera.app.judging import assignment
from tessera.app.world import World, open_world
from tessera.bindings import Offering
from tessera.bindings.registry import (
    AssetRegistered,
    EndpointTerms,
    Kind,
    Price,
    Publication,
    Release,
)
from tessera.chain.sender import Sender
from tessera.config import Config
from tessera.errors import Conflict, NotFound, TransactionReverted
from tessera.ownership.offering import buy
from tessera.ownership.share import ShareTerms, tokenize
from tessera.spec.approvals import State, commitment_of
from tessera.spec.court import Answer
from tessera.spec.signatures import address_of
from tessera.units import AssetId, Seconds, Shares, Units
from tessera.validation.answers import Ask
from tessera.validation.approving import approval_of
from tessera.validation.hidden import count_hidden, read_truth, write_answers
from tessera.validation.report import ModelName, build_report, write_report
from tessera.validation.running import items_to_ask, run
from tessera.validation.task import Benchmark

pytestmark = pytest.mark.asyncio(loop_scope="module")

HOUR = 3_600
TSR = 10**18
BOND = 2_000 * TSR
BUDGET = 100 * TSR
HONEST = ("validator-1", "validator-2")
LAZY = "validator-3"
CHOOSY = "validator-4"
JURORS = tuple(f"juror-{n}" for n in range(5))
MODEL = ModelName("parity", content_root="0x" + "11" * 32)


def parity(ask: Ask) -> bytes:
    """Answer as the model does: it looks at two of three digits, so it is right in part."""
    return as_json({"outputs": [{"label": int(ask.fields["rows"][0][0]) % 3 % 2}]})


def labelled(numbers: Iterable[int]) -> list[dict[str, object]]:
    return [{"input": [n], "label": n % 2} for n in numbers]


@dataclass
class Story:
    world: World
    pool: Benchmark
    hidden: Path
    clock: list[float]
    home: Path
    url: str
    asset: int = 0

    def by(self, name: str) -> Sender:
        return self.world.sender(name)

    async def program(self, *arguments: object) -> Outcome:
        """Run the program in this data folder, beside the world that is open here."""
        program = Program(self.world.config.data_dir)
        chain = ("--rpc-url", self.world.reader.url, "--json")
        # In a thread of its own, as it brings a loop of its own.
        return await asyncio.to_thread(program, *arguments, *chain)

    async def tessera(self, *arguments: object) -> dict[str, Any]:
        outcome = await self.program(*arguments)
        assert outcome.code == 0, outcome.err or outcome.out
        return outcome.json

    async def hours(self, number: float) -> None:
        self.clock[0] += number * HOUR
        assert self.world.node is not None
        await self.world.node.mine()

    async def held(self, name: str) -> int:
        token = self.world.deployment.network_token
        held: int = await self.world.reader.read(token.balanceOf(self.by(name).address))
        return held

    async def bonded(self, name: str) -> int:
        return await self.world.reader.read(
            self.world.deployment.bond.bonded(self.by(name).address)
        )

    async def drawn(self, about: bytes) -> None:
        """Let the keeper alone draw what is waited for, and do what becomes possible."""
        for number in (await situation(self.world, about)).draws:
            who = self.by("drawer")
            done = [await take_part(self.world, who, number) for _ in range(2)]
            await self.hours(1)
            done += [await take_part(self.world, who, number) for _ in range(2)]
            assert done == ["committed", "waiting", "revealed", "revealed"]
        await self.advanced(about)

    async def advanced(self, about: bytes) -> set[str]:
        return {step.name for step in await advance(self.world, self.by("drawer"), about)}


SERVED: dict[str, bytes] = {}


class Killed(Exception):
    """Stands for a kill between what is sealed and what is sent."""


def dying(sender: Sender) -> Sender:
    """Return a sender whose process ends before it sends anything."""

    async def send(_: object) -> None:
        raise Killed

    last = copy(sender)
    last.send = send  # type: ignore[assignment, method-assign]
    return last


class Model(BaseHTTPRequestHandler):
    """A server that has the model."""

    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["content-length"])))
        body = parity(Ask(self.path, asked))
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self) -> None:
        found = SERVED.get(self.path)
        self.send_response(404 if found is None else 200)
        self.send_header("content-length", str(len(found or b"")))
        self.end_headers()
        self.wfile.write(found or b"")

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - its parent's name
        """Say nothing."""


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Model) as server:
        serving = threading.Thread(target=server.serve_forever, args=(0.05,))
        serving.start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()
        serving.join()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def story(tmp_path_factory: pytest.TempPathFactory, url: str) -> AsyncIterator[Story]:
    home = tmp_path_factory.mktemp("approvals")
    pool = benchmark(home / "pool", "classification", labelled(range(500)))
    hidden = home / "hidden.jsonl"
    hidden.write_text("".join(json.dumps(row) + "\n" for row in labelled(range(1_000, 1_100))))
    offset = [0.0]
    config = Config(data_dir=home / "data", node_port=0)
    async with open_world(config, clock=lambda: time.time() + offset[0]) as world:
        made = Story(world, pool, hidden, offset, home, url)
        people = (
            "committer",
            "holder",
            "publisher",
            "keeper",
            "drawer",
            "challenger",
            *HONEST,
            LAZY,
            CHOOSY,
            *JURORS,
        )
        for name in people:
            world.wallet.create(name)
        treasury = world.sender("deployer")
        await asyncio.gather(*(treasury.transfer(made.by(n).address, 10**18) for n in people))
        await asyncio.gather(
            *(world.endow(made.by(n).address, Units(20_000 * TSR)) for n in people)
        )
        await world.endow(made.by("committer").address, Units(20_000 * TSR))
        await asyncio.gather(*(bonded(made, n) for n in (*HONEST, LAZY, CHOOSY, *JURORS)))
        await asyncio.gather(*(enlist(world, made.by(n)) for n in JURORS))
        made.asset = await published(made)
        share = ShareTerms(
            name="Parity", symbol="PAR", supply=Shares(1_000 * 10**18), period=Seconds(1)
        )
        await tokenize(made.by("publisher"), world.deployment.registry, AssetId(made.asset), share)
        await world.mint("holder", Units(1_000 * 10**6))
        # The price of network tokens is a mean of a day.
        await made.hours(25)
        yield made


async def bonded(story: Story, name: str) -> None:
    there, sender = story.world.deployment, story.by(name)
    await sender.send(there.bond.enlist(there.approvals.address))
    await sender.send(there.network_token.approve(there.bond.address, BOND))
    await sender.send(there.bond.stake(sender.address, BOND))


async def published(story: Story) -> int:
    publication = Publication(
        slug="parity", kind=Kind.MODEL, salt=bytes(32), contributions=bytes(32), parents=(),
        release=Release(b"\x11" * 32, 1, ""),
    )  # fmt: skip
    publisher = story.by("publisher")
    terms = EndpointTerms(publisher.address, 0, Price(0, 0, 0), "")
    receipt = await publisher.send(story.world.deployment.registry.publish(publication, terms))
    return receipt.one_of(AssetRegistered).asset


async def test_a_validator_that_made_its_report_up_pays_the_one_who_ran_an_item_again(
    story: Story, tmp_path: Path
) -> None:
    """Two validators run their items and reject; the third writes down what would be right, and
    approves. A challenger runs its items again, five jurors run one of them, and its whole bond is
    gone: a fifth of it to the challenger. Then the truth: the model is bad. Somebody contests the
    count, is narrowed to one answer, and no jury agrees with him.

    One of each role uses the program, the others the library.
    """
    world, pool, tessera = story.world, story.pool, story.tessera
    endpoint = Written(parity)
    right = Written(lambda ask: as_json({"outputs": [{"label": ask.fields["rows"][0][0] % 2}]}))

    # A hidden set, and a version before it.
    pledge = ("--pledge", 10 * BOND // TSR, "--submissions", "1h")
    set_up = ("approval", "commit-set", story.home / "pool", story.hidden, *pledge)
    dry = await tessera(*set_up, "--dry-run")
    assert (dry["dry_run"], dry["effects"][0]["change"]) == (True, str(-10 * BOND))
    made = (await tessera(*set_up))["set"]
    assert (await tessera(*set_up))["set"] == made, "the same items are one set"
    test_set = bytes.fromhex(made[2:])
    terms = {"asset": story.asset, "version": 1, "tau": 800_000, "prior": 700_000}
    terms["budget"] = BUDGET
    submitted = await tessera(
        "approval", "open", made, "parity", "--benchmark", story.home / "pool", "--tau", "0.8",
        "--prior", "0.7", "--budget", BUDGET // TSR, "--cap", "1000",
    )  # fmt: skip
    round_, shown = bytes.fromhex(submitted["round"][2:]), submitted["round"]
    publisher = world.sender("publisher")
    assert round_ == await open_round(world, publisher, test_set, pool, **terms)
    # Shares on it: somebody buys half of them.
    sold = ("approval", "sell", shown, "--shares", 100, "--price", "2", "--lasts", "1d")
    assert (await tessera(*sold, "--dry-run"))["effects"][0]["change"] == str(-100 * 10**18)
    offering = (await tessera(*sold))["offering"]
    cost = Units(100 * 10**6)
    await buy(
        story.by("holder"), Offering(offering), world.deployment.currency, Shares(50 * 10**18),
        max_cost=cost, now=world.now(),
    )  # fmt: skip
    early = await story.program("approval", "release", offering)
    assert (early.code, early.json["code"]) == (5, "approved_sale_not_approved")
    await story.hours(1)
    ready = await tessera("approval", "info", shown)
    assert ready["anyone"] == ["draw"]
    assert (await tessera("approval", "advance", shown, "--dry-run"))["steps"] == ["draw"]
    assert (await tessera("approval", "advance", shown))["steps"] == ["draw"]
    assert (await tessera("approval", "advance", shown))["steps"] == []
    (number,) = (await tessera("approval", "info", shown))["draws"]
    dry = await tessera("jury", "draw", number, "--dry-run")
    assert dry["effects"][0]["change"] == str(-10 * TSR)
    assert (await tessera("jury", "draw", number))["done"] == "committed"
    await story.hours(1)
    assert (await tessera("jury", "draw", number))["done"] == "revealed"
    assert await story.advanced(round_) == {"begin"}

    # They run what they were given, commit and reveal.
    second, lazy = story.by(HONEST[1]).address, story.by(LAZY).address
    report = tmp_path / "report.json"
    benchmark_ = ("--benchmark", story.home / "pool")
    at = (*benchmark_, "--url", story.url, "--model", "parity")
    mine = ("--as", HONEST[0])
    await tessera("approval", "execute", shown, *at, "--out", report, "--validator", HONEST[0])
    committed = ("approval", "commit", shown, report, *benchmark_, *mine)
    assert (await tessera(*committed, "--dry-run"))["approve"] is False
    assert (await tessera(*committed))["root"] == (await tessera(*committed))["root"]
    wrong = await story.program("approval", "commit", shown, report, *benchmark_, "--as", LAZY)
    assert (wrong.code, "items of" in wrong.err) == (4, True)
    reports = {}
    for name, model in ((HONEST[1], endpoint), (LAZY, right)):
        who = story.by(name)
        reports[name] = await execute(world, round_, who.address, pool, model, MODEL)
        with pytest.raises(Killed):
            await commit(world, dying(who), round_, reports[name], pool)
        before_it_died = await statement_kept(world, round_, who.address)
        sealed = await commit(world, who, round_, reports[name], pool)
        assert sealed == await commit(world, who, round_, reports[name], pool) == before_it_died
        assert sealed.approve == (name == LAZY)
    with pytest.raises(NotFound, match="sealed"):
        await reveal(world, story.by("challenger"), round_, "https://x")
    # One draws by a seed of its own, until the items flatter.
    chosen = replace(await assignment(world, round_, story.by(CHOOSY).address), seed=b"\7" * 32)
    done = await run(pool, items_to_ask(pool, chosen), endpoint, about="")
    flattering = await build_report(pool, MODEL, done.measured, draw=chosen)
    with pytest.raises(Conflict, match="seed"):
        await commit(world, story.by(CHOOSY), round_, flattering, pool)
    leaves = approval_of(flattering, pool, threshold=800_000)
    there, choosy, salt = world.deployment.approvals, story.by(CHOOSY), b"\1" * 32
    bound = commitment_of(
        round_, address_of(choosy.address), approve=True, score=990_000, root=leaves.root,
        salt=salt, chain_id=world.reader.chain_id, approvals=address_of(there.address),
    )  # fmt: skip
    await choosy.send(there.commit(round_, bound))

    await story.hours(6)
    call = there.reveal(round_, approve=True, score=990_000, root=leaves.root, salt=salt, uri="")
    await choosy.send(call)
    write_report(tmp_path / "choosy.json", flattering)
    chose = ("approval", "convict", shown, CHOOSY, "--report", tmp_path / "choosy.json")
    assert len((await tessera(*chose, *benchmark_, "--dry-run"))["other_items"]) > 190
    held = await story.held("challenger")
    await tessera(*chose, *benchmark_)
    assert (await story.bonded(CHOOSY), await story.held("challenger")) == (0, held + BOND // 5)
    reveal_ = ("approval", "reveal", shown, "--uri", "https://a", *mine)
    assert (await tessera(*reveal_, "--dry-run"))["dry_run"]
    assert [(await tessera(*reveal_))["approve"] for _ in range(2)] == [False, False]
    for name in (HONEST[1], LAZY):
        SERVED[f"/{name}.json"] = as_json(reports[name])
        await reveal(world, story.by(name), round_, f"{story.url}/{name}.json")
    await story.hours(2)
    assert await story.advanced(round_) == {"close"}

    fine = ("approval", "convict", shown, HONEST[0], "--report", report, *benchmark_)
    assert (await tessera(*fine))["other_items"] == []

    # Somebody runs items again.
    checked = ("approval", "check", shown, HONEST[0], "--report", report, *at)
    assert (await tessera(*checked))["different"] == []
    said = await revealed_approval(world, round_, lazy, reports[LAZY], pool)
    found = await differences(world, round_, lazy, said, pool, endpoint, range(40))
    assert 5 < len(found) < 35, "where the model is wrong, the report is right"
    assert (await story.program("approval", "check", shown[:14], LAZY, *at)).code == 7
    SERVED.clear()
    gone = await story.program("approval", "check", shown, LAZY, *at)
    assert (gone.code, "status 404" in gone.err) == (6, True)
    with pytest.raises(Conflict, match="as was revealed"):
        await revealed_approval(world, round_, second, reports[LAZY], pool)
    before = await story.held("challenger")
    accused = ("approval", "accuse", shown, LAZY, found[0].place, *at)
    stake = int((await tessera(*accused, "--dry-run"))["stake"])
    assert stake == BOND // 100
    case = (await tessera(*accused))["case"]
    assert (await tessera(*accused))["case"] == case
    assert before - await story.held("challenger") == stake
    assert await show(world, story.by(LAZY), round_) == [found[0].place]
    assert await story.advanced(round_) == {"answer"}
    await story.drawn(round_)
    due = (await tessera("jury", "list"))["due"]
    assert {each["account"] for each in due} == {story.by(name).address for name in JURORS}
    voted = ("jury", "vote", case, "--as", JURORS[0])
    assert (await tessera(*voted, *at))["done"] == "committed"
    assert (await tessera(*voted))["done"] == "waiting"
    choice = await choice_for(world, case, pool, endpoint)
    assert choice == found[0].found
    with pytest.raises(Killed):
        await vote(world, dying(story.by(JURORS[1])), case, choice)
    for name in JURORS[1:]:
        assert await vote(world, story.by(name), case, choice) == "committed"
    with pytest.raises(Conflict, match="another choice"):
        await vote(world, story.by(JURORS[1]), case, bytes(32))
    await story.hours(16)
    assert (await tessera(*voted))["done"] == "revealed"
    for name in JURORS[1:]:
        for _ in range(2):
            assert await vote(world, story.by(name), case) == "revealed"
    await story.hours(8)
    assert await story.advanced(round_) == {"resolve"}
    assert await story.bonded(LAZY) == 0
    assert await story.held("challenger") == before + BOND // 5 - 5 * (stake // 10)

    # The truth.
    truth = tmp_path / "truth.json"
    told = ("approval", "truth", made, "--uri", "https://truth", "--out", truth)
    assert (await tessera(*told, "--as", "committer"))["items"] == 100
    await story.drawn(round_)
    demanded = ("approval", "demand", made, 7)
    fee = int((await tessera(*demanded, "--dry-run"))["fee"])
    await tessera(*demanded)
    held = await story.held("committer")
    assert (await tessera("approval", "supply", made))["items"] == [7]
    assert await story.held("committer") == held + fee
    seats = (await situation(world, round_)).seats
    assert seats is not None
    executors = [name for name in JURORS if story.by(name).address in seats.executors]
    counted = ("jury", "count", shown, "--as", executors[0], "--out", tmp_path / "count.json")
    answered = await tessera(*counted, *at, "--truth", truth)
    assert answered["done"] == "committed"
    row = (await situation(world, test_set)).test_set
    hidden = read_truth(truth.read_bytes(), row.root, row.items, pool)
    answers = await count_hidden(pool, hidden.items, endpoint, about="")
    for name in executors[1:]:
        assert (await count(world, story.by(name), round_, answers))[0] == "committed"
    assert len(await show(world, story.by(HONEST[1]), round_)) == 5
    assert len((await tessera("approval", "show", shown, *mine))["places"]) == 5
    assert (await tessera("approval", "show", shown, *mine))["places"] == []
    await story.hours(36)
    assert (await tessera(*counted, "--uri", "https://c"))["done"] == "reported"
    for name in executors[1:]:
        assert (await count(world, story.by(name), round_, uri="https://a"))[0] == "reported"

    # Somebody counts one answer more, and contests; two jurors are left, who cannot agree by four.
    recount = ("approval", "recount", shown, *at, "--truth", truth, "--out", tmp_path / "my.json")
    assert (await tessera(*recount))["correct"] == answered["correct"]
    other = [*answers[:17], Answer(b"\1" * 32, not answers[17].correct), *answers[18:]]
    (tmp_path / "my.json").write_bytes(write_answers(other))
    held = await story.held("challenger")
    contested = ("approval", "contest", shown, "--mine", tmp_path / "my.json")
    assert (await tessera(*contested, "--dry-run"))["effects"][0]["change"] == str(-stake)
    case = (await tessera(*contested))["case"]
    files = ("--mine", tmp_path / "my.json", "--reported", tmp_path / "count.json")
    moves = [(await tessera("approval", "move", case, *files))["done"] for _ in range(8)]
    assert moves == [
        "narrowed", "picked 0", "narrowed", "picked 1", "narrowed", "picked 1", "opened", "claimed"
    ]  # fmt: skip
    await story.drawn(round_)
    choice = await choice_for(world, case, pool, endpoint, hidden)
    for name in set(JURORS) - set(executors):
        assert await vote(world, story.by(name), case, choice) == "committed"
    await story.hours(16)
    for name in set(JURORS) - set(executors):
        assert await vote(world, story.by(name), case) == "revealed"
    await story.hours(8)
    assert await story.advanced(round_) == {"resolve"}
    assert await story.held("challenger") == held - 2 * (stake // 10)
    await story.hours(168)
    assert {"finish", "grade"} <= await story.advanced(round_)
    over = await tessera("approval", "info", shown)
    assert (over["state"], over["counted"]) == ("bad", answered["correct"])
    assert [each["outcome"] for each in over["ended"]] == ["upheld", "dismissed"]

    unsold = await tessera("approval", "unsold", offering)
    assert unsold["shares"] == str(50 * 10**18)

    # There is no approval: the buyer brings its shares back, for what it paid.
    back = await tessera("approval", "refund", offering, 50, "--as", "holder")
    assert back["amount"] == str(cost)

    # Who was nearer to it than the public is paid, and the committer has its pledge back.
    held = await story.held("committer")
    await story.hours(80)
    assert await story.advanced(round_) == {"reward", "withdraw_pledge"}
    assert await story.held("committer") == held + 10 * BOND
    assert await story.advanced(round_) == set()
    await story.hours(168)
    assert await story.bonded(HONEST[0]) > BOND, "a reward streams for a week"
    listed = await tessera("approval", "list")
    assert [each["round"] for each in listed["rounds"]] == [shown]


async def test_what_stops_coming_ends_a_round_and_costs_only_who_was_to_deliver_it(
    story: Story, tmp_path: Path
) -> None:
    """Somebody keeps its secret of a draw, a validator says nothing, and the committer does not
    tell its items: each pays for that, and the round is void. Another set is never drawn for.
    """
    world, pool = story.world, story.pool
    committer, publisher, keeper = story.by("committer"), story.by("publisher"), story.by("keeper")
    terms = {"asset": story.asset, "version": 1, "tau": 800_000, "prior": 700_000}
    started = {name: await story.held(name) for name in ("committer", "publisher", "drawer")}

    async def opened(first: int) -> tuple[bytes, bytes]:
        items = [dict(row) for row in labelled(range(first, first + 100))]
        until, more = world.now() + HOUR, {"pledge": 10 * BOND}
        with pytest.raises(Killed):
            await commit_set(world, dying(committer), pool, items, until=until, **more)
        # Its transaction may still come: another time does not make a second set, and pledge.
        test_set = await commit_set(world, committer, pool, items, until=until + HOUR, **more)
        assert (await set_of(world, test_set)).until == until
        round_ = await open_round(world, publisher, test_set, pool, budget=BUDGET, **terms)
        await story.hours(1)
        return test_set, round_

    test_set, round_ = await opened(2_000)
    assert await story.advanced(round_) == {"draw"}
    (number,) = (await situation(world, round_)).draws
    assert await take_part(world, keeper, number) == "committed"
    await story.hours(2)
    assert await story.advanced(round_) == {"forfeit", "again"}
    await story.hours(1)
    with pytest.raises(NotFound, match="secret of draw"):
        await take_part(world, keeper, number)
    await story.hours(1)
    assert await story.advanced(round_) == {"again"}, "nobody took part"
    await story.drawn(round_)

    endpoint = Written(parity)
    for name in HONEST:
        who = story.by(name)
        report = await execute(world, round_, who.address, pool, endpoint, MODEL)
        await commit(world, who, round_, report, pool)
    await story.hours(6)
    await reveal(world, story.by(HONEST[1]), round_, "https://b")
    before = await story.bonded(HONEST[0])
    await story.hours(2)
    assert await story.advanced(round_) == {"close", "punish_silence"}
    assert await story.bonded(HONEST[0]) < before
    await story.hours(72)
    assert await story.advanced(round_) == {"fail_set", "finish"}
    over = await situation(world, round_)
    assert over.row is not None
    assert (over.row.state, over.test_set.failed, over.row.budget) == (State.VOID, True, 0)
    assert await story.held("committer") == started["committer"] - 10 * BOND
    assert await story.held("drawer") > started["drawer"] + 2 * BOND, "who tells gets a fifth"
    with pytest.raises(TransactionReverted):
        await reveal_truth(world, committer, test_set, "https://late")

    test_set, round_ = await opened(3_000)
    await story.hours(72)
    assert await story.advanced(round_) == {"draw", "abandon", "finish", "withdraw_pledge"}
    assert await story.held("committer") == started["committer"] - 10 * BOND
    assert await story.held("publisher") == started["publisher"]
    with pytest.raises(NotFound, match="test set"):
        await situation(world, b"\7" * 32)
