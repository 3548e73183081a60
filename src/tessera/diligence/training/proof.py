"""Claims of training against what a training leaves behind: the fourth red flag.

Four things are looked for: weights of the claimed size, logs in which the loss comes down, compute
that was paid for, and data with a hash. Each can be forged by who takes the trouble; the point is
that most who claim have none. Weights that are a public model's contradict the claim whatever else
there is; an endpoint that answers as somebody else's API does is a doubt.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from tessera.diligence.results import Evidence, Flag, Metric, Severity, Status, Step, hash_inputs
from tessera.diligence.subject import TrainingClaim
from tessera.diligence.thresholds import worst
from tessera.diligence.training.likeness import compare
from tessera.diligence.training.logs import read_log
from tessera.diligence.training.papers import (
    check_dataset,
    check_invoices,
    payments_for_compute,
)
from tessera.diligence.training.tensors import Weights, read_weights
from tessera.diligence.view import View
from tessera.diligence.wrapper import probe, read_records
from tessera.errors import DataError, InputError

__all__ = ["Proof", "judge", "prove"]

_TITLE: Final = "training that nobody can show"
_TOLERANCE: Final = 0.25
_COPIED: Final = 0.9
_KINDS: Final = ("weights", "logs", "compute", "data")


@dataclass
class Proof:
    """What there is to show for one claim.

    Attributes
    ----------
    shown
        The kinds of evidence that are there, of `weights`, `logs`, `compute` and `data`.
    why
        By kind, what was found or what is missing, in a sentence.
    contradicted
        Why it is not so; "" where nothing says that.
    derived
        Which public model it is, changed by little; "" where none is known.
    echoes
        Which known API its endpoint answers as. It is evidence, and no contradiction: two honest
        hosts of the same open weights answer alike.
    """

    claim: TrainingClaim
    shown: set[str] = field(default_factory=set)
    why: dict[str, str] = field(default_factory=dict)
    contradicted: str = ""
    derived: str = ""
    echoes: str = ""
    wrapped: Metric | None = None

    @property
    def severity(self) -> Severity:
        """Severe where it is contradicted or nothing is there, a flag where one thing is."""
        if self.contradicted or not self.shown:
            return Severity.SEVERE
        doubted = self.derived or self.echoes or len(self.shown) == 1
        return Severity.FLAG if doubted else Severity.CLEAR

    @property
    def verdict(self) -> str:
        """The decision's own word."""
        if self.contradicted:
            return "contradicted"
        if self.derived:
            return "derived"
        if self.echoes and self.shown:
            return "wrapper"
        return ("unproved", "thin")[len(self.shown)] if len(self.shown) < 2 else "evidenced"

    @property
    def text(self) -> str:
        """The decision in a sentence."""
        if self.contradicted or self.derived or (self.echoes and self.shown):
            return self.contradicted or self.derived or self.echoes
        missing = [kind for kind in _KINDS if kind not in self.shown]
        said = f"{len(self.shown)} of 4 kinds of evidence"
        return said + (f"; no proof of {', '.join(missing)}" if missing else "")


def prove(claim: TrainingClaim, view: View) -> Proof:
    """Look for what there is to show for a claim."""
    proof = Proof(claim)
    weights = _tried(proof, "weights", lambda: _weights(proof, view))
    _tried(proof, "logs", lambda: _logs(proof, view))
    _tried(proof, "compute", lambda: _compute(proof, view))
    _tried(proof, "data", lambda: _data(proof, view))
    if isinstance(weights, Weights):
        for name in claim.public:
            _tried(proof, f"public {name}", lambda name=name: _public(proof, view, weights, name))  # type: ignore[misc]
    _tried(proof, "endpoint", lambda: _endpoint(proof, view))
    return proof


def judge(view: View) -> Flag:
    """Decide the fourth red flag: a claim of training without anything to show for it."""
    claims = [each for each in view.subject.claims if isinstance(each, TrainingClaim)]
    if not claims:
        why = "no claim of training is listed: [[claims]] in about.toml"
        none = Metric.without(
            "training_proof",
            Step.PERFORMANCE,
            Status.UNKNOWN,
            why,
            unit="of 4",
            missing=("a claim",),
        )
        return Flag("RF4", _TITLE, Severity.UNDECIDED, "absent", why, (), (none,))
    proofs = [prove(claim, view) for claim in claims]
    gravest = worst(each.severity for each in proofs)
    leading = next(each for each in proofs if each.severity is gravest)
    text = leading.text if len(proofs) == 1 else f"of {len(proofs)} claims, one: {leading.text}"
    evidence = tuple(
        Evidence(f"{each.claim.text}: {kind}", value=why)
        for each in proofs
        for kind, why in each.why.items()
    )
    least = min(proofs, key=lambda each: len(each.shown))
    said = (each.claim.text + str(sorted(each.why.items())) for each in proofs)
    metric = Metric(
        "training_proof", Step.PERFORMANCE, len(least.shown), "of 4", Status.OK, least.text,
        inputs_hash=hash_inputs(*said),
        evidence=evidence,
        parts={"shown": sorted(least.shown), "why": dict(least.why)},
    )  # fmt: skip
    metrics = [metric]
    metrics += [each.wrapped for each in proofs if each.wrapped is not None][:1]
    return Flag("RF4", _TITLE, gravest, leading.verdict, text, evidence, tuple(metrics))


def _tried(proof: Proof, kind: str, look: Callable[[], object]) -> object:
    """Look, and where something named cannot be read, say why: it shows nothing."""
    try:
        return look()
    except (InputError, DataError, OSError) as error:
        proof.why[kind] = str(error)
        return None


def _weights(proof: Proof, view: View) -> Weights | None:
    claim = proof.claim
    if claim.weights is None:
        proof.why["weights"] = "none are named"
        return None
    weights = read_weights(view.subject.path(claim.weights))
    if claim.parameters is None:
        proof.why["weights"] = f"{weights.real} bytes; the claim names no number of parameters"
        return weights
    shares = [(_share(form, claim, claim.parameters), form) for form in weights.forms]
    share, form = min(shares, key=lambda pair: abs(pair[0] - 1))
    found = f"{form.real} bytes for {claim.parameters} parameters"
    if abs(share - 1) <= _TOLERANCE:
        proof.shown.add("weights")
        proof.why["weights"] = found
    else:
        proof.why["weights"] = f"{found}: {share:.0%} of what these take"
        if form.real < form.size * (1 - _TOLERANCE):
            proof.why["weights"] += f", as {1 - form.real / form.size:.0%} of it is filler"
    return weights


def _share(form: Weights, claim: TrainingClaim, parameters: int) -> float:
    """How much there is of what the parameters take, as wide as the files say, or the claim."""
    elements = form.parameters
    stored = sum(tensor.length for tensor in form.tensors)
    return form.real / (parameters * (stored / elements if elements else claim.bytes_each))


def _logs(proof: Proof, view: View) -> None:
    if not proof.claim.logs:
        proof.why["logs"] = "none are named"
    for name in proof.claim.logs:
        log = read_log(view.subject.path(name))
        if log.fault:
            proof.why.setdefault("logs", f"{name}: {log.fault}")
            continue
        proof.shown.add("logs")
        proof.why["logs"] = f"{name}: {log.rows} rows, loss from {log.first:.4g} to {log.last:.4g}"
        return


def _compute(proof: Proof, view: View) -> None:
    claim = proof.claim
    paid = payments_for_compute(view, claim.compute)
    kept = [each for each in paid if 2 * each.kept > each.amount]
    if kept:
        proof.shown.add("compute")
        first = kept[0]
        proof.why["compute"] = (
            f"{first.kept} base units of {first.token} paid to {first.to}, {first.count} transfers"
        )
        return
    if paid:
        proof.why["compute"] = "what was paid came back"
    invoices = check_invoices(view.subject, claim.invoices)
    if invoices:
        proof.shown.add("compute")
        many = (
            "1 invoice, which is" if len(invoices) == 1 else f"{len(invoices)} invoices, which are"
        )
        proof.why["compute"] = f"{many} paper: read what is on it"
        return
    proof.why.setdefault(
        "compute",
        "no payment by the team to the providers named was observed"
        if claim.compute
        else "neither an invoice nor a provider is named",
    )


def _data(proof: Proof, view: View) -> None:
    if proof.claim.dataset is None:
        proof.why["data"] = "none is named"
        return
    found = check_dataset(view, proof.claim.dataset)
    if found.proved:
        proof.shown.add("data")
    proof.why["data"] = found.why


def _public(proof: Proof, view: View, weights: Weights, name: str) -> None:
    if not weights.tensors:
        proof.why[f"public {name}"] = "the weights are of a kind whose inside is not read"
        return
    found = compare(weights.tensors, read_weights(view.subject.path(name)).tensors)
    proof.why[f"public {name}"] = f"{found.copied:.0%} the same, {found.related:.0%} related"
    if found.copied >= _COPIED:
        proof.contradicted = f"{found.copied:.0%} of the weights are those of {name}"
    elif found.related >= _COPIED:
        proof.derived = f"{found.related:.0%} of the weights are {name}'s, changed by little"


def _endpoint(proof: Proof, view: View) -> None:
    if proof.claim.answers is None:
        return
    found = probe(read_records(view.subject.path(proof.claim.answers)))
    proof.wrapped = found.metric()
    proof.why["endpoint"] = proof.wrapped.text
    if found.behind is not None:
        proof.echoes = f"its endpoint answers as {found.behind} does"
