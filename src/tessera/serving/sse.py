"""Server-sent events, as much of them as OpenAI-compatible servers use."""

from __future__ import annotations

__all__ = ["EventReader"]


class EventReader:
    """Finds the events in a stream that the network cut anywhere.

    Lines may end in LF or CRLF; several data lines of one event are joined by a line feed;
    comments and other fields are passed over. An event that the end of the stream cuts short is
    dropped, as the standard asks.
    """

    __slots__ = ("_data", "_rest")

    def __init__(self) -> None:
        # Of a line that has not ended, in pieces: joined at each of them, a long one would be
        # copied as often as it has pieces.
        self._rest: list[bytes] = []
        self._data: list[bytes] = []

    def feed(self, piece: bytes) -> list[bytes]:
        """Return the data of each event that ends in this piece."""
        found: list[bytes] = []
        if b"\n" not in piece:
            self._rest.append(piece)
            return found
        if self._rest:
            piece = b"".join((*self._rest, piece))
        *lines, rest = piece.split(b"\n")
        self._rest = [rest] if rest else []
        for ended in lines:
            line = ended.removesuffix(b"\r")
            if line.startswith(b"data:"):
                self._data.append(line[5:].removeprefix(b" "))
            elif not line and self._data:
                found.append(self._data[0] if len(self._data) == 1 else b"\n".join(self._data))
                self._data = []
        return found
