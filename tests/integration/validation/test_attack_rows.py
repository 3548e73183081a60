"""An address that a stranger wrote on the chain, and that every validator fetches."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import httpx
import pytest

from tessera.bindings.scores import Revealed
from tessera.validation import rounds

PLACE = rounds.Place(31_337, "0x" + "22" * 20, 1, 1, "0x" + "11" * 20)


class Stranger(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        if self.path == "/redirect":
            self.send_response(307)
            self.send_header("location", "/right")
            self.end_headers()
            return
        self.send_response(404 if self.path == "/none" else 200)
        self.end_headers()
        if self.path == "/junk":
            self.wfile.write(b"\xff" * 100)
        if self.path == "/deep":
            self.wfile.write(b"[" * 100_000)
        if self.path == "/right":
            self.wfile.write(b'{"format": "tessera.row.v1", "weights": [[0, 7]]}')
        try:
            while self.path == "/endless":
                self.wfile.write(b" " * 65_536)
            while self.path == "/slow":
                self.wfile.write(b" ")
                self.wfile.flush()
                time.sleep(0.05)
        except OSError:
            # Who asked has had enough.
            return

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - its parent's name
        """Say nothing."""


@pytest.fixture(scope="module")
def stranger() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Stranger) as server:
        serving = threading.Thread(target=server.serve_forever, args=(0.05,))
        serving.start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()
        serving.join()


async def looked_at(uri: str) -> rounds.Served:
    row = rounds.Sealed(PLACE, ((0, 7),), 1, bytes(32)).row
    event = Revealed(1, 1, PLACE.validator, 0, row.root, row.sum, 1, uri)
    async with httpx.AsyncClient(trust_env=False) as http:
        return await rounds._looked_at(http, event, 1)


async def test_a_row_that_is_served_is_taken(stranger: str) -> None:
    found = await looked_at(f"{stranger}/right")
    assert (found.why, found.leaves) == ("", 1)
    assert found.row is not None


@pytest.mark.parametrize(
    "path", ["/none", "/junk", "/deep", "/empty", "/redirect", "/endless", "/slow"]
)
async def test_whatever_else_is_there_is_no_row(
    stranger: str, path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is no redirect that is followed, no body without end, and no wait without end."""
    monkeypatch.setattr(rounds, "_FETCH_S", 0.5)
    found = await looked_at(stranger + path)
    assert found.row is None
    assert found.why


@pytest.mark.parametrize(
    "uri",
    [
        "", "file:///etc/passwd", "ftp://x", "http://", "http://[", "http://127.0.0.1:1/",
        "x" * 256,
        "http://127.0.0.1:99999/", "http://xn--/", "http://" + "a" * 70 + "/", "http://x/\ud800",
    ],
)  # fmt: skip
async def test_an_address_that_is_none_is_no_row(uri: str) -> None:
    found = await looked_at(uri)
    assert found.row is None
    assert found.why
