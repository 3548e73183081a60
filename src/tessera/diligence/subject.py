"""What is asked about: a token, what it says of itself, and which addresses play which part.

The chain does not say which contracts take a project's payments, who its team is or what its
documents promise. An analyst says it in a file, `about.toml`; for an asset of our own the chain
says it, and the subject is made from facts.
"""

from __future__ import annotations

import re
import tomllib
from datetime import date
from pathlib import Path
from typing import Annotated, Final

import msgspec

from tessera.errors import InputError

__all__ = [
    "BenchmarkClaim",
    "Currency",
    "Holders",
    "Payments",
    "People",
    "Subject",
    "TrainingClaim",
    "Unlock",
    "read_about",
    "token_address",
]

_ADDRESS: Final = re.compile(r"0x[0-9a-fA-F]{40}")
_MOST_BYTES: Final = 1 << 20

Address = Annotated[str, msgspec.Meta(pattern=r"^0x[0-9a-fA-F]{40}$")]
Share = Annotated[float, msgspec.Meta(ge=0, le=1)]


class Currency(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A token that users pay in.

    Attributes
    ----------
    usd
        What one whole unit is worth, for a stablecoin; None: see the prices.
    """

    address: Address
    decimals: Annotated[int, msgspec.Meta(ge=0, le=77)]
    symbol: str = ""
    usd: Annotated[float, msgspec.Meta(gt=0)] | None = None


class Payments(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where users' money arrives (the revenue set), and in what.

    Attributes
    ----------
    relayers
        Contracts that pay for others (paymasters, facilitators): they hide the payer.
    supply_side
        Who is paid out of it for the work: operators, miners, liquidity providers.
    """

    contracts: tuple[Address, ...] = ()
    currencies: tuple[Currency, ...] = ()
    relayers: tuple[Address, ...] = ()
    supply_side: tuple[Address, ...] = ()


class Holders(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How the documents say that holders are paid.

    Attributes
    ----------
    promise
        In the documents' words; "" where they promise nothing.
    distributors
        Contracts that pay holders or stakers.
    burns, buybacks
        Addresses that burn revenue, or buy the token with it.
    """

    promise: str = ""
    distributors: tuple[Address, ...] = ()
    burns: tuple[Address, ...] = ()
    buybacks: tuple[Address, ...] = ()


class People(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Who stands behind it.

    Attributes
    ----------
    anonymous
        None where nobody has looked.
    """

    team: tuple[Address, ...] = ()
    treasury: tuple[Address, ...] = ()
    deployer: Address | None = None
    anonymous: bool | None = None


class Unlock(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One bucket of a schedule: nothing before `cliff`, then linear from `start` to `end`.

    Attributes
    ----------
    amount
        Base units, as digits: they do not fit into a number of a file.
    insider
        Team, investors and advisers, as against the community.
    """

    bucket: str
    amount: Annotated[str, msgspec.Meta(pattern=r"^[0-9]{1,78}$")]
    start: date
    end: date
    cliff: date | None = None
    insider: bool = False


class BenchmarkClaim(msgspec.Struct, frozen=True, tag="benchmark", tag_field="kind"):
    """A score that the project claims.

    Attributes
    ----------
    benchmark
        Its name, or the id of a benchmark whose items are hashed.
    score
        None for "state of the art" and the like: a claim without a number.
    report
        A file or folder with raw outputs that somebody else can run again.
    references
        Reports of other models on the same items, to hold it against.
    endpoint
        Where the model answers.
    """

    text: str
    benchmark: str = ""
    score: Share | None = None
    report: str | None = None
    references: tuple[str, ...] = ()
    endpoint: str | None = None


class TrainingClaim(msgspec.Struct, frozen=True, tag="training", tag_field="kind"):
    """A model that the project says it trained, and what is there to show for it.

    Attributes
    ----------
    parameters
        How many the model is said to have.
    bytes_each
        Of a parameter: 2 for 16 bits.
    weights, logs, invoices, dataset
        Files or folders; `dataset` one whose hashes are listed.
        `dataset` may be a content root too, "0x" and 64 digits.
    compute
        Addresses that were paid for compute.
    public
        Weights of public models that it might be a copy of.
    answers
        What its endpoint and known APIs answered to the same prompts, as JSON lines.
    """

    text: str
    parameters: Annotated[int, msgspec.Meta(gt=0)] | None = None
    bytes_each: Annotated[float, msgspec.Meta(gt=0)] = 2.0
    weights: str | None = None
    logs: tuple[str, ...] = ()
    invoices: tuple[str, ...] = ()
    dataset: str | None = None
    compute: tuple[Address, ...] = ()
    public: tuple[str, ...] = ()
    answers: str | None = None


class Subject(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A token and what is said about it.

    Attributes
    ----------
    token
        Lower case, "0x" and 40 digits.
    asset
        Number of an asset of our own, whose Share the token is; None for any other token.
    decimals
        None: what the token itself answers, if that was observed.
    launched
        None: the first transfer.
    repository, documents
        Where the code is, and where the promises are read.
    upstreams
        Repositories that the code may be a fork of: their work is not this project's.
    folder
        What relative paths start from.
    """

    token: Address
    name: str = ""
    asset: int | None = None
    decimals: Annotated[int, msgspec.Meta(ge=0, le=77)] | None = None
    launched: date | None = None
    repository: str | None = None
    upstreams: tuple[str, ...] = ()
    documents: tuple[str, ...] = ()
    payments: Payments = Payments()
    holders: Holders = Holders()
    people: People = People()
    unlocks: tuple[Unlock, ...] = ()
    claims: tuple[BenchmarkClaim | TrainingClaim, ...] = ()
    labels: dict[Address, str] = {}
    folder: str = "."

    def path(self, name: str) -> Path:
        """A file that it names."""
        return Path(self.folder) / name


def token_address(text: str) -> str:
    """An address as facts hold it: lower case.

    Raises
    ------
    InputError
        It is none.
    """
    if not _ADDRESS.fullmatch(text):
        raise InputError("token", found=text, wanted="an address: 0x and 40 hexadecimal digits")
    return text.lower()


def read_about(file: Path) -> Subject:
    """The subject that an analyst's file describes; addresses become lower case.

    Raises
    ------
    InputError
        There is no such file, it is no TOML, or a field is missing, unknown or out of its bounds.
    """
    try:
        with file.open("rb") as opened:
            content = opened.read(_MOST_BYTES + 1)
    except OSError as error:
        raise InputError(
            f"{file}: {error.strerror}", next_step="tessera diligence --help"
        ) from error
    if len(content) > _MOST_BYTES:
        raise InputError(f"{file}", found="more than 1 MiB", wanted="a description of one token")
    try:
        read = tomllib.loads(content.decode())
        subject = msgspec.convert({**read, "folder": str(file.parent)}, Subject)
    except RecursionError as error:
        raise InputError(
            f"{file}: nested too deep",
            wanted="a description of one token",
            next_step="see the guide: docs/guides/diligence.md",
        ) from error
    except (UnicodeDecodeError, tomllib.TOMLDecodeError, msgspec.ValidationError) as error:
        raise InputError(
            f"{file}: {error}", next_step="see the guide: docs/guides/diligence.md"
        ) from error
    return _lowered(subject)


def _lowered(subject: Subject) -> Subject:
    """All addresses in lower case, as facts hold them."""

    def lower(value: object) -> object:
        if isinstance(value, str) and _ADDRESS.fullmatch(value):
            return value.lower()
        if isinstance(value, dict):
            return {lower(key): lower(each) for key, each in value.items()}
        if isinstance(value, list | tuple):
            return [lower(each) for each in value]
        return value

    return msgspec.convert(lower(msgspec.to_builtins(subject)), Subject)
