"""Assets of our own: their subject, their books and their holders, from their contracts' events."""

from __future__ import annotations

from tessera.diligence.own.books import AssetBooks, read_books
from tessera.diligence.own.subject import asset_of_share, slugs_of, subject_of_asset

__all__ = ["AssetBooks", "asset_of_share", "read_books", "slugs_of", "subject_of_asset"]
