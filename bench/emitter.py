"""A contract in bare bytecode that writes as many Transfer events as its caller asks for.

`eth_getLogs` costs a node the same whoever wrote the logs; this fills blocks in no time.
"""

from __future__ import annotations

from typing import Final

__all__ = ["EMITTER", "emitted"]

_TRANSFER: Final = "ddf252ad1be2c89b69c2b068fc378daa952ba7f163c4a11628f55a4df523b3ef"


def _code() -> bytes:
    # n = calldata[0:32]; while n: log3(data=n, Transfer, from=n & 0xffff, to=n & 0xff); n -= 1
    begin = "5f35"
    loop = len(begin) // 2
    body = "5b801561{end}57" + "805f52" + "8060ff16" + "8161ffff16" + f"7f{_TRANSFER}" + "60205fa3"
    body += f"6001900360{loop:02x}56"
    end = loop + len(body.format(end="0000")) // 2
    return bytes.fromhex(begin + body.format(end=f"{end:04x}") + "5b00")


EMITTER: Final = _code()
"""Runtime code."""


def emitted(count: int) -> str:
    """Return the calldata that makes it write so many."""
    return f"0x{count:064x}"
