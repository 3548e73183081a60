"""A price chart as SVG: prices, volume by day, and revenue by day, one colour for each asset.

Written by hand and readable on light and dark: the colours are the reader's own scheme's.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from xml.sax.saxutils import escape

from bench.simulation.market import DOLLAR, Asset
from bench.simulation.system import DAY

_WIDTH, _LEFT, _RIGHT = 960, 72, 20
_PANELS = ((80, 254, "price of a share, dollars (logarithmic)"), (378, 90, "volume a day, dollars"))
_REVENUE = (512, 90, "revenue to holders a day, dollars")
_HEIGHT = 650
_POINTS = 600
_STYLE = """
  svg { font: 12px system-ui, sans-serif; background: #ffffff }
  .ink { fill: #24292f } .quiet { fill: #57606a }
  .grid { stroke: #d0d7de; stroke-width: 1 } .axis { stroke: #57606a; stroke-width: 1 }
  .line { fill: none; stroke-width: 1.8; stroke-linejoin: round }
  .a0 { stroke: #0b63c5 } .a1 { stroke: #b4480b } .a2 { stroke: #1a7f4b }
  .b0 { fill: #0b63c5 } .b1 { fill: #b4480b } .b2 { fill: #1a7f4b }
  @media (prefers-color-scheme: dark) {
    svg { background: #0d1117 }
    .ink { fill: #e6edf3 } .quiet { fill: #9198a1 }
    .grid { stroke: #30363d } .axis { stroke: #9198a1 }
    .a0 { stroke: #6cb6ff } .a1 { stroke: #f0a35e } .a2 { stroke: #57d193 }
    .b0 { fill: #6cb6ff } .b1 { fill: #f0a35e } .b2 { fill: #57d193 }
  }
"""


def draw(assets: Sequence[Asset], title: str) -> str:
    """Draw the market of a run.

    Returns
    -------
    str
        A whole SVG document; the same run gives the same bytes.
    """
    times = [time for asset in assets for time, _ in asset.prices]
    if not times:
        raise ValueError("a chart needs a trade")
    first = min(times) // DAY
    last = max(times) // DAY + 1

    def x(time: float) -> float:
        return _LEFT + (_WIDTH - _LEFT - _RIGHT) * (time / DAY - first) / (last - first)

    label = f'role="img" aria-label="{escape(title)}"'
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}" {label}>',
        f"<title>{escape(title)}</title>",
        f"<style>{_STYLE}</style>",
        f'<text class="ink" x="{_LEFT}" y="24" font-size="15">{escape(title)}</text>',
        *_legend(assets),
    ]
    (price_top, price_height, price_name), volume = _PANELS
    prices = [price / DOLLAR for asset in assets for _, price in asset.prices]
    y, frame = _log_panel(price_top, price_height, price_name, min(prices), max(prices))
    parts += frame
    for place, asset in enumerate(assets):
        points = " ".join(
            f"{x(time):.1f},{y(price / DOLLAR):.1f}" for time, price in _thin(asset.prices)
        )
        parts.append(f'<polyline class="line a{place}" points="{points}"/>')
    for (top, height, name), daily in (
        (volume, [asset.volume for asset in assets]),
        (_REVENUE, [asset.revenue for asset in assets]),
    ):
        sums = [sum(counter[day] for counter in daily) for day in range(first, last)]
        y, frame = _panel(top, height, name, max(*sums, DOLLAR) / DOLLAR)
        parts += frame
        wide = x((first + 1) * DAY) - x(first * DAY)
        for day in range(first, last):
            below = 0.0
            for place, counter in enumerate(daily):
                amount = counter[day] / DOLLAR
                if amount:
                    above = y(below + amount)
                    parts.append(
                        f'<rect class="b{place}" x="{x(day * DAY) + 1:.1f}" y="{above:.1f}" '
                        f'width="{max(1.0, wide - 2):.1f}" height="{y(below) - above:.1f}"/>'
                    )
                    below += amount
    parts += _days(first, last, x)
    parts.append("</svg>\n")
    return "\n".join(parts)


def _legend(assets: Sequence[Asset]) -> list[str]:
    parts, at = [], _LEFT
    for place, asset in enumerate(assets):
        name = f"sold by {asset.name}"
        parts.append(f'<rect class="b{place}" x="{at}" y="35" width="12" height="12"/>')
        parts.append(f'<text class="ink" x="{at + 18}" y="46">{escape(name)}</text>')
        at += 40 + 7 * len(name)
    return parts


def _panel(
    top: int, height: int, name: str, most: float
) -> tuple[Callable[[float], float], list[str]]:
    """Make a scale from 0 to the next round number, with its lines and labels."""
    step = _round(most / (5 if height > 150 else 2))
    ceiling = step * math.ceil(most / step)

    def y(value: float) -> float:
        return top + height * (1 - value / ceiling)

    parts = [f'<text class="quiet" x="{_LEFT}" y="{top - 6}">{escape(name)}</text>']
    for tick in range(round(ceiling / step) + 1):
        parts += _line(y(tick * step), tick * step, "axis" if tick == 0 else "grid")
    return y, parts


def _log_panel(
    top: int, height: int, name: str, least: float, most: float
) -> tuple[Callable[[float], float], list[str]]:
    """Make a scale of ratios between two round numbers: what doubles, rises as far anywhere."""
    low, high = _round(least / 2), _round(most)

    def y(value: float) -> float:
        return top + height * (1 - math.log(value / low) / math.log(high / low))

    parts = [f'<text class="quiet" x="{_LEFT}" y="{top - 6}">{escape(name)}</text>']
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    for tick in (nice * 10.0**power for power in powers for nice in (1, 2, 5)):
        if low * 0.999 <= tick <= high * 1.001:
            parts += _line(y(tick), tick, "axis" if tick <= low * 1.001 else "grid")
    return y, parts


def _line(at: float, value: float, kind: str) -> list[str]:
    ends = f'x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{at:.1f}" y2="{at:.1f}"'
    label = f'x="{_LEFT - 8}" y="{at + 4:.1f}" text-anchor="end"'
    return [
        f'<line class="{kind}" {ends}/>',
        f'<text class="quiet" {label}>{_label(value)}</text>',
    ]


def _days(first: int, last: int, x: Callable[[float], float]) -> list[str]:
    every = max(1, round((last - first) / 10))
    bottom = _REVENUE[0] + _REVENUE[1]
    parts = [
        f'<text class="quiet" x="{x(day * DAY):.1f}" y="{bottom + 18}" '
        f'text-anchor="middle">{day - first}</text>'
        for day in range(first, last, every)
    ]
    parts.append(
        f'<text class="quiet" x="{(_WIDTH + _LEFT - _RIGHT) / 2:.0f}" y="{bottom + 36}" '
        'text-anchor="middle">days since the first pool</text>'
    )
    return parts


def _thin(prices: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    """Keep so many points that no eye sees the difference; always the first and the last."""
    every = max(1, len(prices) // _POINTS)
    kept = list(prices[::every])
    return kept if kept[-1] == prices[-1] else [*kept, prices[-1]]


def _round(value: float) -> float:
    """Round up to 1, 2 or 5 times a power of ten."""
    power = 10.0 ** math.floor(math.log10(value))
    return next(nice * power for nice in (1, 2, 5, 10) if nice * power >= value)


def _label(value: float) -> str:
    if value >= 1_000_000:
        return f"{value / 1_000_000:g} M"
    if value >= 10_000:
        return f"{value / 1_000:g} k"
    return f"{value:g}"
