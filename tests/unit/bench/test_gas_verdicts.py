"""The gas bench judges what it measured: a goal missed or not measured is named, and fails."""

import sys
from pathlib import Path

import pytest
from rich.console import Console

sys.path.insert(0, str(Path(__file__).resolve().parents[3]))

from bench.gas.goals import GOALS
from bench.gas.rows import Action, Goal, Row, per
from bench.gas.table import as_json, as_markdown, compare, missed_lines, show

GOAL = Goal(Action.CLAIM, 54_000)


def claim(warm: int) -> Row:
    return Row(Action.CLAIM, "Tessera", "Share.claim", "everything", warm)


def test_a_figure_at_the_goal_meets_it() -> None:
    assert missed_lines(compare([claim(54_000)], [], [], [GOAL])) == []


def test_a_figure_one_above_the_goal_names_its_row() -> None:
    (line,) = missed_lines(compare([claim(54_001)], [], [], [GOAL]))
    assert line == "goal missed: claim all history: found 54,001, wanted at most 54,000"


def test_only_the_first_of_several_ways_is_held_to_the_goal() -> None:
    assert missed_lines(compare([claim(53_000), claim(60_000)], [], [], [GOAL])) == []


def test_a_goal_that_nothing_was_measured_for_is_missed() -> None:
    (line,) = missed_lines(compare([], [], [], [GOAL]))
    assert "claim all history: found nothing measured" in line


def test_a_share_of_many_is_rounded_up() -> None:
    assert per(100, 1_900_000) == 19_000
    assert per(100, 1_900_001) == 19_001


def test_every_output_shows_ours_the_peer_and_the_goal(capsys: pytest.CaptureFixture[str]) -> None:
    peer = Row(Action.CLAIM, "PaymentSplitter", "release", "one payee", 57_000, 91_000)
    comparisons = compare([claim(53_000)], [peer], [], GOALS)
    show(Console(width=200), comparisons)
    (action,) = as_json(comparisons)["actions"]
    assert action["goal"] == 54_000
    assert action["met"] is True
    assert action["peers"][0]["first"] == 91_000
    for text in (capsys.readouterr().out, as_markdown(comparisons)):
        assert "53,000" in text
        assert "57,000" in text
        assert "54,000" in text
