"""Approvals and Court: what validators, challengers and those who end a round pay."""

from __future__ import annotations

from typing import Any

from eth_account.signers.local import LocalAccount
from eth_utils.crypto import keccak

from bench.gas.chain import CHAIN_ID, ZERO_ADDRESS, Contract, Receipt, account
from bench.gas.ours.market import DAY, WHO, Market, code
from bench.gas.rows import Action, Row
from tessera.spec.approvals import commitment_of
from tessera.spec.court import Answer, AnswerTree, draw_commitment, outputs_tree, report_commitment
from tessera.spec.places import word
from tessera.spec.signatures import Address

_TSR = 10**18
_ALL = 2**255
_HOUR = 3_600
_BOND = 1_000 * _TSR
_ITEMS, _POOL, _LEAST, _LARGEST = 1_000, 1_000, 780_000, 738
_CORRECT = 700
_SALT = keccak(text="salt")
_URI = "https://validator.example.org/report"


def measure(market: Market) -> list[Row]:
    """Measure a round of five validators on a model that turns out bad."""
    house = _House(market)
    proved = house.call("keeper", house.counts, "prove", _ITEMS, _LEAST, _LARGEST)
    house.begin()
    committed = [house.commit(who) for who in house.validators]
    house.wait(6)
    revealed = [house.reveal(who) for who in house.validators]
    house.wait(2)
    closed = house.call("keeper", house.approvals, "close", house.round, _BOND, 850_000)
    accused = house.call(
        "challenger", house.court, "accuse", house.round, house.validators[0].address, 3, _SALT
    )
    shown = house.show(house.validators[0])
    reported = house.count()
    house.wait(168)
    finished = house.call("keeper", house.approvals, "finish", house.round)
    punished = [
        house.call("keeper", house.approvals, "punish_approval", house.round, who.address)
        for who in house.validators[:2]
    ]
    graded = house.call(
        "keeper", house.approvals, "grade", house.round, house.validators[1].address
    )
    rows = [
        (Action.PROVE_BAD_COUNT, "BadCounts.prove", "1,000 items, once for every round", proved),
        (Action.COMMIT_OPINION, "Approvals.commit", "the bond behind it", committed[-1]),
        (Action.REVEAL_OPINION, "Approvals.reveal", "score and root of outputs", revealed[-1]),
        (Action.CLOSE_ROUND, "Approvals.close", "five validators: weight and median", closed),
        (Action.ACCUSE_OUTPUT, "Court.accuse", "the bond frozen, the stake moved in", accused),
        (Action.SHOW_OUTPUT, "Court.show", "one place of 256, proved", shown),
        (Action.REPORT_COUNT, "Court.report", "the second of two: the count stands", reported),
        (Action.FINISH_ROUND, "Approvals.finish", "re-executors paid into their bonds", finished),
        (
            Action.PUNISH_APPROVAL, "Approvals.punish_approval",
            "any number of delegators; TSR moved to the commons", punished[-1],
        ),
        (Action.GRADE, "Approvals.grade", "the gain over the public, a first one", graded),
    ]  # fmt: skip
    return [Row(action, WHO, name, how, receipt.gas) for action, name, how, receipt in rows]


class _House:
    """A deployment of its own, a test set and a round."""

    def __init__(self, market: Market) -> None:
        self._market, self._chain = market, market.chain
        founder = account("founder")
        self._token = self._chain.deploy(
            founder, code("NetworkToken"), 10**7 * _TSR, founder.address
        )
        self._registry = market.registry.address
        self._bond = self._deploy(
            "Bond", self._token.address, self._registry, 14 * DAY, 30 * DAY, 12 * DAY, DAY
        )
        self._draws = self._deploy("Draws", self._token.address, self._registry, _HOUR, 10 * _TSR)
        self.counts = self._deploy("BadCounts")
        # Jury, Court and Approvals know one another.
        approvals = self._chain.next_contract(founder, 2)
        bond, draws = self._bond.address, self._draws.address
        self._jury = self._deploy("Jury", bond, draws, approvals, _HOUR, _BOND)
        self.court = self._deploy(
            "Court", self._token.address, self._jury.address, draws, approvals, _HOUR, 4 * _TSR
        )
        self.approvals = self._deploy(
            "Approvals",
            *(self._token.address, self._registry, bond, draws, self.court.address),
            *(self.counts.address, ZERO_ADDRESS, _HOUR, _BOND),
        )
        self.validators = [self._bonded(f"validator {number}") for number in range(5)]
        self._executors = [self._bonded(f"re-executor {number}") for number in range(6)]
        for who in self._executors:
            self._chain.transact(who, self._jury, "enlist")
        for name in ("committer", "challenger", "keeper", "publisher"):
            self._funded(account(name))
        self.test_set = self.round = b""

    def begin(self) -> None:
        """Commit to a test set, submit a version, and draw the assignments."""
        asset, _ = self._market.publish(endpoint=False)
        until = self._chain.now + DAY
        root = keccak(text="hidden"), keccak(text="public")
        sets = (root[0], _ITEMS, root[1], _POOL, 10 * _BOND, until, _URI)
        log = self.call("committer", self.approvals, "commit_set", *sets).logs[-1]
        self.test_set = bytes.fromhex(log["topics"][1][2:])
        terms = (self.test_set, asset, 1, _SALT, 800_000, 750_000, 0, 100 * _TSR)
        log = self.call("publisher", self.approvals, "open_round", *terms).logs[-1]
        self.round = bytes.fromhex(log["topics"][1][2:])
        self.wait(24)
        self.call("keeper", self.approvals, "draw", self.test_set)
        self._seed(1)
        self.call("keeper", self.approvals, "begin", self.test_set)

    def commit(self, who: LocalAccount) -> Receipt:
        """Commit to an approval."""
        commitment = commitment_of(
            self.round,
            Address(bytes.fromhex(who.address[2:])),
            approve=True,
            score=850_000,
            root=self._report().root,
            salt=_SALT,
            **self._where("approvals", self.approvals),
        )
        return self._chain.transact(who, self.approvals, "commit", self.round, commitment)

    def reveal(self, who: LocalAccount) -> Receipt:
        """Reveal it."""
        shown = (self.round, True, 850_000, self._report().root, _SALT, _URI)
        return self._chain.transact(who, self.approvals, "reveal", *shown)

    def show(self, who: LocalAccount) -> Receipt:
        """Show the output at place 3."""
        leaf = (3, keccak(text="item 3"), keccak(text="output 3"))
        proof = self._report().proof(3)
        return self.call("keeper", self.court, "show", self.round, who.address, *leaf, proof)

    def count(self) -> Receipt:
        """Reveal the truth, and let two re-executors agree; the second's report."""
        self.call("committer", self.approvals, "reveal_truth", self.test_set, _URI)
        self._seed(2)
        log = self.call("keeper", self.court, "seat_executors", self.round).logs[-1]
        seats = [f"0x{log['data'][2:][start + 24 : start + 64]}" for start in (0, 64)]
        tree = AnswerTree([Answer(word(n), n < _CORRECT) for n in range(_ITEMS)])
        drawn = [who for seat in seats for who in self._executors if who.address.lower() == seat]
        for who in drawn:
            commitment = report_commitment(
                self.round,
                Address(bytes.fromhex(who.address[2:])),
                tree.root,
                tree.correct,
                _SALT,
                **self._where("court", self.court),
            )
            self._chain.transact(who, self.court, "commit_report", self.round, commitment)
        self.wait(36)
        shown = (self.round, tree.root, tree.correct, _SALT, _URI)
        return [self._chain.transact(who, self.court, "report", *shown) for who in drawn][-1]

    def wait(self, hours: int) -> None:
        """Let hours pass."""
        self._chain.pass_time(hours * _HOUR)

    def call(self, name: str, contract: Contract, function: str, *arguments: Any) -> Receipt:
        """Call a contract as somebody."""
        return self._chain.transact(account(name), contract, function, *arguments)

    def _seed(self, draw: int) -> None:
        keeper, secret = account("keeper"), keccak(word(draw))
        sender = Address(bytes.fromhex(keeper.address[2:]))
        where = self._where("draws", self._draws)
        commitment = draw_commitment(draw, sender, secret, **where)
        self._chain.transact(keeper, self._draws, "commit", draw, commitment)
        self.wait(1)
        self._chain.transact(keeper, self._draws, "reveal", draw, secret)

    def _where(self, name: str, contract: Contract) -> dict[str, Any]:
        return {"chain_id": CHAIN_ID, name: Address(bytes.fromhex(contract.address[2:]))}

    def _report(self) -> Any:
        return outputs_tree(
            {n: (keccak(text=f"item {n}"), keccak(text=f"output {n}")) for n in range(200)}
        )

    def _deploy(self, name: str, *arguments: Any) -> Contract:
        return self._chain.deploy(account("founder"), code(name), *arguments)

    def _funded(self, who: LocalAccount) -> LocalAccount:
        self._chain.transact(account("founder"), self._token, "transfer", who.address, 10**5 * _TSR)
        for spender in (self._bond, self._draws, self.court, self.approvals):
            self._chain.transact(who, self._token, "approve", spender.address, _ALL)
        return who

    def _bonded(self, name: str) -> LocalAccount:
        who = self._funded(account(name))
        self._chain.transact(who, self._bond, "enlist", self.approvals.address)
        self._chain.transact(who, self._bond, "stake", who.address, _BOND)
        return who
