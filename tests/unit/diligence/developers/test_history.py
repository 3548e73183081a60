"""A history as it is read here, held against git asked about one commit at a time."""

from __future__ import annotations

import random
from pathlib import Path

from tests.unit.diligence.developers.repositories import DAY, NOW, Written, run

from tessera.diligence.developers.history import read_changes, read_history
from tessera.diligence.developers.paths import Kind, kind_of
from tessera.diligence.developers.people import is_bot, person, signers
from tessera.diligence.developers.repository import open_repository

HEX = "0" * 40
NAMES = [
    "a.py", "b.md", "d.csv", "e.yaml", "x y.py", "tab\there.py", "line\nbreak.py", '"quoted".py',
    f":100644 100644 {HEX} {HEX} M", HEX, f"{HEX}\n", "\n:x", "1\t2\ta.py", "-\t-\t", "-c", "--all",
    "ünï.py", "\x1b[2J.py", "\x01\x02", "dir/deep/er/f.rs", "back\\slash.py", ".mailmapx",
]  # fmt: skip


def test_odd_names_and_merges_are_read_as_git_has_them(tmp_path: Path) -> None:
    """File names that look like the next commit, like its entries, or like options."""
    dice = random.Random(3)
    written = Written(tmp_path / "r.git")
    written.commit({"a.py": "0\n"}, at=NOW - 90 * DAY)
    for number in range(40):
        files = {name: f"{number} {name}\n" * dice.randint(1, 3) for name in dice.sample(NAMES, 3)}
        if dice.random() < 0.15:
            files = {}
        side = dice.random() < 0.3
        branch = "side" if side else None
        after = ":1" if side else None
        merge = written.mark if dice.random() < 0.2 and number > 3 and not side else None
        written.commit(
            files, at=NOW - 80 * DAY + number * 3600, name=dice.choice(["A\tB", "é", "x"]),
            message=dice.choice(["m", f"{HEX}\n\n:100644", ""]),
            branch=branch, after=after, merge=merge,
        )  # fmt: skip
    folder = written.save()
    with open_repository(str(folder), now=NOW) as repository:
        history = read_history(repository)
        changes = read_changes(repository, [one.id for one in history.commits])
    listed = run("rev-list", "--no-merges", "--topo-order", "main", cwd=folder).decode().split()
    assert [one.id for one in history.commits] == listed
    assert history.merges == len(run("rev-list", "--merges", "main", cwd=folder).split())
    for one in history.commits:
        shown = run(
            "diff-tree", "-r", "--root", "--no-commit-id", "--name-only", "-z", one.id, cwd=folder
        )
        kinds = Kind.NONE
        for path in shown.split(b"\0")[:-1]:
            kinds |= kind_of(path)
        assert one.kinds == kinds
        counted = run(
            "diff-tree", "-r", "--root", "--no-commit-id", "--numstat", "-z", one.id, cwd=folder
        )
        lines = 0
        for entry in counted.split(b"\0")[:-1]:
            added, removed, path = entry.split(b"\t", 2)
            if kind_of(path) is Kind.SOURCE:
                lines += int(added) + int(removed)
        assert changes[one.id].lines == lines


def test_kinds_are_told_by_the_path() -> None:
    for path, kind in {
        "src/a.py": Kind.SOURCE,
        "contracts/Token.SOL": Kind.SOURCE,
        "docs/conf.py": Kind.DOCUMENTS,
        "LICENSE": Kind.DOCUMENTS,
        "readme": Kind.DOCUMENTS,
        "history.py": Kind.SOURCE,
        "img/logo.png": Kind.DOCUMENTS,
        "Makefile": Kind.INFRASTRUCTURE,
        ".github/workflows/a.py": Kind.INFRASTRUCTURE,
        "pyproject.toml": Kind.INFRASTRUCTURE,
        ".gitignore": Kind.INFRASTRUCTURE,
        "data/a.json": Kind.DATA,
        "notes.ipynb": Kind.DATA,
        "weights.safetensors": Kind.DATA,
        "node_modules/x/index.js": Kind.GENERATED,
        "package-lock.json": Kind.GENERATED,
        "a_pb2.py": Kind.GENERATED,
        "unheard.of": Kind.OTHER,
    }.items():
        assert kind_of(path.encode()) is kind, path


def test_programs_are_told_from_people() -> None:
    for name, mail in (
        ("dependabot[bot]", "x@y"), ("renovate-bot", "x@y"), ("GitHub Actions", "x@y"),
        ("x", "bot@y"),
        ("x", "41898282+github-actions[bot]@users.noreply.z"), ("Claude", "noreply@anthropic.com"),
        ("Copilot", "198982749+Copilot@users.noreply.z"), ("my bot", "x@y"), ("ci", "x@y"),
    ):  # fmt: skip
        assert is_bot(name, mail), name
    for name, mail in (
        ("Abbot Talbot", "abbot@y"), ("Claude Shannon", "c@y"), ("Cici", "cici@ci.example"),
        ("Devin Booker", "devin@y"), ("Robot Johnson", "r@y"), ("", ""),
        ("Elliot", "elliot@bot.example"),
    ):  # fmt: skip
        assert not is_bot(name, mail), name


def test_an_address_is_a_person() -> None:
    assert person(" Ann@X.Example ") == "ann@x.example"
    assert person("12+Ann@users.noreply.z") == person("ann@users.noreply.z")
    assert signers("A B <a@x>\x1f<c@x>\x1fnobody\x1fD <>") == [("A B", "a@x"), ("", "c@x")]
    assert len(signers("\x1f".join(["A <a@x>"] * 1000))) == 100
