"""What an indexer read from a node is the same in a folder of files."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from tests.integration.indexer.conftest import OTHER, Market, Observed

from tessera.indexer.pieces import Selection

pytest.importorskip("polars")


async def test_a_chain_that_was_followed_is_the_same_in_a_folder(
    market: Market, observed: Callable[[str], Observed], tmp_path: Path
) -> None:
    from tessera.facts.folder import open_folder
    from tessera.facts.writing import write_folder

    market.transfers(3, 0, 5)
    market.transfers(2, token=OTHER)
    found = observed("facts")
    await found.catch_up(Selection(whole=True))
    facts = found.facts()
    write_folder(facts, tmp_path / "folder")
    read = open_folder(tmp_path / "folder")
    assert (read.head, read.kinds, read.origin) == (facts.head, facts.kinds, facts.origin)
    assert read.tokens() == facts.tokens()
    for token in facts.tokens():
        assert read.transfers(token).digest() == facts.transfers(token).digest()
        assert read.coverage(token) == facts.coverage(token)
    assert len(read.calls()) == len(facts.calls()) == 3
    assert read.calls().data.tolist() == facts.calls().data.tolist()
    assert read.events() == facts.events()
    assert read.seen() == facts.seen()
    assert read.blocks.time.tolist() == facts.blocks.time.tolist()
