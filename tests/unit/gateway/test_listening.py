"""One address for one program, and a refusal that names the flag of the program that asked."""

from __future__ import annotations

import socket
from typing import Any

import httpx
import pytest

from tessera.errors import Busy, InputError
from tessera.gateway.listening import require_free, serving, url_of


async def hello(scope: dict[str, Any], receive: Any, send: Any) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": scope["path"].encode()})


async def test_an_application_is_served_for_the_length_of_a_context() -> None:
    async with serving(hello, "127.0.0.1", 0) as url, httpx.AsyncClient() as http:
        assert (await http.get(f"{url}/here")).text == "/here"
    async with httpx.AsyncClient() as http:
        with pytest.raises(httpx.ConnectError):
            await http.get(url)


async def test_a_port_that_is_taken_is_refused_with_the_flag_that_chooses_another() -> None:
    async with serving(hello, "127.0.0.1", 0) as url:
        port = int(url.rpartition(":")[2])
        with pytest.raises(Busy, match=r"another: --port \(0: any\)"):
            async with serving(hello, "127.0.0.1", port):
                pytest.fail("two programs listen on one port")
        with pytest.raises(Busy, match="--gateway-port"):
            require_free("127.0.0.1", port)
    with pytest.raises(InputError, match="one that can be listened on"):
        require_free("192.0.2.1", 0)


def test_an_address_of_version_6_is_written_in_brackets() -> None:
    with socket.socket(socket.AF_INET6) as listener:
        try:
            listener.bind(("::1", 0))
        except OSError:
            pytest.skip("this machine has no IPv6")
        assert url_of(listener) == f"http://[::1]:{listener.getsockname()[1]}"
