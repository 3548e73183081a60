"""Epochs and its court on a fresh engine, beside Scores that say what a test wants them to."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from itertools import count
from typing import Any

from rig.compiling import Compiled, compiled, mock
from rig.contract import Contract, deployed
from rig.engines import Engine
from rig.people import Person, person
from rig.system import World, deploy_world
from tessera.spec.epochs import (
    Challenge,
    EpochInputs,
    Former,
    Header,
    PostedEpoch,
    RevealedRow,
    Rules,
    Terms,
    build,
)
from tessera.spec.epochs.model import Seen
from tessera.spec.epochs.results import assembled
from tessera.spec.signatures import keccak
from tessera.spec.sum_trees import Node, SumTree, parent_of

HOUR = 3_600
TERMS = Terms(
    bond=10**20 + 3,
    fee=10**18,
    post_window=24 * HOUR,
    challenge_window=12 * HOUR,
    answer_window=HOUR,
    reaction_window=HOUR,
)
SUBNET = 7
HEADER_TYPE = "(bytes32,uint256,uint256,bytes32,uint256,bytes32,uint256,bytes32,uint256)"
VALIDATORS = [person(f"validator {number}") for number in range(6)]


@dataclass
class Told:
    """What Scores was told of one epoch, and the result that follows."""

    epoch: int
    inputs: EpochInputs
    closes_at: int
    posted: PostedEpoch = field(init=False)

    def __post_init__(self) -> None:
        self.posted = build(self.inputs)

    @property
    def seen(self) -> Seen:
        rows, columns = len(self.inputs.rows), self.inputs.columns
        return Seen(rows, columns, self.closes_at, self.inputs.digest, self.inputs.rules.word)


class EpochWorld:
    """One deployment; a token that anybody is given, one subnet's epochs one after the other."""

    def __init__(
        self,
        terms: Terms = TERMS,
        *,
        currency: Compiled | None = None,
        arguments: tuple[object, ...] = (18,),
    ) -> None:
        self.world: World = deploy_world(
            currency=currency or mock("PlainCurrency"), currency_arguments=arguments
        )
        self.engine: Engine = self.world.engine
        self.token = self.world.currency
        self.terms = terms
        deployer = person("network owner").address
        self.scores = deployed(self.engine, mock("ScoresDouble"), by=deployer)
        self.court = deployed(self.engine, compiled("EpochCourt"), by=deployer)
        self.epochs = deployed(
            self.engine,
            compiled("Epochs"),
            self.token,
            self.world.registry,
            self.scores,
            self.court,
            (
                terms.bond,
                terms.fee,
                terms.post_window,
                terms.challenge_window,
                terms.answer_window,
                terms.reaction_window,
            ),
            by=deployer,
        )
        self.numbers = count(1)

    @property
    def now(self) -> int:
        return self.engine.now

    def wait(self, seconds: int) -> None:
        self.engine.now += seconds

    def fund(self, who: Person, amount: int = 10**24) -> None:
        self.world.fund(who, amount, spender=self.epochs)

    def held(self, who: Contract | Person) -> int:
        return self.world.held(who)

    # --- What Scores says -----------------------------------------------------------------------

    def tell(
        self, epoch: int, inputs: EpochInputs, *, subnet: int = SUBNET, closes_at: int | None = None
    ) -> Told:
        """Let Scores say an epoch's inputs; the digest is the rows' hash."""
        closes = self.now if closes_at is None else closes_at
        for place, row in enumerate(inputs.rows):
            root = row.row.root
            address = "0x" + row.validator.hex()
            counts = 0 if row.void else 1
            said = (address, root, sum(row.weights) * counts, row.stake * counts)
            self.scores("set_row", subnet, epoch, place, said)
        rules = inputs.rules
        self.scores(
            "set_rules",
            subnet,
            (rules.kappa, rules.bonds_penalty, rules.bonds_moving_average, rules.yuma3),
        )
        self.scores(
            "set_epoch",
            subnet,
            epoch,
            (
                len(inputs.rows),
                inputs.stake,
                inputs.columns,
                closes,
                inputs.digest,
            ),
        )
        return Told(epoch, inputs, closes)

    def appeared(self, uid: int, epoch: int, since: int, *, subnet: int = SUBNET) -> None:
        """Let Scores say since which epoch the model that holds a uid in an epoch is there."""
        self.scores("set_since", subnet, uid, epoch, since)

    def inputs(
        self,
        weights: list[list[int]],
        stakes: list[int] | None = None,
        *,
        epoch: int = 0,
        rules: Rules | None = None,
        former: Former | None = None,
        voids: set[int] = frozenset(),  # type: ignore[assignment]
        who: list[int] | None = None,
    ) -> EpochInputs:
        """Make inputs of a matrix of weights, a row for each validator."""
        chosen = who or list(range(len(weights)))
        given = stakes or [10**18 * (place + 1) for place in range(len(weights))]
        rows = tuple(
            RevealedRow(
                bytes.fromhex(VALIDATORS[validator].address[2:]),
                stake,
                tuple(row),
                place in voids,
            )
            for place, (validator, stake, row) in enumerate(
                zip(chosen, given, weights, strict=True)
            )
        )
        digest = keccak(repr((epoch, rows)).encode())
        return EpochInputs(len(weights[0]), rows, rules or Rules(), digest, former)

    # --- What people do -------------------------------------------------------------------------

    def post(self, told: Told, posted: PostedEpoch | None = None, *, by: Person) -> bytes:
        """Post a result; the true one unless another is given."""
        header = (posted or told.posted).header
        return bytes(self.epochs("post", SUBNET, told.epoch, header.call, by=by.address))

    def send(self, told: Told, header: Header, challenge: Challenge, *, by: Person) -> None:
        """Send what `find_fault` says."""
        self.judge(told.epoch, header, challenge.function, *challenge.arguments, by=by)

    def judge(self, epoch: int, header: Header, function: str, *arguments: Any, by: Person) -> None:
        """Call the court about a posted result, or ask."""
        if function == "ask":
            self.epochs("ask", SUBNET, epoch, *arguments, by=by.address)
            return
        self.court(function, self.epochs, SUBNET, epoch, header.call, *arguments, by=by.address)

    def settle(self, told: Told, *, by: Person) -> None:
        """Post the true result and let its window end."""
        self.post(told, by=by)
        self.wait(self.terms.challenge_window)
        self.epochs("finalize", SUBNET, told.epoch, by=by.address)


def rebuilt(posted: PostedEpoch, **parts: Any) -> PostedEpoch:
    """Put other parts into a result, with trees and a header that state them."""
    changed = replace(posted, **parts)
    header = changed.header
    return assembled(
        header.inputs,
        header.rules,
        header.previous,
        stakes=changed.stakes or (),
        sums=header.sums,
        columns=tuple(column for column in changed.columns if column is not None),
        rows=tuple(row for row in changed.rows if row is not None),
    )


def lying_tree(tree: SumTree, level: int, index: int, stated: int) -> SumTree:
    """Let one node state another sum, with all above it as they must be then."""
    levels = [list(nodes) for nodes in tree.levels]
    levels[level][index] = Node(levels[level][index].digest, stated)
    for height in range(level + 1, len(levels)):
        below = levels[height - 1]
        levels[height] = [
            parent_of(below[at], below[at + 1]) for at in range(0, len(below) - 1, 2)
        ] + ([below[-1]] if len(below) % 2 else [])
    lying = SumTree([])
    lying.levels = levels
    return lying
