"""Results of epochs as `Epochs.vy` and `EpochCourt.vy` know them: made, checked, and paid for.

`build` computes an epoch and everything that a poster serves. `find_fault` says which transaction
proves somebody else's result false, and `questions` what to ask for before. `EpochsModel` is the
contract's clock and money in plain Python. What an epoch comes to is the business of
`tessera.spec.consensus`; here it is cut into parts that a contract can compute one at a time, with
the same numbers.
"""

from tessera.spec.epochs.faults import Challenge, find_fault, questions
from tessera.spec.epochs.inputs import EpochInputs, Former, RevealedRow, Rules
from tessera.spec.epochs.model import EpochsModel, Question, Terms
from tessera.spec.epochs.results import Column, Header, PostedEpoch, build

__all__ = [
    "Challenge",
    "Column",
    "EpochInputs",
    "EpochsModel",
    "Former",
    "Header",
    "PostedEpoch",
    "Question",
    "RevealedRow",
    "Rules",
    "Terms",
    "build",
    "find_fault",
    "questions",
]
