"""What a training cost and what it was fed with: invoices, payments on the chain, data's hashes."""

from __future__ import annotations

import contextlib
import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Final

import numpy as np

from tessera.diligence.subject import Subject
from tessera.diligence.training.tensors import opened
from tessera.diligence.view import View
from tessera.errors import InputError, NotFound
from tessera.facts import Transfers

__all__ = ["Dataset", "Paid", "check_dataset", "check_invoices", "payments_for_compute"]

_MOST_LIST: Final = 64 << 20
_LISTED: Final = re.compile(r"(?:sha256:|0x)?([0-9a-fA-F]{64})(?:[ \t]+\*?(\S.*))?")
_ROOT: Final = re.compile(r"0x[0-9a-fA-F]{64}")
_STEP: Final = 1 << 20


@dataclass(frozen=True, slots=True)
class Dataset:
    """What came of looking for a data set's provenance.

    Attributes
    ----------
    proved
        Whether a hash was found to be right, or was on the chain.
    why
        In a sentence.
    """

    proved: bool
    why: str
    where: str = ""


@dataclass(frozen=True, slots=True)
class Paid:
    """What the project paid for compute in one currency, base units.

    Attributes
    ----------
    returned
        What the paid sent back to the project.
    """

    token: str
    to: str
    amount: int
    returned: int
    count: int

    @property
    def kept(self) -> int:
        """What did not come back; 0 or more."""
        return max(0, self.amount - self.returned)


def check_invoices(subject: Subject, names: Sequence[str]) -> list[Path]:
    """Return the invoices that are there and hold something, each content once.

    Whether somebody was paid is for a reader to see: an invoice is a piece of paper.

    Raises
    ------
    InputError
        One that is named is not there.
    """
    found: dict[str, Path] = {}
    for name in names:
        file = subject.path(name)
        if not file.is_file():
            raise InputError(f"invoice {name}", found="nothing", wanted="a file")
        if file.stat().st_size:
            found.setdefault(_digest(file), file)
    return list(found.values())


def payments_for_compute(view: View, providers: Sequence[str]) -> list[Paid]:
    """Sum what the project's own addresses paid to providers of compute, in what was observed.

    A provider that is the project's own address, or sends the money back, was not paid.
    """
    people = view.subject.people
    own = {*people.team, *people.treasury, *([people.deployer] if people.deployer else [])}
    strangers = [each for each in providers if each not in own]
    found = []
    for transfers in _observed(view):
        ids = [transfers.addresses.id_of(each) for each in own]
        payers = {each for each in ids if each is not None}
        for provider in strangers:
            to = transfers.addresses.id_of(provider)
            if to is None or not payers:
                continue
            out = _between(transfers, payers, {to})
            back = _between(transfers, {to}, payers)
            if len(out):
                found.append(
                    Paid(
                        transfers.token, provider, out.amount.total(), back.amount.total(), len(out)
                    )
                )
    return found


def check_dataset(view: View, named: str) -> Dataset:
    """Look for a data set's provenance: a list of hashes with the files, or a root on the chain.

    Parameters
    ----------
    named
        A content root, "0x" and 64 digits; or a file as `sha256sum` writes it, whose names start
        from its folder.

    Raises
    ------
    InputError
        There is no such file, or it lists nothing.
    """
    if _ROOT.fullmatch(named):
        return _on_chain(view, bytes.fromhex(named[2:]))
    file = view.subject.path(named)
    if not file.is_file():
        raise InputError(f"dataset {named}", found="nothing", wanted="a list of hashes, or a root")
    if file.stat().st_size > _MOST_LIST:
        raise InputError(f"dataset {named}", found="more than 64 MiB", wanted="a list of hashes")
    with opened(file) as raw:
        lines = raw.read().decode("utf-8", "replace").splitlines()
    listed = [match for line in lines if (match := _LISTED.fullmatch(line.strip()))]
    if not listed:
        raise InputError(
            f"dataset {named}", found="no hash in it", wanted="lines as sha256sum writes them"
        )
    right = 0
    for match in listed:
        place = _beside(file, match[2])
        if place is None:
            continue
        if _digest(place) != match[1].lower():
            return Dataset(False, f"{match[2]} has another hash than the list says", named)
        right += 1
    if not right:
        return Dataset(
            False, f"{len(listed)} hashes are listed, and none of the files is here to check", named
        )
    return Dataset(
        True, f"{right} of {len(listed)} listed files are here, with the right hash", named
    )


def _beside(file: Path, name: str | None) -> Path | None:
    """Return a file that a list names, in the list's own folder or below; None of any other."""
    inside = PurePosixPath(name or "..")
    if inside.is_absolute() or ".." in inside.parts:
        return None
    place = file.parent / inside
    return place if place.is_file() else None


def _on_chain(view: View, root: bytes) -> Dataset:
    for event in view.facts.events(contract="Registry", name="VersionReleased"):
        if getattr(event.event, "root", None) == root:
            where = f"block {event.block}, log {event.log}"
            return Dataset(True, "its content root was released on the chain", where)
    return Dataset(False, "its content root is on no registry that was observed")


def _observed(view: View) -> list[Transfers]:
    found = {**view.currencies}
    # Where nobody looked at the token itself, the currencies still count.
    with contextlib.suppress(NotFound):
        found.setdefault(view.subject.token, view.transfers)
    return [found[token] for token in sorted(found)]


def _between(transfers: Transfers, sources: set[int], targets: set[int]) -> Transfers:
    out = np.isin(transfers.source, sorted(sources)) & np.isin(transfers.target, sorted(targets))
    return transfers.select(out)


def _digest(file: Path) -> str:
    state = hashlib.sha256()
    with opened(file) as raw:
        while piece := raw.read(_STEP):
            state.update(piece)
    return state.hexdigest()
