"""Everything that Tessera refuses or reports, as one tree.

::

    TesseraError              code, message, operands as fields, retryable
    ├─ InputError             the caller can mend it
    │  ├─ NotFound            nothing has that name; says what is near
    │  ├─ Unprocessable       well-formed, but this thing cannot use it
    │  └─ TooLarge            over a stated limit
    ├─ NotAllowed             licence, role or signature
    │  ├─ SignatureRejected   the signature is missing, malformed or somebody else's
    │  ├─ KeyRevoked          the API key counts no more, or never did
    │  └─ PaymentRequired     the call is not paid for; `operands` say how to pay
    ├─ Conflict               state moved since the caller looked
    │  ├─ Closed              it existed and has ended
    │  ├─ StaleQuote          the price or the terms are no longer these
    │  └─ Busy *              a port, a lock or a channel that somebody else holds now
    ├─ ChainError             the chain did not do what was asked
    │  ├─ RpcUnavailable *    the node does not answer
    │  ├─ WrongChain          it answers for another chain
    │  ├─ NotFinal *          not deep enough yet to rely on
    │  ├─ ReorgDetected       what was read has been replaced
    │  └─ TransactionReverted a contract said no: contract, reason, tx_hash
    ├─ DataError              stored or supplied data cannot be relied on
    │  └─ StorageFull         the disk has no room; nothing was half-written
    ├─ ServingError           the model did not answer as promised
    │  ├─ BackendFailed *     it raised, hung or returned nonsense
    │  ├─ QuotaExceeded *     more than was agreed for now
    │  │  ├─ TooBusy *        the gateway answers as many calls as it can
    │  │  ├─ RiskReached *    too much is served and not settled yet
    │  │  └─ BudgetSpent      an API key's budget does not cover the call
    │  ├─ Overloaded *        others fill it, or its turn did not come in time
    │  ├─ MeterMismatch       two meters disagree about one call
    │  ├─ WrongVersionServed  the receipt states another version than was asked for
    │  └─ ModelDiffers        the answers are not those of the model that is claimed
    └─ InvariantViolation     our bug or an attack: stop, record, never retry

    (* retryable)

The rooms raise these, or classes of their own below them. Exit codes and HTTP statuses belong to
the doors (`tessera.presenting`): nothing here knows about either.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping
from typing import Any, ClassVar

__all__ = [
    "BackendFailed",
    "BudgetSpent",
    "Busy",
    "ChainError",
    "Closed",
    "Conflict",
    "DataError",
    "InputError",
    "InvariantViolation",
    "KeyRevoked",
    "MeterMismatch",
    "ModelDiffers",
    "NotAllowed",
    "NotFinal",
    "NotFound",
    "Overloaded",
    "PaymentRequired",
    "QuotaExceeded",
    "ReorgDetected",
    "RiskReached",
    "RpcUnavailable",
    "ServingError",
    "SignatureRejected",
    "StaleQuote",
    "StorageFull",
    "TesseraError",
    "TooBusy",
    "TooLarge",
    "TransactionReverted",
    "Unprocessable",
    "WrongChain",
    "WrongVersionServed",
    "did_you_mean",
]

_UNSET: Any = object()
# Beyond 2**53 - 1 a JSON number loses digits in most readers, so larger integers travel as strings.
_JSON_SAFE_INTEGER = 2**53 - 1
_SHOWN_CHARACTERS = 200


def _snake_case(name: str) -> str:
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()


class TesseraError(Exception):
    """The root: a stable code, one clear line, and the values it is about.

    Parameters
    ----------
    thing
        What this is about, as the user knows it: "price", "channel 7", "tessera.toml: inputs[0]".
        With neither `found` nor `wanted` it is the whole sentence.
    found
        The value that was found. Shown shortened; kept whole in `operands`.
    wanted
        What would have been accepted, in words.
    next_step
        What the reader can do now, usually a command.
    operands
        Further values by name, for programs; never secrets.

    Attributes
    ----------
    code
        A stable string; a subclass gets the snake_case of its name unless it states one.
    retryable
        Whether the very same request may succeed later without anybody mending anything.

    Examples
    --------
    >>> str(InputError("price", found=-1, wanted="0 or more", next_step="edit tessera.toml"))
    'price: found -1, wanted 0 or more; edit tessera.toml'
    """

    code: ClassVar[str] = "error"
    retryable: ClassVar[bool] = False

    def __init_subclass__(cls, **keywords: Any) -> None:
        super().__init_subclass__(**keywords)
        if "code" not in cls.__dict__:
            cls.code = _snake_case(cls.__name__)

    def __init__(
        self,
        thing: str,
        *,
        found: object = _UNSET,
        wanted: str | None = None,
        next_step: str | None = None,
        **operands: object,
    ) -> None:
        self.thing = thing
        self.wanted = wanted
        self.next_step = next_step
        self.operands: dict[str, object] = dict(operands)
        if found is not _UNSET:
            self.operands["found"] = found
        self.message = _sentence(thing, found, wanted, next_step)
        super().__init__(self.message)

    @property
    def found(self) -> object:
        """The value found, or None where none was given."""
        return self.operands.get("found")

    def details(self) -> dict[str, object]:
        """Return the operands as plain JSON values.

        Returns
        -------
        dict
            `thing`, and `wanted`, `next_step` and the operands where given. Integers beyond
            2**53 - 1 become decimal strings, bytes 0x-hex, everything unknown its `str`.
        """
        shown: dict[str, object] = {"thing": self.thing}
        if self.wanted is not None:
            shown["wanted"] = self.wanted
        if self.next_step is not None:
            shown["next_step"] = self.next_step
        shown.update((name, _plain(value)) for name, value in self.operands.items())
        return shown

    def __reduce__(self) -> tuple[Any, ...]:
        # Subclasses take other arguments; errors cross process borders (runners), so rebuild by
        # state and not by calling the constructor.
        return (_revive, (type(self), self.message), dict(self.__dict__))


class InputError(TesseraError):
    """The caller can mend it: a value, a file, a name, an argument."""


class NotFound(InputError):
    """Nothing has that name.

    Examples
    --------
    >>> str(NotFound.among("model", "sentimnt", ["sentiment", "digits"]))
    "model: found 'sentimnt', wanted one of digits, sentiment; did you mean 'sentiment'?"
    """

    @classmethod
    def among(
        cls, thing: str, name: str, options: Iterable[str], *, next_step: str | None = None
    ) -> NotFound:
        """Refuse `name` and say what exists, with the nearest name first."""
        known = sorted(options)
        listed = ", ".join(known[:8]) + (f" and {len(known) - 8} more" if len(known) > 8 else "")
        steps = [step for step in (did_you_mean(name, known), next_step) if step]
        return cls(
            thing,
            found=name,
            wanted=f"one of {listed}" if known else "something that exists (there is none yet)",
            next_step="; ".join(steps) or None,
        )


class Unprocessable(InputError):
    """Well-formed, but this model, contract or file cannot use it."""


class TooLarge(InputError):
    """Over a stated limit of size, length or count."""


class NotAllowed(TesseraError):
    """A licence, a role or a signature forbids it."""


class SignatureRejected(NotAllowed):
    """The signature is missing, malformed, or not from who may sign."""


class KeyRevoked(NotAllowed):
    """An API key that was revoked, has ended, or was never made here."""


class PaymentRequired(NotAllowed):
    """The call is not paid for; the operands carry price, terms and where to pay."""


class Conflict(TesseraError):
    """State moved since the caller looked; look again, then decide."""


class Closed(Conflict):
    """It existed and has ended: a channel, an offering, a listing."""


class StaleQuote(Conflict):
    """The price or the terms are no longer what the caller agreed to."""


class Busy(Conflict):
    """A port, a lock or a channel is held by somebody else at the moment."""

    retryable = True


class ChainError(TesseraError):
    """The chain did not do what was asked, or could not be asked."""


class RpcUnavailable(ChainError):
    """The node does not answer, or not in time."""

    retryable = True


class WrongChain(ChainError):
    """The node answers for another chain than the one that was configured or signed for."""


class NotFinal(ChainError):
    """Not deep enough in the chain yet to rely on."""

    retryable = True


class ReorgDetected(ChainError):
    """A block that was read has been replaced by another."""


class TransactionReverted(ChainError):
    """A contract refused.

    Parameters
    ----------
    contract
        Name of the contract, or its address where the name is unknown.
    reason
        The revert string as the contract gave it; empty where it gave none.
    tx_hash
        The transaction, 0x-hex; None for a call that was simulated and never sent.
    next_step
        What the reader can do now.
    """

    def __init__(
        self,
        contract: str,
        reason: str,
        tx_hash: str | None = None,
        *,
        next_step: str | None = None,
        **operands: Any,
    ) -> None:
        said = reason or "no reason given"
        sentence = f"{contract} reverted: {said}" + (f" (transaction {tx_hash})" if tx_hash else "")
        super().__init__(
            sentence,
            next_step=next_step,
            contract=contract,
            reason=reason,
            tx_hash=tx_hash,
            **operands,
        )
        self.contract = contract
        self.reason = reason
        self.tx_hash = tx_hash


class DataError(TesseraError):
    """Stored or supplied data is incomplete, contradictory or unreadable."""


class StorageFull(DataError):
    """The disk has no room. What was being written has been taken back whole."""


class ServingError(TesseraError):
    """A model, or what runs it, did not answer as promised."""


class BackendFailed(ServingError):
    """It raised, hung, died or returned something that is no answer."""

    retryable = True


class QuotaExceeded(ServingError):
    """More calls, tokens or bytes than are agreed for this moment."""

    retryable = True


class TooBusy(QuotaExceeded):
    """The gateway answers as many calls as it can; the operands say when to ask again."""


class RiskReached(QuotaExceeded):
    """As much is served and not final on the chain as the operator risks; it settles now."""


class BudgetSpent(QuotaExceeded):
    """What is left of an API key's budget does not cover the call."""

    # As the official clients know it: they tell their user, and do not ask again.
    code = "insufficient_quota"
    retryable = False


class Overloaded(ServingError):
    """More is asked of it than it can answer now; the operands say when to ask again."""

    retryable = True


class MeterMismatch(ServingError):
    """Two meters disagree about one call, so nobody is charged for it."""


class WrongVersionServed(ServingError):
    """A receipt states another version or quantization than was asked for."""


class ModelDiffers(ServingError):
    """An endpoint's answers are not those of the model that it says it runs."""


class InvariantViolation(TesseraError):
    """Something that must never be true was true: our bug or an attack. Stop and record."""


def did_you_mean(name: str, options: Iterable[str]) -> str:
    """Suggest the option nearest to a mistyped name.

    Returns
    -------
    str
        "did you mean 'x'?", or the empty string where nothing is near.
    """
    by_folded = {option.casefold(): option for option in options}
    near = difflib.get_close_matches(name.casefold(), by_folded, n=1, cutoff=0.6)
    return f"did you mean {str(by_folded[near[0]])!r}?" if near else ""


def _sentence(thing: str, found: object, wanted: str | None, next_step: str | None) -> str:
    facts = [f"found {_shown(found)}"] if found is not _UNSET else []
    if wanted is not None:
        facts.append(f"wanted {wanted}")
    line = f"{thing}: {', '.join(facts)}" if facts else thing
    return f"{line}; {next_step}" if next_step else line


def _shown(value: object) -> str:
    text = f"0x{value.hex()}" if isinstance(value, bytes | bytearray) else repr(value)
    if len(text) <= _SHOWN_CHARACTERS:
        return text
    return f"{text[:_SHOWN_CHARACTERS]}… ({len(text)} characters)"


def _plain(value: object) -> object:
    if value is None or isinstance(value, bool | str):
        return value
    if isinstance(value, int):
        return value if abs(value) <= _JSON_SAFE_INTEGER else str(value)
    if isinstance(value, float):
        # NaN and the infinities are no JSON.
        return value if value - value == 0.0 else str(value)
    if isinstance(value, bytes | bytearray):
        return f"0x{value.hex()}"
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_plain(item) for item in value]
    return str(value)


def _revive(cls: type[TesseraError], message: str) -> TesseraError:
    error = cls.__new__(cls)
    Exception.__init__(error, message)
    return error
