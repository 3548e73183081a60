"""The manifest of a bundle, `tessera.toml`, as typed values. Reading it is `reading`'s matter."""

from __future__ import annotations

import enum
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from decimal import Decimal

from tessera.assets.references import AssetUrn, SlugReference
from tessera.units import Bps, Units

__all__ = [
    "MANIFEST_NAME",
    "Benchmark",
    "Contributor",
    "Evidence",
    "Field",
    "Kind",
    "Licence",
    "Limits",
    "Manifest",
    "OnnxRunner",
    "Package",
    "Parent",
    "Price",
    "Provenance",
    "PythonRunner",
    "Role",
    "Runner",
    "Task",
    "UpstreamRunner",
]

MANIFEST_NAME = "tessera.toml"
MAX_PARENTS = 8
MAX_CONTRIBUTORS = 1_000

_FREE = Units(0)

Scalar = str | int | bool | Decimal
Option = Scalar | tuple[Scalar, ...]


class Kind(enum.StrEnum):
    """What an asset is."""

    MODEL = "model"
    DATASET = "dataset"
    SERVICE = "service"
    WORKFLOW = "workflow"
    COMPUTE = "compute"


class Task(enum.StrEnum):
    """What a runner answers, and so the route it is served on."""

    EMBEDDINGS = "embeddings"
    CHAT = "chat"
    CLASSIFICATION = "classification"
    MODERATION = "moderation"
    PREDICT = "predict"


class Role(enum.IntEnum):
    """What a contributor gave; the number is the one in the contribution leaf."""

    DATA = 1
    COMPUTE = 2
    CODE = 3
    VALIDATION = 4


@dataclass(frozen=True, slots=True)
class Evidence:
    """A file of the bundle, a SHA-256, or both (then they must agree).

    Attributes
    ----------
    file
        Bundle path, or None.
    sha256
        Plain SHA-256, 32 bytes, or None as long as only the file is known.
    """

    file: str | None = None
    sha256: bytes | None = None


@dataclass(frozen=True, slots=True)
class Limits:
    """What a runner may use.

    Attributes
    ----------
    memory_mb
        MiB of address space.
    timeout_s
        Seconds for one call.
    """

    memory_mb: int = 1024
    timeout_s: int = 30


@dataclass(frozen=True, slots=True)
class Package:
    """A Python package, pinned: one version, and the SHA-256 of each file that may be installed."""

    name: str
    version: str
    sha256: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class OnnxRunner:
    """An ONNX graph run in the operator's process.

    Attributes
    ----------
    file
        The graph.
    files
        What else it needs: a tokenizer, labels.
    options
        Settings of the task, such as a list of labels; what they mean is the runner's to say.
    """

    task: Task
    file: str
    files: tuple[str, ...] = ()
    limits: Limits = Limits()
    options: Mapping[str, Option] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class PythonRunner:
    """A Python callable run in a limited child process.

    Attributes
    ----------
    file, callable
        Module file, and the name in it to call.
    packages
        All that is installed for it, and nothing else.
    """

    task: Task
    file: str
    callable: str
    packages: tuple[Package, ...] = ()
    files: tuple[str, ...] = ()
    limits: Limits = Limits()
    options: Mapping[str, Option] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class UpstreamRunner:
    """A model behind an OpenAI-compatible server: declared, never hashed.

    Attributes
    ----------
    url
        Base URL; holds no user name or password.
    model
        What the upstream calls the model.
    """

    task: Task
    url: str
    model: str
    limits: Limits = Limits()
    options: Mapping[str, Option] = field(default_factory=dict)


Runner = OnnxRunner | PythonRunner | UpstreamRunner


@dataclass(frozen=True, slots=True)
class Field:
    """One input or output, described for people and for forms.

    Attributes
    ----------
    shape
        Sizes, -1 where any will do; empty for a single value.
    """

    name: str
    type: str
    shape: tuple[int, ...] = ()
    description: str = ""
    unit: str = ""


@dataclass(frozen=True, slots=True)
class Price:
    """What a call costs, in base units of the currency.

    Attributes
    ----------
    per_call
        For each answered call.
    per_1k_input, per_1k_output
        For a thousand metered units.
    """

    per_call: Units = _FREE
    per_1k_input: Units = _FREE
    per_1k_output: Units = _FREE


@dataclass(frozen=True, slots=True)
class Licence:
    """An SPDX expression, a file of the bundle, or both."""

    spdx: str | None = None
    file: str | None = None


@dataclass(frozen=True, slots=True)
class Contributor:
    """Who gave what.

    Attributes
    ----------
    account
        Address, 0x-hex, or None while only a name is known.
    name
        For people; or the name under which the publisher knows the account.
    weight
        Part of the whole: the weights of a bundle add up to 10,000.
    evidence
        What shows it; may be empty.
    """

    role: Role
    weight: Bps
    account: str | None = None
    name: str | None = None
    evidence: Evidence = Evidence()


@dataclass(frozen=True, slots=True)
class Parent:
    """An asset this one was made from, and the part of its revenue that is owed to it."""

    asset: AssetUrn | SlugReference
    royalty: Bps


@dataclass(frozen=True, slots=True)
class Benchmark:
    """A result the publisher claims, exact as written."""

    name: str
    metric: str
    value: Decimal
    data: Evidence = Evidence()


@dataclass(frozen=True, slots=True)
class Provenance:
    """Where the asset came from: the log of its training and the data it was trained on."""

    training_log: str | None = None
    data: Evidence = Evidence()
    note: str = ""


@dataclass(frozen=True, slots=True)
class Manifest:
    """A whole `tessera.toml` in which nothing is wrong.

    Attributes
    ----------
    name
        The slug.
    version
        The publisher's label; the registry numbers versions by itself.
    hashes
        Plain SHA-256 that files of the bundle must have.
    exclude
        Patterns of what stays out of the bundle, besides `DEFAULT_IGNORE`.
    """

    name: str
    title: str
    kind: Kind
    version: str
    licence: Licence
    price: Price
    description: str = ""
    runner: Runner | None = None
    inputs: tuple[Field, ...] = ()
    outputs: tuple[Field, ...] = ()
    contributors: tuple[Contributor, ...] = ()
    parents: tuple[Parent, ...] = ()
    benchmark: Benchmark | None = None
    provenance: Provenance | None = None
    hashes: Mapping[str, bytes] = field(default_factory=dict)
    exclude: tuple[str, ...] = ()

    def references(self) -> Iterator[tuple[str, str, bytes | None]]:
        """Every file that the manifest names.

        Yields
        ------
        tuple
            The key that names it, the bundle path, and the SHA-256 it must have or None.
        """
        match self.runner:
            case OnnxRunner(file=file, files=files) | PythonRunner(file=file, files=files):
                yield "runner.file", file, None
                for number, extra in enumerate(files):
                    yield f"runner.files[{number}]", extra, None
            case UpstreamRunner() | None:
                pass
        if self.licence.file is not None:
            yield "licence.file", self.licence.file, None
        for number, contributor in enumerate(self.contributors):
            yield from _named(f"contributors[{number}].evidence", contributor.evidence)
        if self.benchmark is not None:
            yield from _named("benchmark", self.benchmark.data)
        if self.provenance is not None:
            if self.provenance.training_log is not None:
                yield "provenance.training_log", self.provenance.training_log, None
            yield from _named("provenance", self.provenance.data)
        for path, digest in self.hashes.items():
            yield f'hashes."{path}"', path, digest


def _named(where: str, evidence: Evidence) -> Iterator[tuple[str, str, bytes | None]]:
    if evidence.file is not None:
        yield f"{where}.file", evidence.file, evidence.sha256
