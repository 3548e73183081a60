"""Releases of an asset of our own: versions on the chain whose weights nobody had seen before."""

from __future__ import annotations

from tessera.bindings.registry import VersionReleased
from tessera.diligence.results import (
    DAY_S,
    Evidence,
    Metric,
    Status,
    Step,
    hash_inputs,
)
from tessera.diligence.view import View
from tessera.facts import Kind

__all__ = ["newer_release"]


def newer_release(view: View, from_git: Metric) -> Metric:
    """Return `release_age` of the newer one: a tag of the repository, or a version on the chain.

    A version counts whose content root no version of the asset had before: releasing the same
    bytes again, or older ones, is no release.

    Parameters
    ----------
    from_git
        `release_age` by tags, with or without a value.
    """
    asset = view.subject.asset
    if asset is None or Kind.EVENTS not in view.facts.kinds:
        return from_git
    seen: set[bytes] = set()
    new = []
    for event in view.facts.events(contract="Registry", name="VersionReleased"):
        said = event.event
        if isinstance(said, VersionReleased) and said.asset == asset and said.root not in seen:
            seen.add(said.root)
            new.append((event, said))
    if not new:
        return from_git
    event, said = new[-1]
    days = (view.head.time - event.time) // DAY_S
    if isinstance(from_git.value, int) and from_git.value <= days:
        return from_git
    return Metric(
        name=from_git.name,
        step=Step.DEVELOPERS,
        value=days,
        unit=from_git.unit,
        status=Status.OK,
        text=f"{days} {'day' if days == 1 else 'days'} since version {said.version} was released",
        inputs_hash=hash_inputs(
            view.head.time, *(part for each, it in new for part in (each.time, it.version, it.root))
        ),
        evidence=(
            Evidence(
                f"version {said.version}, root 0x{said.root.hex()}",
                f"block {event.block}, log {event.log}",
            ),
        ),
        parts={"versions": len(new), "by_tags": from_git.value},
    )
