"""Builds `digits`: handwritten digits, recognised by a small neural network as an ONNX graph."""

from __future__ import annotations

import functools
import hashlib
import re
import time
import warnings
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from tessera.assets.manifest import Task
from tessera.demo.models.graphs import write_graph
from tessera.demo.models.summary import Built, Description, write_bundle

__all__ = ["build", "data_hash", "pictures", "score_parts", "trained", "write_classifier"]

_SEED = 7
_PIXELS = 64
_HELD_OUT = 0.25
_DIGITS = 10
_NEURONS = 96
_PART = re.compile(r"(\d+):(\d+)( mislabelled)?")

DESCRIPTION = Description(
    slug="digits",
    title="Handwritten digits",
    text=(
        "Tells which digit an 8 x 8 grey picture shows. Trained on three quarters of the 1,797 "
        "pictures that come with scikit-learn; the rest is the benchmark."
    ),
    licence="Apache-2.0 AND CC-BY-4.0",
    task=Task.PREDICT,
    runner="""
kind = "onnx"
file = "digits.onnx"
limits = { memory_mb = 256, timeout_s = 5 }
""",
    prices={"per_call": "0.0005", "per_1k_input": "0.1"},
    benchmark="held-out quarter of scikit-learn's digits",
    metric="accuracy",
    note="Trained on this machine; the pictures are the UCI test set of handwritten digits.",
    inputs=[
        {
            "name": "pixels",
            "type": "float32",
            "shape": [-1, _PIXELS],
            "description": "8 rows of 8 pixels, 0 (white) to 16 (black)",
        }
    ],
    outputs=[
        {"name": "digit", "type": "int64", "shape": [-1]},
        {"name": "probabilities", "type": "float32", "shape": [-1, 10]},
    ],
)


def build(
    folder: Path, *, appended: str = "", neurons: int = _NEURONS, version: str = "1.0.0"
) -> Built:
    """Train the model and write its bundle.

    Parameters
    ----------
    folder
        Empty or new.
    appended
        TOML to end the manifest with.
    neurons
        In the hidden layer.
    version
        Which the manifest says.

    Returns
    -------
    Built
        `value` is the accuracy of the ONNX graph on pictures that it was not trained on.
    """
    import onnxruntime as ort

    begun = time.monotonic()
    folder.mkdir(parents=True, exist_ok=True)
    training, held_out, wanted, held_out_wanted = pictures()
    model = trained(training, wanted, _SEED, neurons)
    network = model[-1]
    graph = folder / "digits.onnx"
    write_classifier(model, graph)
    session = ort.InferenceSession(str(graph), providers=["CPUExecutionProvider"])
    (answers,) = session.run(["digit"], {"pixels": held_out.astype(np.float32)})
    return write_bundle(
        folder,
        replace(DESCRIPTION, version=version),
        value=float(np.mean(answers == held_out_wanted)),
        data_sha256=data_hash(),
        training={
            "seed": _SEED,
            "neurons": neurons,
            "pictures": len(training),
            "held_out": len(held_out),
            "loss": [round(float(loss), 4) for loss in network.loss_curve_[::10]],
        },
        seconds=time.monotonic() - begun,
        examples=held_out[:50].tolist(),
        appended=appended,
    )


def score_parts(parts: Sequence[str], seed: int) -> float:
    """Train the very same model on parts of its training pictures, and score it.

    Parameters
    ----------
    parts
        Each ``first:last`` of the training pictures, last excluded; with ``mislabelled`` behind
        it every digit is called by its successor's name.
    seed
        Of the training.

    Returns
    -------
    float
        Accuracy on the held-out quarter; without any part that of a guess, 0.1.

    Raises
    ------
    ValueError
        A part is none.
    """
    training, held_out, wanted, held_out_wanted = pictures()
    chosen: list[np.ndarray] = []
    labels: list[np.ndarray] = []
    for part in parts:
        match = _PART.fullmatch(part)
        if match is None or not int(match[1]) < int(match[2]) <= len(training):
            raise ValueError(f"part {part!r}: wanted first:last up to {len(training)}")
        rows = slice(int(match[1]), int(match[2]))
        chosen.append(training[rows])
        labels.append((wanted[rows] + 1) % _DIGITS if match[3] else wanted[rows])
    if not chosen:
        return 1 / _DIGITS
    known = np.concatenate(labels)
    if len(np.unique(known)) == 1:
        # There is nothing to tell apart.
        return float(np.mean(held_out_wanted == known[0]))
    model = trained(np.concatenate(chosen), known, seed)
    return float(np.mean(model.predict(held_out) == held_out_wanted))


@functools.cache
def pictures() -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return pictures to train on and held out, then the digits of both."""
    from sklearn.datasets import load_digits
    from sklearn.model_selection import train_test_split

    pictures, digits = load_digits(return_X_y=True)
    training, held_out, wanted, held_out_wanted = train_test_split(
        pictures, digits, test_size=_HELD_OUT, random_state=_SEED, stratify=digits
    )
    return training, held_out, wanted, held_out_wanted


def data_hash() -> bytes:
    """Hash all pictures and the digits that they show."""
    from sklearn.datasets import load_digits

    pictures, digits = load_digits(return_X_y=True)
    return hashlib.sha256(pictures.tobytes() + digits.tobytes()).digest()


def trained(pictures: np.ndarray, digits: np.ndarray, seed: int, neurons: int = _NEURONS) -> Any:
    """Fit a network to pictures, on one thread."""
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.neural_network import MLPClassifier
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import MinMaxScaler
    from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

    network = MLPClassifier((neurons,), alpha=0.01, max_iter=80, random_state=seed)
    model = make_pipeline(MinMaxScaler(), network)
    # Matrices this small are slower on many threads, and much slower on a busy machine.
    with threadpool_limits(1), warnings.catch_warnings():
        # It is stopped after 80 passes, before its own criterion would.
        warnings.simplefilter("ignore", ConvergenceWarning)
        model.fit(pictures, digits)
    return model


def write_classifier(model: Any, path: Path) -> None:
    """Write a fitted network as a graph that says the digit and the probabilities of all ten."""
    from skl2onnx.common.data_types import FloatTensorType

    write_graph(
        model,
        path,
        inputs=[("pixels", FloatTensorType([None, _PIXELS]))],
        outputs={"label": "digit", "probabilities": "probabilities"},
        options={id(model): {"zipmap": False}},
    )
