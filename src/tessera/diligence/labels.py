"""What an address is: one class each, the first that fits, from labels, from its code, or unseen.

The order is burn, exchange, bridge, staking, vesting, treasury or team, pool, any other contract,
wallet. A label is somebody's word with a date: the table that comes with the program is a snapshot
of October 2023 and misses younger addresses, so every result says which share of the supply lies in
contracts without a label. Whoever's code nobody looked at is `UNSEEN` and counts as a holder.
"""

from __future__ import annotations

import csv
import dataclasses
import enum
import functools
import hashlib
import io
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from tessera.diligence.ledger import ledger_of
from tessera.diligence.subject import Subject
from tessera.diligence.view import View
from tessera.errors import DataError, InputError, NotFound
from tessera.facts import ABSENT, Addresses, Facts, Kind
from tessera.facts.addresses import address_bytes, address_text

__all__ = [
    "CUSTODY",
    "LOCKED",
    "AddressClass",
    "Classes",
    "Label",
    "Labels",
    "classes_of",
    "classify",
    "is_pool",
    "is_wallet_code",
    "labels_of",
    "read_labels",
    "shipped_labels",
]


SNAPSHOT: Final = "etherscan-labels@923aba7 (MIT), October 2023"

_EVERY_CHAIN: Final = 0
_MOST_LOOKED_AT: Final = 200
_MOST_BYTES: Final = 1 << 26
_COLUMNS: Final = ["chain", "address", "class", "owner", "name"]
_DELEGATED: Final = bytes.fromhex("ef0100")
_TOKEN0: Final = bytes.fromhex("0dfe1681")
_TOKEN1: Final = bytes.fromhex("d21220a7")


class AddressClass(enum.IntEnum):
    """What an address is. Where several fit, the smallest number wins."""

    BURN = 0
    EXCHANGE = 1
    BRIDGE = 2
    STAKING = 3
    VESTING = 4
    TEAM = 5
    """Treasury and team."""
    DEX_POOL = 6
    CONTRACT = 7
    WALLET = 8
    """Whoever signs for it: no code, or code that EIP-7702 lends it."""
    UNSEEN = 9
    """Nobody looked whether it has code."""


CUSTODY: Final = (
    AddressClass.EXCHANGE,
    AddressClass.BRIDGE,
    AddressClass.STAKING,
    AddressClass.VESTING,
    AddressClass.DEX_POOL,
)
"""Hold what belongs to others, so they are no holders themselves."""

LOCKED: Final = (AddressClass.VESTING, AddressClass.TEAM, AddressClass.BRIDGE)
"""What lies there does not circulate; a bridge's lock-box stands for tokens elsewhere."""

_NAMES: Final = {
    **{each.name.lower(): each for each in AddressClass if each != AddressClass.UNSEEN},
    "treasury": AddressClass.TEAM,
    "pool": AddressClass.DEX_POOL,
}

_PUBLIC: Final = {"mixer": AddressClass.CONTRACT, "faucet": AddressClass.WALLET}


@dataclass(frozen=True, slots=True)
class Label:
    """What somebody says that an address is.

    Attributes
    ----------
    owner
        Whose it is, the same word for all addresses of one exchange; "" where nobody says.
    public
        It pays anybody (a mixer, a faucet): what comes from there says nothing of who it is for.
    """

    klass: AddressClass
    owner: str = ""
    name: str = ""
    public: bool = False


@dataclass(frozen=True, eq=False)
class Labels:
    """Labels of one chain, by address in lower case.

    Attributes
    ----------
    version
        Where they come from, with a hash of what they say.
    """

    version: str
    by_address: Mapping[str, Label]

    def over(self, other: Labels) -> Labels:
        """Return both; where both speak of an address, `self` is believed."""
        return Labels(f"{self.version}; {other.version}", {**other.by_address, **self.by_address})


def _label(word: str, where: str, owner: str = "", name: str = "") -> Label:
    known = word.strip().lower()
    if known in _PUBLIC:
        return Label(_PUBLIC[known], owner, name, public=True)
    if known not in _NAMES:
        raise NotFound.among(f"{where}: class", word, [*_NAMES, *_PUBLIC])
    return Label(_NAMES[known], owner, name)


def _read(content: bytes, where: str, chain_id: int) -> dict[str, Label]:
    try:
        reader = csv.DictReader(io.StringIO(content.decode(), newline=""), strict=True)
        header = reader.fieldnames or []
        if not {"address", "class"} <= set(header):
            raise DataError(
                f"{where}: columns", found=", ".join(header), wanted=", ".join(_COLUMNS)
            )
        found: dict[str, Label] = {}
        for row in reader:
            line = f"{where}: line {reader.line_num}"
            if None in row or None in row.values():
                raise DataError(line, found="another number of fields", wanted=", ".join(header))
            chain = row.get("chain") or "0"
            if not chain.isdecimal():
                raise DataError(f"{line}: chain", found=chain, wanted="a chain's number, or 0")
            try:
                address = address_text(address_bytes(row["address"].strip()))
            except InputError as error:
                raise DataError(f"{line}: {error}") from error
            label = _label(row["class"], line, row.get("owner") or "", row.get("name") or "")
            if int(chain) in {_EVERY_CHAIN, chain_id}:
                before = found.get(address)
                if before is None or label.klass < before.klass:
                    found[address] = label
    except (UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{where}: {error}", wanted="a CSV of " + ", ".join(_COLUMNS)) from error
    return found


@functools.cache
def shipped_labels(chain_id: int) -> Labels:
    """Return the labels that come with the program; for an unknown chain, those of every chain."""
    content = resources.files("tessera.diligence").joinpath("labels.csv").read_bytes()
    return Labels(SNAPSHOT, _read(content, "labels.csv", chain_id))


def read_labels(file: Path, chain_id: int) -> Labels:
    """Return the labels of an analyst's CSV: address, class, and if wanted chain, owner and name.

    Raises
    ------
    InputError
        There is no such file, it is larger than 64 MiB, or it names an unknown class.
    DataError
        A column is missing, a line is cut off, or an address is none.
    """
    try:
        with file.open("rb") as opened:
            content = opened.read(_MOST_BYTES + 1)
    except OSError as error:
        raise InputError(f"labels {file}: {error.strerror}") from error
    if len(content) > _MOST_BYTES:
        raise InputError(f"labels {file}", found="more than 64 MiB", wanted="labels of one chain")
    return Labels(
        f"{file.name} {hashlib.sha256(content).hexdigest()[:12]}",
        _read(content, file.name, chain_id),
    )


def labels_of(subject: Subject, chain_id: int, file: Path | None = None) -> Labels:
    """Return what the subject, the analyst's file and the shipped table say, in this order."""
    own = {}
    for address, word in subject.labels.items():
        said = _label(word, f"labels of {address}")
        # What an analyst calls the team's is of one team.
        whose = "team" if said.klass == AddressClass.TEAM else ""
        own[address] = dataclasses.replace(said, owner=whose)
    people = subject.people
    for address in (*people.team, *people.treasury):
        own.setdefault(address, Label(AddressClass.TEAM, "team"))
    for address in subject.holders.burns:
        own.setdefault(address, Label(AddressClass.BURN))
    labels = shipped_labels(chain_id)
    if file is not None:
        labels = read_labels(file, chain_id).over(labels)
    return Labels("about.toml", own).over(labels) if own else labels


def is_wallet_code(code: bytes) -> bool:
    """Whether code is that of a wallet: none, or EIP-7702's pointer to somebody else's."""
    return not code or (len(code) == 23 and code.startswith(_DELEGATED))


def is_pool(facts: Facts, address: str, token: str) -> bool:
    """Whether a contract answers that it trades a token for another (`token0`, `token1`)."""
    answers = []
    for question in (_TOKEN0, _TOKEN1):
        reads = facts.reads(address, question)
        if not reads or not reads[-1].ok or len(reads[-1].answer) != 32:
            return False
        answers.append(address_text(reads[-1].answer[12:]))
    return token in answers and answers[0] != answers[1]


@dataclass(frozen=True, eq=False)
class Classes:
    """The class of each address of a table.

    Attributes
    ----------
    codes
        int8 of shape (addresses,): `AddressClass` by id.
    labels
        What was asked.
    looked_at
        Of how many addresses the code is known.
    """

    codes: NDArray[np.int8]
    labels: Labels
    looked_at: int

    def members(self, *classes: AddressClass) -> NDArray[np.bool_]:
        """Mask over ids of those that have one of these classes."""
        return np.isin(self.codes, np.array(classes, np.int8))


def classify(
    addresses: Addresses,
    labels: Labels,
    *,
    token: str = "",
    largest: Sequence[int] = (),
    code_of: Callable[[str], bytes | None] = lambda _: None,
    pool: Callable[[str], bool] = lambda _: False,
    signers: Iterable[str] = (),
) -> Classes:
    """Give each address its class.

    Parameters
    ----------
    addresses
        Who is classified; ids of the result are its ids.
    token
        The token itself is a contract that holds nothing for anybody.
    largest
        Ids of those whose code is worth asking for, the largest holders first.
    code_of
        Runtime code at the moment; None: nobody looked.
    pool
        Whether a contract trades the token.
    signers
        Who has signed a transaction: a wallet.
    """
    codes = np.full(len(addresses), AddressClass.UNSEEN, np.int8)
    signed = addresses.ids_of(signers)
    codes[signed[signed != ABSENT]] = AddressClass.WALLET
    looked_at = 0
    for each in largest:
        if codes[each] == AddressClass.WALLET:
            continue
        address = addresses[int(each)]
        code = code_of(address)
        if code is None:
            continue
        looked_at += 1
        if is_wallet_code(code):
            codes[each] = AddressClass.WALLET
        else:
            codes[each] = AddressClass.DEX_POOL if pool(address) else AddressClass.CONTRACT
    for address, label in labels.by_address.items():
        found = addresses.id_of(address)
        if found is not None:
            codes[found] = label.klass
    own = addresses.id_of(token) if token else None
    if own is not None and codes[own] > AddressClass.CONTRACT:
        codes[own] = AddressClass.CONTRACT
    codes[0] = AddressClass.BURN
    return Classes(codes, labels, looked_at)


def classes_of(view: View) -> Classes:
    """Return the classes of all who ever had the token; what is known of them as of the view."""
    return view.kept("classes", lambda: _classes(view))


def _classes(view: View) -> Classes:
    facts, token = view.facts, view.subject.token
    addresses = view.transfers.addresses
    ledger = ledger_of(view)
    signers: Iterable[str] = ()
    if Kind.CALLS in facts.kinds:
        calls = facts.calls()
        signers = calls.addresses.texts(np.unique(calls.sender))
    return classify(
        addresses,
        labels_of(view.subject, facts.chain_id, view.labels_file),
        token=token,
        largest=ledger.order()[:_MOST_LOOKED_AT].tolist(),
        code_of=facts.code,
        pool=lambda address: is_pool(facts, address, token),
        signers=signers,
    )
