"""Real git repositories, written commit by commit with chosen names and dates."""

from __future__ import annotations

import os
import subprocess
from dataclasses import dataclass, field
from pathlib import Path

DAY = 86_400
NOW = 1_795_000_000
"""18 November 2026, a Wednesday."""


def run(*arguments: str, cwd: Path, feed: bytes = b"") -> bytes:
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(cwd),
        "GIT_CONFIG_GLOBAL": os.devnull,
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_AUTHOR_NAME": "p", "GIT_AUTHOR_EMAIL": "p@x",
        "GIT_COMMITTER_NAME": "p", "GIT_COMMITTER_EMAIL": "p@x",
    }  # fmt: skip
    done = subprocess.run(
        ["git", *arguments], cwd=cwd, env=environment, input=feed, capture_output=True, check=False
    )
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout


@dataclass
class Written:
    """A bare repository in the making; `save` writes what was added since."""

    folder: Path
    branch: str = "main"
    stream: list[bytes] = field(default_factory=list)
    mark: int = 0

    def commit(
        self,
        files: dict[str, str | bytes | None],
        *,
        at: int,
        name: str = "Publisher",
        mail: str = "publisher@x.example",
        authored: int | None = None,
        message: str = "work",
        branch: str | None = None,
        merge: int | None = None,
        after: str | None = None,
    ) -> int:
        """Add a commit; None for a file removes it. Returns its mark."""
        self.mark += 1
        branch = branch or self.branch
        said = message.encode()
        self.stream.append(
            f"commit refs/heads/{branch}\nmark :{self.mark}\n"
            f"author {name} <{mail}> {at if authored is None else authored} +0000\n"
            f"committer {name} <{mail}> {at} +0000\ndata {len(said)}\n".encode()
            + said
            + b"\n"
        )
        if after is not None:
            self.stream.append(f"from {after}\n".encode())
        if merge is not None:
            self.stream.append(f"merge :{merge}\n".encode())
        for path, content in files.items():
            quoted = b'"' + _quoted(path) + b'"'
            if content is None:
                self.stream.append(b"D " + quoted + b"\n")
                continue
            raw = content.encode() if isinstance(content, str) else content
            self.stream.append(
                b"M 100644 inline " + quoted + b"\ndata %d\n" % len(raw) + raw + b"\n"
            )
        self.stream.append(b"\n")
        return self.mark

    def tag(self, name: str, commit: int, *, at: int | None = None) -> None:
        """Name a commit; with a moment, by a tag object made then."""
        if at is None:
            self.stream.append(f"reset refs/tags/{name}\nfrom :{commit}\n\n".encode())
        else:
            self.stream.append(
                f"tag {name}\nfrom :{commit}\ntagger t <t@x> {at} +0000\ndata 1\nr\n".encode()
            )

    def save(self) -> Path:
        if not self.folder.exists():
            self.folder.mkdir(parents=True)
            run("init", "-q", "--bare", "-b", self.branch, ".", cwd=self.folder)
        marks = self.folder / "marks"
        options = ["--export-marks=marks"] + (["--import-marks=marks"] if marks.exists() else [])
        run(
            "fast-import",
            "--quiet",
            "--force",
            *options,
            cwd=self.folder,
            feed=b"".join(self.stream),
        )
        self.stream.clear()
        return self.folder


def _quoted(path: str) -> bytes:
    raw = path.encode("utf-8", "surrogateescape")
    return raw.replace(b"\\", b"\\\\").replace(b'"', b'\\"').replace(b"\n", b"\\n")
