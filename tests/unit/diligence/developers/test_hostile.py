"""Repositories made to harm who looks at them: nothing of theirs runs, and nothing hangs."""

from __future__ import annotations

import hashlib
import os
import shutil
import struct
import threading
import time
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from tests.unit.diligence.developers.repositories import DAY, NOW, Written, run

from tessera.diligence.developers import Limits, measure_repository
from tessera.diligence.results import Metric, Status
from tessera.errors import InputError


def measured(where: Path | str, **options: object) -> dict[str, Metric]:
    return {
        metric.name: metric
        for metric in measure_repository(str(where), now=NOW, **options)  # type: ignore[arg-type]
    }


def why(found: dict[str, Metric]) -> str:
    """The one reason why nothing is known."""
    assert {metric.status for metric in found.values()} == {Status.UNKNOWN}
    (reason,) = {metric.text for metric in found.values()}
    return reason


@pytest.fixture
def written(tmp_path: Path) -> Written:
    made = Written(tmp_path / "r.git")
    for number in range(3):
        made.commit({"a.py": f"{number}\n"}, at=NOW - (60 - number) * DAY)
    made.save()
    return made


@pytest.mark.parametrize("bare", [True, False])
def test_nothing_that_a_repository_names_is_run(
    written: Written, tmp_path: Path, bare: bool
) -> None:
    """Git runs what a configuration names. The attacker names a program wherever one can be named.

    The control shows that the trap is set: plain git, asked for the same lines, runs it.
    """
    spoilt, canary = tmp_path / "spoilt", tmp_path / "canary"
    script = tmp_path / "evil.sh"
    script.write_text(f"#!/bin/sh\ntouch {canary}\ncat\n")
    script.chmod(0o755)
    run("clone", "-q", *(["--bare"] if bare else []), str(written.folder), "spoilt", cwd=tmp_path)
    inside = spoilt if bare else spoilt / ".git"
    (tmp_path / "included").write_text(f"[core]\n\teditor = {script}\n")
    with (inside / "config").open("a") as config:
        config.write(
            f"[include]\n\tpath = {tmp_path / 'included'}\n"
            f"[core]\n\tfsmonitor = {script}\n\thooksPath = {tmp_path}\n\tpager = {script}\n"
            f"\tsshCommand = {script}\n\talternateRefsCommand = {script}\n\tgitProxy = {script}\n"
            f"[pager]\n\tlog = {script}\n[alias]\n\tlog = !{script}\n\trev-list = !{script}\n"
            f'[diff]\n\texternal = {script}\n[diff "evil"]\n\ttextconv = {script}\n'
            f'\tcommand = {script}\n[filter "evil"]\n\tsmudge = {script}\n\tprocess = {script}\n'
            f"[gpg]\n\tprogram = {script}\n[log]\n\tshowSignature = true\n"
            f"[credential]\n\thelper = !{script}\n"
            f"[extensions]\n\tpartialClone = origin\n"
            f'[remote "origin"]\n\tpromisor = true\n\turl = ext::{script}\n'
            f"\tuploadpack = {script}\n"
            f"[protocol]\n\tallow = always\n"
            f'[protocol "ext"]\n\tallow = always\n'
        )
    (inside / "info").mkdir(exist_ok=True)
    (inside / "info" / "attributes").write_text("* diff=evil filter=evil\n")
    for hook in ("post-checkout", "reference-transaction", "pre-auto-gc", "fsmonitor-watchman"):
        shutil.copy(script, tmp_path / hook)
        (inside / "hooks").mkdir(exist_ok=True)
        shutil.copy(script, inside / "hooks" / hook)

    assert measured(spoilt)["churn_quality"].value == 1.0
    assert not canary.exists()

    run("log", "-p", cwd=spoilt)
    assert canary.exists()


def test_what_is_missing_is_not_fetched(written: Written, tmp_path: Path) -> None:
    """A partial copy: git would start the promisor's transport for each missing file."""
    canary = tmp_path / "canary"
    run("config", "uploadpack.allowFilter", "true", cwd=written.folder)
    url = f"file://{written.folder}"
    run("clone", "-q", "--bare", "--filter=blob:none", url, "part", cwd=tmp_path)
    part = tmp_path / "part"
    run("config", "remote.origin.url", f"ssh://h{tmp_path}/r", cwd=part)
    run("config", "core.sshCommand", f"touch {canary}; false", cwd=part)
    found = measured(part)
    assert not canary.exists()
    assert found["commits_month"].value == 0
    assert found["days_since_last"].value == 58
    for name in ("churn_quality", "doc_only_repo"):
        assert found[name].status is Status.UNKNOWN
        assert "partial" in found[name].text


def test_a_shallow_copy_says_so(written: Written, tmp_path: Path) -> None:
    run("clone", "-q", "--depth=1", f"file://{written.folder}", "cut", cwd=tmp_path)
    assert "--unshallow" in why(measured(tmp_path / "cut"))


def test_a_copy_whose_past_was_removed_says_so(written: Written, tmp_path: Path) -> None:
    """The attacker shortens a history and hides that: the file that says `shallow` is removed."""
    run("clone", "-q", "--depth=1", f"file://{written.folder}", "cut", cwd=tmp_path)
    (tmp_path / "cut" / ".git" / "shallow").unlink()
    assert "git rev-list failed" in why(measured(tmp_path / "cut"))


def test_an_empty_repository_has_insufficient_history_and_no_zero(tmp_path: Path) -> None:
    run("init", "-q", "empty", cwd=tmp_path)
    found = measured(tmp_path / "empty")
    assert {metric.status for metric in found.values()} == {Status.INSUFFICIENT}
    assert "no commit" in found["commits_month"].text


def test_a_folder_without_a_repository_is_refused(tmp_path: Path) -> None:
    for where in (tmp_path, tmp_path / "nowhere", tmp_path / "a\nb"):
        with pytest.raises(InputError, match="repository"):
            measured(where)


@pytest.mark.parametrize(
    "where",
    [
        "ext::sh -c touch% /tmp/x",
        "ssh://-oProxyCommand=touch/x",
        "--upload-pack=touch x",
        "-c core.pager=touch",
        "file:///nowhere",
        "fd::17/x",
        "ftp://host/x",
    ],
)
def test_a_name_that_is_an_option_or_a_helper_is_refused(where: str) -> None:
    with pytest.raises(InputError, match="repository"):
        measured(where)


@pytest.mark.parametrize("name", ["packed-refs", "refs/heads/main", "refs/tags/v1", "shallow"])
def test_a_pipe_in_place_of_a_file_does_not_hang(written: Written, name: str) -> None:
    """Reading a pipe that nobody writes to never ends."""
    place = written.folder / name
    place.parent.mkdir(parents=True, exist_ok=True)
    place.unlink(missing_ok=True)
    os.mkfifo(place)
    before = time.monotonic()
    measured(written.folder)
    assert time.monotonic() - before < 60


@pytest.mark.parametrize(
    "head",
    [
        "ref: refs/heads/../../../../../../etc/passwd",
        "ref: /etc/passwd",
        "ref: refs/heads/loop",
        "ref: --upload-pack=x",
        "--all",
        "\x1b[2J",
        "x" * 100_000,
        "f" * 40,
    ],
)
def test_a_head_that_leads_astray_is_unknown(written: Written, head: str) -> None:
    (written.folder / "HEAD").write_text(f"{head}\n")
    (written.folder / "refs" / "heads").mkdir(parents=True, exist_ok=True)
    (written.folder / "refs" / "heads" / "loop").write_text("ref: refs/heads/loop\n")
    said = why(measured(written.folder))
    assert "root:" not in said
    assert "\x1b" not in said


def test_what_cannot_be_opened_is_unknown(written: Written) -> None:
    """A link to itself: no file, and no sign that there is none."""
    (written.folder / "packed-refs").unlink(missing_ok=True)
    (written.folder / "packed-refs").symlink_to("packed-refs")
    assert "packed-refs" in why(measured(written.folder))


def test_git_that_hangs_is_ended(written: Written) -> None:
    """An index of a pack that is a pipe: git waits for it, until its time is over."""
    for pack in (written.folder / "objects" / "pack").glob("*.idx"):
        pack.unlink()
        os.mkfifo(pack)
    for loose in (written.folder / "objects").glob("??"):
        shutil.rmtree(loose)
    (written.folder / "objects" / "pack" / f"pack-{'0' * 40}.pack").write_bytes(b"PACK")
    os.mkfifo(written.folder / "objects" / "pack" / f"pack-{'0' * 40}.idx")
    assert "not done after 0.3 s" in why(measured(written.folder, limits=Limits(seconds=0.3)))


def test_a_tree_that_unfolds_into_millions_of_files_is_cut_off(tmp_path: Path) -> None:
    """Ten folders, each ten times the same folder: a kilobyte for ten thousand million."""
    folder = tmp_path / "bomb.git"
    run("init", "-q", "--bare", "-b", "main", str(folder), cwd=tmp_path)
    one = run("hash-object", "-w", "--stdin", cwd=folder, feed=b"x").decode().strip()
    kind = "100644 blob"
    for _ in range(10):
        listing = "".join(f"{kind} {one}\tn{number}\n" for number in range(10))
        one = run("mktree", cwd=folder, feed=listing.encode()).decode().strip()
        kind = "040000 tree"
    commit = run("commit-tree", one, cwd=folder, feed=b"m").decode().strip()
    run("update-ref", "refs/heads/main", commit, cwd=folder)
    # Git holds the list before it prints the first of it.
    limits = Limits(memory_bytes=96 << 20)
    found = measure_repository(str(folder), now=int(time.time()) + 1, limits=limits)
    assert "memory" in found[0].text


def test_a_history_that_prints_too_much_is_cut_off(written: Written) -> None:
    assert "more than 100 bytes printed" in why(
        measured(written.folder, limits=Limits(output_bytes=100))
    )


def test_a_giant_file_is_not_read_for_its_lines(tmp_path: Path) -> None:
    """8 MB of one letter pack into 8 kB; as source they would be compared line by line."""
    written = Written(tmp_path / "r.git")
    written.commit({"a.py": b"x\n" * (4 << 20), "b.py": "y\n"}, at=NOW - DAY)
    found = measured(written.save())
    assert found["churn_quality"].parts["median_lines"] == 1.0


def test_names_cannot_write_on_the_analysts_screen(tmp_path: Path) -> None:
    """Escape sequences in names of people, files and tags; a file called like a commit."""
    written = Written(tmp_path / "r.git")
    nasty = "\x1b[2J\x1b]0;x\x07\u202eevil"
    written.commit({"a\nb\x1b.py": "x\n", f":{'0' * 40}": "x\n"}, at=NOW - 50 * DAY, name=nasty)
    commit = written.commit({"b.py": "x\n"}, at=NOW - 49 * DAY, name=nasty)
    written.tag("v\u202e1", commit)
    found = measured(written.save())
    shown = "".join(
        metric.text + "".join(f"{each.what}{each.where}{each.value}" for each in metric.evidence)
        for metric in found.values()
    )
    assert "evil" in shown
    assert not {"\x1b", "\x07", "\u202e", "\n"} & set(shown)
    assert found["churn_quality"].value == 1.0


def test_a_replaced_commit_is_read_as_it_was_made(written: Written) -> None:
    """`refs/replace` shows another commit in the place of one; the attacker's is of today."""
    head = run("rev-parse", "HEAD", cwd=written.folder).decode().strip()
    made = run("commit-tree", "HEAD^{tree}", "-p", "HEAD~1", cwd=written.folder, feed=b"m")
    run("replace", head, made.decode().strip(), cwd=written.folder)
    assert measured(written.folder)["days_since_last"].value == 58


def test_a_false_commit_graph_is_not_believed(written: Written) -> None:
    """Git takes dates and parents from it where it is there, without looking at the commits.

    The attacker's says that all was done 40 days later, and has a checksum that is right.
    """
    run("commit-graph", "write", "--reachable", cwd=written.folder)
    file = written.folder / "objects" / "info" / "commit-graph"
    graph = bytearray(file.read_bytes())
    entries = {bytes(graph[at : at + 4]): at + 4 for at in range(8, 8 + 12 * graph[6], 12)}
    (at,) = struct.unpack_from(">Q", graph, entries[b"CDAT"])
    for place in range(at + 28, at + 28 + 36 * 3, 36):
        (when,) = struct.unpack_from(">Q", graph, place)
        struct.pack_into(">Q", graph, place, when + 40 * DAY)
    graph[-20:] = hashlib.sha1(graph[:-20]).digest()
    file.chmod(0o644)
    file.write_bytes(graph)
    then = NOW - 50 * DAY
    control = ("rev-list", "-1", f"--min-age={then}", "HEAD")
    assert run(*control, cwd=written.folder) == b""
    found = {each.name: each for each in measure_repository(str(written.folder), now=NOW, at=then)}
    assert found["days_since_last"].value == 8


def test_an_old_copy_does_not_say_what_was_done_lately(written: Written) -> None:
    """The attacker hands over an archive of the day after the last commit, dates of files kept.

    As of that day there was work the day before; since then there was none for two years.
    """
    assert measured(written.folder)["days_since_last"].value == 58
    then = NOW - 57 * DAY
    for file in (written.folder / "HEAD", written.folder / "packed-refs"):
        if file.exists():
            os.utime(file, (then, then))
    found = measured(written.folder)
    for name in ("days_since_last", "days_since_code", "commits_month", "release_age"):
        assert found[name].status is Status.UNKNOWN
        assert "57 days old" in found[name].text
    assert found["absence_factor"].value == 1
    # As of a moment when the copy was fresh it says all.
    fresh = {each.name: each for each in measure_repository(str(written.folder), now=NOW, at=then)}
    assert fresh["days_since_last"].value == 1


def test_a_worktree_and_a_submodules_link_are_followed(written: Written, tmp_path: Path) -> None:
    run("worktree", "add", "-q", str(tmp_path / "tree"), cwd=written.folder)
    assert measured(tmp_path / "tree")["days_since_last"].value == 58
    (tmp_path / "loop").mkdir()
    (tmp_path / "loop" / ".git").write_text("gitdir: ../loop\n")
    with pytest.raises(InputError, match="repository"):
        measured(tmp_path / "loop")


def test_a_tag_of_a_file_is_no_release(written: Written, tmp_path: Path) -> None:
    """Some projects tag a key: a name for a file, which leads to no commit."""
    run("tag", "key", "HEAD:a.py", cwd=written.folder)
    run("tag", "-a", "-m", "k", "signed-key", "HEAD:a.py", cwd=written.folder)
    run("tag", "v1", "HEAD", cwd=written.folder)
    release = measured(written.folder)["release_age"]
    assert (release.value, release.parts["tags"]) == (58, 1)
    own = Written(tmp_path / "own.git")
    own.commit({"own.py": "x\n"}, at=NOW - 50 * DAY)
    shared = measured(own.save(), upstreams=[str(written.folder)])["fork_share"]
    assert shared.value == 0.0


def test_a_repository_with_longer_hashes_is_read(tmp_path: Path) -> None:
    run("init", "-q", "--object-format=sha256", "long", cwd=tmp_path)
    (tmp_path / "long" / "a.py").write_text("x\n")
    run("add", ".", cwd=tmp_path / "long")
    run("commit", "-q", "-m", "m", cwd=tmp_path / "long")
    found = measure_repository(str(tmp_path / "long"), now=int(time.time()) + 1)
    assert {metric.name: metric.value for metric in found}["days_since_last"] == 0


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *arguments: object) -> None:
        """Say nothing."""


@pytest.fixture
def server(tmp_path: Path) -> Iterator[str]:
    """Serve the test's folder, as anybody can serve a bare repository."""
    listening = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Quiet, directory=str(tmp_path)))
    thread = threading.Thread(target=listening.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield f"http://127.0.0.1:{listening.server_port}"
    finally:
        listening.shutdown()
        thread.join()
        listening.server_close()


def test_a_repository_at_a_url_is_copied_whole_and_thrown_away(
    written: Written, server: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv("TMPDIR", str(tmp_path / "scratch"))
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "scratch"))
    (tmp_path / "scratch").mkdir()
    run("update-server-info", cwd=written.folder)
    found = measured(f"{server}/r.git")
    assert found["days_since_last"].value == 58
    assert found["churn_quality"].value == 1.0
    assert list((tmp_path / "scratch").iterdir()) == []
    assert "git clone failed" in why(measured(f"{server}/nowhere.git"))


def test_renames_in_a_partial_copy_do_not_end_the_history_early(
    written: Written, tmp_path: Path
) -> None:
    """Looking for renames reads files that a partial copy lacks: git stops where it meets one.

    On a real copy it printed 3,482 of 7,271 commits, and nothing about the rest.
    """
    for number in range(3):
        old, new = f"n{number}.py", f"n{number + 1}.py"
        body = "".join(f"{line}\n" for line in range(99))
        written.commit(
            {old: None, new: f"{body}{number}\n"}, at=NOW - (9 - number) * DAY,
            after="refs/heads/main^0" if number == 0 else None,
        )  # fmt: skip
    written.save()
    run("config", "uploadpack.allowFilter", "true", cwd=written.folder)
    url = f"file://{written.folder}"
    run("clone", "-q", "--bare", "--filter=blob:none", url, "part", cwd=tmp_path)
    part = tmp_path / "part"
    run("config", "remote.origin.url", str(tmp_path / "gone"), cwd=part)
    with pytest.raises(AssertionError, match="fatal"):
        run("log", "-M", "--name-only", cwd=part)
    found = measured(part)
    assert found["days_since_last"].value == 7
    assert found["doc_only_share"].parts["of"] == 6
