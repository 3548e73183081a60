"""A text cut into tokens by their lengths, as OpenAI's API shows them."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

__all__ = ["cut"]

_CONTINUES = 0b1000_0000
_FIRST_TWO = 0b1100_0000


def cut(text: str, lengths: Sequence[int]) -> tuple[tuple[str, ...], tuple[int, ...]]:
    r"""Cut a text.

    Parameters
    ----------
    lengths
        UTF-8 bytes of each token, in order. A token may end within a character.

    Returns
    -------
    tuple
        How each token reads, and the character that it begins at or in. One that is no text by
        itself reads ``bytes:`` and its bytes.

    Raises
    ------
    ValueError
        These are not the lengths of its parts.

    Examples
    --------
    >>> cut("a é", [2, 1, 1])
    (('a ', 'bytes:\\xc3', 'bytes:\\xa9'), (0, 2, 2))
    """
    data = text.encode()
    if any(length < 1 for length in lengths) or sum(lengths) != len(data):
        raise ValueError(f"{sum(lengths)} bytes in {len(lengths)} tokens, not {len(data)}")
    ends = list(itertools.accumulate(lengths))
    pieces = [data[end - length : end] for end, length in zip(ends, lengths, strict=True)]
    starts, character = [], -1
    for piece in pieces:
        # A byte that goes on with a character belongs to the one that was begun before.
        begun = [byte & _FIRST_TWO != _CONTINUES for byte in piece]
        starts.append(character + begun[0])
        character += sum(begun)
    return tuple(map(_shown, pieces)), tuple(starts)


def _shown(piece: bytes) -> str:
    try:
        return piece.decode()
    except UnicodeDecodeError:
        return "bytes:" + "".join(f"\\x{byte:02x}" for byte in piece)
