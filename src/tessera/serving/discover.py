"""Finding model servers nearby: a local Ollama, and whatever URLs the operator names."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

import msgspec

from tessera.serving.client import HttpClient
from tessera.serving.transport import Unreachable, base_url

__all__ = ["OLLAMA_URL", "FoundServer", "discover"]

OLLAMA_URL = "http://127.0.0.1:11434/v1"
_LIST_BYTES = 4 << 20
_OK = 200


class FoundServer(msgspec.Struct, frozen=True):
    """One server that was asked for its models.

    Attributes
    ----------
    url
        Its base URL.
    models
        What it says it has; empty where it did not answer.
    failure
        Why it did not answer, or None.
    """

    url: str
    models: tuple[str, ...]
    failure: str | None = None


class _Model(msgspec.Struct):
    id: str


class _Models(msgspec.Struct):
    data: list[_Model] | None = None


async def discover(
    named: Iterable[str] = (),
    *,
    key: str = "",
    local: Iterable[str] = (OLLAMA_URL,),
    timeout_s: float = 0.25,
) -> list[FoundServer]:
    """Ask servers for their models, all at once.

    Parameters
    ----------
    named
        Base URLs that the operator named: reported even when they do not answer.
    key
        Bearer token for the named ones; never sent to the others.
    local
        Where a server may be without having been named; silent when there is none.
    timeout_s
        Seconds for all of them together.

    Returns
    -------
    list of FoundServer
        Named ones first, in order, then the local ones that answered.

    Raises
    ------
    InputError
        A named URL is none.
    """
    wanted = list(dict.fromkeys(base_url(url) for url in named))
    nearby = [url for url in dict.fromkeys(base_url(url) for url in local) if url not in wanted]
    found = await asyncio.gather(
        *(_ask(url, key, timeout_s) for url in wanted),
        *(_ask(url, "", timeout_s) for url in nearby),
    )
    return [server for server in found if server.failure is None or server.url in wanted]


async def _ask(url: str, key: str, timeout_s: float) -> FoundServer:
    transport = HttpClient(url, key)
    try:
        async with asyncio.timeout(timeout_s):
            reply = await transport.get("/models", timeout_s=timeout_s, most_bytes=_LIST_BYTES)
        if reply.status != _OK:
            return FoundServer(url, (), f"answered {reply.status}")
        listed = msgspec.json.decode(reply.body, type=_Models).data or ()
        return FoundServer(url, tuple(model.id for model in listed))
    except TimeoutError:
        return FoundServer(url, (), f"did not answer in {timeout_s:g} s")
    except Unreachable as error:
        return FoundServer(url, (), str(error))
    except msgspec.MsgspecError:
        return FoundServer(url, (), "answered, but not with a list of models")
    finally:
        await transport.close()
