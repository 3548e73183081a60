"""Format the Vyper sources: `vyper_format.py [--check] [FILE...]`, all that git knows by default.

`--check` writes nothing and ends with 1 where a file is not formatted. What was found formatted is
remembered by its hash, so that only a file that changed costs a second. The formatter (mamushi)
lives in an environment of its own, which the first run makes.
"""

from __future__ import annotations

import argparse
import hashlib
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
FORMATTER = ROOT / ".venv" / "formatter" / "bin" / "mamushi"
KEPT = ROOT / ".cache" / "vyper-formatted"
COLUMNS = "100"


def main(arguments: list[str]) -> int:
    """Format, or say what is not formatted."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true")
    parser.add_argument("files", nargs="*", type=Path)
    chosen = parser.parse_args(arguments)
    ended = subprocess.run([str(ROOT / "scripts" / "bootstrap"), "formatter"], check=False)
    if ended.returncode:
        return ended.returncode
    files = [file.resolve() for file in chosen.files] or sources()
    known = set(KEPT.read_text().split()) if KEPT.is_file() else set()
    changed = [file for file in files if mark(file) not in known]
    complaints = formatter(changed, chosen.check) if changed else {}
    known.update(mark(file) for file in changed if file not in complaints)
    KEPT.parent.mkdir(exist_ok=True)
    KEPT.write_text("\n".join(sorted(known)) + "\n")
    for complaint in complaints.values():
        print(complaint)
    if complaints and chosen.check:
        print("to format them: make format; then make contracts")
    return 1 if complaints else 0


def sources() -> list[Path]:
    """List the Vyper files that git tracks, or would at the next `git add`."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", "*.vy", "*.vyi"],
        cwd=ROOT,
        capture_output=True,
        check=True,
    )
    names = sorted({name for name in listed.stdout.decode().split("\0") if name})
    return [ROOT / name for name in names if (ROOT / name).is_file()]


def formatter(files: list[Path], check: bool) -> dict[Path, str]:
    """Run the formatter once; return what there is to say of files that it did not find well."""
    ended = subprocess.run(
        [
            *(str(FORMATTER), "--line-length", COLUMNS, *(["--check"] if check else [])),
            *(str(file) for file in files),
        ],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    said = (ended.stdout + ended.stderr).splitlines()
    complaints = {}
    for file in files:
        name = file.relative_to(ROOT) if file.is_relative_to(ROOT) else file
        for line in said:
            if check and line == f"would reformat {file}":
                complaints[file] = f"{name}: found other spacing than the formatter's"
            elif line.startswith(f"error: cannot format {file}:"):
                complaints[file] = f"{name}: {line.removeprefix('error: ')}"
    if ended.returncode and not complaints:
        raise SystemExit(f"{FORMATTER.name} ended with {ended.returncode}: {ended.stderr.strip()}")
    return complaints


def mark(file: Path) -> str:
    """Name a file's content as the formatter of this lock sees it."""
    lock = (ROOT / "locks" / "formatter.txt").read_bytes()
    return hashlib.sha256(lock + COLUMNS.encode() + b"\0" + file.read_bytes()).hexdigest()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
