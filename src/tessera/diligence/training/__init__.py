"""Whether a model was trained, as its maker says: weights, logs, payments and data."""

from tessera.diligence.training.proof import Proof, judge, prove

__all__ = ["Proof", "judge", "prove"]
