"""Texts cut into tokens by lengths that a publisher's code names."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tessera.serving.tokens import cut

texts = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=12)


@given(texts, st.lists(st.integers(1, 5), max_size=40))
def test_where_a_token_begins_is_the_character_that_its_first_byte_is_of(
    text: str, sizes: list[int]
) -> None:
    data, lengths, left = text.encode(), [], len(text.encode())
    for size in [*sizes, len(data)]:
        lengths.append(min(size, left))
        left -= lengths[-1]
        if not left:
            break
    tokens, starts = cut(text, lengths)
    whole_characters = [len(text[:at].encode()) for at in range(len(text) + 1)]
    at = 0
    for token, start, length in zip(tokens, starts, lengths, strict=True):
        assert whole_characters[start] <= at < whole_characters[start + 1]
        piece = data[at : at + length]
        at += length
        shown = token.encode()
        assert shown == piece or token == "bytes:" + "".join(f"\\x{byte:02x}" for byte in piece)


@pytest.mark.parametrize("lengths", [[], [1], [2, 2], [3, 0], [4, -1]])
def test_lengths_of_another_text_are_refused(lengths: list[int]) -> None:
    with pytest.raises(ValueError, match="bytes"):
        cut("abc", lengths)
