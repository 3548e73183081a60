"""Builds four readers of handwritten digits for a subnet, and the benchmark that they compete on.

Two are good, one was told wrong names, and one has three neurons and saw few pictures. Of those
that none of them saw some are the public benchmark, and others a test set that is hidden.
"""

from __future__ import annotations

import functools
import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import numpy as np

from tessera.demo.models import digits
from tessera.demo.models.summary import Built, write_bundle

__all__ = ["BENCHMARK", "HIDDEN", "READERS", "build"]

BENCHMARK: Final = "digits-unseen"
"""Folder, beside those of the models, of the public items."""

HIDDEN: Final = "digits-hidden"
"""Another one: items that are told after everybody has judged."""

_SEED: Final = 13
_TRAINED_ON: Final = 797
_PUBLIC: Final = 600
_DIGITS: Final = 10


@dataclass(frozen=True, slots=True)
class _Reader:
    title: str
    neurons: int
    mislabelled: bool = False
    pictures: int = _TRAINED_ON


READERS: Final[Mapping[str, _Reader]] = {
    "scribe": _Reader("Reads digits with 96 neurons", 96),
    "clerk": _Reader("Reads digits with 32 neurons", 32),
    "blot": _Reader("Reads digits, and learned each under its successor's name", 32, True),
    "courtier": _Reader("Reads digits with three neurons", 3, pictures=200),
}
"""By slug."""


def build(folder: Path, *, appended: str = "") -> Built:
    """Train all of them and write their bundles, the benchmark and the hidden set.

    Parameters
    ----------
    folder
        Empty or new; each bundle has the folder of its slug in it.
    appended
        TOML to end each manifest with.

    Returns
    -------
    Built
        Of the first; its seconds are those of all.
    """
    begun = time.monotonic()
    pictures, names = _all_pictures()
    public = slice(_TRAINED_ON, _TRAINED_ON + _PUBLIC)
    hidden = slice(_TRAINED_ON + _PUBLIC, len(pictures))
    built: list[Built] = []
    for slug, reader in READERS.items():
        learned = names[: reader.pictures]
        if reader.mislabelled:
            learned = (learned + 1) % _DIGITS
        model = digits.trained(pictures[: reader.pictures], learned, _SEED, reader.neurons)
        place = folder / slug
        place.mkdir(parents=True)
        digits.write_classifier(model, place / "digits.onnx")
        value = float(np.mean(model.predict(pictures[public]) == names[public]))
        built.append(
            write_bundle(
                place,
                replace(
                    digits.DESCRIPTION,
                    slug=slug,
                    title=reader.title,
                    text=f"{reader.title}; trained on {reader.pictures} pictures.",
                    benchmark=BENCHMARK,
                ),
                value=value,
                data_sha256=digits.data_hash(),
                training={"seed": _SEED, "neurons": reader.neurons, "pictures": reader.pictures},
                seconds=time.monotonic() - begun,
                examples=(),
                appended=appended,
            )
        )
    _write_benchmark(folder / BENCHMARK, _items(pictures[public], names[public]))
    _write_benchmark(folder / HIDDEN, _items(pictures[hidden], names[hidden]))
    return replace(built[0], folder=folder, seconds=time.monotonic() - begun)


@functools.cache
def _all_pictures() -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    from sklearn.datasets import load_digits

    pictures, names = load_digits(return_X_y=True)
    order = np.random.default_rng(_SEED).permutation(len(pictures))
    return pictures[order], names[order]


def _items(
    pictures: np.ndarray[Any, Any], names: np.ndarray[Any, Any]
) -> list[dict[str, Sequence[float] | int]]:
    return [
        {"input": picture.tolist(), "label": int(name)}
        for picture, name in zip(pictures, names, strict=True)
    ]


def _write_benchmark(folder: Path, items: Sequence[Mapping[str, object]]) -> None:
    folder.mkdir(parents=True)
    named = f'name = "{folder.name}"\ntitle = "Digits that none of the readers saw"\n'
    (folder / "benchmark.toml").write_text(
        f'{named}kind = "classification"\nchance = 0.1\n\n[scorer]\noutput = "digit"\n'
    )
    (folder / "items.jsonl").write_text("".join(json.dumps(item) + "\n" for item in items))
    (folder / "tessera.toml").write_text(
        f'{named}description = "Pictures of scikit-learn, and the digits that they show"\n'
        'kind = "dataset"\nversion = "1.0.0"\nlicence = "CC-BY-4.0"\n\n'
        '[price]\nper_call = "0"\n'
    )
