"""Reports for tests: of one small token, with answers that a test chooses."""

from __future__ import annotations

from collections.abc import Iterable

from tessera.diligence.inquiry import Part, inquire
from tessera.diligence.report import Report
from tessera.diligence.results import Evidence, Flag, Metric, Severity, Status, Step
from tessera.diligence.subject import Subject
from tessera.diligence.token import DECIMALS, NAME, SYMBOL
from tessera.diligence.view import View
from tessera.facts import Facts, Head, Read, Row, Transfers
from tessera.facts.memory import Memory

TOKEN = "0x" + "1" * 40
HOLDER = "0x" + "a" * 40
ZERO = "0x" + "0" * 40
HOSTILE = "<script>alert(1)</script>\x1b[2J\u202e{{7*7}}\"'&[bold]"


def text_answer(text: str) -> bytes:
    """A `string` as a contract returns it."""
    said = text.encode()
    padded = said + bytes(-len(said) % 32)
    return (32).to_bytes(32, "big") + len(said).to_bytes(32, "big") + padded


def view_of(name: str = "Fetch", symbol: str = "FET", *, code: bytes | None = None) -> View:
    """A token of one holder."""
    answers = {
        (TOKEN, NAME): (Read(5, ok=True, answer=text_answer(name)),),
        (TOKEN, SYMBOL): (Read(5, ok=True, answer=text_answer(symbol)),),
        (TOKEN, DECIMALS): (Read(5, ok=True, answer=(18).to_bytes(32, "big")),),
    }
    source = Memory(
        chain_id=1,
        newest=Head(9, 1_700_000_000),
        held={TOKEN: Transfers.of(TOKEN, [Row(5, 1_600_000_000, 0, 0, ZERO, HOLDER, 7)])},
        answers=answers,
        codes={} if code is None else {TOKEN: ((1, code),)},
    )
    return View(Facts(source), Subject(token=TOKEN))


def answer(name: str, value: float | str | bool, step: Step = Step.DISTRIBUTION) -> Metric:
    """A metric that has a value."""
    said = f"{name} is so"
    proof = (Evidence("the largest holder", HOLDER, 10**30),)
    return Metric(
        name, step, value, "share", Status.OK, said, inputs_hash="ab" * 32, evidence=proof
    )


def flag_of(name: str, severity: Severity, text: str = "so it is") -> Flag:
    """A decided flag."""
    return Flag(name, f"title of {name}", severity, "decided", text, (Evidence("a slot", TOKEN),))


def report_of(
    metrics: Iterable[Metric] = (),
    flags: Iterable[Flag] = (),
    *,
    view: View | None = None,
    more: Iterable[Part] = (),
) -> Report:
    """An inquiry that answers this."""
    found = list(metrics)
    asked = [Part("all metrics", lambda _: found)]
    asked += [Part(flag.name, lambda _, flag=flag: flag, flag=flag.name) for flag in flags]
    return inquire(view or view_of(), asked=[*asked, *more])
