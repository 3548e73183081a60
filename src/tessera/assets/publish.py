"""Publishing: from a folder to a row in the Registry, in steps that may be taken again.

Everything is checked before the first transaction. Each step looks at what is there: a publisher
who is interrupted runs the same command again, and one who publishes the same bytes twice is told
so and pays nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tessera.assets.bundle import ValidatedBundle, validate
from tessera.assets.content import Progress
from tessera.assets.contributions import NO_CONTRIBUTIONS, ContributionTree, contributions_of
from tessera.assets.directory import AssetDirectory, AssetRecord
from tessera.assets.manifest import (
    MANIFEST_NAME,
    Manifest,
    OnnxRunner,
    PythonRunner,
    UpstreamRunner,
)
from tessera.assets.refusals import BundleInvalid, Problem
from tessera.assets.store import Store
from tessera.bindings import Registry
from tessera.bindings.registry import (
    AssetRegistered,
    EndpointTerms,
    Kind,
    Parent,
    Price,
    Publication,
    Release,
    VersionReleased,
)
from tessera.chain.sender import Sender
from tessera.errors import InputError, NotAllowed, NotFound
from tessera.spec.registry import FEE_CAP_BPS
from tessera.spec.signatures import ZERO_ADDRESS_TEXT, keccak
from tessera.units import BPS, AssetId, Bps, checked_bps

__all__ = [
    "Endpoint",
    "PublishPlan",
    "Published",
    "plan_publication",
    "publish",
    "release_of",
]

_MAX_URL: Final = 256
_NO_CUT: Final = Bps(0)


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Who shall serve the asset, and with what cut.

    Attributes
    ----------
    operator
        Address.
    url
        Of its gateway.
    cut
        Its part of every payment; None leaves it as it is, which is nothing for a new operator.
    """

    operator: str
    url: str
    cut: Bps | None = None


@dataclass(frozen=True, slots=True)
class PublishPlan:
    """What publishing a folder would do; nothing has been done yet.

    Attributes
    ----------
    bundle
        The folder, validated.
    existing
        The asset that it is a version of; None makes a new one.
    version
        What it will be, or is already.
    publication
        What goes into the Registry for a new asset.
    endpoint
        What shall be listed; None for nobody.
    to_register, to_release, to_list
        Which transactions are needed.
    """

    bundle: ValidatedBundle
    existing: AssetRecord | None
    version: int
    publication: Publication
    endpoint: EndpointTerms | None
    to_register: bool
    to_release: bool
    to_list: bool

    @property
    def needs_proposal(self) -> bool:
        """Whether what is left to do is for the asset's holders to decide."""
        governed = self.existing is not None and self.existing.share is not None
        return governed and not self.already_published

    @property
    def already_published(self) -> bool:
        """Whether the chain has all of it."""
        return not (self.to_register or self.to_release or self.to_list)


@dataclass(frozen=True, slots=True)
class Published:
    """What was done.

    Attributes
    ----------
    asset, slug, version, root
        What the chain has now.
    registered, released, listed
        Which transactions were sent; none where everything was there.
    tx_hashes
        In order.
    """

    asset: AssetId
    slug: str
    version: int
    root: bytes
    registered: bool
    released: bool
    listed: bool
    tx_hashes: tuple[str, ...]


async def plan_publication(
    folder: Path,
    directory: AssetDirectory,
    publisher: str,
    *,
    endpoint: Endpoint | None,
    decimals: int,
    accounts: Mapping[str, str] | None = None,
    progress: Progress | None = None,
) -> PublishPlan:
    """Check a folder and what it says about the chain, and decide what is left to do.

    Parameters
    ----------
    folder
        With a `tessera.toml` at its top.
    directory
        Refreshed here.
    publisher
        Address of who publishes.
    endpoint
        Who shall serve it; None to list nobody.
    decimals
        Of the currency that prices are in.
    accounts
        Addresses of contributors who are only named.
    progress
        Called with bytes hashed and bytes in all.

    Raises
    ------
    BundleInvalid, BundleChanged, NotFound
        As `tessera.assets.validate`; BundleInvalid also names every parent and contributor that
        is not there.
    NotAllowed
        The name is somebody else's asset, or only its controller may add versions.
    InputError
        The endpoint makes no sense.
    """
    bundle = await asyncio.to_thread(validate, folder, decimals=decimals, progress=progress)
    await directory.refresh()
    manifest = bundle.manifest
    problems: list[Problem] = []
    parents = _parents(manifest, directory, problems)
    contributions = _contributions(manifest, accounts or {}, problems)
    existing = _existing(directory, manifest, publisher)
    if existing is not None and not problems and _named(parents) != _named(existing.parents):
        problems.append(
            Problem(
                f"{MANIFEST_NAME}: parents",
                "other parents or royalties than the asset has on the chain",
                "the same, those that holders voted in included: every version pays them",
                "put them back, or publish under another name",
            )
        )
    if existing is not None and not problems and contributions != existing.contributions:
        problems.append(
            Problem(
                f"{MANIFEST_NAME}: contributors",
                "other contributors, weights or evidence than the asset was registered with",
                "the same: they are frozen, and a list of a further version binds nobody",
                "put them back, or publish under another name",
            )
        )
    cut, terms = _NO_CUT, None
    if endpoint is not None:
        listed = existing.endpoints.get(endpoint.operator) if existing is not None else None
        present = _NO_CUT if listed is None else Bps(listed.cut_bps)
        cut = present if endpoint.cut is None else endpoint.cut
        terms = _terms(manifest, endpoint, cut)
    floor = 0 if existing is None else existing.floor_bps
    _check_parts(cut, sum(parent.royalty_bps for parent in parents), floor, problems)
    if problems:
        raise BundleInvalid(folder.name or str(folder), problems)
    publication = Publication(
        slug=manifest.name,
        kind=Kind[manifest.kind.name],
        # The same bytes under another name are another asset.
        salt=keccak(manifest.name.encode()),
        contributions=contributions,
        parents=parents,
        release=release_of(bundle),
    )
    if existing is None:
        return PublishPlan(bundle, None, 1, publication, terms, True, False, False)
    known = existing.version_of(bundle.root)
    # Only the newest version decides about the price; publishing an old one again changes nothing.
    newest = known is None or known.version == existing.latest.version
    return PublishPlan(
        bundle,
        existing,
        existing.latest.version + 1 if known is None else known.version,
        publication,
        terms,
        to_register=False,
        to_release=known is None,
        to_list=terms is not None and newest and not _is_listed(existing, terms),
    )


async def publish(
    plan: PublishPlan,
    store: Store,
    registry: Registry,
    sender: Sender,
    *,
    progress: Progress | None = None,
) -> Published:
    """Keep the bundle, and send what the plan says is missing.

    Parameters
    ----------
    plan
        From `plan_publication`, for this sender's address.
    store
        Where the operator of this machine finds the bundle.
    registry
        The contract.
    sender
        Of the publisher.
    progress
        Called with bytes copied and bytes in all.

    Raises
    ------
    BundleChanged
        The folder changed since the plan was made; nothing was sent.
    StorageFull
        There is no room for the bundle; nothing was sent.
    NotAllowed
        The asset is its holders': it takes a proposal. The bundle is kept, for its operator to
        find once the holders have voted for it.
    TransactionReverted
        The Registry refuses; the bundle is kept, and publishing again goes on from there.
    """
    bundle = plan.bundle
    await asyncio.to_thread(store.add, bundle.folder, expected=bundle.root, progress=progress)
    if plan.needs_proposal:
        name = bundle.manifest.name
        kind = "release" if plan.to_release else "endpoint"
        raise NotAllowed(
            f"version {plan.version} of {name}" if plan.to_release else f"endpoint of {name}",
            found="the asset has shares, so its holders decide",
            wanted="a proposal that they vote for; nothing was sent",
            next_step=f"tessera govern propose {kind} {name}"
            + (f" {bundle.folder}" if plan.to_release else " --price P"),
        )
    hashes: list[str] = []
    version = plan.version
    if plan.existing is None:
        nobody = EndpointTerms(ZERO_ADDRESS_TEXT, 0, Price(0, 0, 0), "")
        receipt = await sender.send(registry.publish(plan.publication, plan.endpoint or nobody))
        asset = AssetId(receipt.one_of(AssetRegistered).asset)
        hashes.append(receipt.tx_hash)
    else:
        asset = plan.existing.asset
        if plan.to_release:
            receipt = await sender.send(registry.release(asset, plan.publication.release))
            version = receipt.one_of(VersionReleased).version
            hashes.append(receipt.tx_hash)
        if plan.to_list and plan.endpoint is not None:
            receipt = await sender.send(registry.set_endpoint(asset, plan.endpoint))
            hashes.append(receipt.tx_hash)
    return Published(
        asset=asset,
        slug=bundle.manifest.name,
        version=version,
        root=bundle.root,
        registered=plan.to_register,
        released=plan.to_release,
        listed=plan.to_list or (plan.to_register and plan.endpoint is not None),
        tx_hashes=tuple(hashes),
    )


def _existing(directory: AssetDirectory, manifest: Manifest, publisher: str) -> AssetRecord | None:
    own = [
        record
        for record in directory
        # A tokenized one is its holders'; whoever owns it may still be told how to propose.
        if record.slug == manifest.name and publisher in (record.controller, record.owner)
    ]
    if own:
        return own[0]
    taken = directory.by_slug(manifest.name)
    if taken is None:
        return None
    raise NotAllowed(
        f"{MANIFEST_NAME}: name {manifest.name!r}",
        found=f"an asset of {taken.controller}",
        wanted=f"a name that is free, or one of your own ({publisher})",
        next_step="choose another name, or publish with the key that controls it",
    )


def _is_listed(record: AssetRecord, wanted: EndpointTerms) -> bool:
    found = record.endpoints.get(wanted.operator)
    if found is None or not found.listed:
        return False
    price = (found.price.per_call, found.price.per_1k_in, found.price.per_1k_out)
    asked = (wanted.price.per_call, wanted.price.per_1k_in, wanted.price.per_1k_out)
    return (price, found.cut_bps, found.url) == (asked, wanted.cut_bps, wanted.url)


def release_of(bundle: ValidatedBundle) -> Release:
    """Return what the Registry keeps of a bundle as a version."""
    match bundle.manifest.runner:
        case OnnxRunner():
            runner = 1
        case PythonRunner():
            runner = 2
        case UpstreamRunner():
            runner = 3
        case None:
            runner = 0
    return Release(bundle.root, runner, f"urn:tessera:bundle:{bundle.root.hex()}")


def _parents(
    manifest: Manifest, directory: AssetDirectory, problems: list[Problem]
) -> tuple[Parent, ...]:
    parents: list[Parent] = []
    for number, parent in enumerate(manifest.parents):
        try:
            record = directory.find(str(parent.asset))
        except NotFound as error:
            problems.append(
                Problem(
                    f"{MANIFEST_NAME}: parents[{number}].asset",
                    repr(str(parent.asset)),
                    "an asset that is registered on this chain",
                    error.next_step or "",
                )
            )
            continue
        parents.append(Parent(record.asset, parent.royalty))
    return tuple(parents)


def _contributions(
    manifest: Manifest, accounts: Mapping[str, str], problems: list[Problem]
) -> bytes:
    if not manifest.contributors:
        return NO_CONTRIBUTIONS
    unknown = [
        Problem(
            f"{MANIFEST_NAME}: contributors[{number}]",
            f"the name {contributor.name!r} without an account",
            "an account",
            f'add account = "0x...", or make a key: tessera account create {contributor.name}',
        )
        for number, contributor in enumerate(manifest.contributors)
        if contributor.account is None and (contributor.name or "") not in accounts
    ]
    problems.extend(unknown)
    if unknown:
        return NO_CONTRIBUTIONS
    return ContributionTree(contributions_of(manifest.contributors, accounts)).root


def _named(parents: Iterable[Parent]) -> set[tuple[int, int]]:
    return {(parent.asset, parent.royalty_bps) for parent in parents}


def _check_parts(cut: int, royalties: int, floor: int, problems: list[Problem]) -> None:
    if cut + royalties + floor + FEE_CAP_BPS > BPS:
        kept = f" and {floor} are the holders' floor" if floor else ""
        problems.append(
            Problem(
                "operator's cut and royalties",
                f"{cut} and {royalties} hundredths of a percent",
                f"at most {BPS - FEE_CAP_BPS - floor} together: "
                f"{FEE_CAP_BPS} may be network fee{kept}",
                "lower the cut" if cut else "lower the royalties",
            )
        )


def _terms(manifest: Manifest, endpoint: Endpoint, wanted_cut: Bps) -> EndpointTerms:
    cut = checked_bps(wanted_cut, "operator's cut")
    if len(endpoint.url.encode()) > _MAX_URL:
        raise InputError("endpoint URL", found=endpoint.url, wanted=f"at most {_MAX_URL} bytes")
    price = manifest.price
    return EndpointTerms(
        endpoint.operator,
        cut,
        Price(price.per_call, price.per_1k_input, price.per_1k_output),
        endpoint.url,
    )
