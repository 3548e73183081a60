"""One table of settings, read once.

A flag wins over the environment (`TESSERA_<NAME>`), that over `config.toml` in the data folder,
that over the default. Each value remembers where it came from. Addresses of contracts are no
settings: they come from the deployments file.
"""

from __future__ import annotations

import dataclasses
import enum
import os
import tomllib
import typing
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from tessera.errors import InputError, NotFound, did_you_mean

__all__ = ["CONFIG_FILE", "SETTINGS", "Config", "Origin", "Setting", "Shown", "load_config"]

CONFIG_FILE: Final = "config.toml"
_PREFIX: Final = "TESSERA_"
_STARS: Final = "********"
_MAX_PORT: Final = 65_535
_TRUE: Final = frozenset({"1", "true", "yes", "on"})
_FALSE: Final = frozenset({"0", "false", "no", "off"})


class Origin(enum.StrEnum):
    """Where a value came from, strongest first."""

    FLAG = "flag"
    ENVIRONMENT = "environment"
    FILE = "file"
    DEFAULT = "default"


def _row(
    default: object,
    meaning: str,
    *,
    low: float | None = None,
    high: float | None = None,
    secret: bool = False,
    one_of: tuple[str, ...] = (),
    live: bool = False,
) -> Any:
    metadata = {
        "help": meaning,
        "low": low,
        "high": high,
        "secret": secret,
        "one_of": one_of,
        "live": live,
    }
    return dataclasses.field(default=default, metadata=metadata)


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """The settings of one process. Each field is a row of the table; add one and it exists.

    Times are in the unit that the name ends with, money in base units of the currency.
    """

    data_dir: Path = _row(
        Path("~/.tessera"), "folder of everything that is kept: keys, chain, database, bundles"
    )
    rpc_url: str = _row(
        "", "JSON-RPC URL of the chain; empty: the embedded node of this data folder"
    )
    deployment: str = _row("", "deployments file of that chain; empty: the one in the data folder")
    chain_id: int = _row(31_337, "the chain that must answer", low=1, high=2**64 - 1)
    passphrase: str = _row(
        "", "opens the key files; empty: the file system alone protects them", secret=True
    )
    private_addresses: bool = _row(
        False,
        "strangers' addresses may lead into private networks; on a development chain they may",
    )
    operator: str = _row("operator", "name of the key that this machine serves and settles with")
    node_port: int = _row(
        8545, "loopback port of the embedded node; 0: any that is free", low=0, high=_MAX_PORT
    )
    gateway_host: str = _row("127.0.0.1", "address that the gateway listens on")
    gateway_port: int = _row(
        8402, "port of the gateway; 0: any that is free", low=0, high=_MAX_PORT
    )
    request_timeout_s: float = _row(
        120.0, "longest that a call to a model may take", low=0.001, high=86_400
    )
    settle_every_s: int = _row(
        3_600, "an operator settles at least so often while vouchers wait", low=1, high=2_592_000
    )
    settle_at_risk_units: int = _row(
        10_000_000, "and at once where so many base units are signed but not settled", low=1
    )
    withdraw_delay_s: int = _row(
        86_400, "time between a consumer's wish to withdraw and the money", low=1, high=2_592_000
    )
    revenue_period_s: int = _row(
        604_800, "time over which settled revenue streams to holders", low=1, high=31_536_000
    )
    min_lock_s: int = _row(
        259_200, "shortest time that shares are locked, of a new chain", low=1, high=31_536_000
    )
    voting_time_s: int = _row(
        432_000, "time in which holders vote on a proposal, of a new chain", low=1, high=31_536_000
    )
    timelock_s: int = _row(
        172_800, "time between a vote and its execution, of a new chain", low=0, high=31_536_000
    )
    exit_delay_s: int = _row(
        604_800,
        "further time where a vote leaves less to the holders, of a new chain",
        low=1,
        high=31_536_000,
    )
    execution_window_s: int = _row(
        1_209_600, "time in which it may be executed, of a new chain", low=1, high=31_536_000
    )
    hour_s: int = _row(
        3_600,
        "time that stands for an hour in all windows of validation, of a new chain",
        low=1,
        high=3_600,
    )
    network_price_units: int = _row(
        1_000_000, "price of a whole TSR when its pool is opened, base units, of a new chain", low=1
    )
    network_pool_units: int = _row(
        100_000_000_000, "money that this pool begins with, base units, of a new chain", low=1
    )
    queue_calls_count: int = _row(
        256,
        "calls that may wait for one model; beyond it the longest queue for its weight gives way",
        low=1,
        high=100_000,
        live=True,
    )
    queue_wait_s: float = _row(
        30.0, "longest that a call may wait for its turn", low=0.001, high=86_400, live=True
    )
    queue_unit_bps: int = _row(
        1,
        "hundredths of a percent of an asset's shares, locked, that weigh as much in its queue "
        "as a payer without any",
        low=1,
        high=10_000,
        live=True,
    )
    queue_open_bps: int = _row(
        500,
        "least part of a full model, in hundredths of a percent, that is kept for payers "
        "without locked shares",
        low=0,
        high=9_999,
        live=True,
    )
    order_least_price_units: int = _row(
        1,
        "least price in base units, of a call or of a unit that is no calls, for which orders of "
        "another's product are honoured; 0: free ones too",
        low=0,
    )
    order_least_window_s: int = _row(
        300, "least serve window of a product whose orders are honoured", low=0, high=31_536_000
    )
    order_assets: tuple[str, ...] = _row(
        (),
        "slugs or ids of others' assets whose orders are honoured, separated by commas; "
        "empty: of all that are served; none: of none",
    )
    upstream_calls_count: int = _row(
        64,
        "calls to one upstream model at the same time; further ones wait in its queue",
        low=1,
        high=100_000,
        live=True,
    )
    allow_python_runners: bool = _row(
        default=False,
        meaning="run bundles of Python code, each in a limited child process",
        live=True,
    )
    upstreams: tuple[str, ...] = _row(
        (), "base URLs of OpenAI-compatible servers to offer, separated by commas", live=True
    )
    upstream_key: str = _row("", "bearer token for these upstreams", secret=True, live=True)
    database: str = _row(
        "",
        "postgresql:// URL of books that several gateways share; empty: SQLite in the data folder",
        secret=True,
    )
    facts_database: str = _row(
        "",
        "postgresql:// URL of the facts that an indexer keeps; empty: SQLite in the data folder",
        secret=True,
    )
    gateway_calls_count: int = _row(
        512,
        "calls in flight in one process, beyond which others are told to come back",
        low=1,
        high=100_000,
        live=True,
    )
    drain_s: float = _row(
        30.0,
        "time that calls in flight have to end when the gateway is stopped",
        low=0,
        high=3_600,
        live=True,
    )
    metrics: bool = _row(default=True, meaning="answer /metrics, to this machine alone")
    log_format: str = _row("text", "how log lines look", one_of=("text", "json"), live=True)
    x402: str = _row(
        "auto",
        "take x402 payments; auto: where the standard's contracts are on the chain",
        one_of=("auto", "on", "off"),
    )
    x402_withdraw_delay_s: int = _row(
        86_400,
        "withdraw delay that x402 channels must have; at least twice settle_every_s",
        low=900,
        high=2_592_000,
    )
    x402_min_deposit_units: int = _row(
        2_000_000, "least deposit that x402 clients are asked for, base units", low=1
    )
    x402_exact: bool = _row(default=True, meaning="take one-time x402 payments, too")
    x402_exact_min_units: int = _row(
        10_000,
        "least that a call costs at most for one-time payments to be taken: each is a transaction "
        "at the operator's expense; 1 by default on an embedded chain, where gas costs nothing",
        low=1,
    )
    risk_payer_units: int = _row(
        50_000_000,
        "base units that one payer may be served beyond what is final on the chain",
        low=1,
    )
    risk_channel_units: int = _row(20_000_000, "and one channel of his", low=1)
    risk_fee_bps: int = _row(
        500,
        "hundredths of a percent of what a settlement brings that it may cost, unless it is urgent",
        low=1,
        high=10_000,
    )
    coin_value_units: int = _row(
        0,
        "base units that one whole coin of the chain is worth, to weigh what settling costs; "
        "0: gas costs nothing",
        low=0,
    )
    confirmations_count: int = _row(
        0, "blocks on top of a transaction before it is relied on as final", low=0, high=100_000
    )
    limits: tuple[str, ...] = _row(
        (),
        "what diligence calls bad, where it differs from the field: name=number, name=number% or "
        "name=off, separated by commas; all of them: tessera diligence --limits",
    )
    log_level: str = _row(
        "info", "what is logged", one_of=("debug", "info", "warning", "error"), live=True
    )
    origins: Mapping[str, Origin] = dataclasses.field(
        default_factory=dict, repr=False, compare=False
    )

    def __repr__(self) -> str:
        rows = ", ".join(f"{shown.name}={shown.value}" for shown in self.shown())
        return f"Config({rows})"

    def origin(self, name: str) -> Origin:
        """Return where the value of the setting came from."""
        return self.origins.get(name, Origin.DEFAULT)

    def shown(self) -> list[Shown]:
        """Return every setting with its value as text and its origin; secrets are stars."""
        return [
            Shown(
                name=name,
                value=_text(getattr(self, name), secret=setting.secret),
                origin=self.origin(name),
                help=setting.help,
            )
            for name, setting in SETTINGS.items()
        ]


@dataclass(frozen=True, slots=True)
class Setting:
    """One row of the table, as doors need it to offer a flag or print a page.

    `live` settings count from `tessera reload` on; the others from the next start.
    """

    name: str
    kind: Any
    default: object
    help: str
    low: float | None
    high: float | None
    secret: bool
    one_of: tuple[str, ...]
    live: bool

    @property
    def variable(self) -> str:
        """The environment variable, such as TESSERA_RPC_URL."""
        return _PREFIX + self.name.upper()


@dataclass(frozen=True, slots=True)
class Shown:
    """One setting as a person may see it."""

    name: str
    value: str
    origin: Origin
    help: str


def _table() -> dict[str, Setting]:
    kinds = typing.get_type_hints(Config)
    return {
        field.name: Setting(
            name=field.name, kind=kinds[field.name], default=field.default, **field.metadata
        )
        for field in dataclasses.fields(Config)
        if field.metadata
    }


SETTINGS: Final[Mapping[str, Setting]] = _table()


def load_config(
    flags: Mapping[str, object] | None = None,
    environment: Mapping[str, str] | None = None,
) -> Config:
    """Read the settings once.

    Parameters
    ----------
    flags
        Values by setting name; None means that the flag was not given.
    environment
        The environment variables; by default this process's.

    Returns
    -------
    Config
        With `~` expanded and relative paths made absolute.

    Raises
    ------
    NotFound
        A key of the file, a flag, or a variable close to one of ours is no setting.
    InputError
        A value has the wrong type or is out of range; the file is no TOML or cannot be read.
    """
    given = {name: value for name, value in (flags or {}).items() if value is not None}
    for name in given:
        if name not in SETTINGS:
            raise NotFound.among("flag", name, SETTINGS)
    variables = os.environ if environment is None else environment
    _refuse_mistyped_variables(variables)

    values: dict[str, Any] = {}
    origins: dict[str, Origin] = {}

    def take(source: Mapping[str, object], origin: Origin, place: Callable[[str], str]) -> None:
        for name, raw in source.items():
            if name not in values:
                values[name] = _parsed(SETTINGS[name], raw, place(name))
                origins[name] = origin

    take(given, Origin.FLAG, lambda name: "--" + name.replace("_", "-"))
    from_environment: dict[str, object] = {
        name: variables[setting.variable]
        for name, setting in SETTINGS.items()
        if setting.variable in variables
    }
    take(from_environment, Origin.ENVIRONMENT, lambda name: SETTINGS[name].variable)

    data_dir = values.get("data_dir", _absolute(Config().data_dir))
    file = data_dir / CONFIG_FILE
    take(_read_file(file), Origin.FILE, lambda name: f"{file}: {name}")
    return Config(**{**values, "data_dir": data_dir}, origins=origins)


def _read_file(file: Path) -> dict[str, object]:
    try:
        text = file.read_text(encoding="utf-8")
    except FileNotFoundError:
        return {}
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(
            str(file), found=str(error), wanted="a readable UTF-8 file", next_step="mend or move it"
        ) from error
    try:
        table: dict[str, object] = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise InputError(str(file), found=str(error), wanted="valid TOML") from error
    for name in table:
        if name not in SETTINGS:
            raise NotFound.among(
                f"{file}: setting", name, SETTINGS, next_step="all of them: tessera config"
            )
    if "data_dir" in table:
        raise InputError(
            f"{file}: data_dir cannot be set inside the data folder",
            next_step=f"use --data-dir or {_PREFIX}DATA_DIR",
        )
    return table


def _refuse_mistyped_variables(variables: Mapping[str, str]) -> None:
    # TESSERA_ variables that resemble no setting belong to tools (TESSERA_PYTHON) and are let be.
    known = {setting.variable for setting in SETTINGS.values()}
    for variable in variables:
        if variable.startswith(_PREFIX) and variable not in known:
            name = variable.removeprefix(_PREFIX).lower()
            if hint := did_you_mean(name, SETTINGS):
                nearest = _PREFIX + hint.split("'")[1].upper()
                raise NotFound(
                    "environment variable", found=variable, next_step=f"did you mean {nearest}?"
                )


def _parsed(setting: Setting, raw: object, place: str) -> object:
    # What a secret was is never repeated in a message.
    found = _STARS if setting.secret else raw
    try:
        value = _PARSERS[setting.kind](raw)
    except (TypeError, ValueError) as error:
        raise InputError(place, found=found, wanted=_WANTED[setting.kind]) from error
    if isinstance(value, int | float) and not isinstance(value, bool):
        too_low = setting.low is not None and value < setting.low
        too_high = setting.high is not None and value > setting.high
        if too_low or too_high or value != value:
            raise InputError(place, found=found, wanted=_range(setting))
    if setting.one_of and value not in setting.one_of:
        raise InputError(
            place,
            found=found,
            wanted=f"one of {', '.join(setting.one_of)}",
            next_step=did_you_mean(str(value), setting.one_of) or None,
        )
    return value


def _range(setting: Setting) -> str:
    if setting.high is None:
        return f"{setting.low} or more"
    return f"{setting.low} to {setting.high}"


def _text(value: object, *, secret: bool) -> str:
    if secret:
        return _STARS if value else ""
    if isinstance(value, tuple):
        return ",".join(value)
    if isinstance(value, bool):
        return str(value).lower()
    return str(value)


def _string(raw: object) -> str:
    if not isinstance(raw, str):
        raise TypeError
    return raw.strip()


def _integer(raw: object) -> int:
    if isinstance(raw, bool):
        raise TypeError
    if isinstance(raw, int):
        return raw
    return int(_string(raw), 10)


def _number(raw: object) -> float:
    if isinstance(raw, bool):
        raise TypeError
    if isinstance(raw, int | float):
        return float(raw)
    return float(_string(raw))


def _truth(raw: object) -> bool:
    if isinstance(raw, bool):
        return raw
    word = _string(raw).lower()
    if word not in _TRUE | _FALSE:
        raise ValueError
    return word in _TRUE


def _absolute(raw: object) -> Path:
    text = str(raw) if isinstance(raw, Path) else _string(raw)
    if not text:
        raise ValueError
    try:
        return Path(os.path.abspath(Path(text).expanduser()))  # noqa: PTH100 - keeps symlinks
    except RuntimeError as error:  # no home folder to put in place of ~
        raise ValueError from error


def _strings(raw: object) -> tuple[str, ...]:
    parts = raw if isinstance(raw, list | tuple) else _string(raw).split(",")
    return tuple(part for part in map(_string, parts) if part)


_PARSERS: Final[Mapping[Any, Callable[[object], object]]] = {
    str: _string,
    int: _integer,
    float: _number,
    bool: _truth,
    Path: _absolute,
    tuple[str, ...]: _strings,
}
_WANTED: Final[Mapping[Any, str]] = {
    str: "text",
    int: "a whole number",
    float: "a number",
    bool: "true or false",
    Path: "a path",
    tuple[str, ...]: "a list of texts",
}
