"""Which charts a report has: those whose numbers its metrics and flags carry in their parts."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, TypeVar

import msgspec

from tessera.diligence.charts.bars import ages, holders, revenue, unlocks
from tessera.diligence.charts.graph import Payment, payers
from tessera.diligence.results import Flag, Metric, Step
from tessera.errors import InvariantViolation

__all__ = ["Chart", "charts"]

_T = TypeVar("_T", bound=msgspec.Struct)
_Amount = Annotated[float, msgspec.Meta(ge=0)]
_MICRO = 1_000_000


@dataclass(frozen=True, slots=True)
class Chart:
    """One chart of a report.

    Attributes
    ----------
    step, flag
        Where it belongs: to a question, or to a fear ("RF3").
    html
        A whole `<figure>`, escaped: the page takes it as it is.
    """

    step: Step | None
    flag: str
    html: str


class _Fees(msgspec.Struct):
    months: list[str]
    micro_usd: list[int | None]


class _Largest(msgspec.Struct):
    largest: list[tuple[str, str, _Amount]]
    others: float = 0.0


class _Unlocks(msgspec.Struct):
    months: list[str]
    insiders: list[_Amount | None]
    others: list[_Amount | None]


class _Ages(msgspec.Struct):
    age_bands: list[str]
    age_shares: list[_Amount | None]


class _Payments(msgspec.Struct):
    payments: list[tuple[str, str, float, int | None]]
    receivers: list[str]
    unit: str = "USD"


def charts(
    metrics: Iterable[Metric], flags: Iterable[Flag] = (), *, prefix: str = "chart"
) -> list[Chart]:
    """Draw what there are numbers for.

    Parameters
    ----------
    prefix
        Of the charts' names, unlike that of another report on the same page: a-z, 0-9 and hyphens.

    Raises
    ------
    InvariantViolation
        A metric carries parts of another shape than its measure promises.
    """
    by_name = {metric.name: metric for metric in metrics}
    by_flag = {flag.name: flag for flag in flags}
    return list(_all(by_name, by_flag, prefix))


def _all(metrics: Mapping[str, Metric], flags: Mapping[str, Flag], prefix: str) -> Iterator[Chart]:
    gross, clean = (
        _parts(metrics.get(name), _Fees) for name in ("gross_fees_usd", "clean_fees_usd")
    )
    if gross is not None and gross.months:
        rest = dict(zip(clean.months, clean.micro_usd, strict=True)) if clean else {}
        yield Chart(
            Step.REVENUE,
            "",
            revenue(
                f"{prefix}-fees",
                gross.months,
                _dollars(gross.micro_usd),
                _dollars([rest.get(month) for month in gross.months]),
            ),
        )
    if held := _parts(metrics.get("top10_adj"), _Largest):
        html = holders(f"{prefix}-holders", held.largest, others=max(0.0, held.others))
        yield Chart(Step.DISTRIBUTION, "", html)
    if (plan := _parts(metrics.get("unlock_30d_fwd"), _Unlocks)) and plan.months:
        html = unlocks(f"{prefix}-unlocks", plan.months, plan.insiders, plan.others)
        yield Chart(Step.DISTRIBUTION, "", html)
    # Where all was burned, nothing is held that could be of any age.
    if (old := _parts(metrics.get("hold_km"), _Ages)) and old.age_shares:
        yield Chart(Step.VELOCITY, "", ages(f"{prefix}-ages", old.age_bands, old.age_shares))
    if paid := _parts(flags.get("RF3"), _Payments):
        edges = [Payment(*each) for each in paid.payments if each[2] > 0]
        html = payers(
            f"{prefix}-payers", edges, receivers=frozenset(paid.receivers), unit=paid.unit
        )
        yield Chart(None, "RF3", html)


def _parts(of: Metric | Flag | None, shape: type[_T]) -> _T | None:
    """Read the parts; None where they are not there, as where there is no value."""
    if of is None:
        return None
    wanted = {field.name for field in msgspec.structs.fields(shape) if field.required}
    if not wanted <= of.parts.keys():
        return None
    plain: dict[str, Any] = {
        name: of.parts[name] for name in shape.__struct_fields__ if name in of.parts
    }
    try:
        return msgspec.convert(plain, shape)
    except msgspec.ValidationError as error:
        raise InvariantViolation(
            f"{of.name}: parts", found=str(error), wanted="what its chart draws"
        ) from error


def _dollars(micro: Sequence[int | None]) -> list[float | None]:
    return [None if each is None else each / _MICRO for each in micro]
