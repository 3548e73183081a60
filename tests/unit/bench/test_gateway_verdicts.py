"""The gateway bench judges what it measured, by rates or by the core that each call took."""

import json
import re
import sys
from pathlib import Path

import pytest
from rich.console import Console

sys.path.insert(0, str(Path(__file__).resolve().parents[3]))

from bench.gateway.rounds import Figures, Round
from bench.gateway.table import Who, as_markdown, notes, show, verdicts


def figures(per_s: float, cpu_us: float) -> Figures:
    return Figures(per_s, cpu_us, p50_ms=1.0, p99_ms=9.0)


OURS = figures(6_000, 110)


def test_figures_are_the_medians_of_rounds() -> None:
    rounds = [Round(answered, 2.0, 1.0, 1.0, 2.0) for answered in (100, 200, 1_000)]
    found = Figures.of(rounds)
    assert found.per_s == 100
    assert found.cpu_us == 5_000


@pytest.mark.parametrize(
    ("who", "theirs", "met"),
    [
        (Who.LITELLM, figures(101, 6_600), True),
        (Who.LITELLM, figures(101, 6_599), False),
        (Who.X402, figures(151, 4_400), True),
        (Who.X402, figures(151, 4_399), False),
        (Who.PORTKEY, figures(751, 880), True),
        (Who.PORTKEY, figures(751, 879), False),
        (Who.NGINX, figures(48_001, 13.75), True),
        (Who.NGINX, figures(48_001, 13.74), False),
        # By rate, as far as the peer's core was busy.
        (Who.PORTKEY, figures(750, 1_100), True),
        (Who.NGINX, figures(48_000, 17), True),
        (Who.NGINX, figures(62_000, 13.7), False),
        (Who.NGINX, figures(48_000, 13.7), False),
        (Who.NGINX, figures(4_000, 13.7), False),
    ],
)
def test_a_goal_is_met_by_core_or_by_a_rate_that_counts(
    who: Who, theirs: Figures, met: bool
) -> None:
    (verdict,) = verdicts({Who.PAID: OURS, who: theirs}, rates=True)
    assert verdict.met is met


def test_on_one_core_rates_mean_nothing() -> None:
    both = {Who.PAID: figures(6_000, 160), Who.LITELLM: figures(100, 9_000)}
    assert [verdict.met for verdict in verdicts(both, rates=True)] == [True]
    assert [verdict.met for verdict in verdicts(both, rates=False)] == [False]


@pytest.mark.parametrize(("cpu_us", "met"), [(3_200, True), (3_300, False)])
def test_a_stream_is_held_to_nginxs_core(cpu_us: float, met: bool) -> None:
    found = {Who.STREAM_PAID: figures(100, cpu_us), Who.STREAM_NGINX: figures(120, 1_600)}
    (verdict,) = verdicts(found, rates=True)
    assert verdict.met is met


def test_a_peer_that_is_not_here_is_no_goal_met_and_none_missed() -> None:
    assert verdicts({Who.PAID: OURS}, rates=True) == []
    assert verdicts({Who.NGINX: OURS}, rates=True) == []


def test_the_table_names_the_versions_that_are_locked() -> None:
    locks = Path(__file__).resolve().parents[3] / "locks"
    folder = locks.parent / "bench" / "gateway" / "portkey"
    portkey = json.loads((folder / "package.json").read_text())["dependencies"]
    assert portkey["@portkey-ai/gateway"] in Who.PORTKEY
    for who, part in ((Who.LITELLM, "litellm"), (Who.X402, "x402")):
        lock = (locks / f"peer-{part}.txt").read_text()
        locked = re.search(rf"^{part}==(\S+)", lock, re.MULTILINE)
        assert locked is not None
        assert locked[1] in who


def test_both_outputs_show_figures_verdicts_and_notes(capsys: pytest.CaptureFixture[str]) -> None:
    found = {Who.PAID: OURS, Who.UNPAID: figures(9_000, 70), Who.NGINX: figures(70_000, 10)}
    judged, told = verdicts(found, rates=True), notes(found)
    show(Console(width=160), found, judged, told)
    for text in (capsys.readouterr().out, as_markdown(found, judged, told)):
        assert "6,000" in text
        assert "missed" in text
        assert "0.0909x by core" in text
        assert "found 6,000/s, p99 9.0 ms, 40 us" in text
