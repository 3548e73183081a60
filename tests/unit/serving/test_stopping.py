from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tessera.serving.sse import EventReader
from tessera.serving.stopping import StopScanner

# Few letters, so that stop sequences and their beginnings really occur.
words = st.text("ab", max_size=20)
stops = st.lists(st.text("ab", min_size=1, max_size=4), max_size=3)


@given(st.lists(words), stops)
def test_a_text_ends_where_it_would_if_it_came_whole(pieces: list[str], stop: list[str]) -> None:
    whole = "".join(pieces)
    scanner = StopScanner(stop)
    shown = "".join(scanner.feed(piece) for piece in pieces)
    shown += scanner.finish()
    ends = [whole.find(each) for each in stop if each in whole]
    if scanner.hit:
        # Cut in pieces, a longer sequence that begins earlier may complete after a shorter one.
        assert not any(each in shown for each in stop)
        assert whole.startswith(shown)
        assert len(shown) >= min(ends)
    else:
        assert not ends
        assert shown == whole


def test_nothing_is_held_back_without_need() -> None:
    scanner = StopScanner(["\n\n"])
    assert scanner.feed("a line\n") == "a line"
    assert scanner.feed("another") == "\nanother"


@given(st.lists(st.integers(1, 9), max_size=40))
def test_events_are_the_same_however_they_are_cut(cuts: list[int]) -> None:
    whole = b": hi\r\n\r\ndata: one\r\n\r\nevent: x\ndata: two\ndata:three\n\ndata: lost"

    reader, found, at = EventReader(), [], 0
    for length in [*cuts, len(whole)]:
        found += reader.feed(whole[at : at + length])
        at += length
    assert found == [b"one", b"two\nthree"]
