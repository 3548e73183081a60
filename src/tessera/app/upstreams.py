"""Model servers near an operator: which there are, which may serve, and a bundle for one of them.

A server is named in the setting `upstreams`, or it is an Ollama on this machine. The operator's
key goes to the named ones and to no other.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path

from tessera.assets.manifest import MANIFEST_NAME, Task, UpstreamRunner
from tessera.assets.references import MAX_SLUG
from tessera.config import Config
from tessera.errors import Conflict, InputError, NotFound
from tessera.serving.discover import OLLAMA_URL, FoundServer, discover
from tessera.serving.transport import base_url
from tessera.storage.folders import sync_folder

__all__ = ["allowed_upstreams", "choose_model", "find_upstreams", "write_upstream_bundle"]

_TASKS = (Task.CHAT, Task.EMBEDDINGS, Task.CLASSIFICATION, Task.MODERATION)
_EMBEDS = re.compile(r"embed|minilm|(^|[/-])(bge|gte|e5)-", re.IGNORECASE)
_JUDGES = re.compile(r"moderation|guard", re.IGNORECASE)

_MANIFEST = """\
# A model of a server that its operator runs or trusts. All keys: docs/reference/manifest.md
name = {slug}
title = {title}
description = "Answered by an OpenAI-compatible server: its bytes are declared, not hashed."
kind = "service"
version = "0.1.0"
licence = "LicenseRef-upstream"    # name the model's own licence here

[runner]
kind = "upstream"
task = {task}
url = {url}
model = {model}
limits = {{ timeout_s = 120 }}

# In the currency, in quotes so that they stay exact.
[price]
per_call = "0.0001"
per_1k_input = "0.0005"
per_1k_output = "{per_output}"
"""


async def find_upstreams(
    config: Config, *, local: Sequence[str] = (OLLAMA_URL,), timeout_s: float = 1.0
) -> list[FoundServer]:
    """Ask the named servers and the local ones for their models.

    Parameters
    ----------
    config
        Names servers, and has their key.
    local
        Where a server may be without having been named.
    timeout_s
        Seconds for all of them together.

    Returns
    -------
    list of FoundServer
        The named ones first, whether or not they answer; then the local ones that do.

    Raises
    ------
    InputError
        A named URL is none.
    """
    return await discover(
        config.upstreams, key=config.upstream_key, local=local, timeout_s=timeout_s
    )


async def allowed_upstreams(
    config: Config, runner: UpstreamRunner, *, local: Sequence[str] = (OLLAMA_URL,)
) -> tuple[tuple[str, ...], str]:
    """Return the URLs that a bundle may ask for, and the key that goes with its own.

    Raises
    ------
    InputError
        One of the URLs is none.
    """
    wanted = base_url(runner.url)
    if wanted in {base_url(url) for url in config.upstreams}:
        return config.upstreams, config.upstream_key
    nearby = [url for url in local if base_url(url) == wanted]
    found = await discover(local=nearby)
    return (*config.upstreams, *(server.url for server in found)), ""


def choose_model(server: FoundServer, wanted: str | None) -> str:
    """Return the model that somebody means, or the only one that there is.

    Raises
    ------
    NotFound
        The server does not list it; or it lists several, or none, and nobody said which.
    InputError
        The server does not answer, and nobody said which model.
    """
    if server.failure is not None:
        if wanted is None:
            raise InputError(
                f"upstream {server.url}",
                found=server.failure,
                wanted="a list of its models",
                next_step="start it, or say which model: --model NAME",
            )
        return wanted
    if wanted is None and len(server.models) == 1:
        return server.models[0]
    # Ollama lists `name:latest` and answers to `name`.
    if wanted is None or not {wanted, f"{wanted}:latest"}.intersection(server.models):
        raise NotFound.among(
            f"model of {server.url}",
            wanted or "",
            [model.removesuffix(":latest") for model in server.models],
            next_step="say which: --model NAME",
        )
    return wanted


def write_upstream_bundle(
    folder: Path, url: str, model: str, task: str | None = None
) -> tuple[Path, str, Task]:
    """Write a manifest by which a server's model can be published.

    Parameters
    ----------
    folder
        Created if need be. Nothing in it is ever replaced.
    url, model
        The server's base URL, and what it calls the model.
    task
        What the model does; guessed from its name where it is not given.

    Returns
    -------
    tuple
        The manifest, the slug, and the task.

    Raises
    ------
    InputError
        The URL is none, or a server of this kind has no such task.
    Conflict
        There is a manifest already.
    """
    place = base_url(url)
    if task is not None and task not in _TASKS:
        raise NotFound.among("task of an upstream", task, _TASKS)
    does = _guessed(model) if task is None else Task(task)
    slug = re.sub(r"[^a-z0-9]+", "-", model.lower()).strip("-")[:MAX_SLUG].strip("-") or "upstream"
    quoted = json.dumps  # a JSON string of ours is a TOML string
    text = _MANIFEST.format(
        slug=quoted(slug),
        title=quoted(model),
        task=quoted(does.value),
        url=quoted(place),
        model=quoted(model),
        per_output="0.002" if does is Task.CHAT else "0",
    )
    manifest = folder / MANIFEST_NAME
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with manifest.open("x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError as error:
        raise Conflict(
            str(manifest),
            found="something that is there already",
            wanted="a folder without a manifest",
            next_step="edit it, or move it away first",
        ) from error
    except OSError as error:
        raise InputError(
            str(folder), found=error.strerror or str(error), wanted="a folder that can be written"
        ) from error
    sync_folder(folder)
    return manifest, slug, does


def _guessed(model: str) -> Task:
    if _EMBEDS.search(model):
        return Task.EMBEDDINGS
    return Task.MODERATION if _JUDGES.search(model) else Task.CHAT
