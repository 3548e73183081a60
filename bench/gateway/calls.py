"""What is sent: one chat of 1.2 kB for everybody, with a payment of each call where one is asked.

A template is the request's bytes with a zero byte for each gap; `Signed` writes what goes into the
gaps, a file for each connection and a line for each request, before anything is measured.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from bench.paid_calls import CALL_KEY, CONSUMER, OPERATOR, sign
from tessera.payments.callmac import call_mac
from tessera.payments.header import payment_header
from tessera.spec.signatures import keccak
from tessera.spec.vouchers import channel_number

PATH = "/v1/chat/completions"
CONNECTIONS = 32
STREAMS = 64
CHUNKS = 100
# Of what one call may cost; its cost is known only afterwards.
CEILING = 10_000


def chat(model: str, *, stream: bool = False) -> bytes:
    """Write a request of a usual length."""
    body = {
        "model": model,
        "messages": [
            {"role": "system", "content": "You are helpful. " * 20},
            {"role": "user", "content": "Say hello. " * 60},
        ],
        "max_tokens": 256,
        "temperature": 0.2,
    }
    if stream:
        body["stream"] = True
    return json.dumps(body).encode()


def template(port: int, body: bytes, headers: Mapping[str, str]) -> bytes:
    """Write a request; a header whose value is a zero byte is filled in for each call."""
    lines = [f"POST {PATH} HTTP/1.1", f"host: 127.0.0.1:{port}", "content-type: application/json"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    lines.append(f"content-length: {len(body)}")
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


GAPS = {"tessera-payment": "\0", "tessera-call": "\0", "tessera-call-mac": "\0"}


def channel(salt: int) -> int:
    """Return the number of a connection's own channel."""
    return channel_number(CONSUMER.address, OPERATOR.address, salt.to_bytes(32, "big"))


@dataclass
class Signed:
    """Vouchers of all channels, signed beforehand and never used twice.

    Parameters
    ----------
    folder
        Where the files go.
    body
        What each call asks, as the code over it binds the bytes.
    first
        Salt of the first channel; each connection has one of its own.
    connections
        How many.
    """

    folder: Path
    body: bytes
    first: int
    connections: int
    calls: int = 0

    def next_files(self, name: str, calls: int) -> str:
        """Sign further calls of each connection; the pattern of the files' names."""
        pattern = str(self.folder / f"{name}-%d.tsv")
        begin, self.calls = self.calls, self.calls + calls
        places = range(self.connections)
        with ProcessPoolExecutor() as pool:
            rows = [
                (pattern % place, self.first + place, begin, calls, self.body) for place in places
            ]
            for _ in pool.map(_write, rows):
                pass
        return pattern


def values(salt: int, begin: int, calls: int, body: bytes) -> Iterator[tuple[str, str, str]]:
    """Sign calls of one channel: voucher, name, code."""
    number, request = channel(salt), keccak(body)
    for count in range(begin + 1, begin + calls + 1):
        name = f"{count:032x}"
        voucher = sign(number, CEILING * count)
        code = call_mac(CALL_KEY, number, name, request)
        yield payment_header(voucher), name, code.hex()


def _write(row: tuple[str, int, int, int, bytes]) -> None:
    path, salt, begin, calls, body = row
    with Path(path).open("w", encoding="ascii") as file:
        file.writelines("\t".join(parts) + "\n" for parts in values(salt, begin, calls, body))
