"""A language model that runs here already: its bundle is valid, and says what is not known."""

from __future__ import annotations

from pathlib import Path

from tessera.assets import validate
from tessera.assets.manifest import UpstreamRunner
from tessera.demo.market import PLANS, manifest_ending
from tessera.demo.upstream import LocalModel, write_upstream_bundle


def test_the_bundle_of_an_upstream_is_valid_and_claims_no_benchmark(tmp_path: Path) -> None:
    (plan,) = (plan for plan in PLANS if plan.replaceable)
    found = LocalModel("http://127.0.0.1:11434/v1", 'odd "name":1b', "local-odd-name-1b")
    built = write_upstream_bundle(found, tmp_path / "bundle", manifest_ending(plan))
    manifest = validate(built.folder).manifest
    assert isinstance(manifest.runner, UpstreamRunner)
    assert (manifest.runner.url, manifest.runner.model) == (found.url, found.model)
    assert manifest.benchmark is None
    assert [str(parent.asset) for parent in manifest.parents] == ["lsa-embed"]
