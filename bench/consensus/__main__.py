"""What an epoch takes: `make bench-consensus`.

`python -m bench.consensus [--rounds 7] [--validators 256] [--models 4096] [--reference]
[--figures bench/README.md]`

One subnet in which every validator rates every model. Bonds come from an epoch before; then the
same epoch is computed by NumPy as one would first write it, by the fast version and by the float64
twin, in turns. Each result is held against the plain one's before a figure is printed. Exits 1
where the fast version is less than three times as fast or an aim is missed, 70 where results
differ. Another size is judged by no goal and written nowhere.
"""

from __future__ import annotations

import argparse
import os
import platform
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from bench.consensus.plain import PlainEpoch, plain_epoch
from tessera.spec.consensus.epoch import run_epoch
from tessera.spec.consensus.fast import fast_epoch
from tessera.spec.consensus.fixed import ONE
from tessera.spec.consensus.floats import float_epoch
from tessera.spec.consensus.inputs import Parameters, Subnet
from tessera.spec.consensus.rows import SparseRows

LEAST_RATIO = 3.0
# Milliseconds for 256 validators and 4,096 models.
AIMS = {"Yuma 2": 100, "Yuma 3": 100, "Yuma 3, liquid alpha": 250}
FLOAT_AIM = 60
_FLOAT_BOUND = 3e-8
_MISSED, _BROKEN = 1, 70
_START, _END = "<!-- consensus -->\n", "<!-- end consensus -->\n"
_MODES: dict[str, dict[str, Any]] = {
    "Yuma 2": {},
    "Yuma 3": {"yuma3": True},
    "Yuma 3, liquid alpha": {"yuma3": True, "liquid_alpha": True},
}


@dataclass(frozen=True, slots=True)
class Figures:
    """Milliseconds of one core in the best round each; None for what was not asked."""

    plain: float
    fast: float
    near: float
    reference: float | None

    @property
    def ratio(self) -> float:
        return self.plain / self.fast


def weights(rng: np.random.Generator, validators: int, models: int) -> SparseRows:
    """Validators that nearly agree on models that differ a lot."""
    quality = rng.gamma(2.0, 1.0, models)
    seen = quality * rng.lognormal(0.0, 0.3, (validators, models))
    rows = np.zeros((models, models), np.uint16)
    rows[:validators] = np.maximum(seen / seen.max(axis=1, keepdims=True) * 65_535, 1)
    return SparseRows.dense(rows)


def subnet(rng: np.random.Generator, validators: int, models: int, mode: dict[str, Any]) -> Subnet:
    stakes = rng.lognormal(30.0, 1.0, validators).astype(np.int64).tolist()
    return Subnet(
        parameters=Parameters(max_validators=validators, **mode),
        block=100_000,
        emission=10**12,
        stake=(*stakes, *[0] * (models - validators)),
        permit=tuple(uid < validators for uid in range(models)),
        last_update=(99_990,) * models,
        registered=(5,) * models,
        last_step_block=99_640,
    )


def same(plain: PlainEpoch, fast: Any, near: Any) -> str:
    """Name what differs, "" if nothing does."""
    for name in ("consensus", "incentive", "dividends", "emission"):
        if getattr(plain, name) != getattr(fast, name):
            return name
    for name in ("starts", "columns", "values"):
        if not np.array_equal(getattr(plain.bonds, name), getattr(fast.bonds, name)):
            return "bonds"
    far = np.abs(near.dividends - np.array(plain.dividends) / ONE).max()
    return "the float64 twin" if far > _FLOAT_BOUND else ""


def best_ms(taken: Callable[[], Any], best: float) -> tuple[Any, float]:
    # Processor time: what else the machine does is not ours, and each version keeps to one core.
    begun = time.process_time()
    result = taken()
    return result, min(best, (time.process_time() - begun) * 1e3)


def measure(name: str, options: argparse.Namespace) -> Figures | None:
    rng = np.random.default_rng(options.seed)
    validators, models = options.validators, options.models
    state = subnet(rng, validators, models, _MODES[name])
    first, given = (weights(rng, validators, models) for _ in range(2))
    nothing = SparseRows.of(((),) * models)
    bonds = fast_epoch(replace(state, block=99_640, last_step_block=99_279), first, nothing).bonds
    plain_ms = fast_ms = near_ms = float("inf")
    for _ in range(options.rounds):
        plain, plain_ms = best_ms(lambda: plain_epoch(state, given, bonds, validators), plain_ms)
        fast, fast_ms = best_ms(lambda: fast_epoch(state, given, bonds), fast_ms)
        near, near_ms = best_ms(lambda: float_epoch(state, given, bonds), near_ms)
        if differs := same(plain, fast, near):
            print(f"{name}: {differs} of the versions differ", file=sys.stderr)
            return None
    reference_ms = None
    if options.reference:
        rows = given.rows(), bonds.rows()
        exact, reference_ms = best_ms(lambda: run_epoch(state, *rows), float("inf"))
        if exact.bonds != fast.bonds.rows() or exact.dividends != fast.dividends:
            print(f"{name}: the plain integers and the fast version differ", file=sys.stderr)
            return None
    return Figures(plain_ms, fast_ms, near_ms, reference_ms)


def table(figures: dict[str, Figures], aims: bool) -> str:
    lines = [
        "| epoch | plain NumPy ms | fast ms | times | aim ms | float64 ms | aim ms | integers s |",
        "|---|---:|---:|---:|---:|---:|---:|---:|",
    ]
    for name, each in figures.items():
        reference = "" if each.reference is None else f"{each.reference / 1e3:.1f}"
        aim, near = (AIMS[name], FLOAT_AIM) if aims else ("", "")
        lines.append(
            f"| {name} | {each.plain:.0f} | {each.fast:.0f} | {each.ratio:.1f} | {aim} |"
            f" {each.near:.0f} | {near} | {reference} |"
        )
    return "\n".join(lines) + "\n"


def verdicts(name: str, found: Figures) -> list[str]:
    """Say which goals were missed."""
    missed = []
    if found.ratio < LEAST_RATIO:
        missed.append(f"{name}: {found.ratio:.1f} times as fast, wanted {LEAST_RATIO:.0f}")
    if found.fast > AIMS[name]:
        missed.append(f"{name}: {found.fast:.0f} ms, wanted {AIMS[name]}")
    if found.near > FLOAT_AIM:
        missed.append(f"{name}, float64: {found.near:.0f} ms, wanted {FLOAT_AIM}")
    return missed


def machine() -> str:
    model = platform.processor() or platform.machine()
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            model = line.partition(":")[2].strip()
            break
    return (
        f"{model}, {os.cpu_count()} cores, Python {platform.python_version()}, "
        f"NumPy {np.__version__}; load average {os.getloadavg()[0]:.1f} before it began"
    )


def write(page: Path, heading: str, text: str) -> None:
    before, _, rest = page.read_text(encoding="utf-8").partition(_START)
    _, _, after = rest.partition(_END)
    page.write_text(f"{before}{_START}\n{heading}:\n\n{text}{_END}{after}", encoding="utf-8")


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--validators", type=int, default=256)
    parser.add_argument("--models", type=int, default=4096)
    parser.add_argument("--seed", type=int, default=5)
    parser.add_argument("--reference", action="store_true", help="the plain integers too")
    parser.add_argument("--figures", type=Path, help="write the table into this page")
    options = parser.parse_args(arguments)
    where = machine()
    found: dict[str, Figures] = {}
    for name in _MODES:
        figures = measure(name, options)
        if figures is None:
            return _BROKEN
        found[name] = figures
    full = (options.validators, options.models) == (256, 4096)
    size = f"{options.validators} validators, {options.models:,} models, every weight set"
    text = table(found, full)
    print(f"{size}; best of {options.rounds} rounds, of one core, on {where}\n\n{text}")
    if not full:
        return 0
    missed = [line for name, each in found.items() for line in verdicts(name, each)]
    for line in missed:
        print(f"missed: {line}")
    if options.figures:
        heading = f"Last run, {datetime.now(UTC).date()}: {size}; best of {options.rounds} rounds"
        write(options.figures, f"{heading}, on {where}", text)
    return _MISSED if missed else 0


if __name__ == "__main__":
    raise SystemExit(main())
