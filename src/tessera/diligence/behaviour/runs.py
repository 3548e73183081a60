"""What one call did, as the sandbox saw it, and the bounds that a sandbox has."""

from __future__ import annotations

from dataclasses import dataclass, field

from tessera.diligence.behaviour.origins import Field, Origin

__all__ = ["Branch", "Exhausted", "Limits", "Paid", "Run", "Store"]


class Exhausted(Exception):  # not a refusal: the search turns it into "unknown"
    """A run was stopped at a bound."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds of one sandbox.

    Parameters
    ----------
    steps
        Opcodes in one run.
    gas
        Gas of one run.
    depth
        Calls within calls.
    total_steps
        Opcodes of all runs together: about a minute of one core. The same on every machine, so that
        the same contract gets the same verdict.
    seconds
        Wall clock of all runs together, where a machine is so slow that steps do not bound it.
    """

    steps: int = 60_000
    gas: int = 30_000_000
    depth: int = 24
    total_steps: int = 6_000_000
    seconds: float = 180.0


@dataclass(frozen=True, slots=True)
class Branch:
    """A conditional jump: where it stands, which way it went, and why."""

    frame: int
    offset: int
    taken: bool
    origin: Origin | None


@dataclass(frozen=True, slots=True)
class Store:
    """A write to storage, kept if its frame was."""

    address: str
    key: int
    old: int
    new: int
    origin: Origin | None


@dataclass(frozen=True, slots=True)
class Paid:
    """Money that left a contract: ``currency`` is None for ether."""

    source: str
    target: str
    currency: str | None
    amount: int
    target_origin: Origin | None = None
    amount_origin: Origin | None = None


@dataclass(slots=True)
class Run:
    """What one call did."""

    success: bool = False
    output: bytes = b""
    steps: int = 0
    stopped: bool = False
    branches: list[Branch] = field(default_factory=list)
    stores: list[Store] = field(default_factory=list)
    loads: list[Field] = field(default_factory=list)
    paid: list[Paid] = field(default_factory=list)
    attempts: int = 0
    called: set[str] = field(default_factory=set)
    destroyed: bool = False
    blind: set[str] = field(default_factory=set)  # code that was to run and that nobody observed
    # Calls handed on whole, as proxies do: by whom, to whom, and where that address came from.
    delegations: list[tuple[str, str, Origin | None]] = field(default_factory=list)
    failed_frames: set[int] = field(default_factory=set)

    @property
    def word(self) -> int | None:
        """The first word returned, None where there is none."""
        return int.from_bytes(self.output[:32], "big") if len(self.output) >= 32 else None
