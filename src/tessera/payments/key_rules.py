"""What a channel's payer rules about its key, and the periods that budgets are for."""

from __future__ import annotations

import datetime as dt
from typing import Annotated, Final, Literal

import msgspec

from tessera.errors import InputError
from tessera.spec.signatures import Domain, keccak, typed_digest
from tessera.spec.vouchers import MAX_LINES

__all__ = ["KeyRules", "period_end", "period_start", "rules_digest"]

_RULES_TYPEHASH: Final = keccak(b"KeyRules(uint64 channel,bytes32 rules)")
_Digits = Annotated[str, msgspec.Meta(pattern=r"^[0-9]{1,78}$")]


class KeyRules(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a channel's payer rules about its key, as JSON; amounts are decimal base units.

    Attributes
    ----------
    sequence
        Higher than that of the rules before; unix milliseconds do.
    budget
        Most that may be spent in a period, by all models together; None for what the chain allows.
    period
        `total`, or a `day` or `month` of UTC.
    models
        Asset ids that may be called, each with a budget of its own per period or None; None for
        all that the chain grants.
    calls_per_minute
        Most calls in any sixty seconds, by each gateway that serves the key; None for any number.
    revoked
        Whether the key counts no more.
    """

    sequence: Annotated[int, msgspec.Meta(ge=1, lt=2**53)]
    budget: _Digits | None = None
    period: Literal["total", "day", "month"] = "total"
    models: Annotated[dict[_Digits, _Digits | None], msgspec.Meta(max_length=MAX_LINES)] | None = (
        None
    )
    calls_per_minute: Annotated[int, msgspec.Meta(ge=1, le=10**6)] | None = None
    revoked: bool = False

    @classmethod
    def parse(cls, body: bytes) -> KeyRules:
        """Read rules.

        Raises
        ------
        InputError
            They are not of this form.
        """
        try:
            return msgspec.json.decode(body, type=cls)
        except msgspec.MsgspecError as error:
            raise InputError(
                "key rules", found=str(error), wanted="see docs/guides/keys.md"
            ) from error


def rules_digest(domain: Domain, channel: int, body: bytes) -> bytes:
    """Return what a channel's payer signs over rules.

    Parameters
    ----------
    domain
        Chain and Channels contract.
    channel
        The key's.
    body
        The rules' exact bytes.
    """
    return typed_digest(
        domain, keccak(_RULES_TYPEHASH + channel.to_bytes(32, "big") + keccak(body))
    )


def period_start(period: str, now: float) -> int:
    """Return when the period of a moment began, unix seconds; 0 for `total`."""
    if period == "total":
        return 0
    moment = dt.datetime.fromtimestamp(now, dt.UTC)
    day = 1 if period == "month" else moment.day
    return int(dt.datetime(moment.year, moment.month, day, tzinfo=dt.UTC).timestamp())


def period_end(period: str, now: float) -> int | None:
    """Return when the period of a moment ends, unix seconds; None for `total`."""
    if period == "total":
        return None
    longest = 24 * 3_600 if period == "day" else 31 * 24 * 3_600
    return period_start(period, period_start(period, now) + longest + 3_600)
