"""A text as it grows: what of it may be shown, what it costs so far, and why it ends."""

from __future__ import annotations

from tessera.serving.metering import BYTES_PER_UNIT, byte_length, chat_input, chat_output
from tessera.serving.runner import ChatRequest, Finish, Units
from tessera.serving.stopping import StopScanner

__all__ = ["GrowingText"]


class GrowingText:
    """Enforces a request's limits on the pieces that a model sends.

    Parameters
    ----------
    request
        What was asked: its stop sequences and the most tokens.
    most_bytes
        UTF-8 bytes after which the text is refused whatever its tokens are said to be.
    """

    def __init__(self, request: ChatRequest, most_bytes: int) -> None:
        self._request = request
        self._most_bytes = most_bytes
        self._scanner = StopScanner(request.stop)
        self._input = chat_input(request, None)
        self._taken_bytes = 0
        self._shown_bytes = 0
        self._tokens: int | None = 0
        self.finish: Finish | None = None

    @property
    def over(self) -> bool:
        """Whether the text grew beyond its bytes."""
        return self._taken_bytes > self._most_bytes

    @property
    def units(self) -> Units:
        """What the text costs if it ends here."""
        output = chat_output(self._shown_bytes, self._tokens, self._request)
        return Units(self._input, output)

    def begin(self, prompt_tokens: int | None) -> None:
        """Learn what the model counts the conversation as."""
        self._input = chat_input(self._request, prompt_tokens)

    def take(self, piece: str, tokens: int | None) -> str:
        """Take the next piece.

        Returns
        -------
        str
            What may be shown now; `finish` is set where the text ends here. A piece that brings
            its tokens over the limit is dropped; one without a count is cut to fit.
        """
        if tokens is None or self._tokens is None:
            self._tokens = None
            # Without a tokenizer a unit is a group of bytes, so the limit is a limit of bytes.
            room = self._request.max_tokens * BYTES_PER_UNIT - self._taken_bytes
            data = piece.encode()
            if len(data) > room:
                piece = data[: max(room, 0)].decode(errors="ignore")
                self.finish = "length"
        elif self._tokens + max(tokens, 0) > self._request.max_tokens:
            piece = ""
            self.finish = "length"
        else:
            self._tokens += max(tokens, 0)
        self._taken_bytes += byte_length(piece)
        if self.over:
            self.finish = "length"
            return ""
        shown = self._scanner.feed(piece)
        if self._scanner.hit:
            self.finish = "stop"
        self._shown_bytes += byte_length(shown)
        return shown

    def rest(self) -> str:
        """Return what was held back as the possible beginning of a stop sequence."""
        held = self._scanner.finish()
        self._shown_bytes += byte_length(held)
        return held
