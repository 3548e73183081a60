"""Charts of the report: plain SVG in the page, read without a script, a font or a colour.

Each chart is a `<figure>` with a drawing that has a title and a description, and with the same
numbers as a table below it, so that a reader who hears the page gets all of it. What is not known
is drawn as a question mark, never as a bar of no height. Names are strangers', and are escaped.
"""

from tessera.diligence.charts.bars import Series, ages, holders, revenue, unlocks
from tessera.diligence.charts.choosing import Chart, charts
from tessera.diligence.charts.drawing import STYLE
from tessera.diligence.charts.graph import Payment, payers

__all__ = [
    "STYLE",
    "Chart",
    "Payment",
    "Series",
    "ages",
    "charts",
    "holders",
    "payers",
    "revenue",
    "unlocks",
]
