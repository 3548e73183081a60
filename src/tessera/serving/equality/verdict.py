"""From what was compared to what may be said about it: one of four words, with its p-value.

An endpoint is accused only where an honest one would look like that with a probability of at most
`alpha`. That is the false-alarm rate of one audit; whoever repeats audits of one endpoint until one
of them accuses has to add it up.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass, field
from typing import Final

from tessera.serving.equality.exact import Likeness, OneByOne, least_share_found
from tessera.serving.equality.mmd import TwoSample

__all__ = ["ALPHA", "Finding", "Verdict", "judge_answers", "judge_texts"]

ALPHA: Final = 0.001
"""At most this part of the audits of honest endpoints accuses one."""

_POWER: Final = 0.95
_PERCENT: Final = 100


class Finding(enum.StrEnum):
    """What an audit says."""

    SAME = "same"
    """Every answer is that of one's own copy."""

    NOT_TOLD_APART = "not told apart"
    """Nothing that an honest endpoint would not show too."""

    CLOSE = "close"
    """Another model that says nearly the same: as after rounding weights, or a light training."""

    DIFFERENT = "different"
    """Another model."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What may be said, and how sure it is.

    Attributes
    ----------
    finding
        In a word.
    p_value
        Of the hypothesis that the endpoint is honest.
    alpha
        The false-alarm rate that it was compared with.
    method
        `exact`: answer by answer; `mmd`: two samples of texts.
    samples
        Answers of the endpoint that were compared.
    said
        The finding in a sentence.
    strength
        What this audit would have found, in a sentence.
    details
        Counts and further p-values, as JSON values.
    """

    finding: Finding
    p_value: float
    alpha: float
    method: str
    samples: int
    said: str
    strength: str
    details: dict[str, object] = field(default_factory=dict)

    @property
    def accuses(self) -> bool:
        """Whether the endpoint does not run the model that it says."""
        return self.finding in {Finding.CLOSE, Finding.DIFFERENT}

    def as_json(self) -> dict[str, object]:
        """Return all of it as JSON values."""
        return {
            "finding": str(self.finding),
            "differs": self.accuses,
            "p_value": self.p_value,
            "alpha": self.alpha,
            "method": self.method,
            "samples": self.samples,
            "said": self.said,
            "strength": self.strength,
            **self.details,
        }


def judge_answers(found: OneByOne, alpha: float = ALPHA) -> Verdict:
    """Judge answers that were compared one by one."""
    samples, different = len(found.pairs), found.count(Likeness.DIFFERENT)
    accused = bool(different) and found.p_value <= alpha
    typical = f"typically {found.typical_distance * _PERCENT:.2g} %"
    if not different:
        finding = Finding.SAME
        said = "every answer is that of the committed bytes"
    elif not accused:
        finding = Finding.NOT_TOLD_APART
        said = f"{different} of {samples} answers differ, too few to accuse; take more samples"
    elif found.close:
        finding = Finding.CLOSE
        said = (
            f"{different} of {samples} answers are not those of the committed bytes, but close to "
            f"them ({typical} off, {found.agreed} decide alike): as after rounding weights to 8 or "
            "16 bits, or a light training"
        )
    else:
        finding = Finding.DIFFERENT
        said = f"{different} of {samples} answers are those of another model"
    share = least_share_found(samples, alpha, found.spoilt, _POWER)
    return Verdict(
        finding=finding,
        p_value=found.p_value,
        alpha=alpha,
        method="exact",
        samples=samples,
        said=said,
        strength=(
            f"finds with {_POWER:.0%} whoever answers {share * _PERCENT:.2g} % of the calls, or "
            "more, with another model"
        ),
        details={
            "identical": found.count(Likeness.IDENTICAL),
            "within_noise": found.count(Likeness.NOISE),
            "different": different,
            "decide_alike": found.agreed,
            "typical_distance": _finite(found.typical_distance),
            "spoilt_rate": found.spoilt,
            "share_found": share,
        },
    )


def judge_texts(
    found: TwoSample, alpha: float = ALPHA, *, control: TwoSample | None = None, changed: str = ""
) -> Verdict:
    """Judge two samples of texts.

    Parameters
    ----------
    found
        The endpoint's texts against one's own copy's.
    alpha
        The false-alarm rate.
    control
        The same test of a change that was made on purpose, to see whether it would be found.
    changed
        What that change is, in words.
    """
    accused = found.p_value <= alpha
    strength = "nothing was changed on purpose to see whether it would be found"
    if control is not None:
        outcome = "found" if control.p_value <= alpha else "not found: take more samples"
        strength = f"{changed}, as many texts: {outcome} (p = {control.p_value:.2g})"
    return Verdict(
        finding=Finding.DIFFERENT if accused else Finding.NOT_TOLD_APART,
        p_value=found.p_value,
        alpha=alpha,
        method="mmd",
        samples=found.theirs,
        said=(
            "the texts are not written by the committed model with these settings"
            if accused
            else "the texts cannot be told apart from those of the committed model"
        ),
        strength=strength,
        details={
            "own_samples": found.own,
            "permutations": found.permutations,
            "by_kernel": dict(found.by_kernel),
            "control": None
            if control is None
            else {
                "changed": changed,
                "p_value": control.p_value,
                "found": control.p_value <= alpha,
            },
        },
    )


def _finite(value: float) -> float | None:
    # Answers of other shapes are infinitely far, which JSON cannot write.
    return value if value < float("inf") else None
