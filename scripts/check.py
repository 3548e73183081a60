"""`make check`: every gate that needs no test run, all of them, then one verdict.

Each gate says how long it took; the output of one that fails is shown whole.
"""

from __future__ import annotations

import re
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent

FRAGMENT = re.compile(r"[a-z0-9-]+\.(added|changed|fixed|security|removed|contracts)(\.\d+)?\.md")
# Versions and hashes are pinned, hosts are the business of each machine. Spelled in parts, as
# this file is checked too.
DOT = r"\."
HOSTS = re.compile(rf"pypi{DOT}org|pythonhosted{DOT}org|npmjs{DOT}(org|com)")
# A path of somebody's machine works nowhere else; the homes of our roles are nobody's. Such
# prefixes inside a word or URL are no paths.
ROLES = "publisher|contributor|holder|consumer|operator|validator|analyst|attacker|keeper"
HOME = re.compile(rf"(?<![\w.\-/}}])/(?:root|work|(?:Users|home)/(?!(?:{ROLES})\b)\w+)/\w")


def python(*arguments: str) -> Callable[[], str]:
    """Make a gate of a Python command: its output where it fails, else nothing."""

    def gate() -> str:
        ended = subprocess.run(
            [sys.executable, *arguments],
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        if ended.returncode == 0:
            return ""
        return (ended.stdout + ended.stderr).strip() or f"exit code {ended.returncode}"

    return gate


def tracked() -> list[Path]:
    """List the files that git tracks, or would at the next `git add`."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        check=True,
    )
    names = sorted({name for name in listed.stdout.decode().split("\0") if name})
    return [ROOT / name for name in names if (ROOT / name).is_file()]


def fragments() -> str:
    """Say which changelog fragments towncrier would overlook."""
    folder = ROOT / "changelog.d"
    return "\n".join(
        f"changelog.d/{file.name}: wanted <issue or slug>.<kind>.md, kind one of added, changed, "
        "fixed, security, removed, contracts"
        for file in sorted(folder.iterdir())
        if file.name not in {".gitignore", "README.md"} and not FRAGMENT.fullmatch(file.name)
    )


def places() -> str:
    """Say which files name a package registry's host or a path of one machine."""
    complaints = []
    for file in tracked():
        content = file.read_bytes()
        if b"\0" in content[:8192]:
            continue
        for number, line in enumerate(content.decode("utf-8", "replace").splitlines(), 1):
            where = f"{file.relative_to(ROOT)}:{number}"
            if HOSTS.search(line):
                complaints.append(f"{where}: names a package registry's host")
            if HOME.search(line):
                complaints.append(f"{where}: holds an absolute path of one machine")
    return "\n".join(complaints)


GATES: dict[str, Callable[[], str]] = {
    "format": python("-m", "ruff", "format", "--check", "."),
    "vyper format": python("scripts/vyper_format.py", "--check"),
    "lint": python("-m", "ruff", "check", "."),
    "layers": python(
        "-c", "from importlinter.cli import lint_imports_command as run; run(['--no-cache'])"
    ),
    "types": python("-m", "mypy"),
    "artifacts": python("-m", "tessera.contracts.build", "--check"),
    "bindings": python("-m", "tessera.contracts.generate", "--check"),
    "reference": python("scripts/reference.py", "--check"),
    "fragments": fragments,
    "places": places,
}


def main() -> int:
    """Run the gates named as arguments, or all; return 1 where one fails."""
    names = sys.argv[1:] or list(GATES)
    failed = []
    for name in names:
        if name not in GATES:
            print(f"check: found {name!r}, wanted one of {', '.join(GATES)}", file=sys.stderr)
            return 2
        began = time.monotonic()
        complaint = GATES[name]()
        verdict = "FAILED" if complaint else "ok"
        print(f"check: {name} {verdict} {time.monotonic() - began:.1f} s", flush=True)
        if complaint:
            failed.append(name)
            print("\n".join(f"  | {line}" for line in complaint.splitlines()), flush=True)
    if failed:
        print(f"check: failed: {', '.join(failed)}")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
