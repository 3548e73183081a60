"""What an epoch refuses to be computed from, by name."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest
from tests.unit.spec.consensus.subnets import subnet

from tessera.errors import InputError
from tessera.spec.consensus.epoch import run_epoch
from tessera.spec.consensus.inputs import Parameters, activity_cutoff, rows_of, stake_of


@pytest.mark.parametrize(
    ("value", "stake"),
    [
        (7, 7),
        ("7", 7),
        ("7.25", Fraction(29, 4)),
        (0.5, Fraction(1, 2)),
        (Decimal("2e3"), 2000),
        ("9223372036854775807.5", Fraction(2**64 - 1, 2)),
        (Fraction(1, 3), Fraction(1, 3)),
    ],
)
def test_a_stake_is_read_exactly(value: Any, stake: Any) -> None:
    assert stake_of(value) == stake


@pytest.mark.parametrize(
    "value", [-1, "-1", float("nan"), "NaN", "Infinity", 2**63, "1e99", True, None, [], "", "1,5"]
)
def test_a_stake_that_is_none_is_refused(value: Any) -> None:
    with pytest.raises(InputError, match="stake"):
        stake_of(value)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("kappa", -1),
        ("kappa", 65_536),
        ("kappa", 0.5),
        ("kappa", float("nan")),
        ("kappa", True),
        ("bonds_penalty", 65_536),
        ("bonds_moving_average", 1_000_001),
        ("alpha_low", -1),
        ("alpha_high", "1"),
        ("alpha_sigmoid_steepness", 32_768),
        ("tempo", -1),
        ("activity_cutoff", 2**64),
        ("stake_threshold", -1),
        ("max_validators", None),
        ("yuma3", 1),
        ("liquid_alpha", "yes"),
        ("commit_reveal", 0),
    ],
)
def test_a_parameter_out_of_range_is_refused(name: str, value: Any) -> None:
    with pytest.raises(InputError, match=name):
        Parameters(**{name: value})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("block", -1),
        ("block", 2**64),
        ("emission", -1),
        ("emission", 1.5),
        ("last_step_block", "1"),
        ("owner", 2),
        ("owner", -1),
        ("stake", "12"),
        ("stake", (2**62, 2**62)),
        ("permit", (True,)),
        ("permit", (True, 1)),
        ("last_update", (0, -1)),
        ("last_update", None),
        ("registered", (0, 2**64)),
        ("commits", ((2, 0),)),
        ("commits", ((0, -1),)),
        ("commits", ((0,),)),
        ("commits", 5),
        ("previous_consensus", (0,)),
        ("previous_consensus", (0, 65_536)),
    ],
)
def test_a_subnet_that_the_chain_could_not_hold_is_refused(name: str, value: Any) -> None:
    with pytest.raises(InputError, match=name):
        subnet([1, 1], **{name: value})


@pytest.mark.parametrize(
    "rows",
    [
        ((),),
        ((), (), ()),
        ((), 5),
        ((), "no"),
        ((), ((0,),)),
        ((), ((2, 1),)),
        ((), ((-1, 1),)),
        ((), ((0, -1),)),
        ((), ((0, 65_536),)),
        ((), ((0, float("nan")),)),
        ((), ((0, 1.0),)),
        ((), ((0, 1), (0, 1))),
    ],
)
def test_a_malformed_row_is_refused(rows: Any) -> None:
    with pytest.raises(InputError, match="weights"):
        run_epoch(subnet([1, 1]), rows, ((), ()))


def test_rows_are_put_in_order() -> None:
    assert rows_of("weights", [[[1, 5], [0, 3]], []], 2) == (((0, 3), (1, 5)), ())


def test_more_uids_than_a_u16_are_refused() -> None:
    with pytest.raises(InputError, match="uids"):
        subnet([0] * 65_537)


def test_a_cutoff_follows_the_tempo() -> None:
    assert activity_cutoff(360) == 5_000
    assert activity_cutoff(0) == 1
