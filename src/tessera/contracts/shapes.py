"""How a parameter of an ABI is written in Python: its type, and the code that decodes it."""

from __future__ import annotations

import keyword
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from tessera.errors import InputError

__all__ = ["Shapes", "class_name", "identifier", "snake_case"]

_SCALARS: Final = {"address": "str", "bool": "bool", "string": "str"}


class Shapes:
    """The named types of one contract, and the types of its parameters.

    Parameters
    ----------
    abi
        With `internalType` where a struct or a flag has a name.
    flags
        Members of every flag, by its name.

    Attributes
    ----------
    structs
        Members by name; a struct stands behind all those that it is made of.
    flags
        Those that the interface mentions, sorted.
    """

    def __init__(self, abi: Sequence[dict[str, Any]], flags: Mapping[str, Sequence[str]]) -> None:
        self.structs: dict[str, list[dict[str, Any]]] = {}
        mentioned: set[str] = set()
        for parameter in _parameters(abi):
            self._collect(parameter, mentioned)
        self.flags = sorted(mentioned & flags.keys())

    def _collect(self, parameter: dict[str, Any], flags: set[str]) -> None:
        kind, name = class_name(parameter)
        if kind == "flag":
            flags.add(name)
        elif kind == "struct":
            for member in parameter["components"]:
                self._collect(member, flags)
            bare = [{k: v for k, v in m.items() if k != "indexed"} for m in parameter["components"]]
            if self.structs.setdefault(name, bare) != bare:
                raise InputError(f"struct {name} has two shapes", next_step="rename one")

    def abi(self, parameter: Mapping[str, Any]) -> str:
        """Return the ABI type, a struct written out: `(uint256,address)[]`."""
        kind: str = parameter["type"]
        if not kind.startswith("tuple"):
            return kind
        members = ",".join(self.abi(member) for member in parameter["components"])
        return f"({members}){kind.removeprefix('tuple')}"

    def topic(self, event: Mapping[str, Any]) -> str:
        """Return topic 0 of an event, hex."""
        from eth_utils.crypto import keccak

        types = ",".join(self.abi(parameter) for parameter in event["inputs"])
        return keccak(text=f"{event['name']}({types})").hex()

    def python(self, parameter: Mapping[str, Any], *, taken: bool = False) -> str:
        """Return the Python type; where it is `taken` as an argument, any sequence will do."""
        dimensions = parameter["type"].count("[")
        word = self._scalar(parameter)
        for _ in range(dimensions):
            word = f"Sequence[{word}]" if taken else f"tuple[{word}, ...]"
        return word

    def decoded(self, parameter: Mapping[str, Any], source: str) -> str:
        """Return the code that turns a decoded value, called `source`, into the Python type."""
        kind, name = class_name(parameter)
        dimensions = parameter["type"].count("[")

        def convert(place: str) -> str:
            if kind == "struct":
                return f"{name}.from_values({place})"
            if kind == "flag":
                return f"{name}({place})"
            if parameter["type"].startswith("address"):
                return f"checksummed({place})"
            return place

        def nested(place: str, depth: int) -> str:
            if depth == 0:
                return convert(place)
            item = f"item{depth}" if dimensions > 1 else "item"
            inner = nested(item, depth - 1)
            return f"tuple({place})" if inner == item else f"tuple({inner} for {item} in {place})"

        return nested(source, dimensions)

    def returned(self, outputs: Sequence[Mapping[str, Any]]) -> tuple[str, str]:
        """Return the Python type of what a function returns, and a lambda that makes it."""
        if not outputs:
            return "None", "lambda _: None"
        values = [self.decoded(output, f"v[{place}]") for place, output in enumerate(outputs)]
        if len(outputs) == 1:
            kind = self.python(outputs[0])
            return kind, f"lambda v: {values[0]}"
        kinds = ", ".join(self.python(output) for output in outputs)
        return f"tuple[{kinds}]", f"lambda v: ({', '.join(values)})"

    def _scalar(self, parameter: Mapping[str, Any]) -> str:
        kind, name = class_name(parameter)
        if kind:
            return name
        base: str = parameter["type"].partition("[")[0]
        if base in _SCALARS:
            return _SCALARS[base]
        if base.startswith("bytes"):
            return "bytes"
        if base.startswith(("uint", "int")):
            return "int"
        raise InputError(f"ABI type {base}", wanted="one that the bindings know")


def class_name(parameter: Mapping[str, Any]) -> tuple[str, str]:
    """Return "struct" or "flag" and the name, or two empty strings for a type without a name."""
    found = re.match(r"(struct|flag) (\w+)", parameter.get("internalType", ""))
    return (found[1], found[2]) if found else ("", "")


def identifier(name: str) -> str:
    """Return the name as Python may write it."""
    name = name.rstrip("_") or name
    return f"{name}_" if keyword.iskeyword(name) or name == "self" else name


def snake_case(name: str) -> str:
    """Return the module's name of a contract: `TestDollar` is `test_dollar`."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()


def _parameters(abi: Sequence[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    for entry in abi:
        yield from entry.get("inputs", ())
        yield from entry.get("outputs", ())
