"""Bonded approvals: everything deployed on a Bond, a test set, and validators who judge by it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cache
from typing import Any

from eth_utils import keccak

from rig.bonding import NOTICE, PERIOD, TSR, Bonding, open_bonding
from rig.compiling import compiled, mock
from rig.contract import NOBODY, Contract, deployed
from rig.people import Person, key_of, person
from rig.system import DAY, World, create_address, deploy_world
from tessera.spec.approvals import commitment_of
from tessera.spec.bad_counts import bad_count
from tessera.spec.court import (
    ASSIGNED,
    Answer,
    AnswerTree,
    draw_commitment,
    hidden_leaf,
    item_at,
    outputs_tree,
    pool_leaf,
    report_commitment,
    vote_commitment,
)
from tessera.spec.places import NumberedTree, word

HOUR = 3_600
LEAST_BOND = 1_000 * TSR
COST = 4 * TSR
ITEMS, POOL_ITEMS = 100, 512
TAU, PRIOR = 800_000, 750_000
BUDGET = 1_000 * TSR
ENVIRONMENT = keccak(text="runner, greedy, seed 0")
SALT = keccak(text="salt")
KEEPER = person("keeper")


def output_of(item: bytes) -> bytes:
    """Run the model: what every honest execution of an item gives."""
    return keccak(item + b"output")


@cache
def pool() -> tuple[list[bytes], NumberedTree]:
    """Return the public items, and their tree."""
    items = [keccak(text=f"public {number}") for number in range(POOL_ITEMS)]
    return items, NumberedTree([pool_leaf(number, item) for number, item in enumerate(items)])


@cache
def hidden() -> tuple[list[tuple[bytes, bytes, bytes]], NumberedTree]:
    """Return the hidden items as content, salt and label, and their tree."""
    rows = [
        (f"hidden {number}".encode(), keccak(text=f"salt {number}"), keccak(text=f"label {number}"))
        for number in range(ITEMS)
    ]
    leaves = [
        hidden_leaf(number, salt, keccak(content), label)
        for number, (content, salt, label) in enumerate(rows)
    ]
    return rows, NumberedTree(leaves)


@cache
def answers(correct: int, *, wrong_output_at: int | None = None) -> AnswerTree:
    """Answer all hidden items, the first `correct` of them right."""
    found = [
        Answer(output_of(keccak(content)), number < correct)
        for number, (content, _, _) in enumerate(hidden()[0])
    ]
    if wrong_output_at is not None:
        found[wrong_output_at] = Answer(keccak(text="made up"), True)
    return AnswerTree(found)


@dataclass
class Approving:
    """Everything, with the steps of a story as methods."""

    bonding: Bonding
    draws: Contract
    bad_counts: Contract
    jury: Contract
    court: Contract
    approvals: Contract
    sale: Contract
    price: Contract
    committer: Person
    issuer: Person
    asset: int
    validators: list[Person] = field(default_factory=list)
    jurors: list[Person] = field(default_factory=list)
    test_set: bytes = b""
    round: bytes = b""
    reports: dict[str, dict[int, tuple[bytes, bytes]]] = field(default_factory=dict)

    @property
    def world(self) -> World:
        return self.bonding.world

    def hours(self, number: float) -> None:
        """Let hours pass."""
        self.world.wait(int(number * HOUR))

    def fund(self, who: Person, amount: int) -> None:
        """Give somebody network tokens that every contract here may take."""
        self.bonding.fund(who, amount)
        for spender in (self.draws, self.court, self.approvals):
            self.bonding.token("approve", spender, 2**256 - 1, by=who.address)

    def validator(self, role: str, bond: int = LEAST_BOND) -> Person:
        """Let somebody bond and enlist Approvals."""
        who = person(role)
        self.bonding.bond("enlist", self.approvals, by=who.address)
        self.bonding.stake(who, who, bond)
        return who

    def add_jurors(self, number: int) -> None:
        """Let so many more bond and enlist as jurors."""
        for _ in range(number):
            who = self.validator(f"juror {len(self.jurors)}")
            self.jury("enlist", by=who.address)
            self.jurors.append(who)

    def seed(self, draw: int) -> bytes:
        """Let the keeper draw a number, and return it."""
        secret = keccak(word(draw))
        commitment = self.secret_of(draw, KEEPER, secret)
        self.fund(KEEPER, self.draws("draw_of", draw)[-1])
        self.draws("commit", draw, commitment, by=KEEPER.address)
        self.hours(1)
        self.draws("reveal", draw, secret, by=KEEPER.address)
        return bytes(self.draws("seed_of", draw))

    def secret_of(self, draw: int, who: Person, secret: bytes) -> bytes:
        """Return a commitment to a secret."""
        chain_id, draws = self.world.engine.chain_id, key_of(self.draws)
        return draw_commitment(draw, key_of(who), secret, chain_id=chain_id, draws=draws)

    # --- Rounds ---------------------------------------------------------------------------------

    def commit_set(
        self,
        pledge: int = 100 * LEAST_BOND,
        *,
        until: int | None = None,
        root: bytes | None = None,
    ) -> bytes:
        """Commit to the hidden items."""
        self.fund(self.committer, pledge)
        until = self.world.now + DAY if until is None else until
        name = self.approvals(
            "commit_set",
            hidden()[1].root if root is None else root,
            ITEMS,
            pool()[1].root,
            POOL_ITEMS,
            pledge,
            until,
            "https://items.example",
            by=self.committer.address,
        )
        self.test_set = bytes(name)
        return self.test_set

    def open_round(self, *, cap: int = 0, budget: int = BUDGET, **changes: Any) -> bytes:
        """Submit the asset's version."""
        terms = {"asset": self.asset, "version": 1, "tau": TAU, "prior": PRIOR, **changes}
        self.fund(self.issuer, budget)
        name = self.approvals(
            "open_round",
            self.test_set,
            terms["asset"],
            terms["version"],
            ENVIRONMENT,
            terms["tau"],
            terms["prior"],
            cap,
            budget,
            by=self.issuer.address,
        )
        self.round = bytes(name)
        return self.round

    def begin(self) -> bytes:
        """End the submissions and draw the assignments' seed."""
        self.world.engine.now = max(self.world.now, self.row_of_set("until"))
        self.approvals("draw", self.test_set)
        seed = self.seed(self.row_of_set("draw"))
        self.approvals("begin", self.test_set)
        return seed

    def start(self, bonds: Iterable[int] = (LEAST_BOND,) * 5, **terms: Any) -> None:
        """Go up to the time to commit, with validators of these bonds."""
        for bond in bonds:
            self.validators.append(self.validator(f"validator {len(self.validators)}", bond))
        self.commit_set()
        self.open_round(**terms)
        self.begin()

    def row_of_set(self, name: str) -> Any:
        """Read a field of the test set."""
        return self._field("set_of", self.test_set, name)

    def row_of_round(self, name: str, round_: bytes | None = None) -> Any:
        """Read a field of the round."""
        return self._field("round_of", round_ or self.round, name)

    def _field(self, function: str, key: bytes, name: str) -> Any:
        (entry,) = [e for e in self.approvals.compiled.abi if e.get("name") == function]
        names = [part["name"] for part in entry["outputs"][0]["components"]]
        return self.approvals(function, key)[names.index(name)]

    def items_of(self, who: Person) -> list[int]:
        """Return the numbers of a validator's items."""
        seed = bytes(self.approvals("seed_of", self.test_set))
        return [
            item_at(seed, self.round, key_of(who), place, POOL_ITEMS) for place in range(ASSIGNED)
        ]

    def report(self, who: Person, *, fabricated: Iterable[int] = ()) -> dict[int, Any]:
        """Execute the assigned items, but for those places that are made up; kept for later."""
        made_up = set(fabricated)
        found = {}
        for place, number in enumerate(self.items_of(who)):
            item = pool()[0][number]
            found[place] = (item, keccak(text="made up") if place in made_up else output_of(item))
        self.reports[who.address] = found
        return found

    def commitment(
        self, who: Person, approve: bool, score: int, root: bytes, salt: bytes = SALT
    ) -> bytes:
        """Return what a validator commits with."""
        return commitment_of(
            self.round,
            key_of(who),
            approve=approve,
            score=score,
            root=root,
            salt=salt,
            chain_id=self.world.engine.chain_id,
            approvals=key_of(self.approvals),
        )

    def judge(
        self,
        opinions: Mapping[Person, tuple[bool, int]],
        *,
        silent: Iterable[Person] = (),
        reports: bool = False,
    ) -> None:
        """Let everybody commit and reveal, and close the round.

        Parameters
        ----------
        opinions
            Approval and score.
        silent
            Who commits and reveals nothing.
        reports
            Whether the items are really executed; else a report's root is a word.
        """
        roots = {who: self.root_of(who, execute=reports) for who in (*opinions, *silent)}
        for who, (approve, score) in opinions.items():
            commitment = self.commitment(who, approve, score, roots[who])
            self.approvals("commit", self.round, commitment, by=who.address)
        for who in silent:
            self.approvals("commit", self.round, keccak(text="lost"), by=who.address)
        self.hours(6)
        for who, (approve, score) in opinions.items():
            shown = (self.round, approve, score, roots[who], SALT, "https://outputs.example")
            self.approvals("reveal", *shown, by=who.address)
        self.hours(2)

    def root_of(self, who: Person, *, execute: bool = True) -> bytes:
        """Return the root of a validator's report."""
        if not execute:
            return keccak(text=f"report of {who}")
        return outputs_tree(self.reports.get(who.address) or self.report(who)).root

    def close(self, most: int, score: int) -> bool:
        """Close the round with what proves it; whether it is listed."""
        self.approvals("close", self.round, most, score)
        return bool(self.row_of_round("listed"))

    def all_approve(self, score: int = 850_000, **options: Any) -> None:
        """Let all validators, of equal bonds, approve."""
        self.judge(dict.fromkeys(self.validators, (True, score)), **options)
        self.close(len(self.validators) * LEAST_BOND // 5, score)

    # --- Truth ----------------------------------------------------------------------------------

    def reveal_truth(self) -> bytes:
        """Reveal the hidden items, and draw the seed of the checks."""
        where = "https://hidden.example"
        self.approvals("reveal_truth", self.test_set, where, by=self.committer.address)
        return self.seed(self.row_of_set("check_draw"))

    def seat_executors(self) -> list[Person]:
        """Draw the three who count."""
        self.court("seat_executors", self.round)
        (event,) = self.court.events("ExecutorsSeated")
        return [
            who
            for seat in event.arguments["executors"]
            for who in self.everybody()
            if who.address == seat
        ]

    def everybody(self) -> list[Person]:
        """Return all who have a bond."""
        return [*self.jurors, *self.validators]

    def promise_report(self, who: Person, tree: AnswerTree) -> None:
        """Commit to a count as a re-executor."""
        court = key_of(self.court)
        commitment = report_commitment(
            self.round,
            key_of(who),
            tree.root,
            tree.correct,
            SALT,
            chain_id=self.world.engine.chain_id,
            court=court,
        )
        self.court("commit_report", self.round, commitment, by=who.address)

    def give_report(self, who: Person, tree: AnswerTree) -> None:
        """Reveal it."""
        where = "https://answers.example"
        self.court("report", self.round, tree.root, tree.correct, SALT, where, by=who.address)

    def count(self, tree: AnswerTree) -> list[Person]:
        """Let all drawn re-executors report the same; who they are."""
        executors = self.seat_executors()
        for who in executors:
            self.promise_report(who, tree)
        self.hours(36)
        for who in executors:
            self.give_report(who, tree)
        return executors

    def finish(self) -> int:
        """Wait until nothing can be contested any more, and finish; the state."""
        self.world.engine.now = max(
            self.world.now,
            self.row_of_set("truth_at") + 168 * HOUR,
            self.row_of_round("deadline"),
        )
        self.approvals("finish", self.round)
        return int(self.row_of_round("state"))

    # --- Disputes -------------------------------------------------------------------------------

    def show(self, who: Person, place: int) -> None:
        """Show what a validator reported at a place."""
        item, output = self.reports[who.address][place]
        proof = outputs_tree(self.reports[who.address]).proof(place)
        self.court("show", self.round, who.address, place, item, output, proof, by=KEEPER.address)

    def accuse(self, challenger: Person, who: Person, place: int, output: bytes) -> int:
        """Fund a challenger and let it accuse; the case."""
        self.fund(challenger, 100 * TSR)
        return int(
            self.court("accuse", self.round, who.address, place, output, by=challenger.address)
        )

    def jurors_of(self, case: int) -> list[Person]:
        """Draw the jurors of a case that waits for them."""
        poll = self.court("case_of", case)[-1]
        self.seed(self.jury("poll_of", poll)[3])
        self.jury("seat", poll)
        seats = self.jury("poll_of", poll)[6]
        return [who for seat in seats for who in self.everybody() if who.address == seat]

    def vote(self, case: int, choices: Mapping[Person, bytes]) -> None:
        """Let jurors commit, vote and wait until the vote is over."""
        poll = self.court("case_of", case)[-1]
        chain_id, jury = self.world.engine.chain_id, key_of(self.jury)
        for who, choice in choices.items():
            commitment = vote_commitment(
                poll, key_of(who), choice, SALT, chain_id=chain_id, jury=jury
            )
            self.jury("commit", poll, commitment, by=who.address)
        self.hours(16)
        for who, choice in choices.items():
            self.jury("vote", poll, choice, SALT, by=who.address)
        self.hours(8)

    def held(self, who: Person | Contract) -> int:
        """Read a balance of the network token."""
        return self.bonding.held(who)

    def bonded(self, who: Person) -> int:
        """Read a validator's bond."""
        return int(self.bonding.bond("bonded", who.address))


def open_approving(
    *,
    world: World | None = None,
    priced: bool = True,
    token: Callable[[World], Contract] | None = None,
    prices: Callable[[Bonding], Contract] | None = None,
) -> Approving:
    """Deploy everything, with a committer, an issuer and its asset.

    Parameters
    ----------
    priced
        Whether tokens have a price: the one that the test tells, or what `prices` deploys.
    """
    world = world or deploy_world()
    times = (14 * DAY, NOTICE, 12 * DAY, PERIOD)
    bonding = open_bonding(world=world, slashers=0, times=times, token=token)
    deployer = person("approvals' deployer").address
    at = {
        name: create_address(deployer, nonce)
        for nonce, name in enumerate(
            ("price", "draws", "bad_counts", "jury", "court", "approvals", "sale")
        )
    }

    def deploy(name: str, *arguments: object) -> Contract:
        part = mock("TokenPrice") if name == "price" else compiled(_NAMES[name])
        contract = deployed(world.engine, part, *arguments, by=deployer)
        assert contract.address == at[name], "a predicted address is wrong"
        return contract

    asked = (prices(bonding).address if prices else at["price"]) if priced else NOBODY
    token, registry, bond = bonding.token, world.registry, bonding.bond
    price = deploy("price")
    price("set_price", 10**6)
    draws = deploy("draws", token, registry, HOUR, 10 * TSR)
    bad_counts = deploy("bad_counts")
    jury = deploy("jury", bond, draws, at["approvals"], HOUR, LEAST_BOND)
    court = deploy("court", token, jury, draws, at["approvals"], HOUR, COST)
    rest = (court, bad_counts, asked, HOUR, LEAST_BOND)
    approvals = deploy("approvals", token, registry, bond, draws, *rest)
    sale = deploy("sale", world.currency, registry, world.launchpad, approvals, asked)
    bad_counts("prove", ITEMS, TAU - 20_000, bad_count(ITEMS, TAU - 20_000))
    issuer = person("publisher")
    asset = world.publish(issuer)
    return Approving(
        bonding, draws, bad_counts, jury, court, approvals, sale, price,
        person("committer"), issuer, asset,
    )  # fmt: skip


_NAMES = {
    "draws": "Draws",
    "bad_counts": "BadCounts",
    "jury": "Jury",
    "court": "Court",
    "approvals": "Approvals",
    "sale": "ApprovedSale",
}


@cache
def _at(stage: str) -> Approving:
    approving = open_approving()
    approving.add_jurors(12)
    if stage == "fresh":
        approving.commit_set()
        return approving
    approving.start(cap=10**9)
    if stage == "begun":
        return approving
    approving.all_approve(reports=True)
    if stage == "judged":
        return approving
    approving.reveal_truth()
    if stage == "told":
        return approving
    approving.count(answers(85 if stage == "good" else 60))
    return approving


@contextmanager
def stage(name: str) -> Iterator[Approving]:
    """Take a deployment that has come so far; what is done to it never happened afterwards.

    Parameters
    ----------
    name
        fresh: a test set is committed to. begun: five validators have their items. judged: all
        approved, and the round is closed and listed. told: the truth is out. good, bad: counted.
    """
    kept = _at(name)
    with kept.world.engine.trial():
        yield replace(
            kept,
            validators=list(kept.validators),
            jurors=list(kept.jurors),
            reports=dict(kept.reports),
        )
