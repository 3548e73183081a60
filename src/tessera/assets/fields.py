"""Reading a parsed TOML table key by key, noting every problem instead of stopping at the first.

A method that finds something wrong notes it and returns a harmless value, so that reading goes on;
the result is only used when nothing was noted.
"""

from __future__ import annotations

import enum
import re
from collections.abc import Callable
from decimal import Decimal
from typing import TypeVar

from tessera.assets.paths import canonical, fault_of
from tessera.assets.refusals import Problem
from tessera.errors import did_you_mean

__all__ = ["Table"]

Choice = TypeVar("Choice", bound=enum.Enum)

_SHA256 = re.compile(r"(?:sha256:|0x)?([0-9a-fA-F]{64})")
_SHOWN = 60


class Table:
    """One table of the manifest.

    Parameters
    ----------
    values
        As the TOML reader gave it.
    where
        Name of the table for messages: "tessera.toml", "tessera.toml: price".
    problems
        Collects what is wrong, in the order of reading.
    """

    def __init__(self, values: dict[str, object], where: str, problems: list[Problem]) -> None:
        self._values = values
        self._where = where
        self._problems = problems
        self._known: list[str] = []

    @property
    def noted(self) -> int:
        """Problems noted so far, in all tables of the manifest."""
        return len(self._problems)

    def note(self, key: str, found: str, wanted: str, next_step: str = "") -> None:
        """Note one problem with a key, or with the table itself where `key` is empty."""
        self._problems.append(Problem(self.place(key), found, wanted, next_step))

    def place(self, key: str) -> str:
        """Name a key for a message."""
        if not key:
            return self._where
        return f"{self._where}{'.' if ': ' in self._where else ': '}{key}"

    def keys(self) -> list[str]:
        """All keys that are there, for tables whose keys are free."""
        return list(self._values)

    def has(self, key: str) -> bool:
        """Whether the key is there."""
        return self._take(key) is not None

    def finish(self) -> None:
        """Note every key that nobody asked for."""
        for key in self._values:
            if key not in self._known:
                near = did_you_mean(key, self._known)
                self.note(
                    key if key.isprintable() else ascii(key),
                    "an unknown key",
                    f"one of {', '.join(sorted(self._known))}",
                    near or "remove it",
                )

    def text(
        self,
        key: str,
        *,
        required: bool = False,
        longest: int = 200,
        fault: Callable[[str], str | None] | None = None,
        lines: bool = False,
    ) -> str:
        """Read a string; empty where it is missing or wrong.

        Parameters
        ----------
        fault
            Says what would be wanted instead, or None for a good value.
        lines
            Whether line breaks are fine.
        """
        value = self._take(key)
        if value is None:
            if required:
                self.note(key, "nothing", "a text", "add the key")
            return ""
        if not isinstance(value, str):
            self.note(key, shown(value), "a text in quotes")
        elif len(value) > longest:
            self.note(key, f"{len(value)} characters", f"at most {longest}")
        elif not value.strip():
            self.note(key, "an empty text", "a text" if required else "a text, or no such key")
        elif not _printable(value, lines=lines):
            self.note(key, shown(value), "printable characters")
        elif fault is not None and (wanted := fault(value)) is not None:
            self.note(key, shown(value), wanted)
        else:
            return value
        return ""

    def integer(
        self, key: str, *, low: int, high: int, default: int | None = None, unit: str = ""
    ) -> int:
        """Read a whole number within bounds; `default` None means that it must be there."""
        value = self._take(key)
        wanted = f"a whole number from {low} to {high}{f' ({unit})' if unit else ''}"
        if value is None and default is not None:
            return default
        if value is None:
            self.note(key, "nothing", wanted, "add the key")
        elif isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
            self.note(key, shown(value), wanted)
        else:
            return value
        return low

    def number(self, key: str) -> Decimal:
        """Read a finite number, exactly as written."""
        value = self._take(key)
        if value is None:
            self.note(key, "nothing", "a number", "add the key")
        elif isinstance(value, bool) or not isinstance(value, int | Decimal):
            self.note(key, shown(value), "a number without quotes")
        else:
            number = Decimal(value)
            if number.is_finite() and abs(number.adjusted()) <= 30:
                return number
            self.note(key, shown(value), "a finite number of ordinary size")
        return Decimal(0)

    def choice(self, key: str, options: type[Choice], fallback: Choice) -> Choice:
        """Read one of a few words: the lower-case names of an enumeration."""
        names = {member.name.lower(): member for member in options}
        value = self._take(key)
        if isinstance(value, str) and value in names:
            return names[value]
        found = "nothing" if value is None else shown(value)
        near = did_you_mean(value, names) if isinstance(value, str) else ""
        self.note(key, found, f"one of {', '.join(names)}", near)
        return fallback

    def path(self, key: str, *, required: bool = False) -> str | None:
        """Read a bundle path; whether the file exists is checked later."""
        value = self.text(key, required=required, longest=4096)
        return self.checked_path(value, key) if value else None

    def paths(self, key: str) -> tuple[str, ...]:
        """Read a list of bundle paths."""
        found = (self.checked_path(each, key) for each in self.texts(key, longest=4096))
        return tuple(path for path in found if path is not None)

    def texts(self, key: str, *, longest: int = 200, most: int = 64) -> tuple[str, ...]:
        """Read a list of strings."""
        value = self._take(key)
        if value is None:
            return ()
        if not isinstance(value, list) or not all(isinstance(each, str) for each in value):
            self.note(key, shown(value), "a list of texts")
            return ()
        if len(value) > most or any(not 0 < len(each) <= longest for each in value):
            self.note(
                key, f"{len(value)} texts", f"at most {most}, of 1 to {longest} characters each"
            )
            return ()
        return tuple(value)

    def integers(self, key: str, *, low: int, high: int, most: int) -> tuple[int, ...]:
        """Read a list of whole numbers within bounds."""
        value = self._take(key)
        if value is None:
            return ()
        if (
            isinstance(value, list)
            and len(value) <= most
            and all(type(each) is int and low <= each <= high for each in value)
        ):
            return tuple(value)
        self.note(key, shown(value), f"a list of at most {most} whole numbers from {low} to {high}")
        return ()

    def sha256(self, key: str) -> bytes | None:
        """Read a SHA-256: 64 hex digits, with or without a leading ``sha256:`` or ``0x``."""
        value = self.text(key, fault=_sha256_fault)
        return sha256_of(value) if value else None

    def sha256s(self, key: str) -> tuple[bytes, ...]:
        """Read a list of SHA-256, at least one."""
        values = self.texts(key, most=256)
        if not values or any(_sha256_fault(value) for value in values):
            self.note(key, shown(self._values.get(key)), "a list of SHA-256, 64 hex digits each")
            return ()
        return tuple(sha256_of(value) for value in values)

    def table(self, key: str, *, required: bool = False) -> Table | None:
        """Read a table; None where it is missing or wrong."""
        value = self._take(key)
        if isinstance(value, dict):
            return Table(value, self.place(key), self._problems)
        if value is not None:
            self.note(key, shown(value), "a table")
        elif required:
            self.note(key, "nothing", "a table", f"add [{key}]")
        return None

    def tables(self, key: str, *, most: int) -> list[Table]:
        """Read an array of tables."""
        value = self._take(key)
        if value is None:
            return []
        if not isinstance(value, list) or not all(isinstance(each, dict) for each in value):
            self.note(key, shown(value), "a list of tables", f"write each as [[{key}]]")
            return []
        if len(value) > most:
            self.note(key, f"{len(value)} entries", f"at most {most}")
        return [
            Table(each, f"{self.place(key)}[{number}]", self._problems)
            for number, each in enumerate(value[:most])
        ]

    def checked_path(self, value: str, key: str = "") -> str | None:
        """Return a bundle path in NFC, or note what is wrong with it and return None."""
        fault = fault_of(value)
        if fault is None:
            return canonical(value)
        self.note(
            key,
            f"the path {shown(value)}, which {fault}",
            "a path inside the folder, such as data/train.csv",
            "copy the file into the folder",
        )
        return None

    def raw(self, key: str) -> object:
        """Return the value as it is, for keys with rules of their own; None where it is missing."""
        return self._take(key)

    def _take(self, key: str) -> object:
        if key not in self._known:
            self._known.append(key)
        return self._values.get(key)


def shown(value: object) -> str:
    """Show a value in a message: short, printable, in TOML's words."""
    match value:
        case None:
            return "nothing"
        case bool():
            return str(value).lower()
        case dict():
            return "a table"
        case list():
            return f"a list of {len(value)}" if value else "an empty list"
        case Decimal():
            text = str(value)
        case int():
            # Beyond 4,300 digits Python refuses to write a number in decimal.
            text = str(value) if value.bit_length() < 1024 else "a very large number"
        case _:
            text = ascii(value) if not str(value).isprintable() else repr(value)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"


def sha256_of(text: str) -> bytes:
    """Return the 32 bytes of a SHA-256 that was already found good."""
    return bytes.fromhex(text[-64:])


def _sha256_fault(text: str) -> str | None:
    return None if _SHA256.fullmatch(text) else "a SHA-256: 64 hex digits"


def _printable(text: str, *, lines: bool) -> bool:
    kept = text.replace("\n", "").replace("\r", "").replace("\t", "") if lines else text
    return kept.isprintable()
