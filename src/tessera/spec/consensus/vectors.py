"""Reference vectors: files that state what an epoch, or a part of one, must answer.

One JSON file holds one case of one kind. The exact versions must reproduce an epoch's integers bit
for bit, and the float64 twin come as near as the file allows; the other kinds name a tolerance. A
file that is malformed, or says what nobody here knows, has failed.
"""

from __future__ import annotations

import json
import math
import struct
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

import numpy as np

from tessera.errors import DataError, NotFound, TesseraError
from tessera.spec.consensus import fixed
from tessera.spec.consensus.comparing import equal, near, some
from tessera.spec.consensus.epoch import column_consensus, weighted_consensus
from tessera.spec.consensus.epoch_vectors import judge_epochs
from tessera.spec.consensus.fixed import ONE
from tessera.spec.consensus.shares import SubnetState, emission_shares
from tessera.spec.consensus.simulated import SimulatedParameters, simulated_epoch
from tessera.spec.consensus.uids import top_stakes
from tessera.spec.weighted_pool import WHOLE, given

__all__ = ["Verdict", "judge", "judge_folder"]

Case = Mapping[str, Any]

_SIMULATED_VERSIONS = {
    "Yuma 2 (subtensor)": False,
    "Yuma 3 (Rhef+relative bonds)": True,
    "Yuma 3 (Rhef+relative bonds) - liquid alpha on": True,
}
_SHOWN_CHARACTERS = 300
# Braces inside strings are counted too: nothing in a vector comes near.
_NESTED_MAX = 100


@dataclass(frozen=True, slots=True)
class Verdict:
    """What became of one file.

    Attributes
    ----------
    name
        Of the file, below its folder.
    reason
        Why it failed, on one line; None where it passed.
    """

    name: str
    reason: str | None

    @property
    def passed(self) -> bool:
        """Whether all of the file holds."""
        return self.reason is None


def judge_folder(folder: Path) -> Iterator[Verdict]:
    """Judge every JSON file in a folder and in those below it.

    Parameters
    ----------
    folder
        Where they are.

    Yields
    ------
    Verdict
        One for each file, in the order of their names.

    Raises
    ------
    NotFound
        There is no such folder, or no such file in it.
    """
    if not folder.is_dir():
        raise NotFound("folder of vectors", found=str(folder), wanted="a folder")
    paths = sorted(path for path in folder.rglob("*.json") if path.is_file())
    if not paths:
        raise NotFound("vectors", found=str(folder), wanted="a folder with .json files")
    for path in paths:
        yield Verdict(str(path.relative_to(folder)), _reason(path))


def _reason(path: Path) -> str | None:
    try:
        judge(_read(path.read_bytes()))
    except KeyError as missing:
        reason = f"field {missing} is missing"
    except TesseraError as refusal:
        reason = refusal.message
    except (
        ArithmeticError,
        AttributeError,
        IndexError,
        MemoryError,
        OSError,
        RecursionError,
        TypeError,
        ValueError,
        struct.error,
    ) as error:
        reason = f"malformed: {type(error).__name__}: {error}"
    else:
        return None
    line = " ".join(reason.split())
    return line if len(line) <= _SHOWN_CHARACTERS else line[: _SHOWN_CHARACTERS - 3] + "..."


def _read(content: bytes) -> Any:
    # Python's own parser can end the process on nesting that passes its stack.
    text = np.frombuffer(content, np.uint8)
    opened = np.isin(text, np.frombuffer(b"[{", np.uint8)).astype(np.int32)
    closed = np.isin(text, np.frombuffer(b"]}", np.uint8))
    depth = int(np.cumsum(opened - closed).max(initial=0))
    if depth > _NESTED_MAX:
        raise DataError("nesting", found=depth, wanted=f"at most {_NESTED_MAX}")
    return json.loads(content, parse_constant=_no_number)


def _no_number(text: str) -> NoReturn:
    raise DataError("number", found=text, wanted="a finite one")


def judge(case: Case) -> None:
    """Hold one case against all versions that can compute it.

    Parameters
    ----------
    case
        A file's content.

    Raises
    ------
    DataError
        A result differs, or the case is of a kind that nobody here knows.
    InputError
        An input is refused.
    KeyError, TypeError, ValueError
        The case is malformed.
    """
    if not isinstance(case, Mapping):
        raise DataError("vector", found=type(case).__name__, wanted="an object")
    kind = case["kind"]
    if kind not in _KINDS:
        raise DataError("kind of vector", found=kind, wanted=f"one of {', '.join(_KINDS)}")
    _KINDS[kind](case)


def _judge_simulation(case: Case) -> None:
    told = case["params"]
    version, overrides = told["version"], dict(told.get("overrides", {}))
    if version not in _SIMULATED_VERSIONS:
        known = ", ".join(_SIMULATED_VERSIONS)
        raise DataError("version of the simulator", found=version, wanted=f"one of {known}")
    winner_takes_all = bool(overrides.pop("winner_takes_all", False))
    if overrides:
        raise DataError(
            "override of the simulator", found=str(overrides), wanted="winner_takes_all"
        )
    liquid = bool(told.get("liquid_alpha", False))
    parameters = SimulatedParameters(
        yuma3=_SIMULATED_VERSIONS[version],
        kappa=told["kappa"],
        bond_penalty=told["bond_penalty"],
        rate=1 - told["bond_moving_avg"],
        liquid_alpha=liquid,
        alpha_low=told["alpha_low"] if liquid else 0.0,
        alpha_high=told["alpha_high"] if liquid else 0.0,
        steepness=told["alpha_sigmoid_steepness"] if liquid else 0.0,
        winner_takes_all=winner_takes_all,
    )
    for number, step in enumerate(some(case["steps"])):
        found = simulated_epoch(parameters, **step["input"])
        for name, wanted in step["expected"].items():
            if wanted is not None:
                near(f"step {number}: {name}", getattr(found, name), wanted, _bound(case))


def _judge_consensus(case: Case) -> None:
    for number, each in enumerate(some(case["cases"])):
        rows = [dict(enumerate(map(_literal, row))) for row in each["weights"]]
        stakes = fixed.normalised([_literal(stake) for stake in each["stake"]])
        columns = len(each["expected"])
        found = column_consensus(stakes, rows, _literal(each["kappa"]), columns)
        near(f"case {number}", np.array(found) / ONE, each["expected"], _bound(case))


def _judge_median(case: Case) -> None:
    for number, each in enumerate(some(case["cases"])):
        stakes = fixed.normalised([_literal(stake) for stake in each["stake"]])
        scores = [_literal(score) for score in each["score"]]
        minority = ONE - _literal(each["majority"])
        found = weighted_consensus(stakes, scores, minority)
        near(f"case {number}", [found / ONE], [each["expected"]], _bound(case))


def _judge_upscale(case: Case) -> None:
    for number, each in enumerate(some(case["cases"])):
        raw = [math.floor(value * ONE) for value in each["in"]]
        near(f"case {number}", fixed.max_upscaled(raw), each["expected"], _bound(case))


def _judge_top(case: Case) -> None:
    for number, each in enumerate(some(case["cases"])):
        chosen = top_stakes([_literal(value) for value in each["in"]], each["k"], zeros=True)
        found = [uid for uid, taken in enumerate(chosen) if taken]
        equal(f"case {number}", found, each["expected_true"])


def _judge_sigmoid(case: Case) -> None:
    for number, each in enumerate(some(case["cases"])):
        distance = fixed.sub(_literal(each["x"]), _literal(each["kappa"]))
        found = fixed.sigmoid(fixed.mul(-_literal(each["rho"]), distance))
        near(f"case {number}", [found / ONE], [each["expected"]], _bound(case))


def _judge_swap(case: Case) -> None:
    pool, bounds = case["input"], case["tolerance"]
    quote, base = (pool["tao"], pool["w_quote_e18"]), (pool["alpha"], WHOLE - pool["w_quote_e18"])
    sides = {"buy": (quote, base), "sell": (base, quote)}
    if pool["side"] not in sides:
        raise DataError("side", found=pool["side"], wanted="buy or sell")
    (into, weight_into), (reserve, weight_out) = sides[pool["side"]]
    fee = pool["amount"] * pool["fee_rate"] // fixed.U16_MAX
    net = pool["amount"] - fee
    found = {
        "fee": fee,
        "net_in": net,
        "out": given(reserve, into, net, weight_into, weight_out),
        "spot_rao": base[1] * quote[0] * 10**9 // (quote[1] * base[0]),
    }
    for name, wanted in case["expected"].items():
        near(name, [found[name]], [wanted], max(bounds["rao_abs"], bounds["rel"] * abs(wanted)))


def _judge_shares(case: Case) -> None:
    network = case["input"]
    subnets = [
        SubnetState(
            price=each["moving_price"],
            burned=each.get("miner_burned", 0.0),
            enabled=each.get("emission_enabled", True),
            eligible=each.get("started", True) and each.get("registration_allowed", True),
        )
        for each in some(network["subnets"])
    ]
    shares = emission_shares(subnets, steepness=network["h"], bar=network.get("theta"))
    by_netuid = {
        str(each["netuid"]): share for each, share in zip(network["subnets"], shares, strict=True)
    }
    for name, wanted in case["expected"].items():
        if name != "tao_total_rao":
            raise DataError("expected", found=name, wanted="tao_total_rao")
        for netuid, amount in wanted.items():
            part = amount / network["block_emission_rao"]
            bound = case["tolerance"]["share_abs"]
            near(f"share of subnet {netuid}", [by_netuid[netuid]], [part], bound)


_KINDS: dict[str, Callable[[Case], None]] = {
    "subtensor_rust_test": judge_epochs,
    "oracle_random": judge_epochs,
    "real_metagraph": judge_epochs,
    "yuma_simulation": _judge_simulation,
    "unit_consensus": _judge_consensus,
    "unit_weighted_median": _judge_median,
    "unit_max_upscale_u16": _judge_upscale,
    "unit_topk": _judge_top,
    "unit_sigmoid": _judge_sigmoid,
    "pool_swap": _judge_swap,
    "subnet_emission_share": _judge_shares,
}


def _bound(case: Case) -> float:
    bound = case["tolerance"]["abs"]
    if not isinstance(bound, int | float) or not bound >= 0:
        raise DataError("tolerance", found=str(bound), wanted="a number from 0")
    return bound


def _literal(value: float) -> int:
    """A literal of the chain's tests, which is a 32-bit float there."""
    (single,) = struct.unpack("f", struct.pack("f", value))
    return fixed.from_float(single)
