"""Shapes of a chart, escaped and closed, with the table that says the same."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from html import escape
from typing import Final

from tessera.diligence.wording import legible
from tessera.errors import InputError

__all__ = ["STYLE", "Drawing", "figure", "nice_step"]

STYLE: Final = """\
.chart{margin:1rem 0}
.chart svg{width:100%;height:auto;max-width:46rem;font:12px system-ui,sans-serif}
.chart text{fill:currentColor}
.chart .faint{opacity:.7}
.chart .axis{stroke:currentColor;stroke-opacity:.25;fill:none}
.chart .limit{stroke:#c2410c;stroke-width:1.5;stroke-dasharray:6 3;fill:none}
.chart .one{fill:#2563a8}
.chart .two{fill:#d98e04}
.chart .three{fill:#6b7280}
.chart .edge{stroke:#6b7280;stroke-opacity:.55;fill:none}
.chart .ring{stroke:#c2410c;stroke-opacity:1;fill:none;stroke-dasharray:7 3}
.chart .marked{stroke:#c2410c;stroke-width:3}
.chart table{border-collapse:collapse;font-variant-numeric:tabular-nums}
.chart td,.chart th{padding:.1rem .6rem;text-align:right}
.chart td:first-child,.chart th:first-child{text-align:left}
@media (prefers-color-scheme:dark){.chart .one{fill:#6aa5e8}.chart .two{fill:#f0b64a}
.chart .three{fill:#a4abb6}.chart .edge{stroke:#a4abb6}.chart .ring,.chart .marked,
.chart .limit{stroke:#fb7f4b}}
"""
"""For the page to hold once. Colours are an aid: marks, dashes and words say the same."""

_NAME: Final = re.compile(r"[a-z][a-z0-9-]*")


class Drawing:
    """An SVG in the making.

    Parameters
    ----------
    name
        Unlike that of any other chart of the page: lower-case letters, digits and hyphens.
    title, description
        What it shows, and what there is to see in it; read aloud in place of the drawing.

    Raises
    ------
    InputError
        The name could not stand in a page.
    """

    def __init__(
        self, name: str, title: str, description: str, *, width: float, height: float
    ) -> None:
        if not _NAME.fullmatch(name):
            raise InputError("chart", found=name, wanted="a name of a-z, 0-9 and hyphens")
        self._name, self._size = name, (width, height)
        self._parts = [
            f'<title id="{name}-title">{_text(title)}</title>',
            f'<desc id="{name}-text">{_text(description, 2000)}</desc>',
        ]

    def rectangle(
        self, x: float, y: float, width: float, height: float, look: str, hint: str = ""
    ) -> None:
        """Draw a filled rectangle; `hint` is shown where a pointer rests on it."""
        self._parts.append(
            f'<rect class="{look}" x="{_n(x)}" y="{_n(y)}" width="{_n(max(0, width))}" '
            f'height="{_n(max(0, height))}">{_hint(hint)}</rect>'
        )

    def line(self, x1: float, y1: float, x2: float, y2: float, look: str = "axis") -> None:
        """Draw a straight line."""
        self._parts.append(
            f'<line class="{look}" x1="{_n(x1)}" y1="{_n(y1)}" x2="{_n(x2)}" y2="{_n(y2)}"/>'
        )

    def curve(
        self,
        start: tuple[float, float],
        bend: tuple[float, float],
        end: tuple[float, float],
        look: str,
        width: float,
        hint: str = "",
    ) -> None:
        """Draw a bent line with an arrow's head at its end."""
        (x1, y1), (x2, y2), (x3, y3) = start, bend, end
        angle = math.atan2(y3 - y2, x3 - x2)
        head = "".join(
            f"M{_n(x3 - 9 * math.cos(angle + turn))} {_n(y3 - 9 * math.sin(angle + turn))}"
            f"L{_n(x3)} {_n(y3)}"
            for turn in (-0.4, 0.4)
        )
        self._parts.append(
            f'<path class="{look}" stroke-width="{_n(width)}" '
            f'd="M{_n(x1)} {_n(y1)}Q{_n(x2)} {_n(y2)} {_n(x3)} {_n(y3)}{head}">{_hint(hint)}</path>'
        )

    def circle(self, x: float, y: float, radius: float, look: str, hint: str = "") -> None:
        """Draw a filled circle."""
        self._parts.append(
            f'<circle class="{look}" cx="{_n(x)}" cy="{_n(y)}" r="{_n(radius)}">'
            f"{_hint(hint)}</circle>"
        )

    def text(
        self, x: float, y: float, words: str, *, anchor: str = "start", look: str = ""
    ) -> None:
        """Write words; `anchor` is start, middle or end."""
        classes = f' class="{look}"' if look else ""
        self._parts.append(
            f'<text{classes} x="{_n(x)}" y="{_n(y)}" text-anchor="{anchor}">{_text(words)}</text>'
        )

    def svg(self) -> str:
        """Return the element."""
        width, height = self._size
        return (
            f'<svg xmlns="http://www.w3.org/2000/svg" role="img" '
            f'aria-labelledby="{self._name}-title {self._name}-text" '
            f'viewBox="0 0 {_n(width)} {_n(height)}">{"".join(self._parts)}</svg>'
        )


def figure(
    drawing: Drawing, caption: str, headings: Sequence[str], rows: Sequence[Sequence[str]]
) -> str:
    """Return a drawing with its caption, and its numbers as a table that can be opened."""
    head = "".join(f'<th scope="col">{_text(each)}</th>' for each in headings)
    body = "".join(
        f'<tr><th scope="row">{_text(row[0])}</th>'
        + "".join(f"<td>{_text(cell)}</td>" for cell in row[1:])
        + "</tr>"
        for row in rows
    )
    return (
        f'<figure class="chart"><figcaption>{_text(caption)}</figcaption>{drawing.svg()}'
        f"<details><summary>The numbers</summary><table><thead><tr>{head}</tr></thead>"
        f"<tbody>{body}</tbody></table></details></figure>"
    )


def nice_step(most: float, steps: int = 4) -> float:
    """Return a round distance of grid lines, so that about `steps` reach `most`.

    Examples
    --------
    >>> nice_step(93), nice_step(0.31), nice_step(0)
    (25.0, 0.1, 1.0)
    """
    if most <= 0:
        return 1.0
    rough = most / steps
    ten = 10.0 ** math.floor(math.log10(rough))
    return next(round(each * ten, 12) for each in (1, 2, 2.5, 5, 10) if each * ten >= rough)


def _n(number: float) -> str:
    return f"{number:.1f}".removesuffix(".0")


def _text(words: str, most: int = 300) -> str:
    return escape(legible(words, most), quote=True)


def _hint(words: str) -> str:
    return f"<title>{_text(words)}</title>" if words else ""
