"""How positive, negative or neutral a text is, by VADER's lexicon and rules."""

from __future__ import annotations

from vaderSentiment.vaderSentiment import SentimentIntensityAnalyzer

__all__ = ["classify"]

_analyzer = SentimentIntensityAnalyzer()
_NAMES = {"pos": "positive", "neg": "negative", "neu": "neutral"}


def classify(texts: list[str]) -> list[dict[str, float]]:
    """Score each text: the parts of it that are positive, negative and neutral add up to 1.

    A text without words is neutral.
    """
    rows = []
    for text in texts:
        scores = _analyzer.polarity_scores(text)
        row = {name: float(scores[key]) for key, name in _NAMES.items()}
        rows.append(row if any(row.values()) else {**row, "neutral": 1.0})
    return rows
