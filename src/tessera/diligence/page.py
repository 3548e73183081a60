"""A report as one HTML file: no script, nothing from anywhere else, every stranger's word escaped.

The page forbids itself scripts, requests and forms by its own policy, so that even a mistake in the
escaping here would run nothing. It holds no link: an address of a page that a token's maker chose
is text.
"""

from __future__ import annotations

import functools
import json
from pathlib import Path
from typing import Final

from jinja2 import Environment, FileSystemLoader, StrictUndefined, Template
from markupsafe import Markup

from tessera.diligence.charts import STYLE, charts
from tessera.diligence.comparing import side_by_side
from tessera.diligence.report import Report, plain
from tessera.diligence.results import Evidence, Flag, Metric, Step
from tessera.diligence.thresholds import Limit
from tessera.diligence.wording import (
    legible,
    shown_bound,
    shown_moment,
    shown_severity,
    shown_value,
    shown_window,
    value_in,
)

__all__ = ["render"]

_TEMPLATE: Final = "page.html"
_MOST_PARTS: Final = 4_000
_TITLES: Final = {
    Step.REVENUE: "Does it earn, and who is paid?",
    Step.PERFORMANCE: "Does the model do what is claimed?",
    Step.DISTRIBUTION: "Who owns it, and when is more unlocked?",
    Step.DEVELOPERS: "Is it worked on?",
    Step.VELOCITY: "Is it held, or passed on?",
}


def render(report: Report, against: Report | None = None) -> str:
    """Return the page.

    Parameters
    ----------
    against
        A second report, shown beside the first.
    """
    shown = [report] if against is None else [report, against]
    drawn = [
        charts(each.metrics, each.flags, prefix=prefix)
        for each, prefix in zip(shown, ("left", "right"), strict=False)
    ]
    return _template().render(
        reports=list(zip(shown, drawn, strict=True)),
        against=against,
        pairs=side_by_side(report, against) if against else (),
        flags=list(zip(report.flags, against.flags, strict=True)) if against else (),
        steps=_TITLES,
        style=Markup(STYLE),  # noqa: S704 - our own constant
        Markup=Markup,
    )


@functools.cache
def _template() -> Template:
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "bound": _bound,
        "evidence": _evidence,
        "legible": legible,
        "moment": shown_moment,
        "parts": _parts,
        "severity": shown_severity,
        "value": shown_value,
        "window": shown_window,
    }
    return environment.get_template(_TEMPLATE)


def _bound(limit: Limit, metric: Metric | None) -> str:
    said = shown_bound(limit, metric.unit if metric is not None else "")
    if limit.given is not None:
        said += f", where {limit.given.metric} is {limit.given.side} {limit.given.bound:g}"
    return said


def _evidence(one: Evidence) -> str:
    value = "" if one.value is None else f" = {value_in(one.value, '')}"
    where = f" ({legible(one.where)})" if one.where else ""
    return f"{legible(one.what)}{value}{where}"


def _parts(answer: Metric | Flag) -> str:
    # A stranger may make lists as long as a chain: a page shows their beginning.
    text = json.dumps(plain(answer.parts), ensure_ascii=True)
    return text if len(text) <= _MOST_PARTS else f"{text[:_MOST_PARTS]} …"
