"""`/v1/keys/{id}`: what a key has left, for who has it; what it may, from who pays for it."""

from __future__ import annotations

from typing import Final

from tessera.errors import InputError, KeyRevoked, NotFound
from tessera.gateway.messages import (
    Limits,
    Receive,
    Reply,
    RequestHead,
    Scope,
    json_reply,
    read_all,
)
from tessera.gateway.refusals import wrong_method
from tessera.payments.account import Account
from tessera.payments.api_key import ApiKey, channel_of, key_id
from tessera.payments.header import KEY_SIGNATURE_HEADER, parse_call_signature
from tessera.payments.ledger import Ledger

__all__ = ["KEY_FOLDER", "KeyPages"]

KEY_FOLDER: Final = "/v1/keys/"
_LIMITS: Final = Limits(body_bytes=16_384)


class KeyPages:
    """Shows and takes the rules of keys.

    Parameters
    ----------
    ledger
        Of the channels that keys stand for.
    """

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    async def answer(self, scope: Scope, receive: Receive, name: str) -> Reply:
        """Answer GET with the key itself as bearer, and POST with the payer's signature.

        Raises
        ------
        NotFound
            No such channel, or no rules for it.
        KeyRevoked
            The bearer is not this key.
        InputError, SignatureRejected, Conflict, StorageFull
            As `Keys.change`.
        """
        channel = channel_of(scope["path"].removeprefix(KEY_FOLDER))
        head = RequestHead(scope)
        if scope["method"] == "POST":
            body = await read_all(scope, receive, _LIMITS)
            signature = head.get(KEY_SIGNATURE_HEADER)
            if signature is None:
                raise InputError(KEY_SIGNATURE_HEADER, found="none", wanted="that of who pays")
            account = await self._account(channel)
            change = await self._ledger.keys.change(account, body, parse_call_signature(signature))
            return json_reply(change)
        if scope["method"] not in {"GET", "HEAD"}:
            return wrong_method(scope["method"], "GET, POST", scope["path"], name)
        given = (head.get("authorization") or b"").decode("ascii", "replace")
        key = ApiKey.parse(given.removeprefix("Bearer ").strip())
        account = await self._account(channel)
        signer = account.chain and account.chain.signer
        if key.channel != channel or key.signer().address != signer:
            raise KeyRevoked(f"API key {key.id}", found="a wrong secret", wanted="the key itself")
        return json_reply(await self._ledger.keys.state(account))

    async def _account(self, channel: int) -> Account:
        account = await self._ledger.account(channel)
        if account is None:
            raise NotFound("API key", found=key_id(channel), wanted="one made here")
        return account
