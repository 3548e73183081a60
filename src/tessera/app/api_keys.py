"""What a payer knows of the API keys that it made: everything but their secrets."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any, Final

import httpx
import msgspec

from tessera.errors import DataError, NotFound, ServingError, did_you_mean
from tessera.payments.api_key import KEY_PREFIX, key_id
from tessera.payments.header import KEY_SIGNATURE_HEADER
from tessera.payments.key_rules import KeyRules, rules_digest
from tessera.payments.ports import TypedSigner
from tessera.presenting import error_of
from tessera.spec.signatures import Domain

__all__ = ["KeyRecord", "KeyRecords", "ask_state", "send_rules"]

_FOLDER: Final = "api-keys"
_TIMEOUT_S: Final = 30.0
_LOOK_S: Final = 8.0
_OK: Final = 200


class KeyRecord(msgspec.Struct, frozen=True, kw_only=True):
    """One key that was made here.

    Attributes
    ----------
    id
        `tsk_` and 16 digits.
    name
        What its maker calls it.
    channel
        That pays.
    operator, gateway
        Whom, and where its rules are kept.
    payer
        Name of the key of the data folder that made it.
    models
        Asset ids by slug, of what it was made for.
    rules
        The latest that the gateway took.
    created
        Unix seconds.
    """

    id: str
    name: str
    channel: int
    operator: str
    gateway: str
    payer: str
    models: dict[str, str]
    rules: KeyRules
    created: int


class KeyRecords:
    """The keys of a data folder, one file each.

    Parameters
    ----------
    data_dir
        The folder.
    """

    def __init__(self, data_dir: Path) -> None:
        self._folder = data_dir / _FOLDER

    def all(self) -> list[KeyRecord]:
        """Return all, oldest first.

        Raises
        ------
        DataError
            A file is damaged.
        """
        files = sorted(self._folder.glob(f"{KEY_PREFIX}*.json")) if self._folder.is_dir() else []
        return sorted(map(self._read, files), key=lambda record: (record.created, record.id))

    def find(self, name: str) -> KeyRecord:
        """Return the key of that name or id.

        Raises
        ------
        NotFound
            There is none, or several have the name.
        """
        records = self.all()
        found = [record for record in records if name in {record.id, record.name}]
        if len(found) == 1:
            return found[0]
        raise NotFound(
            "API key",
            found=f"{name!r}, which several have" if found else name,
            wanted="the id of one that was made here",
            next_step=did_you_mean(name, [record.name for record in records])
            or "see: tessera keys list",
        )

    def keep(self, record: KeyRecord) -> None:
        """Write a record."""
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        file = self._folder / f"{record.id}.json"
        temporary = file.with_suffix(".new")
        temporary.write_bytes(msgspec.json.format(msgspec.json.encode(record)))
        temporary.replace(file)

    @staticmethod
    def _read(file: Path) -> KeyRecord:
        try:
            return msgspec.json.decode(file.read_bytes(), type=KeyRecord)
        except (OSError, msgspec.MsgspecError) as error:
            raise DataError(
                str(file),
                found=str(error),
                wanted="what `tessera keys` wrote",
                next_step="move it away; the key itself is not in it",
            ) from error


async def send_rules(
    gateway: str, domain: Domain, channel: int, rules: KeyRules, payer: TypedSigner
) -> dict[str, Any]:
    """Sign rules for a key and have its gateway take them; return how the key stands.

    Raises
    ------
    ServingError
        The gateway does not answer.
    TesseraError
        What it refused with.
    """
    body = msgspec.json.encode(rules)
    signature = payer.sign(rules_digest(domain, channel, body))
    url = f"{gateway.rstrip('/')}/v1/keys/{key_id(channel)}"
    headers = {KEY_SIGNATURE_HEADER: f"0x{signature.hex()}", "content-type": "application/json"}
    try:
        async with httpx.AsyncClient(timeout=_TIMEOUT_S) as client:
            answer = await client.post(url, content=body, headers=headers)
            told = msgspec.json.decode(answer.content)
    except (httpx.HTTPError, msgspec.DecodeError) as error:
        raise ServingError(
            f"gateway {gateway}",
            found=str(error) or type(error).__name__,
            wanted="an answer to rules for an API key",
            next_step="what the chain allows the key holds all the same; try again",
        ) from error
    if answer.status_code != _OK:
        raise error_of(told, answer.status_code, about=f"gateway {gateway}")
    state: dict[str, Any] = told
    return state


async def ask_state(record: KeyRecord, domain: Domain, payer: TypedSigner) -> dict[str, Any]:
    """Ask a key's gateway how it stands.

    Its maker has no secret to ask with. The rules that count, sent once more, change nothing, and
    the answer to them says it.

    Raises
    ------
    ServingError, TesseraError
        As `send_rules`.
    """
    try:
        async with asyncio.timeout(_LOOK_S):
            return await send_rules(record.gateway, domain, record.channel, record.rules, payer)
    except TimeoutError as error:
        raise ServingError(
            f"gateway {record.gateway}", found="no answer", wanted=f"one within {_LOOK_S:g} s"
        ) from error
