"""Builds `sentiment`: VADER's lexicon and rules behind the Python runner, its package pinned."""

from __future__ import annotations

import dataclasses
import json
import shutil
import time
from pathlib import Path

from tessera.assets.manifest import Task
from tessera.demo.models.summary import Built, Description, sha256_of, write_bundle
from tessera.serving.packages import pin_package

__all__ = ["build"]

_PACKAGE = "vadersentiment"
_EXAMPLES = "examples.jsonl"

# Written for this benchmark, before the model saw them; half of them with a turn or a negation.
_SENTENCES = {
    "positive": (
        "The delivery came a day early and everything works.",
        "I would buy this again without a second thought.",
        "What a lovely surprise, thank you so much!",
        "Not bad at all, in fact rather good.",
        "The staff were friendly and helped us at once.",
        "It rained all week, and still we loved every minute.",
        "Best soup I have had in years :)",
        "My daughter laughed out loud at the ending.",
        "A clear, honest and useful book.",
        "The update fixed all my problems, great work.",
        "I'm impressed by how quiet it is.",
        "They refunded me immediately, which I appreciate.",
        "He explained it so well that even I enjoyed the maths.",
        "A safe and comfortable ride.",
        "Cheap, but surprisingly beautiful.",
        "This saved me hours of work.",
    ),
    "negative": (
        "It broke after two days and nobody answers my letters.",
        "The food was cold and the waiter rude.",
        "I regret buying this, a waste of money.",
        "Not good, not even close.",
        "The film is boring and far too long.",
        "I hate how the new version hides every button.",
        "Terrible smell, I had to throw it away.",
        "They lied about the price.",
        "The nice cover cannot hide how poor the paper is.",
        "My order was lost and I am furious.",
        "It crashes whenever I save :(",
        "A sad and ugly hotel with dirty rooms.",
        "The pain came back worse than before.",
        "I was promised help and got none; very disappointing.",
        "Nothing here works as advertised.",
        "The battery dies within an hour.",
    ),
}

DESCRIPTION = Description(
    slug="sentiment",
    title="Sentiment of English texts",
    text=(
        "How positive, negative and neutral an English text is, by the lexicon and rules of "
        "vaderSentiment (MIT). Made for short informal texts; knows no irony."
    ),
    licence="Apache-2.0 AND MIT",
    task=Task.CLASSIFICATION,
    runner="",
    prices={"per_call": "0.0002", "per_1k_input": "0.01"},
    benchmark="32 sentences written for it, more positive or more negative",
    metric="accuracy",
    note="Rules and a lexicon, not trained here; C.J. Hutto and E. Gilbert, 2014.",
    inputs=[{"name": "text", "type": "string"}],
    outputs=[{"name": "scores", "type": "float64", "description": "positive, negative, neutral"}],
)


def build(folder: Path, *, appended: str = "") -> Built:
    """Write the bundle and measure it.

    Parameters
    ----------
    folder
        Empty or new.
    appended
        TOML to end the manifest with.

    Returns
    -------
    Built
        `value` is the part of the sentences that are scored to the right side.

    Raises
    ------
    NotAllowed
        vaderSentiment is not installed, or not as it was released.
    """
    begun = time.monotonic()
    folder.mkdir(parents=True, exist_ok=True)
    pin = pin_package(_PACKAGE)
    from tessera.demo.models.bundled import sentiment as bundled

    shutil.copyfile(bundled.__file__, folder / "model.py")
    rows = [(text, side) for side, texts in _SENTENCES.items() for text in texts]
    with (folder / _EXAMPLES).open("w", encoding="utf-8") as file:
        file.writelines(json.dumps({"text": text, "side": side}) + "\n" for text, side in rows)
    scores = bundled.classify([text for text, _ in rows])
    right = sum(
        row[side] > row["negative" if side == "positive" else "positive"]
        for row, (_, side) in zip(scores, rows, strict=True)
    )
    described = dataclasses.replace(
        DESCRIPTION,
        runner=f"""
kind = "python"
file = "model.py"
callable = "classify"
limits = {{ memory_mb = 512, timeout_s = 5 }}

[[runner.packages]]
name = "{pin.name}"
version = "{pin.version}"
sha256 = ["{pin.sha256[0].hex()}"]
""",
    )
    return write_bundle(
        folder,
        described,
        value=right / len(rows),
        data_sha256=sha256_of(folder / _EXAMPLES),
        training={"sentences": len(rows), "package": f"{pin.name} {pin.version}"},
        seconds=time.monotonic() - begun,
        examples=[text for text, _ in rows],
        appended=appended,
    )
