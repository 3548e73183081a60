"""Training logs: whether steps go forward and the loss comes down, as it does where one trains."""

from __future__ import annotations

import csv
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from tessera.diligence.training.tensors import opened
from tessera.errors import DataError, InputError

__all__ = ["LEAST_ROWS", "TrainingLog", "read_log"]

LEAST_ROWS: Final = 20
_MOST_BYTES: Final = 512 << 20
_MOST_LINE: Final = 1 << 20
_STEPS: Final = ("step", "global_step", "steps", "iteration", "iter", "update", "epoch")
_LOSSES: Final = ("loss", "train_loss", "training_loss", "train/loss", "lm_loss", "lm loss")
_NOISELESS: Final = 1e-6
_NOISELESS_ROWS: Final = 50
# A fourth difference of independent noise is so many times wider than the noise.
_GAIN: Final = math.sqrt(70)


@dataclass(frozen=True, slots=True)
class TrainingLog:
    """What a log holds.

    Attributes
    ----------
    rows
        With a step and a loss.
    forward
        Whether each step is after the one before.
    first, last
        Mean loss of the first and of the last tenth of the rows.
    noise
        Of the loss from row to row, as a part of its range; 0 is a formula, not a training.
    """

    file: Path
    rows: int
    forward: bool
    first: float
    last: float
    noise: float

    @property
    def fault(self) -> str:
        """Why it shows no training; "" where it does."""
        if self.rows < LEAST_ROWS:
            return f"{self.rows} rows: {LEAST_ROWS} or more say something"
        if not self.forward:
            return "its steps go back"
        if not self.last < self.first:
            return f"its loss goes from {self.first:.4g} to {self.last:.4g}: it does not come down"
        if self.rows >= _NOISELESS_ROWS and self.noise < _NOISELESS:
            return "its loss follows a formula to the last digit"
        return ""


def read_log(file: Path) -> TrainingLog:
    """Read a log: JSON lines, or a table with commas or tabs, with a step and a loss.

    Rows without both are left out, as evaluations are often logged between.

    Raises
    ------
    InputError
        There is no such file, it is too large, or no row has a step and a loss.
    DataError
        It is no text.
    """
    if not file.is_file():
        raise InputError(f"log {file.name}", found="nothing", wanted="a file")
    if file.stat().st_size > _MOST_BYTES:
        raise InputError(f"log {file.name}", found="more than 512 MiB", wanted="the losses alone")
    with opened(file) as raw:
        try:
            lines = raw.read().decode("utf-8-sig").splitlines()
        except UnicodeDecodeError as error:
            raise DataError(f"log {file.name}", found=str(error), wanted="UTF-8 text") from error
    rows = (
        _of_json(lines)
        if any(line.lstrip().startswith("{") for line in lines[:5])
        else _of_csv(lines)
    )
    pairs = [
        (step, loss)
        for row in rows
        if (step := _number(row, _STEPS)) is not None
        and (loss := _number(row, _LOSSES)) is not None
    ]
    if not pairs:
        raise InputError(
            f"log {file.name}", found="no row with both",
            wanted=f"a column {' or '.join(_STEPS[:4])}, and one {' or '.join(_LOSSES[:3])}",
        )  # fmt: skip
    steps, losses = np.array(pairs, dtype=np.float64).T
    tenth = max(1, len(losses) // 10)
    return TrainingLog(
        file,
        len(losses),
        bool(np.all(np.diff(steps) > 0)),
        float(losses[:tenth].mean()),
        float(losses[-tenth:].mean()),
        _noise(losses),
    )


def _noise(losses: NDArray[np.float64]) -> float:
    wide = float(np.ptp(losses))
    if len(losses) < 8 or wide == 0:
        return 0.0
    return float(np.median(np.abs(np.diff(losses, 4)))) / _GAIN / wide


def _of_json(lines: Iterable[str]) -> Iterable[Mapping[str, object]]:
    for line in lines:
        if len(line) > _MOST_LINE or not line.strip():
            continue
        try:
            row = msgspec.json.decode(line)
        except (msgspec.MsgspecError, RecursionError):
            continue  # a line that was cut off when the training ended
        if isinstance(row, dict):
            yield row


def _of_csv(lines: list[str]) -> Iterable[Mapping[str, object]]:
    if not lines:
        return []
    short = [line for line in lines if len(line) <= _MOST_LINE]
    return csv.DictReader(short, delimiter="\t" if "\t" in short[0] else ",") if short else []


def _number(row: Mapping[str, object], names: Iterable[str]) -> float | None:
    folded = {str(key).strip().casefold(): value for key, value in row.items() if key is not None}
    for name in names:
        value = folded.get(name)
        if isinstance(value, int | float | str) and not isinstance(value, bool):
            try:
                number = float(value)
            except (ValueError, OverflowError):
                continue
            if math.isfinite(number):
                return number
    return None
