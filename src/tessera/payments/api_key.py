"""A virtual key as its holder has it, and the session key that is made of it.

`tsk_`, the channel's number in 16 hexadecimal digits, 32 secret bytes. The session key is made of
the secret; it is the channel's signer, held on the chain to a cap, an end and a list of assets, so
a stolen key can spend no more than that, whoever steals it. The gateway keeps no secret: it makes
the session key of what a request brings, signs vouchers with it, and forgets it.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
import secrets
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final, Self

from tessera.errors import InputError, KeyRevoked
from tessera.spec.signatures import Signer

__all__ = ["KEY_PREFIX", "ApiKey", "Session", "Sessions", "channel_of", "key_id"]

KEY_PREFIX: Final = "tsk_"
_ID_DIGITS: Final = 16
_SECRET_BYTES: Final = 32
_SECRET_LETTERS: Final = 43
_ID: Final = re.compile(rf"(?:{KEY_PREFIX})?([0-9a-f]{{{_ID_DIGITS}}})")
_KEY: Final = re.compile(
    KEY_PREFIX + rf"([0-9a-f]{{{_ID_DIGITS}}})([A-Za-z0-9_-]{{{_SECRET_LETTERS}}})"
)
_INFO: Final = b"tessera session key"
_SESSION_S: Final = 900.0
_SESSIONS: Final = 4_096


def key_id(channel: int) -> str:
    """Return what a channel's key may be called in public: `tsk_` and 16 digits."""
    return f"{KEY_PREFIX}{channel:0{_ID_DIGITS}x}"


def channel_of(text: str) -> int:
    """Read a key's id, with its prefix or without.

    Raises
    ------
    InputError
        It is none.
    """
    match = _ID.fullmatch(text)
    if match is None:
        raise InputError("API key", found="no id", wanted=f"{KEY_PREFIX} and {_ID_DIGITS} digits")
    return int(match[1], 16)


@dataclass(frozen=True, slots=True)
class ApiKey:
    """A key as its holder has it.

    Attributes
    ----------
    channel
        Whose money it spends.
    secret
        32 bytes; never shown, not even by `repr`.
    """

    channel: int
    secret: bytes = field(repr=False)

    @property
    def id(self) -> str:
        """What it may be called in public: `tsk_` and 16 digits."""
        return key_id(self.channel)

    @property
    def text(self) -> str:
        """The key itself."""
        return self.id + base64.urlsafe_b64encode(self.secret).decode().rstrip("=")

    @classmethod
    def draw(cls) -> Self:
        """Make one whose channel is still to be opened, as its signer is known only now."""
        return cls(0, secrets.token_bytes(_SECRET_BYTES))

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read a key.

        Raises
        ------
        KeyRevoked
            It is none.
        """
        match = _KEY.fullmatch(text)
        if match is None:
            # Never what was found: it may be a key with one letter too many.
            raise KeyRevoked(
                "API key",
                found="something that is none",
                wanted=f"{KEY_PREFIX}, {_ID_DIGITS} digits and {_SECRET_LETTERS} letters",
            )
        return cls(int(match[1], 16), base64.urlsafe_b64decode(match[2] + "="))

    def signer(self) -> Signer:
        """Return the session key: HKDF-SHA256 of the secret."""
        drawn = hmac.digest(bytes(_SECRET_BYTES), self.secret, "sha256")
        for tried in range(1, 256):
            made = hmac.digest(drawn, _INFO + bytes((tried,)), "sha256")
            try:
                return Signer(made)
            except ValueError:
                # Above the curve's order: one in 2**128.
                continue
        raise KeyRevoked("API key", found="no session key", wanted="another secret")


@dataclass(slots=True)
class Session:
    """A key that is being used: its channel's signer, and what requests are vouched for with."""

    key: ApiKey
    signer: Signer
    call_key: bytes
    until: float


class Sessions:
    """The session keys of keys that were used lately, in memory and nowhere else.

    Parameters
    ----------
    share
        Makes of a session key what its requests are vouched for with (`callmac.call_key`).
    now
        Seconds that never go back.
    """

    def __init__(
        self, share: Callable[[Signer], bytes], now: Callable[[], float] = time.monotonic
    ) -> None:
        self._share = share
        self._now = now
        # By a hash: a dump of the names is no list of keys.
        self._sessions: OrderedDict[bytes, Session] = OrderedDict()

    def of(self, text: str) -> Session:
        """Return the session of a key; made at most every quarter of an hour.

        Raises
        ------
        KeyRevoked
            The text is no key.
        """
        name = hashlib.sha256(text.encode()).digest()
        now = self._now()
        session = self._sessions.get(name)
        if session is None or session.until < now:
            key = ApiKey.parse(text)
            signer = key.signer()
            session = Session(key, signer, self._share(signer), now + _SESSION_S)
            self._sessions[name] = session
            while len(self._sessions) > _SESSIONS:
                self._sessions.popitem(last=False)
        self._sessions.move_to_end(name)
        return session
