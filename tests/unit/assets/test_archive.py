"""A bundle travels as a tar that anybody can read, and that nobody can bend."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tessera.assets import (
    ArchiveInvalid,
    BundleDamaged,
    BundleInvalid,
    Store,
    export_bundle,
    import_bundle,
)
from tessera.assets.archive import _header, _headers
from tessera.errors import Conflict, NotFound

Make = Callable[..., Path]
MANIFEST = b"""\
name = "tiny"
title = "Tiny"
kind = "dataset"
version = "1.0.0"
licence = "CC0-1.0"
[price]
per_call = "0.001"
"""


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store")


def packed(*entries: tuple[bytes, bytes], end: bytes = bytes(1024)) -> bytes:
    """An archive of header bytes and contents."""
    return b"".join(head + data + bytes(-len(data) % 512) for head, data in entries) + end


def plain(path: str, data: bytes) -> tuple[bytes, bytes]:
    return _headers(path, len(data)), data


def refused(store: Store, tmp_path: Path, archive: bytes, **more: int) -> str:
    file = tmp_path / "bad.tar"
    file.write_bytes(archive)
    with pytest.raises((ArchiveInvalid, BundleInvalid)) as caught:
        import_bundle(store, file, **more)
    assert store.list() == ()
    assert [each.name for each in (tmp_path / "store").iterdir()] == [".lock"]
    return str(caught.value)


def test_a_bundle_survives_the_journey(store: Store, make_bundle: Make, tmp_path: Path) -> None:
    folder = make_bundle(
        {"caf\u00e9/\U0001f600": b"1", "long/" + "n" * 200: b"2", "a" * 100: b"3", "z" * 101: b"4"}
    )
    added = store.add(folder)
    first, second = tmp_path / "one.tar", tmp_path / "two.tar"
    export_bundle(store, added.root, first)
    other = Store(tmp_path / "other")
    assert import_bundle(other, first, known={added.root}).root == added.root
    other.open_verified(added.root)
    export_bundle(other, added.root, second)
    assert first.read_bytes() == second.read_bytes()
    with tarfile.open(first) as tar:
        found = {each.name: tar.extractfile(each).read() for each in tar}
    assert found == {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


@given(
    # No path of a bundle ends with a slash; tarfile cuts some of them off, and reads a folder.
    st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=300).filter(
        lambda path: not path.endswith("/")
    ),
    st.integers(0, 1 << 50),
)
def test_headers_mean_to_tarfile_what_they_mean_to_us(path: str, size: int) -> None:
    with tarfile.open(fileobj=io.BytesIO(_headers(path, size)), mode="r|") as tar:
        member = tar.next()
    assert member is not None
    assert (member.name, member.size, member.isreg()) == (path, size, True)


def test_nothing_is_overwritten_or_half_written(store: Store, bundle: Path, tmp_path: Path) -> None:
    added = store.add(bundle)
    target = tmp_path / "out" / "one.tar"
    target.parent.mkdir()
    target.write_text("mine")
    with pytest.raises(Conflict):
        export_bundle(store, added.root, target)
    assert target.read_text() == "mine"
    target.unlink()
    (added.path / "empty").chmod(0o644)
    (added.path / "empty").write_text("x")
    with pytest.raises(BundleDamaged):
        export_bundle(store, added.root, target)
    assert list(target.parent.iterdir()) == []
    with pytest.raises(NotFound):
        import_bundle(store, tmp_path / "absent.tar")


@pytest.mark.parametrize(
    ("path", "why"),
    [
        ("../outside", "leaves the folder"),
        ("/etc/cron.d/x", "is absolute"),
        ("a/../../x", "leaves the folder"),
        ("cafe\u0301", "not in NFC"),
        ("a\\b", "backslash"),
    ],
)
def test_attack_path_traversal_is_refused(
    store: Store, tmp_path: Path, path: str, why: str
) -> None:
    """The oldest trick with archives ("zip slip"): a member that unpacks outside the folder."""
    assert why in refused(store, tmp_path, packed(plain(path, b"x")))
    assert not (tmp_path / "outside").exists()


@pytest.mark.parametrize("kind", [b"1", b"2", b"3", b"5", b"6", b"L", b"g", b"\0"])
def test_attack_links_and_devices_are_refused(store: Store, tmp_path: Path, kind: bytes) -> None:
    """A link `data -> /etc`, then a file `data/passwd`: each entry is harmless, both are not."""
    link = bytearray(_header(b"data", 0, kind))
    link[157:161] = b"/etc"
    assert "bundle archive" in refused(
        store, tmp_path, packed((bytes(link), b""), plain("data/passwd", b"x"))
    )


def test_attack_entries_that_two_readers_read_differently_are_refused(
    store: Store, tmp_path: Path
) -> None:
    """Whoever checks and whoever unpacks must see one file: no second size, name, owner or tail."""
    good = packed(plain("a", b"x"), plain("tessera.toml", MANIFEST))
    head, data = plain("a", b"x")
    cases = {
        "owner": packed((head[:108] + b"0001000\0" + head[116:], data)),
        "checksum": packed((head[:148] + b"000000\0 " + head[156:], data)),
        "slack": good.replace(b"x" + bytes(511), b"x" + b"y" * 511),
        "tail": good + b"x",
        "padding": good + bytes(512),
        "cut": good[:-600],
        "cut in a file": good[:512],
        "empty": b"",
        "text": b"hello " * 500,
        "no end": packed(plain("a", b"x"), end=b""),
    }
    assert good.count(b"x" + bytes(511)) == 1
    for name, archive in cases.items():
        assert "bundle archive" in refused(store, tmp_path, archive), name


def test_attack_sizes_and_counts_are_bounded(store: Store, tmp_path: Path) -> None:
    """A header may promise a petabyte, or an extended header that fills the reader's memory."""
    assert "at most" in refused(store, tmp_path, packed((_headers("a", 1 << 50), b"")))
    assert "extended header" in refused(
        store, tmp_path, packed((_header(b"pax-header", 1 << 32, b"x"), b""))
    )
    bad_record = b"9999 path=x\n"
    assert "extended header" in refused(
        store,
        tmp_path,
        packed((_header(b"pax-header", len(bad_record), b"x"), bad_record), plain("a", b"x")),
    )
    archive = packed(plain("a", bytes(100)), plain("tessera.toml", MANIFEST))
    assert "at most" in refused(store, tmp_path, archive, max_bytes=99)


def test_files_that_clash_or_are_no_bundle_are_refused(store: Store, tmp_path: Path) -> None:
    manifest = plain("tessera.toml", MANIFEST)
    assert "both file and folder" in refused(
        store, tmp_path, packed(plain("a", b"x"), plain("a/b", b"x"), manifest)
    )
    assert "out of order" in refused(store, tmp_path, packed(manifest, plain("a", b"x")))
    assert "out of order" in refused(store, tmp_path, packed(plain("a", b""), plain("a", b"")))
    assert "tessera.toml" in refused(store, tmp_path, packed(plain("a", b"x")))
    assert "never enter a bundle" in refused(
        store, tmp_path, packed(plain(".git/config", b"x"), manifest)
    )
    assert "file systems" in refused(
        store, tmp_path, packed(plain("A", b"x"), plain("a", b"x"), manifest)
    )


def test_another_root_than_expected_is_refused(store: Store, bundle: Path, tmp_path: Path) -> None:
    archive = tmp_path / "a.tar"
    export_bundle(store, store.add(bundle).root, archive)
    other = Store(tmp_path / "other")
    with pytest.raises(ArchiveInvalid, match="content root"):
        import_bundle(other, archive, known=[bytes(32)])
    assert other.list() == ()
