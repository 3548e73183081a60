"""One line per event on stderr, for people or for machines, and never a secret in it.

What a line says is made by many rooms, and now and then of what a stranger sent. So secrets are
taken out at the last place that all lines pass: here, from the text as it would be written, with
the traceback in it.
"""

from __future__ import annotations

import logging
import re
import sys
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final, TextIO

import msgspec

from tessera.config import SETTINGS, Config

__all__ = ["FIELDS", "JsonLines", "TextLines", "log_as", "log_to", "redact"]

FIELDS: Final = "tessera"
"""Further values of a line: `logger.info(..., extra={FIELDS: {...}})`."""

_REMOVED: Final = "[removed]"
_QUIET: Final = ("httpx", "httpcore", "asyncio", "uvicorn", "alembic", "sqlalchemy")
"""Their every request is not news."""

_HEADERS: Final = (
    "authorization",
    "proxy-authorization",
    "cookie",
    "x-api-key",
    "api-key",
    "tessera-payment",
    "tessera-call-signature",
    "tessera-call-mac",
    "payment-signature",
    "x-payment",
)
_RULES: Final[tuple[tuple[re.Pattern[str], str], ...]] = (
    # The id of a virtual key is public, what follows is the money.
    (re.compile(r"\b(tsk_[0-9a-f]{16})[A-Za-z0-9_-]+"), r"\1" + _REMOVED),
    (
        # As a line of a request, as a pair of a dict or of a list of pairs, bytes or text.
        re.compile(
            r"(?i)\b(" + "|".join(_HEADERS) + r")((?:b?['\"])?\s*[:=,]\s*(?:b?['\"])?)"
            r"(?:(?:bearer|basic|token)\s+)?[^'\"\s,;}\])]+"
        ),
        r"\1\2" + _REMOVED,
    ),
    (re.compile(r"(?i)\b(bearer|basic)\s+[A-Za-z0-9._~+/=-]{8,}"), r"\1 " + _REMOVED),
    (
        re.compile(r"(?i)\b((?:private|secret|session)[ _-]?key\W{0,4})(?:0x)?[0-9a-f]{64}\b"),
        r"\1" + _REMOVED,
    ),
    (
        re.compile(r"(?i)\b((?:passphrase|password|secret)['\"]?\s*[:=]\s*['\"]?)[^'\"\s,;}]+"),
        r"\1" + _REMOVED,
    ),
    # Signatures, vouchers, authorizations: whatever is long and has no space is signed, or a path
    # from the root.
    (re.compile(r"(?<![A-Za-z0-9+/_=-])[A-Za-z0-9+_=-][A-Za-z0-9+/_=-]{99,}"), _REMOVED),
)


def redact(text: str, secrets: Iterable[str] = ()) -> str:
    """Return a text without what opens, pays or signs.

    Parameters
    ----------
    text
        One or more lines.
    secrets
        Values to take out wherever they stand, such as those of secret settings.
    """
    for secret in secrets:
        if secret:
            text = text.replace(secret, _REMOVED)
    for pattern, instead in _RULES:
        text = pattern.sub(instead, text)
    return text


class TextLines(logging.Formatter):
    """`LEVEL room: message name=value ...`.

    Parameters
    ----------
    secrets
        As for `redact`.
    """

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        super().__init__("%(levelname)s %(name)s: %(message)s")
        self._secrets = tuple(secrets)

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - logging's name
        """Write the line, and behind it the further values."""
        line = super().formatMessage(record)
        fields: Mapping[str, object] = getattr(record, FIELDS, {})
        return line + "".join(f" {name}={value}" for name, value in fields.items())

    def format(self, record: logging.LogRecord) -> str:
        """Write everything, without secrets."""
        return redact(super().format(record), self._secrets)


class JsonLines(logging.Formatter):
    """One JSON object per line: `time`, `level`, `room`, `message`, further values, `error`.

    Parameters
    ----------
    secrets
        As for `redact`.
    """

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        super().__init__()
        self._secrets = tuple(secrets)

    def format(self, record: logging.LogRecord) -> str:
        """Write the object; every text in it is without secrets."""
        seconds = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
        line: dict[str, Any] = {
            "time": f"{seconds}.{int(record.msecs):03d}Z",
            "level": record.levelname.lower(),
            "room": record.name,
            "message": self._clean(record.getMessage()),
        }
        fields: Mapping[str, object] = getattr(record, FIELDS, {})
        for name, value in fields.items():
            line[name] = self._clean_all(value)
        if record.exc_info:
            line["error"] = self._clean(self.formatException(record.exc_info))
        if record.stack_info:
            line["stack"] = self._clean(self.formatStack(record.stack_info))
        return msgspec.json.encode(line).decode()

    def _clean_all(self, value: object) -> object:
        if value is None or isinstance(value, bool | int | float):
            return value
        if isinstance(value, Mapping):
            return {self._clean(str(key)): self._clean_all(each) for key, each in value.items()}
        if isinstance(value, list | tuple | set | frozenset):
            return [self._clean_all(each) for each in value]
        return self._clean(str(value))

    def _clean(self, text: str) -> str:
        return redact(text, self._secrets)


_FORMATS: Final[Mapping[str, Callable[[Iterable[str]], logging.Formatter]]] = {
    "text": TextLines,
    "json": JsonLines,
}


def log_to(
    level: str, form: str, secrets: Iterable[str] = (), stream: TextIO | None = None
) -> None:
    """Send everything that is logged to one stream; again, and it replaces what was.

    Parameters
    ----------
    level
        `debug`, `info`, `warning` or `error`.
    form
        `text` or `json`.
    secrets
        As for `redact`.
    stream
        By default stderr.
    """
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(_FORMATS[form](secrets))
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    for name in _QUIET:
        logging.getLogger(name).setLevel(logging.WARNING)


def log_as(config: Config) -> None:
    """Log as the settings say, without what any of them keeps secret."""
    secrets = [str(getattr(config, name)) for name, row in SETTINGS.items() if row.secret]
    log_to(config.log_level, config.log_format, secrets)
