"""The developers' metrics as the report asks for them: by a view, as of its block."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.unit.diligence.developers.repositories import DAY, NOW, Written

from tessera.bindings.registry import VersionReleased
from tessera.diligence.developers import measure
from tessera.diligence.results import Status
from tessera.diligence.subject import Subject, read_about
from tessera.diligence.view import View
from tessera.facts import Event, Facts, Head, Row, Transfers
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


def released(version: int, root: bytes, days: int, *, asset: int = 7) -> Event:
    return Event(
        block=version, time=NOW - days * DAY, tx=0, log=3, transaction="0x" + "9" * 64,
        address=HOLDER, event=VersionReleased(asset, version, root * 32, 0, ""),
    )  # fmt: skip


def test_a_version_on_the_chain_is_a_release_if_its_bytes_are_new() -> None:
    """An attacker releases an old root again each week, to look alive."""
    emitted = (
        released(1, b"a", 300),
        released(2, b"b", 200),
        released(3, b"a", 10),
        released(4, b"b", 3),
        released(5, b"c", 1, asset=8),
    )
    held = {TOKEN: Transfers.of(TOKEN, [Row(5, 1_000, 0, 0, ZERO, HOLDER, 7)])}
    facts = Facts(Memory(chain_id=1, newest=Head(9, NOW), held=held, emitted=emitted))
    view = View(facts, Subject(token=TOKEN, asset=7))
    found = {each.name: each for each in measure(view, clock=lambda: NOW)}
    release = found["release_age"]
    assert (release.value, release.parts["versions"]) == (200, 2)
    assert release.evidence[0].where == "block 2, log 3"
    assert found["commits_month"].status is Status.UNKNOWN
    other = View(facts, Subject(token=TOKEN, asset=9))
    assert {each.value for each in measure(other, clock=lambda: NOW)} == {None}


def test_a_newer_tag_goes_before_an_older_version(tmp_path: Path) -> None:
    written = Written(tmp_path / "r.git")
    written.tag("v1", written.commit({"a.py": "x\n"}, at=NOW - 50 * DAY))
    emitted = (released(1, b"a", 60),)
    held = {TOKEN: Transfers.of(TOKEN, [Row(5, 1_000, 0, 0, ZERO, HOLDER, 7)])}
    facts = Facts(Memory(chain_id=1, newest=Head(9, NOW), held=held, emitted=emitted))
    view = View(facts, Subject(token=TOKEN, asset=7), repository=str(written.save()))
    found = {each.name: each for each in measure(view, clock=lambda: NOW)}
    assert found["release_age"].evidence[0].what == "v1"
