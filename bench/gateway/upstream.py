"""The model behind every gateway: answers whole chats at once, and streams at a steady pace.

Whole answers come from nginx, which costs least. Streams come from here: 100 pieces, one each five
milliseconds, each in a chunk of its own. `python -m bench.gateway.upstream PORT` serves both, for
tests and for machines without nginx.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import Any

import httptools
import uvloop

from bench.gateway.calls import CHUNKS

WHOLE = (
    b'{"id":"c1","object":"chat.completion","created":1,"model":"instant","choices":[{"index":0,'
    b'"message":{"role":"assistant","content":"hello there, this is an instant answer","refusal":'
    b'null},"logprobs":null,"finish_reason":"stop"}],"usage":{"prompt_tokens":230,'
    b'"completion_tokens":8,"total_tokens":238}}'
)
MODELS = b'{"object":"list","data":[{"id":"instant","object":"model"}]}'
_EVENT = (
    b'data: {"id":"c1","object":"chat.completion.chunk","created":1,"model":"instant","choices":'
    b'[{"index":0,"delta":%b,"finish_reason":%b}]}\n\n'
)
_USAGE = (
    b'data: {"id":"c1","object":"chat.completion.chunk","created":1,"model":"instant","choices":[],'
    b'"usage":{"prompt_tokens":230,"completion_tokens":100,"total_tokens":330}}\n\n'
)
_PACE_S = 0.005


def _chunk(event: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(event), event)


PIECE = _chunk(_EVENT % (b'{"content":"word "}', b"null"))
LAST = (
    _chunk(_EVENT % (b"{}", b'"stop"'))
    + _chunk(_USAGE)
    + _chunk(b"data: [DONE]\n\n")
    + b"0\r\n\r\n"
)
HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
_WHOLE_HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n"


class _Model(asyncio.Protocol):
    def __init__(self, streams: dict[_Model, int]) -> None:
        self._streams = streams
        self._parser: Any = None
        self._body = b""
        self._url = b""
        self.transport: Any = None

    def connection_made(self, transport: Any) -> None:
        self.transport = transport
        self._parser = httptools.HttpRequestParser(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self._streams.pop(self, None)

    def data_received(self, data: bytes) -> None:
        self._parser.feed_data(data)

    def on_url(self, url: bytes) -> None:
        self._url = url

    def on_body(self, body: bytes) -> None:
        self._body += body

    def on_message_complete(self) -> None:
        body, self._body = self._body, b""
        if b'"stream":true' in body.replace(b" ", b""):
            self.transport.write(HEAD)
            self._streams[self] = CHUNKS
        else:
            answer = MODELS if self._url.endswith(b"/models") else WHOLE
            head = (
                b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n"
            )
            self.transport.write(head % len(answer) + answer)


async def serve(port: int) -> None:
    """Answer until killed."""
    streams: dict[_Model, int] = {}
    loop = asyncio.get_running_loop()
    await loop.create_server(lambda: _Model(streams), "127.0.0.1", port, backlog=512)
    while True:
        await asyncio.sleep(_PACE_S)
        for model, left in list(streams.items()):
            if left:
                streams[model] = left - 1
                model.transport.write(PIECE)
            else:
                del streams[model]
                model.transport.write(LAST)


_NGINX = """
worker_processes 1; daemon off; pid {folder}/{name}.pid; error_log stderr error;
events {{ worker_connections 1024; }}
http {{
  access_log off; keepalive_requests 100000000; keepalive_timeout 600s;
  client_body_temp_path {folder}/b; proxy_temp_path {folder}/p; fastcgi_temp_path {folder}/f;
  uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;
  {inside}
}}
"""
_INSTANT = """
  server {{
    listen 127.0.0.1:{port}; default_type application/json;
    location = /v1/models {{ return 200 '{models}'; }}
    location / {{ return 200 '{whole}'; }}
  }}"""
_PROXY = """
  upstream whole {{ server 127.0.0.1:{whole}; keepalive 128; keepalive_requests 100000000; }}
  server {{
    listen 127.0.0.1:{port};
    location / {{
      proxy_http_version 1.1; proxy_set_header Connection ""; proxy_buffering {buffering};
      proxy_pass http://whole;
    }}
  }}"""


def instant_conf(folder: Path, port: int) -> Path:
    """Write the configuration of an nginx that answers at once."""
    inside = _INSTANT.format(port=port, models=MODELS.decode(), whole=WHOLE.decode())
    return _write(folder, "instant", inside)


def proxy_conf(folder: Path, port: int, upstream: int, *, streams: bool) -> Path:
    """Write the configuration of an nginx that does nothing but pass on."""
    name = "streams" if streams else "proxy"
    buffering = "off" if streams else "on"
    return _write(folder, name, _PROXY.format(port=port, whole=upstream, buffering=buffering))


def _write(folder: Path, name: str, inside: str) -> Path:
    file = folder / f"{name}.conf"
    file.write_text(_NGINX.format(folder=folder, name=name, inside=inside), encoding="utf-8")
    return file


if __name__ == "__main__":
    uvloop.run(serve(int(sys.argv[1])))
