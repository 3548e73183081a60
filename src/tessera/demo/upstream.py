"""A language model that runs on this machine already, in the place of our toy."""

from __future__ import annotations

import json
import re
import time
from dataclasses import dataclass
from pathlib import Path

from tessera.assets.manifest import MANIFEST_NAME, Task
from tessera.demo.models.summary import Built
from tessera.serving.discover import discover

__all__ = ["LocalModel", "find_language_model", "write_upstream_bundle"]


@dataclass(frozen=True, slots=True)
class LocalModel:
    """A model of a local OpenAI-compatible server.

    Attributes
    ----------
    url, model
        Base URL, and what the server calls it.
    slug
        What it is published as.
    """

    url: str
    model: str
    slug: str


async def find_language_model() -> LocalModel | None:
    """Look for a local Ollama with a model; None where there is none."""
    for server in await discover():
        for model in server.models:
            # Embedding models are listed too, and cannot chat.
            if "embed" not in model.lower():
                slug = re.sub(r"[^a-z0-9]+", "-", f"local-{model.lower()}").strip("-")[:64]
                return LocalModel(server.url, model, slug.strip("-"))
    return None


def write_upstream_bundle(found: LocalModel, folder: Path, appended: str) -> Built:
    """Write a bundle that names the server; its receipts will say `declared`, not `hashed`."""
    begun = time.monotonic()
    q = json.dumps  # a JSON string of ours is a TOML string
    text = f"""name = {q(found.slug)}
title = {q(found.model)}
description = "A language model that this operator runs. Its bytes are declared, not hashed."
kind = "service"
version = "1"
licence = "LicenseRef-upstream"

[runner]
task = "chat"
kind = "upstream"
url = {q(found.url)}
model = {q(found.model)}

[price]
per_call = "0.0001"
per_1k_input = "0.0005"
per_1k_output = "0.002"
"""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / MANIFEST_NAME).write_text(text + appended, encoding="utf-8")
    size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    return Built(
        folder=folder,
        slug=found.slug,
        title=found.model,
        task=Task.CHAT,
        metric="none",
        value="declared by its operator",
        seconds=time.monotonic() - begun,
        size=size,
        examples=(),
    )
