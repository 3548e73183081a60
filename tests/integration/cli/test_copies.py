"""`tessera assets add` and `export`: how a second operator comes to the bundle."""

from __future__ import annotations

from pathlib import Path

from tests.integration.cli.conftest import Program, write_bundle


def test_a_second_operator_gets_the_bundle_as_folder_or_as_archive(
    world: Program, elsewhere: tuple[Program, tuple[str, ...]], tmp_path: Path
) -> None:
    there, chain = elsewhere
    folder = write_bundle(tmp_path / "mean", "copied-mean")
    published = world.ok("publish", folder)

    missing = there("assets", "export", "copied-mean", tmp_path / "none.tar", *chain)
    assert missing.code == 2
    assert "tessera assets add PATH" in missing.err

    archive = tmp_path / "copied-mean.tar"
    assert world.ok("assets", "export", "copied-mean@1", archive)["root"] == published["root"]
    added = there.ok("assets", "add", archive, *chain)
    assert (added["slug"], added["version"]) == ("copied-mean", 1)
    assert (added["root"], added["files"]) == (published["root"], 2)
    # Once more, from the folder, is once.
    assert there.ok("assets", "add", folder, *chain) == added
    again = tmp_path / "again.tar"
    there.ok("assets", "export", "copied-mean", again, *chain)
    assert again.read_bytes() == archive.read_bytes()

    unknown = world("assets", "export", "copied-mean@2", tmp_path / "two.tar", "--json")
    assert (unknown.code, unknown.json["code"]) == (2, "not_found")


def test_attack_bytes_that_the_chain_does_not_name_are_not_kept(
    world: Program, elsewhere: tuple[Program, tuple[str, ...]], tmp_path: Path
) -> None:
    """Somebody hands a new operator a bundle with the right name and another program in it."""
    there, chain = elsewhere
    published = world.ok("publish", write_bundle(tmp_path / "mean", "forged-mean"))
    forged = write_bundle(tmp_path / "forged", "forged-mean")
    (forged / "model.py").write_text("def predict(rows):\n    return [0 for row in rows]\n")
    refused = there("assets", "add", forged, *chain, "--json")
    assert (refused.code, refused.json["code"]) == (2, "input_error")
    assert published["root"] in refused.json["message"]

    archive = tmp_path / "forged.tar"
    world.ok("assets", "export", "forged-mean", archive)
    archive.write_bytes(archive.read_bytes().replace(b"sum(row)", b"max(row)"))
    refused = there("assets", "add", archive, *chain, "--json")
    assert (refused.code, refused.json["code"]) == (2, "archive_invalid")
    assert not list((there.data / "bundles").glob("[0-9a-f]*"))
