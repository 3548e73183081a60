"""The house keeps its own promises: locks, layers' names, bootstrap's refusals, the gates."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parents[2]
LOCKS = ROOT / "locks"
PIN = re.compile(r"^([A-Za-z0-9._-]+)==([^\s;]+)(?:\s*;[^\\]*)?(.*)$")


def pins(name: str) -> dict[str, set[str]]:
    """Versions by part; a part may have one version per Python."""
    found: dict[str, set[str]] = {}
    for line in (LOCKS / name).read_text().splitlines():
        if match := PIN.match(line):
            found.setdefault(match[1].lower(), set()).add(match[2])
    return found


def script(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, ROOT / "scripts" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_each_lock_holds_the_smaller_one_at_the_same_versions() -> None:
    core, demo, dev = pins("core.txt"), pins("demo.txt"), pins("dev.txt")
    assert core.items() <= demo.items()
    assert demo.items() <= dev.items()


def test_bootstrap_installs_nothing_that_a_lock_replaces() -> None:
    dev = pins("dev.txt")
    for part, versions in pins("bootstrap.txt").items():
        assert dev.get(part, versions) == versions, part


@pytest.mark.parametrize("lock", sorted(LOCKS.glob("*.txt")), ids=lambda path: path.name)
def test_every_locked_part_carries_a_hash_and_no_lock_names_a_host(lock: Path) -> None:
    text = lock.read_text()
    blocks = re.split(r"\n(?=[A-Za-z0-9])", text.strip())
    assert all("--hash=sha256:" in block for block in blocks)
    assert "://" not in text


def test_the_chain_node_is_pinned_by_hash_and_without_a_host() -> None:
    packages = json.loads((LOCKS / "anvil" / "package-lock.json").read_text())["packages"]
    parts = {name: part for name, part in packages.items() if name}
    assert parts
    assert all(part["integrity"].startswith("sha512-") for part in parts.values())
    assert not any("resolved" in part for part in parts.values())


def test_what_is_declared_is_locked() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    for lock, wanted in (
        ("core.txt", project["dependencies"]),
        ("demo.txt", [*project["dependencies"], *extras["demo"]]),
        ("dev.txt", [*extras["demo"], *extras["dev"]]),
    ):
        names = {re.split(r"[<>=!~;\[ ]", part)[0].lower() for part in wanted}
        assert names <= set(pins(lock)), lock


def test_copyleft_parts_are_in_the_developers_lock_only() -> None:
    assert "snekmate" in pins("dev.txt")
    assert "snekmate" not in pins("demo.txt")


def bootstrap(folder: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a copy of the script where there is no environment yet and PATH is ours."""
    (folder / "scripts").mkdir()
    for name in ("bootstrap", "bootstrap.py"):
        (folder / "scripts" / name).write_bytes((ROOT / "scripts" / name).read_bytes())
    return subprocess.run(
        ["/bin/sh", str(folder / "scripts" / "bootstrap"), "core"],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def python_of_version(folder: Path, name: str, minor: int) -> None:
    program = folder / name
    program.write_text(f"#!/bin/sh\necho {minor}\n")
    program.chmod(0o755)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A PATH with the tools that plain sh needs, and no Python."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for tool in ("dirname",):
        home = next(
            place for place in ("/usr/bin", "/bin") if os.access(f"{place}/{tool}", os.X_OK)
        )
        (folder / tool).symlink_to(f"{home}/{tool}")
    return folder


def test_bootstrap_says_in_one_line_that_python_is_too_old(tmp_path: Path, path: Path) -> None:
    python_of_version(path, "python3", 10)
    ended = bootstrap(tmp_path, PATH=str(path))
    assert ended.returncode == 2
    assert ended.stderr.count("\n") == 1
    assert "found Python 3.10, wanted Python 3.11" in ended.stderr


def test_bootstrap_says_in_one_line_that_there_is_no_python(tmp_path: Path, path: Path) -> None:
    ended = bootstrap(tmp_path, PATH=str(path))
    assert ended.returncode == 2
    assert ended.stderr.count("\n") == 1
    assert "found none, wanted Python 3.11" in ended.stderr


def test_bootstrap_refuses_a_named_python_that_is_none(tmp_path: Path, path: Path) -> None:
    ended = bootstrap(tmp_path, PATH=str(path), TESSERA_PYTHON="/nowhere/python")
    assert ended.returncode == 2
    assert "TESSERA_PYTHON: found '/nowhere/python'" in ended.stderr


def test_bootstrap_takes_a_newer_python_beside_an_old_one(tmp_path: Path, path: Path) -> None:
    python_of_version(path, "python3", 10)
    python_of_version(path, "python3.12", 12)
    ended = bootstrap(tmp_path, PATH=str(path))
    # The stand-in prints its minor version whatever it is asked, here once more for bootstrap.py.
    assert (ended.returncode, ended.stdout) == (0, "12\n")


def test_bootstrap_says_which_file_is_missing(tmp_path: Path) -> None:
    (tmp_path / ".venv" / "bin").mkdir(parents=True)
    (tmp_path / ".venv" / "stamps").mkdir()
    # Never reaches an installation: the lock that it would install is not there.
    (tmp_path / ".venv" / "bin" / "python").symlink_to(sys.executable)
    (tmp_path / ".venv" / "stamps" / "environment").write_text(
        f"{tmp_path / '.venv'} {sys.version_info.major}.{sys.version_info.minor}"
    )
    ended = bootstrap(tmp_path, PATH="/usr/bin:/bin", TESSERA_PYTHON=sys.executable)
    assert ended.returncode == 2
    assert "locks/bootstrap.txt: found no such file" in ended.stderr
    assert "git checkout" in ended.stderr


def test_the_gate_of_places_finds_hosts_and_home_folders() -> None:
    check = script("check")
    assert check.HOSTS.search("https://" + "pypi" + ".org/simple")
    assert check.HOME.search("see /" + "home/somebody/notes")
    assert not check.HOME.search("cannot read /" + "home/operator/keys/secret.json")
    assert not check.HOME.search("GET /v1/work/items")
    assert not check.HOME.search("/models/root/thing")


def test_the_gate_of_fragments_knows_the_kinds() -> None:
    check = script("check")
    kinds = {
        kind["directory"]
        for kind in tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["towncrier"][
            "type"
        ]
    }
    for kind in kinds:
        assert check.FRAGMENT.fullmatch(f"2.{kind}.md")
    assert not check.FRAGMENT.fullmatch("2.feature.md")
    assert not check.FRAGMENT.fullmatch("added.md")


def test_the_gate_of_vyper_names_a_file_that_is_not_formatted_and_formatting_mends_it(
    tmp_path: Path,
) -> None:
    gate = script("vyper_format")
    if not gate.FORMATTER.exists():
        pytest.skip("the first `make check` makes the formatter's environment")
    source = tmp_path / "Thing.vy"
    source.write_text("# pragma version 0.4.3\n\n\n\n\nx:   public(uint256)\n")
    unreadable = tmp_path / "Broken.vy"
    unreadable.write_text("def f(:\n")
    complaints = gate.formatter([source, unreadable], True)
    assert "found other spacing" in complaints[source]
    assert "cannot format" in complaints[unreadable]
    assert list(gate.formatter([source, unreadable], False)) == [unreadable]
    assert gate.formatter([source], True) == {}


def test_the_formatter_keeps_its_parts_to_itself() -> None:
    assert "mamushi" in pins("formatter.txt")
    assert "mamushi" not in pins("dev.txt")
