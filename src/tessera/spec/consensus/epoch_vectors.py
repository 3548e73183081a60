"""Reference vectors of whole epochs: how their files say it, and what each version must answer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

import numpy as np

from tessera.errors import DataError, TesseraError
from tessera.spec.consensus.comparing import equal, near, some
from tessera.spec.consensus.epoch import run_epoch
from tessera.spec.consensus.fast import fast_epoch
from tessera.spec.consensus.fixed import ONE, U16_MAX
from tessera.spec.consensus.floats import FloatEpoch, float_epoch
from tessera.spec.consensus.inputs import (
    ConsensusSource,
    EpochKind,
    Parameters,
    Row,
    Subnet,
    rows_of,
)
from tessera.spec.consensus.results import EpochResult
from tessera.spec.consensus.rows import SparseRows

__all__ = ["epoch_inputs", "judge_epochs"]

Case = Mapping[str, Any]
EpochInputs = tuple[Subnet, tuple[Row, ...], tuple[Row, ...]]

# What a file names and what we name the same.
_RAW = ("stake", "active_stake", "consensus", "validator_trust", "incentive", "dividends")
_U16 = {
    "stake_weight": "stake",
    "consensus": "consensus",
    "validator_trust": "validator_trust",
    "incentive": "incentive",
    "dividends": "dividends",
}
_AMOUNTS = {
    "emission": "emission",
    "server_emission": "model_emission",
    "validator_emission": "validator_emission",
}
_FLAGS = {"active": "active", "validator_permit": "permit"}
_PARAMETERS = (
    "kappa",
    "bonds_penalty",
    "bonds_moving_average",
    "yuma3",
    "liquid_alpha",
    "alpha_low",
    "alpha_high",
    "alpha_sigmoid_steepness",
    "tempo",
    "activity_cutoff",
    "stake_threshold",
    "max_validators",
    "commit_reveal",
)


def epoch_inputs(given: Case) -> EpochInputs:
    """Read one step's input.

    Parameters
    ----------
    given
        By the names of the vectors' format.

    Returns
    -------
    tuple
        The subnet, its weights, its bonds.
    """
    parameters = Parameters(
        **{name: given[name] for name in _PARAMETERS},
        consensus_source=ConsensusSource(str(given.get("consensus_mode", "auto")).lower()),
        kind=EpochKind(str(given.get("epoch_consensus", "yuma")).lower()),
    )
    subnet = Subnet(
        parameters=parameters,
        block=given["block"],
        emission=given["rao_emission"],
        stake=given["stake"],
        permit=given["permit"],
        last_update=given["last_update"],
        registered=given["reg"],
        owner=given["owner"],
        last_step_block=given["last_step_block"],
        commits=given["commits"],
        previous_consensus=given.get("previous_consensus"),
    )
    if given["n"] != subnet.uids:
        raise DataError("n", found=given["n"], wanted=f"{subnet.uids}, the number of stakes")
    weights = rows_of("weights", given["weights"], subnet.uids)
    return subnet, weights, rows_of("bonds", given["bonds"], subnet.uids)


def judge_epochs(case: Case) -> None:
    """Hold a case's epochs against both exact versions and the float64 twin.

    Parameters
    ----------
    case
        A file's content; each of its steps states a complete input.

    Raises
    ------
    DataError
        A result differs, or an input is refused.
    KeyError, TypeError, ValueError
        The case is malformed.
    """
    bounds = case.get("tolerance", {}).get("float64_impl")
    for number, step in enumerate(some(case["steps"])):
        try:
            subnet, weights, bonds = epoch_inputs(step["input"])
            exact = run_epoch(subnet, weights, bonds)
            _judge_exact(exact, step["expected"])
            arrays = SparseRows.of(weights), SparseRows.of(bonds)
            _judge_twin(exact, fast_epoch(subnet, *arrays))
            if bounds is not None and not step.get("float_hostile"):
                result = float_epoch(subnet, *arrays)
                _judge_near(result, step["expected"], bounds, subnet.emission)
        except TesseraError as refusal:
            raise DataError(f"step {number}: {refusal.message}") from refusal


def _judge_exact(result: EpochResult[tuple[Row, ...]], expected: Case) -> None:
    for name, wanted in expected.items():
        if name == "raw_i32f32":
            for inner, raw in wanted.items():
                if inner not in _RAW:
                    raise DataError("raw_i32f32", found=inner, wanted=f"of {', '.join(_RAW)}")
                equal(f"raw {inner}", getattr(result, inner), raw)
        elif name in _U16:
            equal(name, result.stored(_U16[name]), wanted)
        elif name in _AMOUNTS:
            equal(name, getattr(result, _AMOUNTS[name]), wanted)
        elif name in _FLAGS:
            equal(name, getattr(result, _FLAGS[name]), wanted)
        elif name == "bonds":
            rows = [sorted(map(tuple, row)) for row in wanted]
            equal(name, [list(row) for row in result.bonds], rows)
        else:
            raise DataError("expected", found=name, wanted="a result of an epoch")


def _judge_twin(exact: EpochResult[tuple[Row, ...]], fast: EpochResult[SparseRows]) -> None:
    for field in fields(exact):
        if field.name != "bonds":
            equal(f"fast {field.name}", getattr(fast, field.name), getattr(exact, field.name))
    equal("fast bonds", fast.bonds.rows(), exact.bonds)


def _judge_near(result: FloatEpoch, expected: Case, bounds: Case, emission: int) -> None:
    for name, raw in expected.get("raw_i32f32", {}).items():
        near(f"float raw {name}", getattr(result, name), np.array(raw) / ONE, bounds["raw"])
    for name, ours in _U16.items():
        if name in expected:
            ratios = np.clip(np.floor(getattr(result, ours) * U16_MAX), 0, U16_MAX)
            near(f"float {name}", ratios, expected[name], bounds["u16_fields"])
    # The relative bound is of what the epoch pays in all: a part's error is one of its share.
    amount = bounds["emission_rao_abs"] + bounds["emission_rao_rel"] * emission
    for name, ours in _AMOUNTS.items():
        if name in expected:
            near(f"float {name}", getattr(result, ours), expected[name], amount)
    for name, ours in _FLAGS.items():
        if name in expected:
            equal(f"float {name}", getattr(result, ours).tolist(), expected[name])
    if "bonds" in expected:
        for uid, row in enumerate(result.bonds.rows()):
            found, stated = dict(row), dict(expected["bonds"][uid])
            columns = sorted(found.keys() | stated.keys())
            near(
                f"float bonds[{uid}]",
                [found.get(column, 0) for column in columns],
                [stated.get(column, 0) for column in columns],
                bounds["bonds_u16"],
            )
