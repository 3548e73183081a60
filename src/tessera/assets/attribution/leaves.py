"""Contributors into `tessera.toml`, and out of it the leaves that go on the chain.

The manifest is a publisher's own text, so only its `[[contributors]]` tables are exchanged, and
the new text is read again before it is written: it must say what it said before in everything
else, or nothing is touched.
"""

from __future__ import annotations

import json
import os
import re
import secrets
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from tessera.assets.bundle import validate
from tessera.assets.contributions import (
    Contribution,
    ContributionTree,
    contributions_of,
    verify_contribution,
)
from tessera.assets.manifest import MANIFEST_NAME, Contributor, Role
from tessera.errors import Conflict, InputError, NotFound
from tessera.units import Bps

__all__ = [
    "Leaf",
    "Leaves",
    "leaves_of",
    "read_leaves",
    "with_contributors",
    "write_contributors",
]

_KEY: Final = "contributors"
_TABLE = re.compile(rf"\s*\[\[\s*(?:{_KEY}|\"{_KEY}\"|'{_KEY}')\s*\]\]\s*(#.*)?")
_OWN_TABLE = re.compile(rf"\s*\[\s*(?:{_KEY}|\"{_KEY}\"|'{_KEY}')\s*\..*\]\s*(#.*)?")
_ANY_TABLE = re.compile(r"\s*\[")


@dataclass(frozen=True, slots=True)
class Leaf:
    """One contribution with its way to the root; `name` is for people."""

    name: str
    contribution: Contribution
    proof: tuple[bytes, ...]

    def shown(self) -> dict[str, Any]:
        """Return it as JSON values: all that a claim needs."""
        return {
            "name": self.name,
            "account": self.contribution.account,
            "role": self.contribution.role.name.lower(),
            "role_number": int(self.contribution.role),
            "weight": self.contribution.weight,
            "evidence": f"0x{self.contribution.evidence.hex()}",
            "leaf": f"0x{self.contribution.leaf().hex()}",
            "proof": [f"0x{sibling.hex()}" for sibling in self.proof],
        }


@dataclass(frozen=True, slots=True)
class Leaves:
    """All contributions of a bundle, and the root that publishing puts on the chain."""

    root: bytes
    leaves: tuple[Leaf, ...]

    def shown(self) -> dict[str, Any]:
        """Return them as JSON values; `read_leaves` reads them again."""
        return {
            "root": f"0x{self.root.hex()}",
            "leaves": [leaf.shown() for leaf in self.leaves],
        }


def read_leaves(file: Path) -> Leaves:
    """Read leaves that somebody handed out; their proofs are checked against their root.

    Raises
    ------
    InputError
        It is no such file, or a proof does not lead to the root.
    """
    try:
        told = json.loads(file.read_bytes())
        root = _bytes(told["root"])
        leaves = tuple(
            Leaf(
                str(row["name"]),
                Contribution(
                    str(row["account"]),
                    Role(row["role_number"]),
                    Bps(int(row["weight"])),
                    _bytes(row["evidence"]),
                ),
                tuple(_bytes(sibling) for sibling in row["proof"]),
            )
            for row in told["leaves"]
        )
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(
            str(file),
            found=f"{type(error).__name__}: {error}",
            wanted="leaves as `tessera attribution leaves FOLDER --json` writes them",
        ) from error
    for leaf in leaves:
        if not verify_contribution(root, leaf.contribution, leaf.proof):
            raise InputError(
                f"{file}: proof of {leaf.name}",
                found="another root",
                wanted=f"0x{root.hex()}",
            )
    return Leaves(root, leaves)


def _bytes(text: object) -> bytes:
    return bytes.fromhex(str(text).removeprefix("0x"))


def leaves_of(folder: Path, accounts: Mapping[str, str], *, decimals: int) -> Leaves:
    """Compute the leaves of a bundle exactly as publishing it does.

    Parameters
    ----------
    folder
        With a `tessera.toml`; validated here.
    accounts
        Addresses of those who are only named.
    decimals
        Of the currency that prices are in.

    Raises
    ------
    BundleInvalid, BundleChanged
        As `validate`.
    NotFound
        A name has no account.
    """
    contributors = validate(folder, decimals=decimals).manifest.contributors
    contributions = contributions_of(contributors, accounts)
    tree = ContributionTree(contributions)
    leaves = (
        Leaf(contributor.name or contribution.account, contribution, tree.proof(contribution))
        for contributor, contribution in zip(contributors, contributions, strict=True)
    )
    return Leaves(tree.root, tuple(leaves))


def write_contributors(folder: Path, contributors: Iterable[Contributor]) -> None:
    """Exchange the contributors of a bundle's manifest.

    Raises
    ------
    NotFound
        There is no manifest.
    Conflict
        Its contributors are written in a way that cannot be exchanged without touching other
        things; nothing was written.
    """
    manifest = folder / MANIFEST_NAME
    try:
        text = manifest.read_text(encoding="utf-8")
    except FileNotFoundError as error:
        raise NotFound(
            str(manifest), found="nothing", wanted="a manifest", next_step="tessera init"
        ) from error
    changed = with_contributors(text, contributors)
    temporary = folder / f".{MANIFEST_NAME}.{secrets.token_hex(4)}"
    temporary.write_text(changed, encoding="utf-8")
    temporary.chmod(manifest.stat().st_mode & 0o777)
    os.replace(temporary, manifest)  # noqa: PTH105 - of one folder, at once


def with_contributors(text: str, contributors: Iterable[Contributor]) -> str:
    """Return a manifest's text with these contributors in place of its own.

    Raises
    ------
    Conflict
        As for `write_contributors`.
    """
    kept: list[str] = []
    inside = False
    for line in text.splitlines(keepends=True):
        if _TABLE.fullmatch(line.rstrip("\r\n")):
            inside = True
        elif inside and _ANY_TABLE.match(line):
            inside = _OWN_TABLE.fullmatch(line.rstrip("\r\n")) is not None
        if not inside:
            kept.append(line)
    rows = [_row(contributor) for contributor in contributors]
    head = "".join(kept).rstrip("\n") + "\n"
    changed = head + "".join("\n" + row for row in rows)
    _check_rest(text, changed, rows)
    return changed


def _check_rest(before: str, after: str, rows: list[str]) -> None:
    wanted = tomllib.loads("".join(rows)).get(_KEY, [])
    try:
        old, new = tomllib.loads(before), tomllib.loads(after)
    except tomllib.TOMLDecodeError:
        old, new = {"": None}, {}
    old.pop(_KEY, None)
    if new.pop(_KEY, []) != wanted or old != new:
        raise Conflict(
            f"{MANIFEST_NAME}: {_KEY}",
            found="written so that they cannot be exchanged by themselves",
            wanted=f"tables of their own: [[{_KEY}]]",
            next_step="take them out by hand and run this again",
        )


def _row(contributor: Contributor) -> str:
    quoted = json.dumps  # a JSON string of printable text is a TOML string
    lines = [f"[[{_KEY}]]"]
    if contributor.name is not None:
        lines.append(f"name = {quoted(contributor.name, ensure_ascii=False)}")
    if contributor.account is not None:
        lines.append(f"account = {quoted(contributor.account)}")
    lines += [f"role = {quoted(contributor.role.name.lower())}", f"weight = {contributor.weight}"]
    evidence = []
    if contributor.evidence.file is not None:
        evidence.append(f"file = {quoted(contributor.evidence.file, ensure_ascii=False)}")
    elif contributor.evidence.sha256 is not None:
        evidence.append(f'sha256 = "{contributor.evidence.sha256.hex()}"')
    if evidence:
        lines.append(f"evidence = {{ {', '.join(evidence)} }}")
    return "\n".join(lines) + "\n"
