"""What is committed to lies on the disk before anything is sent, and survives whatever ends us."""

from __future__ import annotations

import multiprocessing
import os
import stat
from pathlib import Path

import pytest

from tessera.errors import DataError, InputError, NotFound
from tessera.validation.sealed import keep, kept, name_of
from tessera.validation.statements import SealedCount, Statement, Vote, fresh

NAME = name_of("vote", 31_337, "0x" + "Ab" * 20, 7, "0x" + "cD" * 20)
VOTE = Vote(b"\1" * 32, b"\2" * 32)


def test_what_is_kept_is_read_again_and_only_its_owner_can(tmp_path: Path) -> None:
    folder = tmp_path / "approvals"
    keep(folder, NAME, VOTE)
    assert NAME.startswith("vote-31337-abababababababab-7-cdcdcdcdcdcdcdcd-")
    assert kept(folder, NAME, Vote, "vote") == VOTE
    assert stat.S_IMODE((folder / NAME).stat().st_mode) == 0o600
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700


def test_matters_that_begin_alike_have_files_of_their_own() -> None:
    """An attacker grinds a round whose id begins as another's: one seals only the first of both."""
    ids = [bytes(8) + bytes([number]) * 24 for number in range(2)]
    assert len({name_of("statement", 1, "0x" + "ab" * 20, each) for each in ids}) == 2


def killed_while_writing(folder: Path) -> None:
    # As a kill between the write and the rename: the new file is there, its name is not.
    def die(*_: object) -> None:
        os._exit(9)

    Path.replace = die  # type: ignore[assignment, method-assign]
    keep(folder, NAME, Vote(b"\3" * 32, b"\4" * 32))


def test_a_kill_leaves_the_old_or_the_new_and_never_a_part(tmp_path: Path) -> None:
    """A validator whose salt is lost cannot reveal, so its bond is punished for silence."""
    keep(tmp_path, NAME, VOTE)
    child = multiprocessing.get_context("fork").Process(
        target=killed_while_writing, args=(tmp_path,)
    )
    child.start()
    child.join(30)
    assert child.exitcode == 9
    assert kept(tmp_path, NAME, Vote, "vote") == VOTE
    keep(tmp_path, NAME, VOTE)


@pytest.mark.parametrize("data", [b"", b"{", b"{}", b'{"choice":1,"salt":2}', b"[" * 10_000])
def test_a_damaged_file_is_an_error_that_names_it(tmp_path: Path, data: bytes) -> None:
    (tmp_path / NAME).write_bytes(data)
    with pytest.raises(DataError, match="vote"):
        kept(tmp_path, NAME, Vote, "vote")


def test_what_is_not_there_and_what_cannot_be_written_is_said(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="data folder"):
        kept(tmp_path, NAME, Vote, "vote")
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="written to"):
        keep(tmp_path / "file", NAME, VOTE)


def test_a_statement_and_a_count_are_the_same_trees_after_a_restart(tmp_path: Path) -> None:
    said = Statement(True, 850_000, fresh(), [(place, fresh(), fresh()) for place in range(200)])
    count = SealedCount(fresh(), [(fresh(), place % 3 == 0) for place in range(100)])
    for name, made in (("a.json", said), ("b.json", count)):
        keep(tmp_path, name, made)
    again = kept(tmp_path, "a.json", Statement, "statement")
    assert (again, again.tree.root) == (said, said.tree.root)
    assert again.shown(7) == (*said.outputs[7][1:], said.tree.proof(7))
    counted = kept(tmp_path, "b.json", SealedCount, "count")
    assert (counted.tree.root, counted.tree.correct) == (count.tree.root, 34)
