"""From a bundle's manifest to the runner that serves it, within what the operator allows."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import msgspec

from tessera.assets.manifest import (
    Limits,
    Manifest,
    OnnxRunner,
    Option,
    PythonRunner,
    UpstreamRunner,
)
from tessera.errors import InputError, NotAllowed, Unprocessable
from tessera.serving.runner import Runner
from tessera.serving.runners import onnx, python, upstream
from tessera.serving.transport import base_url

__all__ = ["ServingPolicy", "open_runner"]

_MIB = 1 << 20


class ServingPolicy(msgspec.Struct, frozen=True, kw_only=True):
    """What an operator allows the bundles that he serves.

    Attributes
    ----------
    allow_python_runners
        Whether publishers' Python code may run at all.
    require_cage
        Whether it may run only where the kernel can filter system calls and close files.
    python_processes
        Child processes per Python bundle.
    most_memory_bytes
        Address space of one, whatever its manifest asks for.
    most_timeout_s
        Seconds for one call, whatever the manifest asks for.
    upstreams
        Base URLs of the servers that he named or that were found on this machine. A bundle may
        ask for no other: a publisher must not choose where the operator's requests and key go.
    upstream_key
        Bearer token for these servers.
    upstream_at_once
        Calls that are passed on to one upstream model at the same time.
    """

    allow_python_runners: bool = False
    require_cage: bool = False
    python_processes: int = 1
    most_memory_bytes: int = 4 << 30
    most_timeout_s: float = 120.0
    upstreams: tuple[str, ...] = ()
    upstream_key: str = ""
    upstream_at_once: int = 64

    def __repr__(self) -> str:
        # Policies end up in logs; the key must not.
        return f"ServingPolicy(allow_python_runners={self.allow_python_runners}, …)"


def open_runner(manifest: Manifest, folder: Path, policy: ServingPolicy) -> Runner:
    """Build the runner that a manifest asks for; `load` it before the first call.

    Parameters
    ----------
    manifest
        The bundle's.
    folder
        The bundle's files, compared with its content root just now (`Store.open_verified`). Not
        looked at for an upstream.
    policy
        What the operator allows.

    Raises
    ------
    NotAllowed
        It is Python code and that is switched off, or an upstream that the operator did not name.
    Unprocessable
        The bundle has nothing to run: a dataset.
    InputError
        An option is of the wrong type.
    """
    name, note = manifest.name, _text(manifest, "note")
    match manifest.runner:
        case OnnxRunner() as wanted:
            return onnx.OnnxRunner(
                name,
                folder / wanted.file,
                frozenset({wanted.task}),
                labels=_texts(manifest, "labels"),
                note=note,
                limits=onnx.OnnxLimits(timeout_s=_seconds(wanted.limits, policy)),
            )
        case PythonRunner() as wanted:
            if not policy.allow_python_runners:
                raise NotAllowed(
                    f"model {name!r}",
                    found="Python code of its publisher",
                    wanted="an ONNX graph or an upstream, or your leave to run code",
                    next_step="read the code, then: tessera up --allow-python-runners",
                )
            return python.PythonRunner(
                name,
                folder,
                wanted.file,
                wanted.callable,
                frozenset({wanted.task}),
                packages=wanted.packages,
                note=note,
                output=manifest.outputs[0].name if manifest.outputs else "output",
                limits=python.PythonLimits(
                    memory_bytes=min(wanted.limits.memory_mb * _MIB, policy.most_memory_bytes),
                    timeout_s=_seconds(wanted.limits, policy),
                    processes=policy.python_processes,
                    require_cage=policy.require_cage,
                ),
            )
        case UpstreamRunner() as wanted:
            allowed = sorted(base_url(url) for url in policy.upstreams)
            if base_url(wanted.url) not in allowed:
                raise NotAllowed(
                    f"model {name!r}: upstream",
                    found=wanted.url,
                    wanted=f"one that you named: {', '.join(allowed) or 'there is none yet'}",
                    next_step="add it to the setting upstreams if you trust it",
                )
            return upstream.UpstreamRunner(
                name,
                wanted.url,
                wanted.model,
                frozenset({wanted.task}),
                key=policy.upstream_key,
                note=note,
                limits=upstream.UpstreamLimits(
                    timeout_s=_seconds(wanted.limits, policy), at_once=policy.upstream_at_once
                ),
            )
        case None:
            raise Unprocessable(
                f"bundle {name!r}", found=f"a {manifest.kind} without a runner", wanted="a model"
            )


def _seconds(limits: Limits, policy: ServingPolicy) -> float:
    return min(float(limits.timeout_s), policy.most_timeout_s)


def _options(manifest: Manifest) -> Mapping[str, Option]:
    return manifest.runner.options if manifest.runner is not None else {}


def _text(manifest: Manifest, key: str) -> str | None:
    value = _options(manifest).get(key)
    if value is None or isinstance(value, str):
        return value
    raise InputError(f"tessera.toml: runner.options.{key}", found=value, wanted="a text")


def _texts(manifest: Manifest, key: str) -> list[str] | None:
    value = _options(manifest).get(key)
    if value is None:
        return None
    if isinstance(value, tuple):
        texts = [item for item in value if isinstance(item, str)]
        if len(texts) == len(value):
            return texts
    raise InputError(f"tessera.toml: runner.options.{key}", found=value, wanted="a list of texts")
