"""Build `.venv` with pinned, hashed parts: `bootstrap.py core|demo|dev|peers|gateways|formatter`.

Needs a Python 3.11 or newer with venv, and the package registries; nothing else, and no root. A
step whose inputs have not changed since it last succeeded is skipped (its stamp in
`.venv/stamps` holds their hash), so a warm run costs milliseconds. It may be interrupted anywhere
and started again. Uses the standard library only.
"""

from __future__ import annotations

import argparse
import contextlib
import fcntl
import functools
import hashlib
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
PYTHON = VENV / "bin" / "python"
STAMPS = VENV / "stamps"
LOCKS = ROOT / "locks"
NODE = VENV / "node"
FORMATTER = VENV / "formatter"
GATEWAYS = VENV / "gateways"
LOG = VENV / "bootstrap.log"
DEBIAN = ("nginx", "wrk", "libluajit-5.1-2")

# Each group holds the one before it, at the same versions.
GROUPS = ("core", "demo", "dev")


class Refused(Exception):
    """One line for the person: thing, found, wanted, next step."""


def main() -> int:
    """Run the steps of one group; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("group", choices=[*GROUPS, "peers", "gateways", "formatter"])
    group = parser.parse_args().group
    began = time.monotonic()
    try:
        VENV.mkdir(exist_ok=True)
        with one_at_a_time():
            worked = [
                step("environment", make_environment, identity),
                step("installer", install_installer, hashes(LOCKS / "bootstrap.txt")),
                packages(group if group in GROUPS else "core"),
                step(
                    "project",
                    install_project,
                    hashes(ROOT / "pyproject.toml", LOCKS / "bootstrap.txt"),
                ),
                step("chain node", fetch_anvil, hashes(*sorted((LOCKS / "anvil").iterdir()))),
            ]
            if group == "dev":
                clients = ROOT / "tests" / "typescript"
                inputs = hashes(clients / "package.json", clients / "package-lock.json")
                worked.append(step("JavaScript clients", lambda: npm_ci(clients), inputs))
            if group == "peers":
                peers = ROOT / "bench" / "peers"
                inputs = hashes(peers / "package.json", peers / "package-lock.json")
                worked.append(step("peers", lambda: npm_ci(peers), inputs))
            if group == "gateways":
                worked += gateways()
            if group == "formatter":
                inputs = hashes(LOCKS / "formatter.txt")
                worked.append(step("formatter", install_formatter, inputs))
    except Refused as refusal:
        print(f"bootstrap: {refusal}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("bootstrap: interrupted; the next run goes on from here", file=sys.stderr)
        return 130
    if any(worked):
        say(f"all {time.monotonic() - began:.1f} s")
    return 0


def step(name: str, work: Callable[[], None], inputs: Callable[[], str]) -> bool:
    """Do `work` unless it succeeded before with the same inputs; say how long it took."""
    stamp = STAMPS / name.replace(" ", "-")
    wanted = inputs()
    if stamp.is_file() and stamp.read_text() == wanted:
        return False
    began = time.monotonic()
    work()
    STAMPS.mkdir(parents=True, exist_ok=True)
    stamp.write_text(inputs())
    say(f"{name} {time.monotonic() - began:.1f} s")
    return True


def packages(group: str) -> bool:
    """Install the lock of `group`, unless it or a larger one is there as locked now."""
    for larger in GROUPS[GROUPS.index(group) + 1 :]:
        stamp = STAMPS / f"packages-{larger}"
        if stamp.is_file() and stamp.read_text() == digest(LOCKS / f"{larger}.txt"):
            return False
    lock = LOCKS / f"{group}.txt"
    return step(f"packages {group}", lambda: install(lock), hashes(lock))


def make_environment() -> None:
    """Create the virtual environment, or mend the one that is there."""
    stamp = STAMPS / "environment"
    changed = stamp.is_file() and stamp.read_text() != identity()
    if changed or not identity():
        # This very process may be the old environment's Python, so its base is asked first.
        base = Path(getattr(sys, "_base_executable", sys.executable))
        for stale in ("bin", "lib", "lib64", "include", "pyvenv.cfg", "stamps"):
            path = VENV / stale
            if path.is_symlink() or path.is_file():
                path.unlink()
            elif path.exists():
                shutil.rmtree(path)
        # Without pip first: where ensurepip is missing, the message below says what to install.
        call([str(base), "-m", "venv", "--without-pip", str(VENV)], "cannot create .venv")
    if not runs([str(PYTHON), "-m", "pip", "--version"]):
        version = f"{sys.version_info.major}.{sys.version_info.minor}"
        call(
            [str(PYTHON), "-m", "ensurepip", "--upgrade"],
            f"this Python has no ensurepip; install its venv package (Debian: python{version}-venv)"
            " or name another Python with TESSERA_PYTHON",
        )


def install_installer() -> None:
    """Install uv and the build backend, by pip and by hash."""
    pip_install(LOCKS / "bootstrap.txt")


def install_formatter() -> None:
    """Make the environment of the formatter for Vyper, which pins parts older than ours."""
    shutil.rmtree(FORMATTER, ignore_errors=True)
    call(
        [str(PYTHON), "-m", "venv", "--without-pip", str(FORMATTER)],
        f"cannot create {FORMATTER.relative_to(ROOT)}",
    )
    install(LOCKS / "formatter.txt", FORMATTER / "bin" / "python")


def gateways() -> list[bool]:
    """Install what `make bench-gateway` compares ours with, each on its own.

    One that cannot be had is named and left out: the bench says the same, and goes on without it.
    """
    portkey = ROOT / "bench" / "gateway" / "portkey"
    wanted: dict[str, tuple[Callable[[], None], Callable[[], str]]] = {
        "gateway debian": (fetch_debian, lambda: " ".join(DEBIAN)),
        "gateway portkey": (
            lambda: npm_ci(portkey),
            hashes(portkey / "package.json", portkey / "package-lock.json"),
        ),
    }
    for name in ("litellm", "x402", "nginx"):
        lock = LOCKS / f"peer-{name}.txt"
        wanted[f"gateway {name}"] = (functools.partial(install_apart, name, lock), hashes(lock))
    worked = []
    for name, (work, inputs) in wanted.items():
        try:
            worked.append(step(name, work, inputs))
        except Refused as refusal:
            say(f"{name} is left out: {refusal}")
    return worked


def install_apart(name: str, lock: Path) -> None:
    """Install a lock into an environment of its own."""
    environment = GATEWAYS / name
    shutil.rmtree(environment, ignore_errors=True)
    GATEWAYS.mkdir(exist_ok=True)
    call(
        [str(PYTHON), "-m", "venv", "--without-pip", str(environment)],
        f"cannot create {environment.relative_to(ROOT)}",
    )
    install(lock, environment / "bin" / "python")


def fetch_debian() -> None:
    """Fetch nginx and wrk as Debian builds them, without root; apt checks their signatures."""
    missing = [tool for tool in ("apt-get", "dpkg-deb") if shutil.which(tool) is None]
    if missing:
        raise Refused(
            f"nginx and wrk: found no {' and no '.join(missing)}, wanted Debian's or a relative's; "
            "install them by your system and they are found on PATH"
        )
    shutil.rmtree(GATEWAYS / "debian", ignore_errors=True)
    debs = GATEWAYS / "debs"
    shutil.rmtree(debs, ignore_errors=True)
    debs.mkdir(parents=True)
    call(
        ["apt-get", "download", *DEBIAN],
        "apt-get cannot download nginx and wrk; once as root: apt-get update",
        debs,
    )
    for deb in sorted(debs.glob("*.deb")):
        call(["dpkg-deb", "-x", str(deb), str(GATEWAYS / "debian")], f"cannot unpack {deb.name}")


def install(lock: Path, python: Path = PYTHON) -> None:
    """Install a lock by uv; by pip where uv cannot run here or does not see pip's settings."""
    uv = VENV / "bin" / "uv"
    command = [str(uv), "pip", "install", "--python", str(python), "--require-hashes"]
    command += ["--requirement", str(lock)]
    if runs([str(uv), "--version"]):
        # The machine's certificates, as pip would use; a machine without any has uv's own.
        for trust in (["--system-certs"], []):
            if logged([*command, *trust]):
                return
    say(f"uv could not install {lock.relative_to(ROOT)}; pip tries, which takes longer")
    pip_install(lock, python)


def pip_install(lock: Path, python: Path = PYTHON) -> None:
    """Install a lock by pip."""
    call(
        [
            *(str(PYTHON), "-m", "pip", "--python", str(python)),
            *("install", "--require-hashes", "--no-input"),
            *("--disable-pip-version-check", "--requirement", str(lock)),
        ],
        f"cannot install {lock.relative_to(ROOT)}; is a package registry reachable?",
    )


def install_project() -> None:
    """Install the project itself, editable, built by the pinned backend."""
    call(
        [
            *(str(PYTHON), "-m", "pip", "install", "--no-deps", "--no-build-isolation"),
            *("--no-input", "--disable-pip-version-check", "--editable", str(ROOT)),
        ],
        "cannot install the project into .venv",
    )


def fetch_anvil() -> None:
    """Fetch the chain node into `.venv/node` and see that it runs."""
    if named := os.environ.get("TESSERA_ANVIL"):
        if not runs([named, "--version"]):
            raise Refused(f"TESSERA_ANVIL: found {named!r}, wanted an anvil program that runs")
        return
    NODE.mkdir(parents=True, exist_ok=True)
    for name in ("package.json", "package-lock.json"):
        shutil.copyfile(LOCKS / "anvil" / name, NODE / name)
    npm_ci(NODE)
    binaries = list(NODE.glob("node_modules/@foundry-rs/anvil-*/bin/anvil*"))
    if any(runs([str(binary), "--version"]) for binary in binaries):
        return
    mine = "install anvil 1.7.1 yourself and name it: TESSERA_ANVIL=/path/to/anvil"
    machine = f"{os.uname().sysname} {os.uname().machine}"
    if binaries:
        raise Refused(f"chain node: {binaries[0].name} does not run here (glibc 2.35?); {mine}")
    if machine == "Linux x86_64":
        raise Refused("chain node: npm fetched nothing; is its registry reachable? Run this again")
    raise Refused(f"chain node: found {machine}, wanted Linux x86_64 for the pinned one; {mine}")


def npm_ci(folder: Path) -> None:
    """Install a folder's package-lock.json, running no package's scripts."""
    arguments = ["ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"]
    if shutil.which("npm") and logged(["npm", *arguments], folder):
        return
    own = VENV / "bin" / "npm"
    if not own.exists():
        say("no npm that works on PATH; fetching one from the Python registry")
        install(LOCKS / "npm.txt")
    environment = dict(os.environ, PATH=f"{VENV / 'bin'}{os.pathsep}{os.environ.get('PATH', '')}")
    call([str(own), *arguments], f"npm cannot install {folder.name}", folder, environment)


def identity() -> str:
    """Return where the environment is and its Python; empty where that is none we can use.

    Scripts in it hold its absolute path and its parts lie in a folder of its Python's version: one
    that was moved, or whose base was exchanged, is made anew.
    """
    program = "import sys; print('%d.%d' % sys.version_info[:2])"
    try:
        ended = subprocess.run(
            [str(PYTHON), "-c", program], capture_output=True, text=True, check=False
        )
    except OSError:
        return ""
    version = ended.stdout.strip()
    usable = ended.returncode == 0 and version not in {f"3.{minor}" for minor in range(11)}
    return f"{VENV} {version}" if usable else ""


def hashes(*files: Path) -> Callable[[], str]:
    """Make a step's inputs of some files."""
    return lambda: digest(*files)


def digest(*files: Path) -> str:
    """Hash names and contents of some files."""
    whole = hashlib.sha256(str(VENV).encode())
    for file in files:
        try:
            content = file.read_bytes()
        except FileNotFoundError:
            raise Refused(
                f"{file.relative_to(ROOT)}: found no such file, wanted the one of this commit; "
                "restore it: git checkout -- " + str(file.relative_to(ROOT))
            ) from None
        whole.update(f"{file.name}\0{len(content)}\0".encode() + content)
    return whole.hexdigest()


def runs(command: list[str]) -> bool:
    """Tell whether a command exits 0, quietly."""
    try:
        return subprocess.run(command, capture_output=True, check=False).returncode == 0
    except OSError:
        return False


def logged(
    command: list[str], folder: Path = ROOT, environment: dict[str, str] | None = None
) -> bool:
    """Run a command with its output in the log; tell whether it exits 0."""
    with LOG.open("ab") as log:
        log.write(f"$ {' '.join(command)}\n".encode())
        log.flush()
        ended = subprocess.run(
            command,
            cwd=folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            check=False,
        )
    return ended.returncode == 0


def call(
    command: list[str],
    meaning: str,
    folder: Path = ROOT,
    environment: dict[str, str] | None = None,
) -> None:
    """Run a command; where it fails, show the end of its output and say what that means."""
    start = LOG.stat().st_size if LOG.exists() else 0
    if logged(command, folder, environment):
        return
    with LOG.open("rb") as log:
        log.seek(start)
        lines = log.read().decode(errors="replace").splitlines()
    print("\n".join(f"  | {line}" for line in lines[-15:]), file=sys.stderr)
    raise Refused(f"{meaning} (all of it: {LOG.relative_to(ROOT)})")


@contextlib.contextmanager
def one_at_a_time() -> Iterator[None]:
    """Hold the environment's lock, so that two `make` at once do not build it twice."""
    with (VENV / "bootstrap.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("another bootstrap is at work here; waiting for it")
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def say(line: str) -> None:
    """Print one line of progress."""
    print(f"bootstrap: {line}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
