"""The demo's four models: small, real, trained on this machine in seconds, without a download."""

from __future__ import annotations

import functools
from collections.abc import Callable

from tessera.demo.models import digits, lsa_embed, pydoc_lm, readers, sentiment
from tessera.demo.models.summary import Built

__all__ = ["BUILDERS", "FAMILIES", "RELEASES", "Built"]

BUILDERS: dict[str, Callable[..., Built]] = {
    "digits": digits.build,
    "sentiment": sentiment.build,
    "lsa-embed": lsa_embed.build,
    "pydoc-lm": pydoc_lm.build,
}
"""By slug; each is called as ``build(folder, appended=toml)``."""

RELEASES: dict[str, Callable[..., Built]] = {
    "digits-2": functools.partial(digits.build, neurons=192, version="2.0.0"),
}
"""Second versions, by the name of their folder; called in the same way."""

FAMILIES: dict[str, Callable[..., Built]] = {"readers": readers.build}
"""Several models that are trained together, each in a folder of its own below."""
