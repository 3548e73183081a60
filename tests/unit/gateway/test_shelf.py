"""Files of one folder on the web, and nothing else of the disk."""

from __future__ import annotations

import os
from pathlib import Path

import httpx

from tessera.gateway.shelf import open_shelf


async def test_its_files_are_read_and_nothing_else(tmp_path: Path) -> None:
    """An attacker tries what leads out: above it, links, hidden ones, a pipe."""
    folder = tmp_path / "served"
    async with (
        open_shelf(folder, "127.0.0.1", 0) as url,
        httpx.AsyncClient(trust_env=False) as http,
    ):
        assert (await http.get(url + "row.json")).status_code == 404
        folder.mkdir()
        (tmp_path / "secret.json").write_text("{}")
        (folder / "row.json").write_text('{"weights":[]}')
        (folder / "ab.epoch").write_bytes(b"\0\1")
        (folder / "large.epoch").write_bytes(bytes(range(256)) * 1_000)
        os.mkfifo(folder / "pipe.json")
        (folder / ".hidden.json").write_text("{}")
        (folder / "link.json").symlink_to(tmp_path / "secret.json")
        found = await http.get(url + "row.json")
        assert (found.text, found.headers["content-type"]) == ('{"weights":[]}', "application/json")
        assert (await http.get(url + "ab.epoch")).content == b"\0\1"
        # More than a piece.
        assert (await http.get(url + "large.epoch")).content == bytes(range(256)) * 1_000
        head = await http.head(url + "ab.epoch")
        assert (head.content, head.headers["content-length"]) == (b"", "2")
        assert (await http.post(url + "row.json")).status_code == 404
        outside = ("", "none.json", "pipe.json", ".hidden.json", "link.json", "%2e%2e/secret.json",
                   "..%2fsecret.json", "row.json/", "row.json%00")  # fmt: skip
        for name in outside:
            assert (await http.get(url + name)).status_code == 404, name
        assert (await http.get(url.removesuffix("/served/") + "/row.json")).status_code == 404
