"""The store keeps whole bundles or nothing, and hands out only bytes that match their root."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from tessera.assets import BundleChanged, BundleDamaged, BundleInvalid, Store, validate
from tessera.assets.content import CHUNK_SIZE
from tessera.errors import Conflict, InputError, NotFound, StorageFull

Make = Callable[..., Path]


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store")


def leftovers(tmp_path: Path) -> list[str]:
    return sorted(each.name for each in (tmp_path / "store").iterdir() if each.name != ".lock")


def contents(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def test_what_was_added_comes_back(store: Store, bundle: Path) -> None:
    added = store.add(bundle)
    assert added.root == validate(bundle).root
    assert store.list() == (added.root,)
    assert contents(store.open_verified(added.root)) == contents(bundle)
    assert store.open(added.root).manifest().name == "tiny"
    assert store.open(added.root).read("empty", limit=0) == b""


def test_stored_files_are_read_only_and_share_nothing_with_the_source(
    store: Store, bundle: Path
) -> None:
    added = store.add(bundle)
    stored = added.path / "data" / "big.bin"
    assert stored.stat().st_mode & 0o777 == 0o444
    assert stored.stat().st_nlink == 1
    (bundle / "data" / "big.bin").write_bytes(b"other")
    store.open(added.root, verify=True)


def test_adding_again_changes_nothing_and_reads_no_source(store: Store, bundle: Path) -> None:
    root = store.add(bundle).root
    assert store.add(bundle).root == root
    for path in bundle.rglob("*.bin"):
        path.unlink()
    assert store.add(bundle, expected=root).root == root
    assert store.list() == (root,)


def test_a_folder_that_changed_since_it_was_validated_is_refused(
    store: Store, bundle: Path, tmp_path: Path
) -> None:
    expected = validate(bundle).root
    (bundle / "empty").write_text("x")
    with pytest.raises(BundleChanged):
        store.add(bundle, expected=expected)
    assert leftovers(tmp_path) == []


def test_a_sparse_file_stays_sparse(store: Store, make_bundle: Make) -> None:
    folder = make_bundle()
    with (folder / "weights").open("wb") as file:
        file.truncate(32 * CHUNK_SIZE + 5)
        file.seek(3 * CHUNK_SIZE)
        file.write(b"x")
    added = store.add(folder)
    stored = (added.path / "weights").stat()
    assert stored.st_size == 32 * CHUNK_SIZE + 5
    assert stored.st_blocks * 512 <= 2 * CHUNK_SIZE
    added.verify()


@pytest.mark.parametrize("damage", ["change", "grow", "remove", "add", "link", "pycache", "index"])
def test_damage_is_never_loaded(store: Store, bundle: Path, damage: str) -> None:
    added = store.add(bundle)
    files = added.path
    for folder in (files, files / "data"):
        folder.chmod(0o755)
    target = files / "data" / "big.bin"
    if damage == "change":
        data = bytearray(target.read_bytes())
        data[-1] ^= 1
        target.chmod(0o644)
        target.write_bytes(data)
        with pytest.raises(BundleDamaged, match="other bytes"):
            store.open(added.root).read("data/big.bin", limit=1 << 30)
    elif damage == "grow":
        target.chmod(0o644)
        os.truncate(target, target.stat().st_size + 1)
    elif damage == "remove":
        target.unlink()
    elif damage == "add":
        (files / "extra").write_text("x")
    elif damage == "link":
        target.rename(files.parent / "elsewhere")
        target.symlink_to(files.parent / "elsewhere")
    elif damage == "pycache":
        (files / "__pycache__").mkdir()
        (files / "__pycache__" / "model.cpython-311.pyc").write_bytes(b"evil")
    else:
        index = files.parent / "index.json"
        index.chmod(0o644)
        index.write_bytes(index.read_bytes().replace(b"empty", b"empti"))
    with pytest.raises(BundleDamaged):
        store.open_verified(added.root)
    # Adding the bundle again heals it.
    assert store.add(bundle).root == added.root
    assert contents(store.open_verified(added.root)) == contents(bundle)


def test_attack_planted_bytecode_is_found(store: Store, make_bundle: Make) -> None:
    """Python prefers a fresh `__pycache__/model.*.pyc` over `model.py`.

    Publishing leaves `__pycache__` out, so a check that left it out as well would bless a stored
    bundle whose bytecode somebody planted. What is loaded is checked without leaving out anything.
    """
    folder = make_bundle({"model.py": "x = 1", "__pycache__/model.pyc": b"honest junk"})
    added = store.add(folder)
    assert sorted(each.name for each in added.path.iterdir()) == ["model.py", "tessera.toml"]
    added.path.chmod(0o755)
    (added.path / "__pycache__").mkdir()
    (added.path / "__pycache__" / "model.cpython-311.pyc").write_bytes(b"evil")
    with pytest.raises(BundleDamaged, match="does not belong"):
        store.open_verified(added.root)


def test_what_is_not_there_is_not_found(store: Store, bundle: Path) -> None:
    with pytest.raises(NotFound):
        store.open(bytes(32))
    with pytest.raises(NotFound):
        store.remove(bytes(32))
    with pytest.raises(InputError):
        store.open(b"short")
    added = store.add(bundle)
    with pytest.raises(NotFound, match="did you mean 'empty'"):
        added.read("emty", limit=1)
    with pytest.raises(InputError, match="at most 10"):
        added.read("data/big.bin", limit=10)


def test_removing_leaves_nothing(store: Store, bundle: Path, tmp_path: Path) -> None:
    root = store.add(bundle).root
    store.remove(root)
    assert store.list() == ()
    assert leftovers(tmp_path) == []


def test_materialised_files_are_free_to_change(store: Store, bundle: Path, tmp_path: Path) -> None:
    root = store.add(bundle).root
    target = tmp_path / "out"
    store.materialise(root, target)
    assert contents(target) == contents(bundle)
    (target / "empty").write_text("mine")
    store.open_verified(root)
    with pytest.raises(Conflict):
        store.materialise(root, target)
    assert (target / "empty").read_text() == "mine"


def test_a_damaged_bundle_is_not_materialised(store: Store, bundle: Path, tmp_path: Path) -> None:
    added = store.add(bundle)
    target = added.path / "empty"
    target.chmod(0o644)
    target.write_text("x")
    before = sorted(tmp_path.iterdir())
    with pytest.raises(BundleDamaged):
        store.materialise(added.root, tmp_path / "out")
    assert sorted(tmp_path.iterdir()) == before


def test_a_bad_folder_or_an_interrupt_leaves_nothing(
    store: Store, bundle: Path, make_bundle: Make, tmp_path: Path
) -> None:
    with pytest.raises(BundleInvalid):
        store.add(make_bundle(name="bad", more="surprise = 1\n"))

    def interrupt(_done: int, _total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        store.add(bundle, progress=interrupt)
    assert leftovers(tmp_path) == []


def test_many_may_add_the_same_bundle_at_once(store: Store, bundle: Path, tmp_path: Path) -> None:
    roots: list[bytes] = []
    threads = [
        threading.Thread(target=lambda: roots.append(Store(tmp_path / "store").add(bundle).root))
        for _ in range(6)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(roots) == 6
    assert set(roots) == set(store.list())
    store.open_verified(store.list()[0])
    assert len(leftovers(tmp_path)) == 1


def test_a_sweep_that_meets_the_end_of_an_add_goes_on(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An add puts its folder in its place after a sweep opened it, and before it locked it."""
    began, placed = tmp_path / "store" / ".adding-1", tmp_path / "store" / ("ab" * 32)
    began.mkdir()
    (began / "file").write_bytes(b"added")
    opened = os.open

    def then_placed(path: Path, flags: int, mode: int = 0o777) -> int:
        fd = opened(path, flags, mode)
        if path == began:
            began.rename(placed)
        return fd

    monkeypatch.setattr(os, "open", then_placed)
    store.sweep()
    assert (placed / "file").read_bytes() == b"added"


def test_a_killed_add_leaves_nothing_visible_and_is_swept(bundle: Path, tmp_path: Path) -> None:
    script = (
        "import os, signal, sys\n"
        "from pathlib import Path\n"
        "from tessera.assets import Store\n"
        "def die(done, total):\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
        "Store(Path(sys.argv[1])).add(Path(sys.argv[2]), progress=die)\n"
    )
    arguments = [sys.executable, "-c", script, str(tmp_path / "store"), str(bundle)]
    done = subprocess.run(arguments, timeout=60, check=False)
    assert done.returncode == -signal.SIGKILL
    assert [name[:8] for name in leftovers(tmp_path)] == [".adding-"]
    store = Store(tmp_path / "store")
    assert leftovers(tmp_path) == []
    assert store.list() == ()
    store.add(bundle)


def test_a_sweep_leaves_work_in_progress_alone(store: Store, bundle: Path, tmp_path: Path) -> None:
    swept = False

    def sweep(_done: int, _total: int) -> None:
        nonlocal swept
        Store(tmp_path / "store").sweep()
        swept = True

    root = store.add(bundle, progress=sweep).root
    assert swept
    store.open_verified(root)


def test_a_file_that_outgrows_its_limit_is_reported_as_no_room(
    store: Store, bundle: Path, tmp_path: Path
) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (CHUNK_SIZE, hard))
    try:
        with pytest.raises(StorageFull, match="nothing was kept"):
            store.add(bundle)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert leftovers(tmp_path) == []
    store.add(bundle)


def test_a_full_disk_is_told_and_leaves_nothing(bundle: Path, tmp_path: Path) -> None:
    """On a file system of 512 KiB that exists only for one child process."""
    script = (
        "import subprocess, sys\n"
        "from pathlib import Path\n"
        "from tessera.assets import Store\n"
        "from tessera.errors import StorageFull\n"
        "place = Path(sys.argv[1])\n"
        "mount = ['mount', '-t', 'tmpfs', '-o', 'size=512k', 'none', str(place)]\n"
        "if subprocess.run(mount, capture_output=True).returncode:\n"
        "    sys.exit(77)\n"
        "store = Store(place / 'store')\n"
        "try:\n"
        "    store.add(Path(sys.argv[2]))\n"
        "except StorageFull as error:\n"
        "    print(error)\n"
        "    left = [each.name for each in (place / 'store').iterdir()]\n"
        "    sys.exit(0 if left == ['.lock'] else 1)\n"
        "sys.exit(2)\n"
    )
    place = tmp_path / "small"
    place.mkdir()
    arguments = ["unshare", "--mount", "--map-root-user", sys.executable, "-c", script]
    try:
        done = subprocess.run(
            [*arguments, str(place), str(bundle)],
            timeout=60,
            check=False,
            capture_output=True,
            text=True,
        )
    except FileNotFoundError:
        pytest.skip("this system has no unshare")
    if done.returncode == 77 or "unshare" in done.stderr:
        pytest.skip("this system lets nobody mount a file system of their own")
    assert done.returncode == 0, done.stderr
    assert "No space left on device" in done.stdout


def test_a_store_that_cannot_be_made_says_so(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(InputError, match="bundle store"):
        Store(tmp_path / "file" / "store")


@pytest.mark.deep
def test_two_gigabytes_need_less_than_100_megabytes(make_bundle: Make, tmp_path: Path) -> None:
    folder = make_bundle()
    with (folder / "weights").open("wb") as file:
        file.truncate(2 << 30)
    # Not ru_maxrss: it begins with what the process had that started this one, a whole test run.
    script = (
        "import re, sys\n"
        "from pathlib import Path\n"
        "from tessera.assets import Store\n"
        "store = Store(Path(sys.argv[1]))\n"
        "store.open_verified(store.add(Path(sys.argv[2])).root)\n"
        "print(re.search(r'VmHWM:\\s+(\\d+) kB', Path('/proc/self/status').read_text())[1])\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path / "store"), str(folder)],
        timeout=600,
        check=True,
        capture_output=True,
        text=True,
    )
    assert int(done.stdout) * 1024 < 100_000_000
