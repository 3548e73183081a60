"""A folder is checked as a whole, and nothing outside it is ever read."""

from __future__ import annotations

import hashlib
import os
import re
import socket
import time
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import pytest
import reference_root

from tessera.assets import BundleChanged, BundleInvalid, Kind, init_bundle, validate
from tessera.assets.content import CHUNK_SIZE, measure
from tessera.assets.folder import Folder, Ignore
from tessera.assets.paths import MAX_DEPTH
from tessera.errors import Conflict, InputError, NotFound

Make = Callable[..., Path]


def refused(folder: Path, **more: int) -> str:
    with pytest.raises(BundleInvalid) as caught:
        validate(folder, **more)
    return str(caught.value)


def test_a_bundle_has_the_root_of_its_files(bundle: Path) -> None:
    validated = validate(bundle)
    files = {
        path.relative_to(bundle).as_posix(): path.read_bytes()
        for path in bundle.rglob("*")
        if path.is_file()
    }
    assert validated.root == reference_root.content_root(files)
    assert [file.path for file in validated.files] == ["data/big.bin", "empty", "tessera.toml"]
    assert validated.size == sum(len(data) for data in files.values())


def test_modes_times_and_empty_folders_do_not_matter(bundle: Path) -> None:
    before = validate(bundle).root
    (bundle / "empty").chmod(0o755)
    os.utime(bundle / "empty", (1, 1))
    (bundle / "hollow").mkdir()
    assert validate(bundle).root == before


def test_junk_and_excluded_files_stay_out(make_bundle: Make) -> None:
    plain = validate(make_bundle({"a": "1"}, name="plain"))
    junk = make_bundle(
        {"a": "1", ".git/config": "x", "src/__pycache__/m.pyc": "x", ".env": "KEY", "b~": "x"},
        name="junk",
    )
    assert validate(junk).root == plain.root
    excluded = make_bundle(
        {"a": "1", "notes/deep/x": "1", "keep/notes.txt": "1", "big.tmp": "1"},
        name="excluded",
    )
    manifest = excluded / "tessera.toml"
    manifest.write_text('exclude = ["notes", "*.tmp", "keep/*"]\n' + manifest.read_text())
    assert [file.path for file in validate(excluded).files] == ["a", "tessera.toml"]


def test_a_pattern_with_a_slash_is_about_the_whole_path() -> None:
    ignore = Ignore(("data/raw", "*.log"))
    assert ignore.matches("data/raw")
    assert not ignore.matches("other/data/raw")
    assert ignore.matches("deep/in/x.log")


def test_every_problem_of_the_folder_is_told_at_once(make_bundle: Make) -> None:
    wrong = "00" * 32
    folder = make_bundle(
        {"data.csv": "1", ".env": "x", "Model": "1", "model": "2"},
        more='[provenance]\ntraining_log = "absent.log"\nfile = ".env"\n'
        f'[hashes]\n"data.csv" = "{wrong}"\n"dta.csv" = "{wrong}"\n',
    )
    (folder / "link").symlink_to("/etc/passwd")
    os.mkfifo(folder / "pipe")
    (folder / os.fsdecode(b"bad\xff")).write_text("x")
    (folder / "new\nline").write_text("x")
    message = refused(folder)
    for part in (
        "absent.log, which is not there",
        ".env, which is left out of the bundle",
        "dta.csv, which is not there, wanted a file of the bundle; did you mean 'data.csv'?",
        "link: found a symbolic link",
        "pipe: found a named pipe",
        "is not valid UTF-8",
        r"new\u000aline",
        "equals 'Model' on some file systems",
    ):
        assert part in message, part
    assert "8 problems" in message


def test_a_wrong_hash_names_both(make_bundle: Make) -> None:
    folder = make_bundle({"a.csv": "1"}, more=f'[hashes]\n"a.csv" = "{bytes(32).hex()}"\n')
    message = refused(folder)
    assert hashlib.sha256(b"1").hexdigest() in message
    assert "restore the file, or correct the hash" in message


def test_evidence_files_are_hashed(make_bundle: Make) -> None:
    digest = hashlib.sha256(b"log").hexdigest()
    folder = make_bundle(
        {"log": "log"},
        more='[[contributors]]\nname = "lab"\nrole = "data"\nweight = 10000\n'
        f'evidence = {{ file = "log", sha256 = "{digest}" }}\n',
    )
    assert validate(folder).manifest.contributors[0].evidence.sha256 == bytes.fromhex(digest)


def test_names_in_nfd_are_hashed_in_nfc(make_bundle: Make) -> None:
    composed = validate(make_bundle({"caf\u00e9/x": "1"}, name="one"))
    decomposed = validate(make_bundle({"cafe\u0301/x": "1"}, name="two"))
    assert composed.root == decomposed.root


def test_two_spellings_of_one_name_are_refused(make_bundle: Make) -> None:
    assert "equals" in refused(make_bundle({"caf\u00e9": "1", "cafe\u0301": "1"}))


def test_special_files_and_deep_folders_are_refused(make_bundle: Make) -> None:
    folder = make_bundle()
    deep = folder.joinpath(*["d"] * MAX_DEPTH)
    deep.mkdir(parents=True)
    (deep / "x").write_text("1")
    # Bound by a relative name: a socket's path may only be 107 bytes long.
    with socket.socket(socket.AF_UNIX) as endpoint:
        here = Path.cwd()
        os.chdir(folder)
        try:
            endpoint.bind("socket")
        finally:
            os.chdir(here)
        message = refused(folder)
    assert "a folder too deep" in message
    assert "socket: found a socket" in message


def test_a_missing_or_odd_folder_is_refused(tmp_path: Path, make_bundle: Make) -> None:
    with pytest.raises(NotFound):
        validate(tmp_path / "absent")
    (tmp_path / "file").write_text("x")
    with pytest.raises(InputError):
        validate(tmp_path / "file")
    (tmp_path / "bare").mkdir()
    assert "a manifest at the top of the folder" in refused(tmp_path / "bare")
    assert "at most 10" in refused(make_bundle({"big": "x" * 11}), max_bytes=10)


def test_the_manifest_cannot_be_a_link_or_excluded(make_bundle: Make, tmp_path: Path) -> None:
    folder = make_bundle()
    manifest = folder / "tessera.toml"
    text = manifest.read_text()
    manifest.write_text('exclude = ["*.toml"]\n' + text)
    assert "leaves out tessera.toml itself" in refused(folder)
    manifest.unlink()
    (tmp_path / "elsewhere.toml").write_text(text)
    manifest.symlink_to(tmp_path / "elsewhere.toml")
    assert "tessera.toml: found a symbolic link" in refused(folder)
    manifest.unlink()
    os.mkfifo(manifest)
    assert "tessera.toml: found a named pipe" in refused(folder)


def test_attack_symlinked_folder_leads_nowhere(make_bundle: Make, tmp_path: Path) -> None:
    """A stranger's bundle holds `data -> /home/operator/.ssh`; hashing it would publish keys."""
    (tmp_path / "secrets").mkdir()
    (tmp_path / "secrets" / "id").write_text("key")
    folder = make_bundle()
    (folder / "data").symlink_to(tmp_path / "secrets")
    assert "data: found a symbolic link" in refused(folder)


@pytest.mark.parametrize("swapped", ["file", "folder"])
def test_attack_symlink_swap_after_listing_is_seen(
    make_bundle: Make, tmp_path: Path, swapped: str
) -> None:
    """The check passes, then the attacker swaps the file, or its folder, for a link to a secret.

    Every name is opened with O_NOFOLLOW from its directory's descriptor, so the second look fails.
    """
    (tmp_path / "secrets").mkdir()
    (tmp_path / "secrets" / "x").write_text("1")
    folder = make_bundle({"data/x": "1"})
    with Folder(folder) as opened:
        listing = opened.list()
        if swapped == "file":
            (folder / "data" / "x").unlink()
            (folder / "data" / "x").symlink_to(tmp_path / "secrets" / "x")
        else:
            (folder / "data").rename(tmp_path / "away")
            (folder / "data").symlink_to(tmp_path / "secrets")
        with pytest.raises(BundleChanged):
            measure(opened.pieces(listing.files))


@pytest.mark.parametrize("change", ["grow", "rewrite", "vanish", "pipe"])
def test_a_file_that_changes_meanwhile_is_refused(make_bundle: Make, change: str) -> None:
    folder = make_bundle({"big": bytes(3 * CHUNK_SIZE)})
    target = folder / "big"

    def meddle(done: int, _total: int) -> None:
        if done != CHUNK_SIZE:
            return
        if change == "grow":
            with target.open("ab") as file:
                file.write(b"x")
        elif change == "rewrite":
            with target.open("r+b") as file:
                file.write(b"x")
        elif change == "vanish":
            (folder / "tessera.toml").unlink()
        else:
            (folder / "tessera.toml").unlink()
            os.mkfifo(folder / "tessera.toml")

    time.sleep(0.02)  # past the clock tick of the last write, as any real change is
    with pytest.raises(BundleChanged):
        validate(folder, progress=meddle)


def test_a_manifest_swapped_after_it_was_read_is_refused(make_bundle: Make) -> None:
    folder = make_bundle({"big": bytes(CHUNK_SIZE)})
    manifest = folder / "tessera.toml"
    text = manifest.read_text()

    def meddle(done: int, _total: int) -> None:
        if done == CHUNK_SIZE:
            manifest.write_text(text.replace("0.001", "0.009"))

    with pytest.raises(BundleChanged, match="other contents"):
        validate(folder, progress=meddle)


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        (b"x = '" + b"a" * 100_000 + b"'", "100006 bytes"),
        (b".".join([b"a"] * 30_000) + b" = 1", "dotted parts"),
        (b"[" + b".".join([b"a"] * 30_000) + b"]", "dotted parts"),
        (b"x = { " + b" . ".join([b'"\\""'] * 8_000) + b" = 1 }", "dotted parts"),
        (b"x = " + b"[" * 60_000, "nested too deeply|broken TOML"),
        # Which of the two it is depends on the recursion limit of the process.
        (b"x = " + b"{a=" * 20_000, "nested too deeply|broken TOML"),
        (b"a" * 60_000, "broken TOML"),
        (b'"' * 60_001, "broken TOML"),
    ],
)
def test_attack_toml_bomb_is_refused_at_once(make_bundle: Make, text: bytes, wanted: str) -> None:
    """80 kB of `a.a.a` keep the standard TOML reader busy for half a minute; `[[[[` exhausts it.

    A gateway that lists bundles of strangers would stand still. Such names and sizes are refused
    before the reader sees them.
    """
    folder = make_bundle()
    (folder / "tessera.toml").write_bytes(text)
    started = time.process_time()
    assert re.search(wanted, refused(folder))
    assert time.process_time() - started < 3


def test_attack_huge_manifest_is_not_read(make_bundle: Make) -> None:
    """A sparse `tessera.toml` of 1 TB costs the attacker nothing and must cost us nothing."""
    folder = make_bundle()
    os.truncate(folder / "tessera.toml", 1 << 40)
    tracemalloc.start()
    message = refused(folder)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert "1099511627776 bytes" in message
    assert peak < 2_000_000


def test_a_large_file_needs_little_memory(make_bundle: Make) -> None:
    folder = make_bundle()
    with (folder / "weights.bin").open("wb") as file:
        file.truncate(256 * CHUNK_SIZE)
    tracemalloc.start()
    validate(folder)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 8 * CHUNK_SIZE


@pytest.mark.parametrize("kind", list(Kind))
def test_a_new_bundle_validates_as_it_stands(tmp_path: Path, kind: Kind) -> None:
    folder = tmp_path / "My First M\u00f6del!"
    init_bundle(folder, kind)
    validated = validate(folder)
    assert validated.manifest.kind is kind
    assert validated.manifest.name == "my-first-m-del"
    with pytest.raises(Conflict):
        init_bundle(folder, kind)


def test_a_new_bundle_uses_what_is_there(tmp_path: Path) -> None:
    (tmp_path / "graph.onnx").write_bytes(b"x")
    init_bundle(tmp_path)
    assert validate(tmp_path).manifest.runner.file == "graph.onnx"
    other = tmp_path / "other"
    other.mkdir()
    (other / "model.py").write_text("mine")
    init_bundle(other)
    assert (other / "model.py").read_text() == "mine"
    assert validate(other).manifest.runner.file == "model_2.py"
