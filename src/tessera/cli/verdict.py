"""A report on one screen: the word over all, four fears, five questions, and their evidence."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from rich.text import Text

from tessera.diligence.comparing import Change, side_by_side
from tessera.diligence.report import Report
from tessera.diligence.results import Evidence, Flag, Metric, Severity, Status, Step
from tessera.diligence.thresholds import Finding
from tessera.diligence.wording import (
    legible,
    shown_bound,
    shown_moment,
    shown_severity,
    shown_value,
    shown_window,
    value_in,
)

if TYPE_CHECKING:
    from rich.console import Console

__all__ = ["show_changes", "show_pair", "show_report"]

_STYLES: Final = {
    Severity.CLEAR: "green",
    Severity.FLAG: "bold red",
    Severity.SEVERE: "bold white on red",
    Severity.UNDECIDED: "yellow",
}
_HEADLINES: Final = {
    Step.REVENUE: (
        "gross_fees_usd",
        "clean_fees_usd",
        "holders_revenue_usd",
        "revenue_yield",
        "payer_count",
    ),
    Step.PERFORMANCE: ("claim_status", "score", "stake_at_risk"),
    Step.DISTRIBUTION: ("supply_total", "top10_raw", "hhi", "nakamoto_50", "staking_rate"),
    Step.DEVELOPERS: ("absence_factor", "churn_quality"),
    Step.VELOCITY: ("hold_median_fifo", "turnover"),
}
"""What is shown of each question besides what a limit looks at."""

_WITHOUT_PRICE: Final = {
    "gross_fees_usd": "gross_fees",
    "clean_fees_usd": "clean_fees",
    "holders_revenue_usd": "holders_revenue",
}
_NOTHING: Final = Text("unknown: nothing answered this")
_MARK: Final = 6
_VALUE: Final = 20
_LIMIT: Final = 14
_WIDE: Final = 120
"""From so many columns on, numbers and limits have columns of their own."""

_MOST_EVIDENCE: Final = 2
_LONG: Final = re.compile(r"(0x[0-9a-fA-F]{4})[0-9a-fA-F]{8,}([0-9a-fA-F]{4})")
"""An address or a hash; with `everything` they are whole."""


def show_report(console: Console, report: Report, *, everything: bool = False) -> None:
    """Print a report.

    Parameters
    ----------
    everything
        All metrics, each with its window, inputs and evidence; else what fits on a screen.
    """
    _line(console, _head(report))
    _line(console, Text(_origin(report), style="dim"))
    if report.doubt:
        _line(console, Text(report.doubt, style="bold"))
    verdict = Text.assemble(("VERDICT  ", "bold"), _badge(report.severity), "  ", report.summary())
    _line(console, verdict)
    for finding in report.fired:
        _line(console, _fired(finding))
    console.print()
    for flag in report.flags:
        _show_flag(console, flag, everything=everything)
    if everything:
        _show_all(console, report)
    else:
        _show_steps(console, report)
    for failure in report.failures:
        text = f"not done: {failure.part}: {legible(failure.text, 600)}"
        _line(console, Text(text, style="red" if failure.ours else "yellow"))


def _show_steps(console: Console, report: Report) -> None:
    """One line for each answer that matters, in columns."""
    rows: list[tuple[Text, ...]] = []
    for step in Step:
        shown = [_instead(report, each) for each in report.of(step) if _matters(report, each)]
        title = Text(step.value, style="bold")
        if not shown:
            rows.append((_mark_of(Severity.UNDECIDED), title, _NOTHING))
            continue
        told = _together(shown)
        if len(told) == 1 and told[0][0].value is None:
            rows.append(_silent(report, told[0], title))
            continue
        rows.append((Text(), title))
        for each in told:
            if len(each) == 1:
                rows.append(_cells(console, report, each[0]))
            else:
                name = f"  {legible(each[0].name, 40)} and {len(each) - 1} more"
                rows.append(_silent(report, each, Text(name)))
    for line in _columns(rows):
        _cut(console, line)


def _together(metrics: Sequence[Metric]) -> list[list[Metric]]:
    """Put together what has no value for the same reason, in the place of the first of them."""
    groups: dict[object, list[Metric]] = {}
    for metric in metrics:
        silent = metric.value is None
        groups.setdefault((metric.status, metric.text) if silent else metric.name, []).append(
            metric
        )
    return list(groups.values())


def _silent(report: Report, metrics: Sequence[Metric], name: Text) -> tuple[Text, ...]:
    open_limit = any(_undecided(report, each) for each in metrics)
    mark = _mark_of(Severity.UNDECIDED) if open_limit else Text()
    why = f"{shown_value(metrics[0])}: {legible(metrics[0].text, 300)}"
    return mark, name, Text(why)


def _cells(console: Console, report: Report, metric: Metric) -> tuple[Text, ...]:
    finding = report.finding(metric.name)
    said = Text.assemble(legible(metric.text, 300), (_behind(metric), "dim"))
    name = Text(f"  {legible(metric.name, 40)}")
    mark = _mark(metric, finding)
    if metric.value is None:
        return mark, name, Text.assemble(f"{shown_value(metric)}: ", said)
    if console.is_terminal and console.width < _WIDE:
        # A sentence begins with its number: on a narrow screen it has the room of both.
        return mark, name, said
    value = Text(report.shown(metric).ljust(_VALUE))
    limit = f"{_bad(finding, metric)}".ljust(_LIMIT)
    return mark, name, Text.assemble(value, " ", limit, " ", said)


def show_pair(console: Console, left: Report, right: Report, *, everything: bool = False) -> None:
    """Print two reports side by side."""
    for name, report in (("left", left), ("right", right)):
        _line(console, Text.assemble((f"{name:5}  ", "bold"), _head(report)))
        _line(console, Text.assemble("       ", _badge(report.severity), "  ", report.summary()))
    rows = [_titled("metric", "left", "right")]
    for one, other in zip(left.flags, right.flags, strict=True):
        said = [(legible(flag.verdict, 30), flag.severity) for flag in (one, other)]
        rows.append(_compared(one.name, said))
    for pair in side_by_side(left, right):
        known = pair.left or pair.right
        assert known is not None
        if not everything and pair.limit is None and not _headlined(known):
            continue
        values: list[tuple[str, Severity | None]] = [
            ("not measured" if metric is None else report.shown(metric), severity)
            for report, metric, severity in (
                (left, pair.left, pair.left_severity),
                (right, pair.right, pair.right_severity),
            )
        ]
        row = _compared(legible(pair.name, 40), values)
        if pair.limit is not None:
            row = (*row, Text(f"bad {shown_bound(pair.limit, known.unit)}", style="dim"))
        rows.append(row)
    for line in _columns(rows):
        _cut(console, line)


def _titled(*names: str) -> tuple[Text, ...]:
    name, left, right = (Text(each, style="bold") for each in names)
    return name, Text(), left, Text(), right


def _compared(name: str, said: Sequence[tuple[str, Severity | None]]) -> tuple[Text, ...]:
    cells = [Text(name)]
    for value, severity in said:
        cells += [Text() if severity is None else _mark_of(severity), Text(value)]
    return tuple(cells)


def show_changes(console: Console, changes: Sequence[Change]) -> None:
    """Print what is different, what got worse first."""
    for change in changes:
        before, after = (_short(each) for each in (change.before, change.after))
        line = Text.assemble(
            ("worse  " if change.worse else "       ", "bold red"),
            f"{legible(change.name, 40)}: {before} -> {after}",
        )
        if change.severity_after is not None and change.severity_before != change.severity_after:
            line.append("  ")
            line.append(_badge(change.severity_after))
        _line(console, line)


def _head(report: Report) -> Text:
    token = report.token
    name = legible(token.name, 60) or "a token without a name"
    chain = f"chain {report.chain_id}" if report.chain_id else "chain unknown"
    symbol = f" ({legible(token.symbol, 20)})" if token.symbol else ""
    return Text.assemble(
        (f"{name}{symbol}", "bold"),
        f"  {token.address}  {chain}, as of block {report.head.block:,}, "
        f"{shown_moment(report.head.time)}",
    )


def _origin(report: Report) -> str:
    seen = report.coverage
    if seen is None:
        return f"{report.transfers:,} transfers"
    whole = "from its creation on" if seen.complete else "which may not be all"
    gaps = f", with {len(seen.gaps)} gaps" if seen.gaps else ""
    return (
        f"{report.transfers:,} transfers in blocks {seen.first:,} to {seen.last:,}{gaps}, {whole}"
    )


def _show_flag(console: Console, flag: Flag, *, everything: bool) -> None:
    line = Text.assemble(
        _mark_of(flag.severity),
        (f" {flag.name} {legible(flag.title, 60)}: ", "bold"),
        f"{legible(flag.verdict, 40)}. {legible(flag.text, 300)}",
    )
    loud = flag.severity in {Severity.FLAG, Severity.SEVERE}
    if loud or everything:
        _line(console, line)
    else:
        _cut(console, line)
    for each in flag.evidence[: None if everything else _MOST_EVIDENCE if loud else 0]:
        _line(console, Text(f"     {_told(each)}", style="dim"))


def _fired(finding: Finding) -> Text:
    """Which limit fired, on what, and who says so."""
    limit, metric = finding.limit, finding.metric
    assert metric is not None
    bound = shown_bound(limit, metric.unit)
    return Text.assemble(
        _mark_of(finding.severity),
        f" {limit.text}: {limit.metric} {shown_value(metric)}, bad {bound} ({limit.source})",
    )


def _show_all(console: Console, report: Report) -> None:
    for metric in report.metrics:
        finding = report.finding(metric.name)
        line = Text.assemble(_mark(metric, finding), " ")
        line.append(f"{metric.step} {legible(metric.name, 40)}: {report.shown(metric)}", "bold")
        bad = _bad(finding, metric)
        line.append(f" ({bad}). " if bad else ". ")
        line.append(legible(metric.text, 600))
        _line(console, line)
        for each in _told_of(metric):
            _line(console, Text(f"    {each}", style="dim"))


def _bad(finding: Finding | None, metric: Metric) -> str:
    return f"bad {shown_bound(finding.limit, metric.unit)}" if finding else ""


def _mark(metric: Metric, finding: Finding | None) -> Text:
    if finding is None or not finding.applies:
        return Text(" " * _MARK)
    return _mark_of(finding.severity)


def _mark_of(severity: Severity) -> Text:
    """The word of a line: as wide as all others, and never only a colour."""
    word = "?" if severity is Severity.UNDECIDED else shown_severity(severity)
    return Text(word.ljust(_MARK), style=_STYLES[severity] if word.strip() else "")


def _behind(metric: Metric) -> str:
    """What one looks up first: where the first piece of evidence is, and how much is covered."""
    where = next((each.where for each in metric.evidence if each.where), "")
    parts = [_LONG.sub(r"\1…\2", legible(where, 70))] if where else []
    if metric.value is not None and metric.coverage.share not in (None, 1.0):
        parts.append(f"facts cover {metric.coverage.share:.0%}")
    return f" [{'; '.join(parts)}]" if parts else ""


def _told_of(metric: Metric) -> list[str]:
    told = [f"window {shown_window(metric.window)}"] if metric.window else []
    told += [f"inputs {metric.inputs_hash}"] if metric.inputs_hash else []
    told += [f"missing: {legible(each)}" for each in metric.coverage.missing]
    return told + [_told(each) for each in metric.evidence]


def _told(evidence: Evidence) -> str:
    value = "" if evidence.value is None else f" = {value_in(evidence.value, '')}"
    where = f" ({legible(evidence.where)})" if evidence.where else ""
    return f"{legible(evidence.what)}{value}{where}"


def _matters(report: Report, metric: Metric) -> bool:
    finding = report.finding(metric.name)
    if finding is not None:
        return finding.applies or metric.status is not Status.NOT_APPLICABLE
    return _headlined(metric)


def _undecided(report: Report, metric: Metric) -> bool:
    finding = report.finding(metric.name)
    return finding is not None and finding.applies


def _headlined(metric: Metric) -> bool:
    return metric.name in _HEADLINES[metric.step]


def _instead(report: Report, metric: Metric) -> Metric:
    """The same in the currency itself, where nobody knows what that was worth."""
    other = report.metric(_WITHOUT_PRICE.get(metric.name, ""))
    if metric.value is None and other is not None and other.value is not None:
        return other
    return metric


def _short(answer: Metric | Flag | None) -> str:
    if answer is None:
        return "not measured"
    return shown_value(answer) if isinstance(answer, Metric) else legible(answer.verdict, 40)


def _badge(severity: Severity) -> Text:
    return Text(shown_severity(severity), style=_STYLES[severity])


def _line(console: Console, text: Text) -> None:
    console.print(text, soft_wrap=True)


def _cut(console: Console, text: Text) -> None:
    """Print one line of the screen; whole where it goes to a file or to another program."""
    if console.is_terminal:
        text.truncate(console.width, overflow="ellipsis")
    text.rstrip()
    _line(console, text)


def _columns(rows: Sequence[tuple[Text, ...]]) -> list[Text]:
    """Set cells below each other, but the last of a row, which goes on as far as it will."""
    widths = [
        max((row[at].cell_len for row in rows if len(row) > at + 1), default=0)
        for at in range(max(map(len, rows)))
    ]
    lines = []
    for row in rows:
        line = Text()
        for at, cell in enumerate(row):
            line.append_text(cell)
            if at < len(row) - 1:
                line.append(" " * (widths[at] - cell.cell_len + 1))
        lines.append(line)
    return lines
