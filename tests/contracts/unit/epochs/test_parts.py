"""What models and validators earned in a final epoch, by proof."""

from __future__ import annotations

import pytest
from eth_abi import encode
from rig.contract import refused
from rig.epochs import HEADER_TYPE, SUBNET, EpochWorld, Told
from rig.people import Person


@pytest.fixture
def final(place: EpochWorld, told: Told, poster: Person) -> Told:
    place.settle(told, by=poster)
    return told


def test_models(place: EpochWorld, final: Told) -> None:
    posted, header = final.posted, final.posted.header
    parts = []
    for uid in range(3):
        proof = posted.model_proof(uid)
        rank, total = place.epochs("model_part", SUBNET, 0, header.call, *proof)
        assert (rank, total) == (posted.columns[uid].rank, header.incentive)
        evidence = encode(
            [HEADER_TYPE, "uint256", "uint256", "bytes32", "(bytes32,uint256)[]"],
            [header.call, *proof[1:]],
        )
        assert place.epochs("incentive_of", SUBNET, 0, uid, evidence) == rank
        parts.append(rank)
    assert sum(parts) == header.incentive > 0
    uid, consensus, rank, data, path = posted.model_proof(1)
    with refused("epochs: not in the result"):
        place.epochs("model_part", SUBNET, 0, header.call, 2, consensus, rank, data, path)
    with refused("epochs: not in the result"):
        place.epochs("model_part", SUBNET, 0, header.call, uid, consensus, rank + 1, data, path)


def test_validators(place: EpochWorld, final: Told) -> None:
    posted, header = final.posted, final.posted.header
    stake, dividends, incentive = place.epochs("sums_of", SUBNET, 0, header.call)
    assert incentive == header.incentive
    earned = []
    for row in range(3):
        proof = posted.validator_proof(row)
        who, active, part = place.epochs("validator_part", SUBNET, 0, header.call, *proof)
        assert bytes.fromhex(who[2:]) == final.inputs.rows[row].validator
        earned.append((active, part))
    assert [sum(column) for column in zip(*earned, strict=True)] == [stake, dividends]
    assert all(part for _, part in earned)
    row, active, counted, path = posted.validator_proof(1)
    with refused("epochs: not in the result"):
        place.epochs("validator_part", SUBNET, 0, header.call, row, active + 1, counted, path)


def test_nothing_before_it_is_final(place: EpochWorld, told: Told, poster: Person) -> None:
    posted, header = told.posted, told.posted.header
    place.post(told, by=poster)
    with refused("epochs: not the final result"):
        place.epochs("model_part", SUBNET, 0, header.call, *posted.model_proof(0))
    with refused("epochs: not the final result"):
        place.epochs("validator_part", SUBNET, 0, header.call, *posted.validator_proof(0))
    with refused("epochs: not the final result"):
        place.epochs("sums_of", SUBNET, 0, header.call)


def test_only_of_this_result(place: EpochWorld, final: Told) -> None:
    other = final.posted.restated(incentive=1).header
    with refused("epochs: not the final result"):
        place.epochs("sums_of", SUBNET, 0, other.call)
    with refused("epochs: not the final result"):
        place.epochs("sums_of", SUBNET + 1, 0, final.posted.header.call)
