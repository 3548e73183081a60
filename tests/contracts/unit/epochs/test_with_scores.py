"""Two epochs from commits to claims: the real token, Bond, Subnets, Scores, Epochs and court."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from eth_abi import encode
from rig.contract import refused
from rig.epochs import HEADER_TYPE, TERMS
from rig.false_epochs import every_challenge
from rig.people import Person, person
from rig.scoring import RULES, TSR, open_scoring

from tessera.spec.epochs import (
    EpochInputs,
    Former,
    PostedEpoch,
    RevealedRow,
    Rules,
    build,
    find_fault,
)

SCORES = [[10, 20, 5], [30, 0, 50], [0, 70, 70]]
CONSENSUS = Rules(RULES.kappa, RULES.bonds_penalty, RULES.bonds_moving_average, RULES.yuma3)


class Subnet:
    """A subnet with three validators and three models, and what its epochs come to."""

    def __init__(self) -> None:
        self.scoring = scoring = open_scoring(
            terms=tuple(getattr(TERMS, name) for name in type(TERMS).__dataclass_fields__)
        )
        assert scoring.court is not None
        self.epochs, self.court = scoring.epochs, scoring.court
        owner = scoring.fund(person("publisher"))
        self.number = scoring.create(owner)
        for uid in range(3):
            scoring.place_model(self.number, owner, uid)
        self.validators = [
            scoring.place_validator(
                self.number, scoring.validator(f"validator {uid}", (uid + 2) * 1_000 * TSR), uid
            )
            for uid in range(3)
        ]
        for who in (person("poster"), person("challenger")):
            scoring.fund(who)
            scoring.token("approve", self.epochs, 2**256 - 1, by=who.address)

    def score(self, epoch: int, withheld: int | None = None) -> None:
        """Let all validators commit and reveal; one of them serves nothing, and somebody asks."""
        scoring = self.scoring
        scoring.turn_to(self.number, epoch)
        rows = [
            scoring.commit(self.number, uid, who, dict(enumerate(SCORES[uid])))
            for uid, who in enumerate(self.validators)
        ]
        scoring.turn_to(self.number, epoch, 2)
        for who, (row, salt) in zip(self.validators, rows, strict=True):
            scoring.revealed(self.number, epoch, who, row, salt)
        if withheld is not None:
            asker = person("challenger").address
            scoring.scores("ask", self.number, epoch, withheld, 0, by=asker)

    def inputs(self, epoch: int, former: Former | None) -> EpochInputs:
        """Read from the chain what the epoch's result depends on."""
        scores = self.scoring.scores
        rows, _, columns, _, digest = scores("epoch_of", self.number, epoch)
        revealed = []
        for row in range(rows):
            who, root, total, stake = scores("row_at", self.number, epoch, row)
            scored = RevealedRow(bytes.fromhex(who[2:]), stake, tuple(SCORES[row]), void=stake == 0)
            assert root == scored.row.root
            assert total == (0 if scored.void else scored.row.sum)
            revealed.append(scored)
        if former is not None:
            since = [scores("model_since", self.number, uid, epoch) for uid in range(columns)]
            former = replace(former, kept=tuple(first <= former.epoch for first in since))
        return EpochInputs(columns, tuple(revealed), CONSENSUS, digest, former)

    def post(self, epoch: int, posted: PostedEpoch) -> None:
        self.epochs("post", self.number, epoch, posted.header.call, by=person("poster").address)

    def judge(self, epoch: int, posted: PostedEpoch, function: str, *arguments: Any) -> None:
        self.court(
            function, self.epochs, self.number, epoch, posted.header.call, *arguments,
            by=person("challenger").address,
        )  # fmt: skip

    def finalize(self, epoch: int) -> None:
        self.scoring.world.wait(TERMS.challenge_window)
        self.epochs("finalize", self.number, epoch)


@pytest.fixture
def subnet() -> Subnet:
    return Subnet()


def test_from_commits_to_claims(subnet: Subnet) -> None:
    epochs, scoring = subnet.epochs, subnet.scoring
    # Nobody has a place in the first epoch yet.
    scoring.turn_to(subnet.number, 0, 5)
    epochs("skip", subnet.number, 0)
    subnet.score(1, withheld=1)
    first = build(subnet.inputs(1, None))
    with refused("epochs: inputs not fixed yet"):
        subnet.post(1, first)
    subnet.scoring.turn_to(subnet.number, 1, 5)
    inputs = subnet.inputs(1, None)
    first = build(inputs)
    assert [stake for stake, _ in first.rows if stake == 0] == [0]
    _undisputed(subnet, 1, first, inputs)
    subnet.finalize(1)

    former = Former(1, first, tuple(row.validator for row in inputs.rows), ())
    later = scoring.model.subnets[subnet.number].clock.epoch_at(scoring.now) + 1
    for empty in range(2, later):
        scoring.turn_to(subnet.number, empty, 5)
        epochs("skip", subnet.number, empty)
    subnet.score(later)
    scoring.turn_to(subnet.number, later, 5)
    inputs = subnet.inputs(later, former)
    assert inputs.former is not None
    assert inputs.former.kept == (True,) * 3
    second = build(inputs)
    _undisputed(subnet, later, second, inputs)
    _convicted(subnet, later, second, inputs)
    subnet.post(later, second)
    subnet.finalize(later)
    _paid_out(subnet, later, second)


def _undisputed(subnet: Subnet, epoch: int, posted: PostedEpoch, inputs: EpochInputs) -> None:
    assert find_fault(posted, inputs) is None
    subnet.post(epoch, posted)
    for function, arguments in every_challenge(inputs, posted):
        with refused("epoch_court: no fault"):
            subnet.judge(epoch, posted, function, *arguments)


def _convicted(subnet: Subnet, epoch: int, posted: PostedEpoch, inputs: EpochInputs) -> None:
    """Void the true result in passing: its fault is a question without an answer."""
    subnet.epochs("ask", subnet.number, epoch, 0, by=person("challenger").address)
    subnet.scoring.world.wait(TERMS.answer_window + 1)
    subnet.epochs("accuse", subnet.number, epoch, 0)
    false = posted.restated(sums=posted.header.sums + 1)
    challenge = find_fault(false, inputs)
    assert challenge is not None
    subnet.post(epoch, false)
    subnet.judge(epoch, false, challenge.function, *challenge.arguments)
    assert subnet.epochs("attempts", subnet.number, epoch) == 2


def _paid_out(subnet: Subnet, epoch: int, posted: PostedEpoch) -> None:
    epochs, header = subnet.epochs, posted.header
    assert epochs("last_final", subnet.number) == epoch + 1
    ranks = []
    for uid in range(3):
        proof = posted.model_proof(uid)
        rank, _ = epochs("model_part", subnet.number, epoch, header.call, *proof)
        types = [HEADER_TYPE, "uint256", "uint256", "bytes32", "(bytes32,uint256)[]"]
        evidence = encode(types, [header.call, *proof[1:]])
        assert epochs("incentive_of", subnet.number, epoch, uid, evidence) == rank
        ranks.append(rank)
    assert sum(ranks) == header.incentive > 0
    for row, who in enumerate(subnet.validators):
        proof = posted.validator_proof(row)
        address, _, dividends = epochs("validator_part", subnet.number, epoch, header.call, *proof)
        assert address == who.address
        assert dividends > 0


def test_a_row_that_nobody_revealed(subnet: Subnet, keeper: Person) -> None:
    """Everybody is offline: each epoch is skipped once its time is over, by anybody."""
    for epoch in range(3):
        subnet.scoring.turn_to(subnet.number, epoch, 4.9)
        with refused("epochs: inputs not fixed yet"):
            subnet.epochs("skip", subnet.number, epoch, by=keeper.address)
        subnet.scoring.turn_to(subnet.number, epoch, 5)
        subnet.epochs("skip", subnet.number, epoch, by=keeper.address)
        assert subnet.epochs("settled", subnet.number, epoch) == 2
