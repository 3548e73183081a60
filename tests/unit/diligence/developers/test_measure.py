"""The developers' metrics as the report asks for them: by a view, as of its block."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.unit.diligence.developers.repositories import DAY, NOW, Written

from tessera.diligence.developers import measure
from tessera.diligence.results import Status
from tessera.diligence.subject import Subject, read_about
from tessera.diligence.view import View
from tessera.facts import Facts, Head, Row, Transfers
from tessera.facts.memory import Memory

TOKEN, ZERO, HOLDER = "0x" + "1" * 40, "0x" + "0" * 40, "0x" + "a" * 40


def view_of(subject: Subject, *, repository: str | None = None, time: int = NOW) -> View:
    held = {TOKEN: Transfers.of(TOKEN, [Row(5, 1_000, 0, 0, ZERO, HOLDER, 7)])}
    facts = Facts(Memory(chain_id=1, newest=Head(9, time), held=held))
    return View(facts, subject, repository=repository)


@pytest.fixture
def about(tmp_path: Path) -> Subject:
    """A file that names a repository and what it forked, both relative to the file."""
    for name, commits in (("own", 3), ("up", 2)):
        written = Written(tmp_path / "code" / name)
        for number in range(commits):
            written.commit({"a.py": f"{number}\n"}, at=NOW - (70 - number) * DAY)
        written.save()
    file = tmp_path / "about.toml"
    file.write_text(f'token = "{TOKEN}"\nrepository = "code/own"\nupstreams = ["code/up"]\n')
    return read_about(file)


def test_names_in_the_file_start_from_the_file(about: Subject) -> None:
    found = {each.name: each for each in measure(view_of(about), clock=lambda: NOW)}
    assert found["fork_share"].value == pytest.approx(2 / 3)
    assert found["days_since_last"].value == 68


def test_nothing_after_the_block_is_seen(about: Subject) -> None:
    earlier = view_of(about, time=NOW - 69 * DAY)
    found = {each.name: each for each in measure(earlier, clock=lambda: NOW)}
    assert found["fork_share"].value == 1.0
    assert found["days_since_last"].status is Status.INSUFFICIENT


def test_what_the_analyst_names_goes_before_what_the_file_names(
    about: Subject, tmp_path: Path
) -> None:
    view = view_of(about, repository=str(tmp_path / "code" / "up"))
    found = {each.name: each for each in measure(view, clock=lambda: NOW)}
    assert found["fork_share"].value == 1.0


def test_a_token_without_a_repository_has_unknown_developers() -> None:
    found = measure(view_of(Subject(token=TOKEN)), clock=lambda: NOW)
    assert {each.status for each in found} == {Status.UNKNOWN}
