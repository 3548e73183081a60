"""Our own HTTP client against servers that lie, dawdle, repeat themselves, or are no servers."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
import subprocess
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest

from tessera.errors import InputError
from tessera.serving.client import HttpClient
from tessera.serving.client import pool as pool_module
from tessera.serving.transport import Unreachable

Speak = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
OK = b"HTTP/1.1 200 OK\r\n"
CHUNKED = OK + b"transfer-encoding: chunked\r\n\r\n"
SWITCH = b"HTTP/1.1 101 Switching Protocols\r\nupgrade: h2c\r\nconnection: upgrade\r\n\r\n"


class Server:
    """A loopback server that says what a test tells it to, byte for byte."""

    def __init__(self) -> None:
        self.port = 0
        self.requests: list[bytes] = []
        self.connections = 0
        self.tasks: set[asyncio.Task[None]] = set()
        self.speak: Speak = self.says(OK + b"content-length: 2\r\n\r\n{}")

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/v1"

    def says(self, *pieces: bytes, then_close: bool = False) -> Speak:
        async def speak(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            while await self.heard(reader):
                for piece in pieces:
                    writer.write(piece)
                    await writer.drain()
                if then_close:
                    return

        return speak

    async def heard(self, reader: asyncio.StreamReader) -> bytes:
        try:
            head = await reader.readuntil(b"\r\n\r\n")
        except asyncio.IncompleteReadError:
            return b""
        length = int(head.split(b"content-length: ")[1].split(b"\r\n")[0])
        self.requests.append(head + await reader.readexactly(length))
        return self.requests[-1]

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        task = asyncio.current_task()
        assert task is not None
        self.tasks.add(task)
        try:
            with contextlib.suppress(ConnectionError, asyncio.CancelledError):
                await self.speak(reader, writer)
        finally:
            self.tasks.discard(task)
            writer.close()
            with contextlib.suppress(ConnectionError):
                await writer.wait_closed()

    async def stop(self) -> None:
        for task in list(self.tasks):
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    made = Server()
    listening = await asyncio.start_server(made.serve, "127.0.0.1", 0)
    made.port = listening.sockets[0].getsockname()[1]
    yield made
    listening.close()
    await made.stop()


@pytest.fixture
async def client(server: Server) -> AsyncIterator[HttpClient]:
    made = HttpClient(server.url, "sk-key", connections=2)
    yield made
    await made.close()


async def post(
    client: HttpClient, body: bytes = b"{}", timeout_s: float = 1.0
) -> tuple[int, bytes]:
    reply = await client.post("/x", body, timeout_s=timeout_s, most_bytes=1_000)
    return reply.status, reply.body


async def test_a_connection_is_kept_and_used_again(client: HttpClient, server: Server) -> None:
    for number in range(3):
        assert await post(client, b"%d" % number) == (200, b"{}")
    assert server.connections == 1
    assert server.requests[0].startswith(b"POST /v1/x HTTP/1.1\r\nhost: 127.0.0.1:")
    assert b"\r\nauthorization: Bearer sk-key\r\n" in server.requests[0]
    assert server.requests[2].endswith(b"\r\n\r\n2")


@pytest.mark.parametrize(
    ("answer", "body"),
    [
        (
            CHUNKED + b"2;ext=1\r\n{}\r\n1\r\n \r\n0\r\nx: y\r\n\r\n",
            b"{} ",
        ),
        (b"HTTP/1.1 100 Continue\r\n\r\n" + OK + b"content-length: 2\r\n\r\n{}", b"{}"),
        (b"HTTP/1.1 204 No Content\r\n\r\n", b""),
        (OK + b"content-encoding: identity\r\ncontent-length: 1\r\n\r\n1", b"1"),
    ],
)
async def test_answers_of_every_shape_keep_the_connection(
    client: HttpClient, server: Server, answer: bytes, body: bytes
) -> None:
    server.speak = server.says(*(answer[i : i + 7] for i in range(0, len(answer), 7)))
    assert (await post(client))[1] == body
    assert (await post(client))[1] == body
    assert server.connections == 1


async def test_a_body_without_a_length_ends_with_its_connection(
    client: HttpClient, server: Server
) -> None:
    server.speak = server.says(b"HTTP/1.0 200 OK\r\n\r\nhal", b"lo", then_close=True)
    assert await post(client) == (200, b"hallo")
    assert await post(client) == (200, b"hallo")
    assert server.connections == 2


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (b"SSH-2.0-OpenSSH\r\n", "does not speak HTTP"),
        (b"HTTP/1.1 200 OK\nx\0y: z\r\n\r\n", "does not speak HTTP"),
        (OK + b"content-length: 2\r\ntransfer-encoding: chunked\r\n\r\n", "does not speak HTTP"),
        (OK + b"content-length: -2\r\n\r\n", "does not speak HTTP"),
        (CHUNKED + b"zz\r\n", "does not speak HTTP"),
        (OK + b"content-encoding: gzip\r\ncontent-length: 2\r\n\r\n{}", "compressed"),
        (OK + b"content-length: 2000\r\n\r\n" + b"x" * 2_000, "over 1000 bytes"),
        (CHUNKED + b"3e8\r\n" + b"x" * 1_000 + b"\r\n" + b"1\r\nx\r\n",
         "over 1000 bytes"),
        (OK + b"x: " + b"y" * 70_000, "around its answer"),
        (OK + b"x: y\r\n" * 20_000, "around its answer"),
        (b"HTTP/1.1 103 Early Hints\r\n\r\n" * 4_000, "around its answer"),
        (CHUNKED + b"2;" + b"x" * 70_000, "around its answer"),
        (CHUNKED + b"1\r\n1\r\n0\r\n" + b"x: y\r\n" * 20_000, "around"),
        (OK + b"content-length: 2\r\n\r\n{}" + OK + b"content-length: 2\r\n\r\n[]", "twice"),
        (OK + b"connection: close\r\ncontent-length: 2\r\n\r\n{}x", "does not speak HTTP"),
        (SWITCH, "another"),
    ],
)  # fmt: skip
async def test_a_hostile_answer_is_a_failure_and_ends_its_connection(
    client: HttpClient, server: Server, answer: bytes, said: str
) -> None:
    """An upstream, or whoever sits in its place, wants our memory, or wants its bytes to be read
    as the answer to somebody else's request."""
    server.speak = server.says(answer)
    with pytest.raises(Unreachable, match=said):
        await post(client)
    server.speak = server.says(OK + b"content-length: 2\r\n\r\n{}")
    assert await post(client) == (200, b"{}")
    assert server.connections == 2


async def test_bytes_that_nobody_asked_for_are_no_answer(
    client: HttpClient, server: Server
) -> None:
    """Response splitting: the second answer waits on the connection for the next consumer."""
    gate = asyncio.Event()

    async def speak(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await server.heard(reader)
        writer.write(OK + b"content-length: 2\r\n\r\n{}")
        await gate.wait()
        writer.write(OK + b"content-length: 6\r\n\r\npoison")
        await server.heard(reader)

    server.speak = speak
    assert await post(client) == (200, b"{}")
    server.speak = server.says(OK + b"content-length: 4\r\n\r\nmine")
    gate.set()
    await asyncio.sleep(0.02)
    assert await post(client) == (200, b"mine")


async def test_a_kept_connection_that_died_is_replaced_once(
    client: HttpClient, server: Server
) -> None:
    """The server closed it in the moment in which we asked: the call must not fail for that."""

    async def once(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await server.heard(reader)
        writer.write(OK + b"content-length: 2\r\n\r\n{}")
        await server.heard(reader)

    server.speak = once
    assert await post(client) == (200, b"{}")
    assert await post(client) == (200, b"{}")
    assert (server.connections, len(server.requests)) == (2, 3)


async def test_a_new_connection_that_dies_is_a_failure(client: HttpClient, server: Server) -> None:
    async def hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await server.heard(reader)

    server.speak = hang_up
    with pytest.raises(Unreachable, match="broke off"):
        await post(client)
    assert server.connections == 1


@pytest.mark.parametrize(
    "drip", [b"", b"HTTP/1.1 200 OK\r\nx: ", OK + b"content-length: 9\r\n\r\n"]
)
async def test_a_server_that_drips_is_given_up_in_time(
    client: HttpClient, server: Server, drip: bytes
) -> None:
    """One byte every now and then: no read ever times out, and the call never ends."""

    async def speak(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await server.heard(reader)
        writer.write(drip)
        for _ in range(8):
            await asyncio.sleep(0.03)
            writer.write(b"y" if drip else b"")

    server.speak = speak
    with pytest.raises(Unreachable, match=r"did not answer in 0\.1 s"):
        await post(client, timeout_s=0.1)


async def test_requests_wait_in_line_for_a_connection(client: HttpClient, server: Server) -> None:
    most = 0

    async def speak(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal most
        while asked := await server.heard(reader):
            most = max(most, server.connections)
            await asyncio.sleep(0.005)
            writer.write(OK + b"content-length: 2\r\n\r\n" + asked[-2:])

    server.speak = speak
    bodies = [b"%02d" % number for number in range(12)]
    answers = await asyncio.gather(*(post(client, body) for body in bodies))
    assert [body for _, body in answers] == bodies
    assert most == 2


async def test_who_gives_up_leaves_the_line_and_the_connection(
    client: HttpClient, server: Server
) -> None:
    """Consumers who leave while their calls wait must not use up the connections."""
    hang = asyncio.Event()

    async def speak(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await server.heard(reader)
        await hang.wait()

    server.speak = speak
    calls = [asyncio.create_task(post(client)) for _ in range(6)]
    await asyncio.sleep(0.02)
    for task in calls:
        task.cancel()
    await asyncio.gather(*calls, return_exceptions=True)
    server.speak = server.says(OK + b"content-length: 2\r\n\r\n{}")
    assert await asyncio.gather(*(post(client) for _ in range(4))) == [(200, b"{}")] * 4
    hang.set()


async def test_idle_connections_are_dropped(
    client: HttpClient, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pool_module, "_IDLE_S", 0.02)
    await post(client)
    await asyncio.sleep(0.06)
    assert not client._idle
    await post(client)
    assert server.connections == 2


class Reader:
    """Counts what it is told."""

    def __init__(self) -> None:
        self.status = self.size = 0
        self.over: asyncio.Future[Unreachable | None] = asyncio.get_running_loop().create_future()
        self.begun = asyncio.Event()

    def on_head(self, status: int) -> None:
        self.status = status

    def on_data(self, piece: bytes) -> None:
        self.size += len(piece)
        self.begun.set()

    def on_end(self) -> None:
        self.over.set_result(None)

    def on_failure(self, error: Unreachable) -> None:
        self.over.set_result(error)


async def test_a_slow_reader_lets_the_server_wait(client: HttpClient, server: Server) -> None:
    """A stream of 32 MB to a consumer who reads nothing must not come to lie in our memory."""
    written = 0

    async def speak(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal written
        await server.heard(reader)
        writer.write(OK + b"content-length: 33554432\r\n\r\n")
        for _ in range(512):
            writer.write(b"x" * 65_536)
            await writer.drain()
            written += 65_536

    server.speak = speak
    told = Reader()
    exchange = client.begin(
        "POST", "/x", b"{}", told, timeout_s=0.2, most_bytes=1 << 26, pieces=True
    )
    await told.begun.wait()
    exchange.pause()
    await asyncio.sleep(0.3)
    assert written < 16 << 20
    assert not told.over.done(), "its time does not run while it is made to wait"
    exchange.resume()
    assert await told.over is None
    assert (told.status, told.size) == (200, 33_554_432)


async def test_a_stream_whose_pieces_stop_coming_has_failed(
    client: HttpClient, server: Server
) -> None:
    async def speak(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await server.heard(reader)
        writer.write(CHUNKED)
        for _ in range(4):
            writer.write(b"1\r\nx\r\n")
            await asyncio.sleep(0.06)
        await asyncio.sleep(1)

    server.speak = speak
    told = Reader()
    client.begin("POST", "/x", b"{}", told, timeout_s=0.1, most_bytes=100, pieces=True)
    assert "did not answer in 0.1 s" in str(await told.over)
    assert told.size == 4


async def test_a_stream_that_is_left_drops_its_connection(
    client: HttpClient, server: Server
) -> None:
    left = asyncio.Event()

    async def speak(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await server.heard(reader)
        writer.write(CHUNKED + b"1\r\nx\r\n")
        await reader.read()
        left.set()

    server.speak = speak
    told = Reader()
    exchange = client.begin("POST", "/x", b"{}", told, timeout_s=90, most_bytes=100, pieces=True)
    await told.begun.wait()
    exchange.stop()
    await asyncio.wait_for(left.wait(), 30)
    assert not told.over.done()


async def test_closing_fails_what_is_in_flight(client: HttpClient, server: Server) -> None:
    async def speak(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await server.heard(reader)
        await server.heard(reader)

    server.speak = speak
    calls = [asyncio.create_task(post(client)) for _ in range(4)]
    await asyncio.sleep(0.02)
    await client.close()
    failed = await asyncio.gather(*calls, return_exceptions=True)
    assert [type(error) for error in failed] == [Unreachable] * 4
    with pytest.raises(Unreachable, match="closes"):
        await post(client)


@pytest.mark.parametrize("key", ["a\r\nx-admin: 1", "schlüssel", "a\0b"])
def test_a_key_that_would_be_two_headers_is_refused(key: str) -> None:
    with pytest.raises(InputError, match="no header can hold") as caught:
        HttpClient("http://127.0.0.1/v1", key)
    assert key not in str(caught.value)


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
         "-nodes", "-keyout", "key", "-out", "cert", "-days", "2", "-subj", "/CN=localhost",
         "-addext", "subjectAltName=DNS:localhost"],
        cwd=tmp_path, check=True, capture_output=True,
    )  # fmt: skip
    return tmp_path / "cert"


async def test_a_certificate_that_nobody_vouches_for_is_not_spoken_to(certificate: Path) -> None:
    """Whoever sits between us and an upstream wants the operator's key and the answers' price."""
    made = Server()
    ours = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    ours.load_cert_chain(certificate, certificate.with_name("key"))
    listening = await asyncio.start_server(made.serve, "127.0.0.1", 0, ssl=ours)
    port = listening.sockets[0].getsockname()[1]
    trusting = ssl.create_default_context(cafile=certificate)
    cases = [
        (f"https://localhost:{port}", None, "certificate that is not trusted"),
        (f"https://127.0.0.1:{port}", trusting, "certificate that is not trusted"),
        (f"http://localhost:{port}", None, "broke off"),
        (f"https://localhost:{port}", trusting, None),
    ]
    for url, tls, said in cases:
        client = HttpClient(url, "sk-key", tls=tls)
        if said is None:
            assert await post(client) == (200, b"{}")
        else:
            with pytest.raises(Unreachable, match=said):
                await post(client)
            assert not made.requests
        await client.close()
    listening.close()
    await made.stop()
