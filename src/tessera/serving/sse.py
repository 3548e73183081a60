"""Server-sent events, as much of them as OpenAI-compatible servers use."""

from __future__ import annotations

from collections.abc import AsyncIterator

__all__ = ["data_of_events"]


async def data_of_events(chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """Yield the data of each event of a stream.

    Lines may end in LF or CRLF and be cut anywhere; several data lines of one event are joined by
    a line feed; comments and other fields are passed over. An event that the end of the stream
    cuts short is dropped, as the standard asks.
    """
    buffer = b""
    data: list[bytes] = []
    async for chunk in chunks:
        *lines, buffer = (buffer + chunk).split(b"\n")
        for ended in lines:
            line = ended.removesuffix(b"\r")
            if line.startswith(b"data:"):
                data.append(line[5:].removeprefix(b" "))
            elif not line and data:
                yield b"\n".join(data)
                data = []
