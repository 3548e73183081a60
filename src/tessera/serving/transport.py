"""What is said of servers elsewhere: where they are, what they answered, and why they did not."""

from __future__ import annotations

from urllib.parse import urlsplit

import msgspec

from tessera.errors import InputError

__all__ = ["Reply", "Unreachable", "base_url"]


class Unreachable(Exception):
    """The server did not answer, not in time, or with too much; `args[0]` says which."""


class Reply(msgspec.Struct, frozen=True):
    """A whole response."""

    status: int
    body: bytes


def base_url(url: str) -> str:
    """Check and complete the base URL of an OpenAI-compatible server.

    Returns
    -------
    str
        Without a trailing slash; with `/v1` where the URL names no path.

    Raises
    ------
    InputError
        It is no http(s) URL, or holds a user name or a password.
    """
    parts = urlsplit(url)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise InputError("upstream", found=url, wanted="a URL such as http://127.0.0.1:11434/v1")
    if parts.username is not None or parts.password is not None:
        raise InputError(
            f"upstream {parts.hostname}",
            found="a user name or password in its URL",
            wanted="a URL without one",
            next_step="put the key into the setting upstream_key",
        )
    path = parts.path.rstrip("/") or "/v1"
    return f"{parts.scheme}://{parts.netloc}{path}"
