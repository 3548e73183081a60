"""The fourth step's metrics on real repositories, honest ones and ones made to look alive."""

from __future__ import annotations

import shutil
from dataclasses import replace
from datetime import UTC, datetime
from fractions import Fraction
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.diligence.developers.repositories import DAY, NOW, Written

from tessera.diligence.developers import NAMES, measure_repository
from tessera.diligence.developers.activity import absence_factor
from tessera.diligence.results import Metric, Status
from tessera.diligence.thresholds import judge

OCTOBER = int(datetime(2026, 10, 1, tzinfo=UTC).timestamp())


def measured(folder: Path, *, at: int = NOW, upstreams: tuple[Path, ...] = ()) -> dict[str, Metric]:
    found = measure_repository(
        str(folder), now=NOW, at=at, upstreams=[str(upstream) for upstream in upstreams]
    )
    assert [metric.name for metric in found] == list(NAMES)
    return {metric.name: metric for metric in found}


@pytest.fixture(scope="module")
def lively(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four people, a bot, documents, data, configuration, a merge and three tags."""
    written = Written(tmp_path_factory.mktemp("lively") / "r.git")
    first = written.commit({"a.py": "x = 1\n", "README.md": "hello\n"}, at=OCTOBER - 100 * DAY)
    written.tag("v1", first, at=OCTOBER - 99 * DAY)
    people = [("Ann", "ann@x.example"), ("Ben", "ben@x.example"), ("Cy", "cy@x.example")]
    for number in range(12):
        name, mail = people[number % 3]
        written.commit(
            {"a.py": f"x = {number}\ny = 2\n"}, at=OCTOBER + number * DAY, name=name, mail=mail
        )
    written.commit(
        {"b.py": "z = 3\n"},
        at=OCTOBER + 13 * DAY,
        authored=OCTOBER - 60 * DAY,
        message="work\n\nCo-authored-by: Dee <dee@x.example>\n"
        "Co-authored-by: Claude <noreply@anthropic.com>",
    )
    written.commit({"docs/guide.md": "g\n"}, at=OCTOBER + 14 * DAY)
    written.commit({"data/prices.csv": "1,2\n"}, at=OCTOBER + 15 * DAY)
    written.commit({".github/workflows/ci.yml": "on: push\n"}, at=OCTOBER + 16 * DAY)
    written.commit(
        {"requirements.txt": "numpy\n"}, at=OCTOBER + 17 * DAY,
        name="dependabot[bot]", mail="49699333+dependabot[bot]@users.noreply.example",
    )  # fmt: skip
    side = written.commit({"c.py": "s\n"}, at=OCTOBER + 18 * DAY, branch="side", after=f":{first}")
    last = written.commit({}, at=OCTOBER + 19 * DAY, merge=side)
    written.tag("v2", last)
    newest = written.commit({"README.md": "hello again\n"}, at=NOW - 3 * DAY)
    written.tag("v3", newest, at=NOW - 2 * DAY)
    return written.save()


def test_people_are_counted_and_programs_are_not(lively: Path) -> None:
    found = measured(lively)
    month = found["commits_month"]
    # 12 + co-authored + document + data + configuration + the side branch's; no bot and no merge.
    assert month.value == 17
    assert month.parts["merges_left_out"] == 1
    assert month.parts["bots_left_out"] == 1
    assert month.parts["author_date_over_30_days_off"] == 1
    assert found["authors_month"].value == 5  # publisher, three people, and one by trailer
    assert found["authors_month"].parts["only_co_authors"] == 1
    assert found["absence_factor"].value == 2
    assert found["bot_share"].value == pytest.approx(1 / 20)


def test_what_a_commit_touches_decides_its_kind(lively: Path) -> None:
    found = measured(lively)
    assert found["doc_only_share"].value == pytest.approx(2 / 19)
    assert found["data_only_share"].value == pytest.approx(1 / 19)
    assert found["infra_only_share"].value == pytest.approx(1 / 19)
    assert found["doc_only_repo"].value is False
    assert found["days_since_last"].value == 3
    assert found["days_since_code"].value == (NOW - OCTOBER) // DAY - 18
    # Of 19 of people, four touch no source; the side branch's is one.
    assert found["churn_quality"].value == pytest.approx(15 / 19)


def test_a_tag_without_new_source_is_no_release(lively: Path) -> None:
    release = measured(lively)["release_age"]
    assert release.value == (NOW - OCTOBER) // DAY - 19
    assert release.evidence[0].what == "v2"
    assert (release.parts["releases"], release.parts["tags"]) == (2, 3)


def test_the_past_does_not_see_what_came_after(lively: Path, tmp_path: Path) -> None:
    """All metrics of an earlier moment are the same with and without the commits made since."""
    later = Written(tmp_path / "later.git")
    shutil.copytree(lively, later.folder)
    later.mark = 100
    for number in range(5):
        commit = later.commit(
            {f"future{number}.md": "f\n", ".mailmap": "Ann <ann@x.example> <ben@x.example>\n"},
            at=NOW - number * 3600,
            message=f"{number}\n\nCo-authored-by: N <n{number}@x>",
            after="refs/heads/main^0" if number == 0 else None,
        )
        later.tag(f"w{number}", commit)
    later.save()
    at = NOW - DAY
    assert _plain(measured(lively, at=at)) == _plain(measured(later.folder, at=at))


def _plain(metrics: dict[str, Metric]) -> list[Metric]:
    """All but when the copy was made."""
    return [
        replace(each, parts={k: v for k, v in each.parts.items() if k != "snapshot_time"})
        for each in metrics.values()
    ]


def test_stuffing_with_data_by_one_author_fails_although_it_passes_fifty_commits(
    tmp_path: Path,
) -> None:
    """The story of a repository with 5,273 commits in a month: one author, and only data files.

    It passes "at least 50 commits a month". It must fail on its one author and on its source.
    """
    written = Written(tmp_path / "r.git")
    written.commit({"run.py": "print()\n"}, at=OCTOBER - 40 * DAY)
    for number in range(300):
        written.commit({"data/day.csv": f"{number}\n"}, at=OCTOBER + number * 8000)
    found = measured(written.save())
    assert found["commits_month"].value == 300
    assert found["authors_month"].value == 1
    assert found["data_only_share"].value == pytest.approx(300 / 301)
    assert found["churn_quality"].value == pytest.approx(1 / 301)
    assert found["churn_quality"].parts["same_files_share"] == pytest.approx(300 / 301)
    fired = {finding.limit.name for finding in judge(found.values()) if finding.fired}
    assert {"authors_month", "source_churn"} <= fired
    assert "commits_month" not in fired


def test_work_that_is_done_and_undone_counts_as_no_change(tmp_path: Path) -> None:
    """A script that adds a line, takes it away and adds it again: each commit has lines."""
    written = Written(tmp_path / "r.git")
    written.commit({"a.py": "x\n"}, at=OCTOBER)
    for number in range(20):
        written.commit({"a.py": "x\ny\n" if number % 2 == 0 else "x\n"}, at=OCTOBER + number * DAY)
    churn = measured(written.save())["churn_quality"]
    assert churn.value == pytest.approx(2 / 21)
    assert churn.parts["back_to_before"] == 19


def test_white_space_and_others_code_are_no_source(tmp_path: Path) -> None:
    written = Written(tmp_path / "r.git")
    written.commit({"a.py": "x = 1\ny = 2\n"}, at=OCTOBER)
    written.commit({"a.py": "x  =  1\n\n\ny = 2  \n"}, at=OCTOBER + 1)
    written.commit({"vendor/lib.py": "lots\n"}, at=OCTOBER + 2)
    written.commit({"poetry.lock": "lots\n"}, at=OCTOBER + 3)
    written.commit({"app.min.js": "lots\n"}, at=OCTOBER + 4)
    churn = measured(written.save())["churn_quality"]
    assert churn.parts["commits"] == 1
    assert churn.parts["of"] == 5


def test_commits_from_the_future_do_not_make_an_abandoned_repository_fresh(tmp_path: Path) -> None:
    """An attacker dates commits after the day of the copy, or out of any calendar."""
    written = Written(tmp_path / "r.git")
    written.commit({"a.py": "x\n"}, at=NOW - 400 * DAY)
    written.commit({"a.py": "y\n"}, at=NOW + 300 * DAY)
    written.commit({"a.py": "z\n"}, at=NOW - 399 * DAY)
    written.commit({"a.py": "w\n"}, at=99_999_999_999_999)
    found = measured(written.save())
    assert found["days_since_last"].value == 399
    assert found["commits_month"].value == 0
    assert found["commits_month"].parts["postdated_left_out"] == 1
    assert "falsely" in found["commits_month"].text


def test_a_mailmap_hides_no_program(tmp_path: Path) -> None:
    """An attacker's mailmap gives the bot a person's name."""
    written = Written(tmp_path / "r.git")
    written.commit({"a.py": "x\n", ".mailmap": "Ann <ann@x> <bot@ci.example>\n"}, at=OCTOBER)
    for number in range(5):
        written.commit(
            {"a.py": f"{number}\n"}, at=OCTOBER + number, name="ci", mail="bot@ci.example"
        )
    assert measured(written.save())["commits_month"].value == 1


def test_one_person_with_several_addresses_is_one(tmp_path: Path) -> None:
    written = Written(tmp_path / "r.git")
    mails = [
        "77+ann@users.noreply.host.example", "Ann@Users.Noreply.host.example",
        "ann@home.example", "ann@work.example",
    ]  # fmt: skip
    mailmap = "Ann <ann@home.example> <ann@work.example>\n"
    written.commit({".mailmap": mailmap}, at=OCTOBER)
    for number, mail in enumerate(mails):
        written.commit({"a.py": f"{number}\n"}, at=OCTOBER + number, name="Ann", mail=mail)
    assert measured(written.save())["authors_month"].value == 3  # publisher, and Ann at two hosts


def test_a_fork_is_not_paid_for_what_it_inherited(tmp_path: Path) -> None:
    """By hash, by patch after a rebase, and by files where history was thrown away."""
    upstream = Written(tmp_path / "up.git")
    for number in range(10):
        upstream.commit({f"f{number}.py": f"{number}\n" * 9}, at=OCTOBER + number * DAY)
    upstream.tag("v1", 10)
    upstream.save()

    fork = Written(tmp_path / "fork.git")
    shutil.copytree(upstream.folder, fork.folder)
    fork.mark = 10
    fork.commit({"own.py": "1\n"}, at=OCTOBER + 20 * DAY, after=":10")
    found = measured(fork.save(), upstreams=(upstream.folder,))
    assert found["fork_share"].value == pytest.approx(10 / 11)
    assert found["commits_month"].value == 1
    assert found["release_age"].status is Status.INSUFFICIENT  # the tag is upstream's

    rebased = Written(tmp_path / "rebased.git")
    rebased.commit({"LICENSE": "l\n"}, at=OCTOBER)
    for number in range(10):
        rebased.commit(
            {f"f{number}.py": f"{number}\n" * 9}, at=OCTOBER + number * DAY, mail="thief@x"
        )
    found = measured(rebased.save(), upstreams=(upstream.folder,))
    assert found["fork_share"].parts["by_patch"] == 10
    assert found["commits_month"].value == 1

    squashed = Written(tmp_path / "squashed.git")
    squashed.commit(
        {f"f{number}.py": f"{number}\n" * 9 for number in range(10)} | {"g.py": "g\n"}, at=OCTOBER
    )
    shared = measured(squashed.save(), upstreams=(upstream.folder,))["fork_share"]
    assert (shared.value, shared.parts["files"], shared.parts["of_files"]) == (0.0, 10, 11)
    assert "91% of today's source files" in shared.text


def test_a_repository_of_documents_is_said_to_be_one(tmp_path: Path) -> None:
    written = Written(tmp_path / "r.git")
    written.commit({"README.md": "soon\n", "logo.png": b"\x89", "empty.py": ""}, at=OCTOBER)
    found = measured(written.save())
    assert found["doc_only_repo"].value is True
    assert found["churn_quality"].value == 0.0
    fired = {finding.limit.name for finding in judge(found.values()) if finding.fired}
    assert "no_source" in fired


def test_no_repository_is_unknown_and_no_zero() -> None:
    found = measure_repository(None, now=NOW)
    assert {metric.status for metric in found} == {Status.UNKNOWN}
    assert {metric.value for metric in found} == {None}


@given(st.lists(st.integers(1, 1000), min_size=1, max_size=20))
def test_absence_factor_is_the_least_number_that_reaches_half(work: list[int]) -> None:
    done = {str(number): Fraction(each) for number, each in enumerate(work)}
    count = absence_factor(done)
    most = sorted(work, reverse=True)
    assert 2 * sum(most[:count]) >= sum(work) > 2 * sum(most[: count - 1])
