"""The child process of the Python runner: takes calls on stdin, answers on stdout, in a cage.

Runs `main` and nothing else of Tessera. The publisher's code is imported only after every limit
is in force. What it prints goes to stderr: the descriptor that carries the answers is moved away
before it starts.
"""

from __future__ import annotations

import importlib.util
import os
import re
import select
import sys
from collections.abc import Callable, Iterator
from typing import Any

import msgspec

from tessera.serving.runners import cage
from tessera.serving.runners.wire import (
    HEADER,
    LOG_PROBABILITIES,
    SCORE_TEXT,
    Begun,
    Call,
    Cancel,
    Done,
    Failed,
    FromChild,
    Hello,
    Part,
    Ready,
    ToChild,
    framed,
)

_LOADING = 0
_SHOWN = 300
_DIRECTORIES = re.compile(r"(?:/[^\s'\":,;()]+)+/")
_decoder: msgspec.msgpack.Decoder[ToChild] = msgspec.msgpack.Decoder(ToChild)


class _Pipe:
    """Frames to and from the parent."""

    def __init__(self) -> None:
        self._read, self._write = os.dup(0), os.dup(1)
        # The publisher's code finds an empty stdin, and prints to stderr.
        nothing = os.open(os.devnull, os.O_RDONLY)
        os.dup2(nothing, 0)
        os.dup2(2, 1)
        os.close(nothing)
        self.frame_bytes = 1 << 16

    def receive(self) -> ToChild:
        (length,) = HEADER.unpack(self._exactly(HEADER.size))
        if length > self.frame_bytes:
            os._exit(2)
        return _decoder.decode(self._exactly(length))

    def send(self, message: FromChild) -> None:
        frame = framed(message, self.frame_bytes)
        if frame is None:
            number = message.number if isinstance(message, Begun | Part | Done) else _LOADING
            limit = f"the answer is over {self.frame_bytes} bytes"
            frame = framed(Failed(number, "TooLarge", limit), self.frame_bytes) or b""
        view = memoryview(frame)
        while view:
            view = view[os.write(self._write, view) :]

    def cancelled(self, number: int) -> bool:
        ready, _, _ = select.select([self._read], [], [], 0)
        if not ready:
            return False
        message = self.receive()
        return isinstance(message, Cancel) and message.number == number

    def _exactly(self, length: int) -> bytes:
        parts = bytearray()
        while len(parts) < length:
            part = os.read(self._read, length - len(parts))
            if not part:
                os._exit(0)  # the parent has gone or has no more calls
            parts += part
        return bytes(parts)


def main() -> None:
    """Load what the first frame names, then answer calls until stdin closes."""
    pipe = _Pipe()
    hello = pipe.receive()
    assert isinstance(hello, Hello)
    pipe.frame_bytes = hello.frame_bytes
    cage.die_with_parent(hello.parent)
    os.chdir(hello.folder)
    cage.limit_resources(
        memory_bytes=hello.memory_bytes, file_bytes=hello.file_bytes, cpu_s=hello.cpu_s
    )
    cage.drop_capabilities()
    landlocked = cage.landlock(hello.readable)
    filtered = cage.filter_system_calls()
    try:
        code = _load(hello)
    except BaseException as error:  # noqa: BLE001 - the publisher's code may raise anything
        pipe.send(_failure(_LOADING, error))
        return
    scores = LOG_PROBABILITIES in code.more, SCORE_TEXT in code.more
    pipe.send(Ready(filtered, landlocked, *scores))
    while True:
        message = pipe.receive()
        # A cancellation can cross the end of its call on the way; then there is nothing to stop.
        if isinstance(message, Call):
            try:
                _answer(pipe, message, code)
            except BaseException as error:  # noqa: BLE001 - as above
                pipe.send(_failure(message.number, error))


class _Code:
    """What a bundle's module offers: what is called, and functions that it may have."""

    def __init__(self, module: object, hello: Hello) -> None:
        self.function: Callable[..., Any] = getattr(module, hello.callable)
        if not callable(self.function):
            raise TypeError(f"{hello.callable} in {hello.file} is no callable")
        count = getattr(module, "count_tokens", None)
        self.count: Callable[[str], int] | None = count if callable(count) else None
        found = {name: getattr(module, name, None) for name in (LOG_PROBABILITIES, SCORE_TEXT)}
        self.more: dict[str, Callable[..., Any]] = {
            name: function for name, function in found.items() if callable(function)
        }


def _load(hello: Hello) -> _Code:
    path = os.path.join(hello.folder, hello.file)  # noqa: PTH118 - pathlib doubles the start-up
    sys.path.insert(0, os.path.dirname(path))  # noqa: PTH120
    # By its place and not by its name: a bundle's `json.py` is not the standard library's.
    spec = importlib.util.spec_from_file_location("bundle", path)
    if spec is None or spec.loader is None:
        raise ImportError(f"{hello.file} is no Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules["bundle"] = module
    spec.loader.exec_module(module)
    return _Code(module, hello)


def _answer(pipe: _Pipe, call: Call, code: _Code) -> None:
    function = code.function
    if call.task in {LOG_PROBABILITIES, SCORE_TEXT}:
        if call.task not in code.more:
            raise TypeError(f"there is no {call.task} in the bundle")
        function = code.more[call.task]
    value = function(*call.arguments)
    if call.task == "chat":
        prompt, count = None, code.count
        if count is not None:
            prompt = sum(int(count(message["content"])) for message in call.arguments[0])
        pipe.send(Begun(call.number, prompt))
        value = _stream(pipe, call.number, value, count)
    body = msgspec.msgpack.encode(value, enc_hook=_plain)
    pipe.send(Done(call.number, msgspec.Raw(body)))


def _stream(
    pipe: _Pipe, number: int, value: object, count: Callable[[str], int] | None
) -> str | None:
    """Send the pieces of a text; return what the generator says about its end."""
    pieces: Iterator[Any] = iter([value] if isinstance(value, str | tuple) else value)  # type: ignore[call-overload]
    while not pipe.cancelled(number):
        try:
            piece = next(pieces)
        except StopIteration as end:
            return end.value if isinstance(end.value, str) else None
        text, tokens = piece if isinstance(piece, tuple) else (piece, None)
        if not isinstance(text, str):
            raise TypeError(f"a piece of text is a str, not {type(text).__name__}")
        if tokens is None and count is not None:
            tokens = int(count(text))
        pipe.send(Part(number, text, tokens))
    close = getattr(pieces, "close", None)
    if close is not None:
        close()
    return None


def _plain(value: object) -> object:
    as_list = getattr(value, "tolist", None)
    if as_list is None:
        raise TypeError(f"{type(value).__name__} is no plain value")
    return as_list()


def _failure(number: int, error: BaseException) -> Failed:
    lines = str(error).strip().splitlines()
    line = _DIRECTORIES.sub("", lines[-1])[:_SHOWN] if lines else ""
    return Failed(number, type(error).__name__, line)
