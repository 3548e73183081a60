"""Files that are there whole or not at all."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from tessera.errors import InputError
from tessera.storage.folders import write_whole


@pytest.mark.parametrize(("private", "modes"), [(True, (0o700, 0o600)), (False, (0o755, 0o644))])
def test_who_may_read_it(tmp_path: Path, private: bool, modes: tuple[int, int]) -> None:
    file = tmp_path / "folder" / "row.json"
    for data in (b"old", b"new"):
        write_whole(file, data, private=private)
        assert file.read_bytes() == data
    found = tuple(stat.S_IMODE(each.stat().st_mode) & ~0o022 for each in (file.parent, file))
    assert found == modes
    assert [each.name for each in file.parent.iterdir()] == ["row.json"]


def test_a_folder_that_is_none_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="written to"):
        write_whole(tmp_path / "file" / "row.json", b"")
