"""Which operator answers a call: a policy without any I/O, so that every choice can be replayed.

First everything is left out that must not answer: another version, a lesser proof of which bytes
ran, a higher price than allowed, an operator that was named out, one that was caught. Only then are
the rest put in order. No wish and no failure puts anything back in.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final, Literal

import msgspec

from tessera.errors import InputError, Unprocessable, did_you_mean
from tessera.serving.runner import Identity, Units
from tessera.spec.prices import Price

__all__ = [
    "Endpoint",
    "Order",
    "Passed",
    "Standing",
    "Target",
    "Wish",
    "answered",
    "caught",
    "failed",
    "rank",
    "read_wish",
]

Sort = Literal["price", "latency", "uptime"]

FAILURES: Final = 3
"""In a row; then an operator is asked last, for a while."""

FIRST_REST_S: Final = 5.0
LONGEST_REST_S: Final = 60.0
CAUGHT_S: Final = 86_400.0
"""Who served another version than was asked for is not asked again for so long."""

_WEIGHT: Final = 0.2


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """One operator of an asset, as the chain lists it.

    Attributes
    ----------
    operator
        Address.
    url
        Of its gateway.
    price
        Base units; no call costs more.
    terms
        Number of its terms row.
    """

    operator: str
    url: str
    price: Price
    terms: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """What exactly must answer.

    Attributes
    ----------
    slug, asset, version
        The asset and one version of it: its bytes, and so its quantization.
    identity
        How well the operator must know what answers.
    """

    slug: str
    asset: int
    version: int
    identity: Identity

    @property
    def name(self) -> str:
        """What to call it at a gateway."""
        return f"{self.slug}@{self.version}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What the caller says about who should answer; operators by address or URL.

    Attributes
    ----------
    order
        To be asked first, in this order.
    only, ignore
        Nobody else; never these.
    sort
        How the rest is ordered.
    allow_fallbacks
        Whether a second operator may be asked where the first failed.
    most
        Highest price, part by part; None for any.
    """

    order: tuple[str, ...] = ()
    only: tuple[str, ...] = ()
    ignore: tuple[str, ...] = ()
    sort: Sort = "price"
    allow_fallbacks: bool = True
    most: Price | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """What is known of an operator from calls; times are of one monotonic clock.

    Attributes
    ----------
    latency_s
        Until the head of an answer, moving mean; None before the first.
    uptime
        Part of the calls that were answered, moving mean.
    failures
        In a row.
    rests_until
        Asked only after all others before this.
    out_until
        Not asked at all before this.
    """

    latency_s: float | None = None
    uptime: float = 1.0
    failures: int = 0
    rests_until: float = 0.0
    out_until: float = 0.0


NEW: Final = Standing()
"""Somebody nobody has asked yet."""


@dataclass(frozen=True, slots=True)
class Passed:
    """An operator that is not asked, and why."""

    operator: str
    reason: str


@dataclass(frozen=True, slots=True)
class Order:
    """Whom to ask, first to last, and who was left out."""

    choices: tuple[Endpoint, ...]
    passed: tuple[Passed, ...] = field(default=())


def rank(
    endpoints: Iterable[Endpoint],
    wish: Wish,
    standings: Mapping[str, Standing],
    *,
    now: float,
    units: Units,
    payer: str = "",
) -> Order:
    """Put the operators of an asset in the order in which they are asked.

    Parameters
    ----------
    endpoints
        All that the chain lists.
    wish
        The caller's.
    standings
        By operator; who is missing is new, and tried before who is known to be slow.
    now
        On the clock of the standings, seconds.
    units
        The most that the call can be charged for; what it costs decides about prices.
    payer
        Whoever pays; spreads payers over equals.
    """
    passed: list[Passed] = []
    left: list[Endpoint] = []
    for endpoint in endpoints:
        reason = _unfit(endpoint, wish, standings.get(endpoint.operator, NEW), now)
        if reason:
            passed.append(Passed(endpoint.operator, reason))
        else:
            left.append(endpoint)

    def key(endpoint: Endpoint) -> tuple[Any, ...]:
        standing = standings.get(endpoint.operator, NEW)
        cost = endpoint.price.cost_ceil(units.input, units.output)
        latency = standing.latency_s or 0.0
        named = next(
            (at for at, name in enumerate(wish.order) if _is(endpoint, name)), len(wish.order)
        )
        sorts: dict[str, tuple[float, ...]] = {
            "price": (cost, -standing.uptime, latency),
            "latency": (latency, cost),
            "uptime": (-standing.uptime, cost, latency),
        }
        tie = hashlib.sha256(f"{payer} {endpoint.operator}".encode()).digest()
        return (standing.rests_until > now, named, sorts[wish.sort], tie)

    choices = sorted(left, key=key)
    if not wish.allow_fallbacks:
        passed += [Passed(e.operator, "fallbacks are not allowed") for e in choices[1:]]
        choices = choices[:1]
    return Order(tuple(choices), tuple(passed))


def answered(standing: Standing, latency_s: float) -> Standing:
    """Take in an answer; one is enough to be well again."""
    known = standing.latency_s
    mean = latency_s if known is None else (1 - _WEIGHT) * known + _WEIGHT * latency_s
    return replace(
        standing,
        latency_s=mean,
        uptime=standing.uptime + _WEIGHT * (1 - standing.uptime),
        failures=0,
        rests_until=0.0,
    )


def failed(standing: Standing, now: float) -> Standing:
    """Take in a failure; from the third in a row on it rests, each time for longer."""
    failures = standing.failures + 1
    rest = 0.0
    if failures >= FAILURES:
        rest = min(FIRST_REST_S * 2.0 ** min(failures - FAILURES, 16), LONGEST_REST_S)
    return replace(
        standing,
        uptime=(1 - _WEIGHT) * standing.uptime,
        failures=failures,
        rests_until=now + rest if rest else standing.rests_until,
    )


def caught(standing: Standing, now: float) -> Standing:
    """Take in that it served something else than it was asked for, or signed nothing for it."""
    return replace(standing, out_until=now + CAUGHT_S)


def read_wish(value: object, default: Wish | None = None) -> Wish:
    """Read the field `provider` of a request, as OpenRouter's clients write it.

    Raises
    ------
    InputError
        A field is of the wrong type.
    Unprocessable
        It wishes for what no operator could prove.
    """
    default = default or Wish()
    if value is None:
        return default
    wire = _wire(value)
    if wire.quantizations:
        raise Unprocessable(
            "provider.quantizations",
            found=wire.quantizations,
            wanted="a version, whose bytes the chain knows: the quantization is part of them",
            next_step="name it: model SLUG@VERSION",
            param="provider",
        )
    most = default.most
    if wire.max_price is not None:
        most = Price(
            _amount(wire.max_price.per_call),
            _amount(wire.max_price.per_1k_in),
            _amount(wire.max_price.per_1k_out),
        )
    return Wish(
        order=wire.order or default.order,
        only=wire.only or default.only,
        ignore=(*default.ignore, *wire.ignore),
        sort=wire.sort or default.sort,
        allow_fallbacks=(
            default.allow_fallbacks if wire.allow_fallbacks is None else wire.allow_fallbacks
        ),
        most=most,
    )


_LIST: Final = "a list of addresses or URLs"
_FIELDS: Final = {
    "order": _LIST,
    "only": _LIST,
    "ignore": _LIST,
    "sort": "price, latency or uptime",
    "allow_fallbacks": "true or false",
    "max_price": "per_call, per_1k_in, per_1k_out: base units as strings of digits",
}
_PLACE: Final = re.compile(r"at `\$\.(\w+)")


def _wire(value: object) -> _WishWire:
    """Read the fields, or say which one is wrong and what it may be."""
    if not isinstance(value, Mapping):
        fields = "; ".join(f"{name}: {what}" for name, what in _FIELDS.items())
        raise InputError(
            "provider", found=value, wanted=f"an object with any of: {fields}", param="provider"
        )
    for name in value:
        if name not in _WishWire.__struct_fields__:
            raise InputError(
                "provider",
                found=f"the field {name}",
                wanted=f"only {', '.join(_FIELDS)}",
                next_step=did_you_mean(str(name), _FIELDS) or None,
                param="provider",
            )
    try:
        return msgspec.convert(value, _WishWire)
    except msgspec.ValidationError as error:
        place = _PLACE.search(str(error))
        name = place[1] if place else ""
        raise InputError(
            f"provider.{name}" if name else "provider",
            found=value.get(name, str(error)),
            wanted=_FIELDS.get(name, "what clients of OpenRouter send"),
            param="provider",
        ) from error


class _PriceWire(msgspec.Struct, forbid_unknown_fields=True):
    per_call: str = ""
    per_1k_in: str = ""
    per_1k_out: str = ""


class _WishWire(msgspec.Struct, forbid_unknown_fields=True):
    order: tuple[str, ...] = ()
    only: tuple[str, ...] = ()
    ignore: tuple[str, ...] = ()
    sort: Sort | None = None
    allow_fallbacks: bool | None = None
    max_price: _PriceWire | None = None
    quantizations: Sequence[str] = ()


_ANY: Final = 2**96
"""More than any price on the chain."""


def _amount(text: str) -> int:
    if not text:
        return _ANY
    if not (text.isascii() and text.isdigit()):
        raise InputError(
            "provider.max_price", found=text, wanted="base units in decimal digits",
            param="provider",
        )  # fmt: skip
    return int(text)


def _unfit(endpoint: Endpoint, wish: Wish, standing: Standing, now: float) -> str:
    if not endpoint.url.startswith(("http://", "https://")):
        return "the chain has no URL of it"
    if wish.only and not any(_is(endpoint, name) for name in wish.only):
        return "not among those that may answer"
    if any(_is(endpoint, name) for name in wish.ignore):
        return "named out"
    if standing.out_until > now:
        return "it served something else than it was asked for"
    most, price = wish.most, endpoint.price
    if most is not None and (
        price.per_call > most.per_call
        or price.per_1k_in > most.per_1k_in
        or price.per_1k_out > most.per_1k_out
    ):
        return "its price is above the highest allowed"
    return ""


def _is(endpoint: Endpoint, name: str) -> bool:
    return _bare(name) in {_bare(endpoint.operator), _bare(endpoint.url)}


def _bare(name: str) -> str:
    return name.lower().rstrip("/").removesuffix("/v1")
