"""Bonds, accusations and subnets through the program, on a chain whose days are skipped."""

from __future__ import annotations

import asyncio
import re
import shlex
import threading
import time
from collections.abc import Callable, Coroutine, Iterator
from concurrent.futures import Future
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import pytest
from tests.integration.cli.conftest import Program

from tessera.app import World, open_world
from tessera.bindings.registry import (
    AssetRegistered,
    EndpointTerms,
    Kind,
    Price,
    Publication,
    Release,
)
from tessera.config import load_config
from tessera.payments.header import SignedReceipt, receipt_json
from tessera.payments.onchain import (
    AccountSigner,
    ConsumerOnChain,
    OperatorOnChain,
    channels_domain,
)
from tessera.spec.signatures import address_of, keccak
from tessera.spec.vouchers import (
    Line,
    Receipt,
    SignedVoucher,
    Voucher,
    encode_batch,
    receipt_digest,
    voucher_digest,
)
from tessera.units import NETWORK_DECIMALS, Units

TSR = 10**NETWORK_DECIMALS
HOUR = 3_600
T = TypeVar("T")


@dataclass
class Land(Program):
    """The program beside a chain that runs in this process, whose time can be moved."""

    loop: asyncio.AbstractEventLoop
    world: World
    url: str
    skipped: list[int] = field(default_factory=list)

    def environment(self, **more: str) -> dict[str, str]:
        (file,) = (self.data / "deployments").iterdir()
        chain = {"TESSERA_RPC_URL": self.url, "TESSERA_DEPLOYMENT": str(file)}
        return super().environment(**chain, **more)

    def do(self, action: Callable[[World], Coroutine[Any, Any, T]]) -> T:
        """Act as somebody who needs no door of ours."""
        return asyncio.run_coroutine_threadsafe(action(self.world), self.loop).result(60)

    def skip(self, hours: int) -> None:
        self.skipped.append(hours * HOUR)
        node = self.world.node
        assert node is not None
        self.do(lambda _: node.mine())

    def person(self, name: str, tsr: int = 0) -> str:
        """Make a key with gas and network tokens."""
        address: str = self.ok("account", "create", name)["address"]

        async def give(world: World) -> None:
            await world.fund(address)
            if tsr:
                await world.endow(address, Units(tsr * TSR))

        self.do(give)
        return address

    def held(self, address: str) -> int:
        token = self.world.deployment.network_token
        return self.do(lambda world: world.reader.read(token.balanceOf(address)))

    def publish(self, key: str, slug: str, operator: str) -> int:
        """Publish what nobody serves: who has which place is all that counts here."""

        async def send(world: World) -> int:
            publication = Publication(
                slug=slug, kind=Kind.MODEL, salt=bytes(32), contributions=bytes(32), parents=(),
                release=Release(keccak(slug.encode()), 1, ""),
            )  # fmt: skip
            terms = EndpointTerms(operator, 1_000, Price(10_000, 0, 0), "")
            call = world.deployment.registry.publish(publication, terms)
            return (await world.sender(key).send(call)).one_of(AssetRegistered).asset

        return self.do(send)


@pytest.fixture(scope="module")
def land(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Land]:
    data, skipped = tmp_path_factory.mktemp("land") / "data", list[int]()
    opened: Future[tuple[asyncio.AbstractEventLoop, World]] = Future()
    ended: list[asyncio.Event] = []

    async def run() -> None:
        try:
            config = load_config({"data_dir": str(data), "node_port": 0})
            async with open_world(config, clock=lambda: time.time() + sum(skipped)) as world:
                ended.append(asyncio.Event())
                opened.set_result((asyncio.get_running_loop(), world))
                await ended[0].wait()
        except BaseException as error:
            if opened.done():
                raise
            opened.set_exception(error)

    thread = threading.Thread(target=lambda: asyncio.run(run()))
    thread.start()
    try:
        loop, world = opened.result(120)
        node = world.node
        assert node is not None
        yield Land(data, loop, world, node.url, skipped)
    finally:
        if ended:
            loop.call_soon_threadsafe(ended[0].set)
        thread.join()


# --- The guide ------------------------------------------------------------------------------------


def test_the_guide_tells_what_happens(land: Land) -> None:
    """Its commands are run in order, with the time that it says in between, and print what it
    says. It is the first here: its subnet is the chain's first one."""
    page = (Path(__file__).parents[3] / "docs/guides/subnets.md").read_text(encoding="utf-8")
    needs = {"publisher": 300, "validator": 2_000, "delegator": 500, "operator": 1_000}
    people = {name: land.person(name, tsr) for name, tsr in needs.items()}
    land.publish("publisher", "sentiment", people["operator"])
    ran = 0
    for hours, text in re.findall(
        r"^<!-- (\d+) hours later -->|^```console\n(.*?)^```", page, re.MULTILINE | re.DOTALL
    ):
        if hours:
            land.skip(int(hours))
        for told in text.split("$ tessera ")[1:]:
            first, *expected = told.splitlines()
            done = land(*shlex.split(first))
            assert done.code == 0, done.err
            shown = re.sub(r"0x[0-9a-fA-F]{40,64}", "0x…", done.out)
            shown = re.sub(r"[0-9]{4}-[0-9 :-]+ UTC", "…", shown)
            assert shown.splitlines() == expected
            ran += 1
    assert ran == 15


# --- Bonds ----------------------------------------------------------------------------------------


def test_a_bond_is_staked_delegated_and_taken_back(land: Land) -> None:
    validator = land.person("staker", 3_000)
    delegator = land.person("saver", 1_000)
    me, behind = ("--as", "staker"), ("--behind", "staker", "--as", "saver")
    # Before the first stake it is at once; from then on a slasher waits for the notice.
    warned = land("bond", "stake", "100", *me, "--dry-run")
    assert "tessera bond enlist scores" in warned.err
    assert (
        land.ok("bond", "enlist", "scores", *me)["slasher"] == land.world.deployment.scores.address
    )
    first = land.ok("bond", "stake", "2000", *me, "--dry-run")
    assert [each["change"] for each in first["effects"]] == [str(-2_000 * TSR), str(2_000 * TSR)]
    assert land("bond", "stake", "2000", *me).code == 2
    land.ok("bond", "stake", "2000", *me)
    land.ok("bond", "take", "10", *me)
    land.ok("bond", "stake", "500", *behind)
    assert (land.held(validator), land.held(delegator)) == (1_000 * TSR, 500 * TSR)
    pool = land.ok("bond", "info", "staker", "--as", "saver")
    assert (pool["bonded"], pool["own"]) == (str(2_500 * TSR), str(2_000 * TSR))
    assert {each["worth"] for each in pool["stakes"]} == {str(2_000 * TSR), str(500 * TSR)}
    assert pool["slashers"][0]["has_power"]
    told = land("bond", "info", "staker", "--as", "saver").out
    assert "500.00 TSR behind" in told
    assert "slasher" in told
    later = land.ok("bond", "enlist", "conduct", *me, "--dry-run")
    assert later["effective_from"] > time.time() + 700 * HOUR

    leaving = land.ok("bond", "unstake", "200", *behind)
    assert leaving["amount"] == str(200 * TSR)
    early = land("bond", "withdraw", *behind)
    assert "wait until the time that unstake returned" in early.err
    land.ok("bond", "restake", *behind)
    land.ok("bond", "unstake", *behind)
    land.skip(336)
    paid = land.ok("bond", "withdraw", *behind, "--to", "staker", "--yes")
    assert paid["amount"] == str(500 * TSR)
    assert land.held(validator) == 1_500 * TSR
    assert str(2_000 * TSR) in {each["bonded"] for each in land.ok("bond", "list")["pools"]}


def test_network_tokens_are_bought_and_sent(land: Land) -> None:
    buyer, friend = land.person("buyer"), land.person("friend")
    land.do(lambda world: world.give(buyer, Units(50 * 10**6)))
    mine = ("--as", "buyer")
    assert "tessera market swap AMOUNT money TSR" in land("bond", "stake", "1", *mine, "--yes").err
    asked = land.ok("market", "quote", "20", "money", "TSR")
    # The chain's days were skipped, this machine's were not.
    later = ("--lasts", "520w")
    bought = land.ok("market", "swap", "20", "money", "TSR", *mine, *later)
    # The pool began at a dollar for a token; 20 dollars of 100,000 move its price by little.
    assert asked["amount_out"] == bought["amount_out"] == str(land.held(buyer))
    assert 19 * TSR < land.held(buyer) < 20 * TSR
    sold = land.ok("market", "swap", "5", "tsr", "TUSD", *mine, *later)
    assert 4_900_000 < int(sold["amount_out"]) < 5_000_000
    sent = land.ok("account", "send", "friend", "3", "--tsr", *mine)
    assert (sent["symbol"], land.held(friend)) == ("TSR", 3 * TSR)
    poor = land("account", "send", "buyer", "4", "--tsr", "--as", "friend", "--yes")
    assert "4.00 TSR for the payment" in poor.err
    assert land("account", "send", "buyer", "1", "--tsr", "--coins", *mine).code == 2


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (("bond", "stake", "0", "--as", "validator"), "more than 0"),
        (("bond", "stake", "9999999", "--as", "validator"), "for the stake"),
        (("bond", "stake", "nan", "--as", "validator"), "digits"),
        (("bond", "stake", "1", "--behind", "commons", "--as", "validator"), "stakes first"),
        (("bond", "unstake", "1", "--as", "commons"), "see where there is"),
        (("bond", "enlist", "score"), "did you mean 'scores'?"),
        (("bond", "take", "19"), "1,800 bps"),
        (("bond", "convict", "0x12"), "64 hex digits"),
        (("bond", "convict", "0x" + "12" * 32), "tessera bond cases"),
        (("subnet", "info", "9"), "subnet 9"),
        (("subnet", "create", "--tempo", "1h", "--as", "validator"), "tempo out of range"),
        (("subnet", "create", "--max-cost", "1", "--as", "validator"), "at most 1"),
    ],
)
def test_what_cannot_be_done_is_said(land: Land, given: tuple[str, ...], said: str) -> None:
    if "validator" not in land.world.wallet.names():
        land.person("validator", 2_000)
    refused = land(*given, "--json")
    assert refused.code != 0
    assert said in refused.json["message"]


# --- Subnets --------------------------------------------------------------------------------------


def test_a_subnet_from_its_making_to_its_end(land: Land, tmp_path: Path) -> None:
    """Two models fill it, a third one waits for the wrong place and is shown the lower one."""
    owner = land.person("owner", 1_000)
    me = ("--as", "owner")
    rules = ("--models", "2", "--validators", "1", "--threshold", "100", "--kappa", "60")
    dry = land.ok("subnet", "create", *rules, *me, "--dry-run")
    assert [each["change"] for each in dry["effects"]] == [f"-{dry['lock']}", dry["lock"]]
    made = land.ok("subnet", "create", *rules, *me)
    number, lock = made["subnet"], int(made["lock"])
    shown = land.ok("subnet", "info", number)
    assert (shown["rules"]["kappa"], shown["rules"]["threshold"]) == (39_321, str(100 * TSR))
    assert (shown["epoch"], shown["last_final"], shown["pool"]) == (0, None, None)
    opened = land.ok("subnet", "open", number, "50", *me)
    again = land("subnet", "open", number, "50", *me, "--yes")
    assert opened["token"] in again.err
    counted = land.ok("subnet", "bootstrap", number, *me)
    assert int(counted["amount"]) > 0
    twice = land("subnet", "bootstrap", number, *me)
    assert "wait for the next period" in twice.err
    holder, mine = land.person("holder", 20), ("--as", "holder")
    bought = land.ok("subnet", "buy", number, "20", *mine)
    assert int(bought["gets"]) >= int(bought["least"])
    half = str(int(bought["gets"]) // (2 * TSR))
    quoted = land.ok("subnet", "sell", number, half, *mine, "--dry-run")
    assert quoted["effects"][0]["change"] == str(-int(half) * TSR)
    sold = int(land.ok("subnet", "sell", number, half, *mine)["gets"])
    assert 0 < sold < 20 * TSR
    assert "'open'" in land("subnet", "redeem", number, *mine, "--yes").err
    (tmp_path / "moods").mkdir()
    (tmp_path / "moods" / "benchmark.toml").write_text(
        'name = "moods"\ntitle = "Moods"\nkind = "classification"\nchance = 0.5\n'
    )
    (tmp_path / "moods" / "items.jsonl").write_text('{"input": "Lovely.", "label": "glad"}\n')
    task = land.ok("subnet", "task", number, tmp_path / "moods", *me)
    assert land.ok("subnet", "info", number)["tasks"] == [
        {"task": task["task"], "uri": "", "since": 1}
    ]

    for slug in ("first", "second", "third"):
        land.publish("owner", slug, owner)
    first = land.ok("subnet", "join", number, "first", *me)
    assert (first["uid"], first["counts_from"], first["deposit"]) == (0, 1, "0")
    land.ok("subnet", "join", number, "second", *me)
    stranger = land("subnet", "join", number, "third", "--as", "deployer", "--yes")
    assert (stranger.code, "who speaks for it" in stranger.err) == (3, True)
    # The least burn, raised by 26 % twice; as much again is the deposit.
    waits = land.ok("subnet", "join", number, "third", "--uid", "1", *me)
    assert waits["burn"] == waits["deposit"]
    # It fell by a few parts in a hundred thousand meanwhile.
    assert 0 <= 126 * 126 * TSR // 100_000 - int(waits["burn"]) < TSR // 1_000
    table = land("subnet", "info", number).out
    assert "model     1  second  from epoch 1 on; third waits for it" in table
    keeper = land.person("keeper")
    higher = land("subnet", "correct", number, "0", "1", "--as", "keeper")
    assert "nobody who waits" in higher.err
    lower = land.ok("subnet", "correct", number, "1", "--as", "keeper")
    assert lower["lower"] == 0
    assert land.held(keeper) == int(lower["reward"]) == int(waits["deposit"]) // 5
    early = land("subnet", "admit", number, "0", "--as", "keeper")
    assert "wait until the window is over" in early.err
    land.skip(24)
    assert land.ok("subnet", "admit", number, "0", "--as", "keeper")["since"] == 2
    places = land.ok("subnet", "info", number)["models"]
    names = {each["uid"]: each["occupant"] for each in places}
    third = str(land.do(lambda world: world.asset("third")).asset)
    assert names[0] == third
    assert land.ok("subnet", "leave", number, "second", *me)["since"] == 2
    assert land.ok("subnet", "info", number)["models"][1]["occupant"] is None

    late = land("subnet", "join", number, "--as", "owner", "--yes")
    assert "tessera bond enlist scores" in late.err
    land.ok("bond", "enlist", "scores", *me)
    poor = land("subnet", "join", number, "--as", "owner", "--yes")
    assert "stake more" in poor.err
    land.ok("bond", "stake", "100", *me)
    joined = land.ok("subnet", "join", number, *me)
    assert (joined["uid"], joined["side"]) == (0, 1)
    line = land("subnet", "info", number).out.splitlines()[-1]
    assert (line.startswith("validator 0"), "100.00 TSR" in line) == (True, True)

    land.ok("subnet", "close", number, *me)
    closing = land("subnet", "join", number, "first", *me, "--yes")
    assert "takes newcomers" in closing.err
    land.skip(168)
    before = land.held(owner)
    planned = land.ok("subnet", "dissolve", number, "--as", "keeper", "--dry-run")["effects"]
    gains = [each["change"] for each in planned if int(each["change"]) > 0]
    assert gains == [str(lock), str(50 * TSR)]
    assert planned[-1]["change"] == str(sold - 20 * TSR)
    ended = land.ok("subnet", "dissolve", number, "--as", "keeper")
    assert (ended["to_owner"], ended["to_keeper"]) == (str(lock), "0")
    # What opened the pool is the commons'; what its token's holder paid in is the holder's again.
    assert (ended["to_commons"], ended["to_holders"]) == (str(50 * TSR), str(20 * TSR - sold))
    assert len(ended["transactions"]) == 2
    assert land.held(owner) == before + lock
    assert land.ok("subnet", "list")["subnets"][number - 1]["state"] == "dissolved"
    assert "found 'dissolved'" in land("subnet", "dissolve", number, "--as", "keeper").err
    assert land.ok("subnet", "redeem", number, *mine)["gets"] == str(20 * TSR - sold)
    assert land.held(holder) == 20 * TSR
    assert land.ok("subnet", "withdraw", *me)["tokens"] == "0"


def test_a_subnet_in_which_nothing_happens_is_ended_by_anybody(land: Land) -> None:
    """Who holds a place that others could use loses its lock: a fifth is the keeper's."""
    land.person("idler", 400)
    watcher = land.person("watcher")
    made = land.ok("subnet", "create", "--max-cost", "400", "--as", "idler")
    early = land("subnet", "dissolve", made["subnet"], "--as", "watcher")
    assert "wait until the window is over" in early.err
    land.skip(720)
    lock = int(made["lock"])
    ended = land.ok("subnet", "dissolve", made["subnet"], "--as", "watcher")
    assert (ended["to_owner"], ended["to_keeper"]) == ("0", str(lock // 5))
    assert ended["to_commons"] == str(lock - lock // 5)
    assert land.held(watcher) == lock // 5


# --- Operators ------------------------------------------------------------------------------------


def _signed(world: World, operator: str, receipt: Receipt) -> SignedReceipt:
    signer = AccountSigner(world.account(operator))
    digest = receipt_digest(channels_domain(world.deployment), receipt)
    return SignedReceipt(receipt, signer.sign(digest), receipt.charged, "0" * 32)


def test_an_operator_that_does_not_settle_what_it_charged_is_convicted(
    land: Land, tmp_path: Path
) -> None:
    """An operator signs what it charged on two channels, and settles only one of them: of the other
    it is accused. It loses a tenth of its bond, of which a fifth is the accuser's; the deposit
    of the accusation that was settled in time is the operator's."""
    address, mine = land.person("careless", 1_000), ("--as", "careless")
    land.person("consumer", 10)
    land.ok("bond", "enlist", "conduct", *mine)
    land.ok("bond", "stake", "1000", *mine)
    asset = land.publish("careless", "charged", address)

    async def pay(world: World) -> int:
        await world.give(world.address("consumer"), Units(10**7))
        paying = ConsumerOnChain(
            world.reader, world.sender("consumer"), world.deployment, address_of(address)
        )
        return await paying.open(10**6, paying.payer)

    async def settle(world: World, channel: int, charged: int) -> None:
        line = Line(asset, 1, charged)
        digest = voucher_digest(channels_domain(world.deployment), channel, [line])
        signature = AccountSigner(world.account("consumer")).sign(digest)
        signed = SignedVoucher(Voucher(channel, (line,)), signature)
        chain = OperatorOnChain(world.reader, world.sender("careless"), world.deployment)
        await chain.settle(*encode_batch([(signed, {line.key: charged})]))

    files = []
    channels = [land.do(pay), land.do(pay)]
    for place, channel in enumerate(channels):
        receipt = Receipt(channel, asset, 1, 1, 10_000, bytes(32), bytes(32), 3, 1, 1)
        signed = _signed(land.world, "careless", receipt)
        domain = channels_domain(land.world.deployment)
        files.append(tmp_path / f"{place}.json")
        files[-1].write_bytes(receipt_json(signed, domain, address_of(address)))
    seen = land.ok("bond", "watch", tmp_path)["lines"]
    assert [(each["missing"], each["answers"]) for each in seen] == [("10000", True)] * 2
    asked = land.ok("bond", "accuse", files[0], "--dry-run")
    assert asked["effects"][0]["change"] == str(-TSR)
    cases = [land.ok("bond", "accuse", files[0])["case"]]
    # The other one is found by looking through the folder, where the first is accused already.
    young = land.ok("bond", "watch", tmp_path, "--accuse", "--older", "20000w")
    assert young["cases"] == []
    late = land.ok("bond", "watch", tmp_path, "--accuse")
    assert late["effects"][0]["change"] == str(-TSR)
    cases += [each["case"] for each in late["cases"]]
    assert len(cases) == 2
    again = land("bond", "accuse", files[0], "--yes")
    assert (again.code, cases[0] in again.err) == (4, True)
    frozen = land("bond", "info", "careless").out
    assert "frozen until" in frozen
    early = land("bond", "convict", cases[0])
    assert "wait until the window of the case is over" in early.err

    land.do(lambda world: settle(world, channels[1], 10_000))
    settled = land("bond", "accuse", files[1], "--yes")
    assert "nothing is owed" in settled.err
    states = {each["case"]: each["state"] for each in land.ok("bond", "cases", "careless")["cases"]}
    assert states == {cases[0]: "open", cases[1]: "settled: to be acquitted"}
    land.ok("bond", "acquit", cases[1], *mine)
    assert land.ok("bond", "deposits", *mine)["amount"] == str(TSR)

    land.skip(72)
    shown = land.ok("bond", "convict", cases[0], "--dry-run")
    assert shown["effects"][0]["change"] == str(-100 * TSR)
    assert land.ok("bond", "convict", cases[0])["taken"] == str(100 * TSR)
    # Two deposits were paid, one came back, and a fifth of what the operator lost.
    assert land.ok("bond", "deposits")["amount"] == str(TSR)
    assert land.ok("bond", "deposits")["amount"] == "0"
    assert land.held(land.world.address("consumer")) == (10 - 1 + 20) * TSR
    lost = land.ok("bond", "info", "careless")
    assert lost["bonded"] == str(900 * TSR)
    assert [(each["taken"], each["bounty"]) for each in lost["slashes"]] == [
        (str(100 * TSR), str(20 * TSR))
    ]
    assert "slashed   100.00 TSR" in land("bond", "info", "careless").out
    (line,) = (each for each in land.ok("bond", "watch", files[0])["lines"])
    assert line["convicted"]
    assert "convicted already" in land("bond", "accuse", files[0], "--yes").err
