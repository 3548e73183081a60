"""How an asset is named: its URN on a chain, or a slug with or without a version."""

from __future__ import annotations

import re
from dataclasses import dataclass

import sha3

from tessera.errors import InputError
from tessera.units import MAX_ASSET_ID, AssetId, ChainId

__all__ = ["AssetUrn", "SlugReference", "is_address", "parse_reference", "slug_fault"]

MAX_SLUG = 64
MAX_LABEL = 32

_URN = re.compile(r"eip155:([1-9][0-9]{0,19})/erc721:(0x[0-9a-fA-F]{40})/(0|[1-9][0-9]{0,72})")
_SLUG = re.compile(r"[a-z0-9]+(?:-[a-z0-9]+)*")
_LABEL = re.compile(r"[0-9A-Za-z](?:[0-9A-Za-z.+_-]*[0-9A-Za-z])?")
_ADDRESS = re.compile(r"0x[0-9a-fA-F]{40}")


@dataclass(frozen=True, slots=True)
class AssetUrn:
    """The full name of an asset on a chain: ``eip155:<chain>/erc721:<registry>/<id>``.

    Attributes
    ----------
    chain
        EIP-155 chain id.
    registry
        Address of the Registry, 0x-hex as written.
    asset
        The asset's number, below 2**240.
    """

    chain: ChainId
    registry: str
    asset: AssetId

    def __str__(self) -> str:
        return f"eip155:{self.chain}/erc721:{self.registry}/{self.asset}"


@dataclass(frozen=True, slots=True)
class SlugReference:
    """A short name, as the OpenAI API sees it: ``slug`` or ``slug@version``."""

    slug: str
    version: str | None = None

    def __str__(self) -> str:
        return self.slug if self.version is None else f"{self.slug}@{self.version}"


def parse_reference(text: str) -> AssetUrn | SlugReference:
    """Read either name of an asset.

    Raises
    ------
    InputError
        It is neither.
    """
    match = _URN.fullmatch(text)
    if match is not None:
        chain, registry, number = int(match[1]), match[2], int(match[3])
        if is_address(registry) and number <= MAX_ASSET_ID:
            return AssetUrn(ChainId(chain), registry, AssetId(number))
    else:
        slug, at, version = text.partition("@")
        if slug_fault(slug) is None and (not at or label_fault(version) is None):
            return SlugReference(slug, version if at else None)
    raise InputError(
        "asset",
        found=text,
        wanted="eip155:<chain>/erc721:<registry>/<id>, slug, or slug@version",
    )


def slug_fault(text: str) -> str | None:
    """Say what a slug would need, or None for a good one."""
    if _SLUG.fullmatch(text) and len(text) <= MAX_SLUG:
        return None
    return f"1 to {MAX_SLUG} small letters and digits, with single dashes between them"


def label_fault(text: str) -> str | None:
    """Say what a version label would need, or None for a good one."""
    if len(text) <= MAX_LABEL and _LABEL.fullmatch(text):
        return None
    return f"1 to {MAX_LABEL} letters, digits and . + _ - between them, such as 1.0.0"


def is_address(text: str) -> bool:
    """Whether this is an account: 0x and 40 hex digits, with a right checksum if in mixed case."""
    if not _ADDRESS.fullmatch(text):
        return False
    digits = text[2:]
    if digits in (digits.lower(), digits.upper()):
        return True
    digest = sha3.keccak_256(digits.lower().encode("ascii")).hexdigest()
    return all(
        letter.isdigit() or letter.isupper() == (int(nibble, 16) >= 8)
        for letter, nibble in zip(digits, digest, strict=False)
    )
