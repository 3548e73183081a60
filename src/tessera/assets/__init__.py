"""Bundles: what a publisher hands in, its content root, its manifest, and where it is kept.

A bundle is a folder with a `tessera.toml`. `validate` says all that is wrong with one, or gives its
content root; `Store` keeps bundles under their roots and hands out only bytes that match.
"""

from tessera.assets.archive import export_bundle, import_bundle
from tessera.assets.bundle import ValidatedBundle, validate
from tessera.assets.content import ContentRoot
from tessera.assets.manifest import Kind, Manifest
from tessera.assets.refusals import (
    ArchiveInvalid,
    BundleChanged,
    BundleDamaged,
    BundleInvalid,
    Problem,
)
from tessera.assets.store import Store, StoredBundle
from tessera.assets.template import init_bundle

__all__ = [
    "ArchiveInvalid",
    "BundleChanged",
    "BundleDamaged",
    "BundleInvalid",
    "ContentRoot",
    "Kind",
    "Manifest",
    "Problem",
    "Store",
    "StoredBundle",
    "ValidatedBundle",
    "export_bundle",
    "import_bundle",
    "init_bundle",
    "validate",
]
