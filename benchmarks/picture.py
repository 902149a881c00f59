"""Draws comparisons as bars, in SVG."""

from collections.abc import Sequence
from xml.sax.saxutils import escape

from benchmarks.contest import Comparison

WIDTH, LEFT, BAR, GAP, UNIT = 790, 240, 16, 10, 240
"""Pixels: of the picture, of the names, of a bar, between cases, and of a ratio of 1."""


def picture(results: Sequence[Comparison]) -> str:
    """Return an SVG with a bar for each contestant, whose whisker is its range."""
    parts: list[str] = []
    y = GAP
    for case in dict.fromkeys(each.case for each in results):
        parts.append(_text(GAP, y + BAR - 4, case, "bold"))
        y += BAR + 4
        for each in (each for each in results if each.case == case):
            parts += _bar(each, y)
            y += BAR + 2
        y += GAP
    reference = f'<line x1="{LEFT + UNIT}" x2="{LEFT + UNIT}" y1="0" y2="{y}" stroke="#888"/>'
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{y}" '
        f'font-family="sans-serif" font-size="12">\n<rect width="{WIDTH}" height="{y}" '
        f'fill="white"/>\n' + "\n".join([*parts, reference]) + "\n</svg>\n"
    )


def _bar(each: Comparison, y: int) -> list[str]:
    speed = each.speed
    color = "#2a9d8f" if speed.median >= 1 else "#8ab6d6"
    middle = y + BAR // 2
    return [
        _text(GAP, y + BAR - 4, each.name),
        f'<rect x="{LEFT}" y="{y}" width="{_x(speed.median)}" height="{BAR}" fill="{color}"/>',
        f'<line x1="{LEFT + _x(speed.lowest)}" x2="{LEFT + _x(speed.highest)}" y1="{middle}" '
        f'y2="{middle}" stroke="black"/>',
        _text(LEFT + 4, y + BAR - 4, f"{speed.median:.2f}"),
    ]


def _x(ratio: float) -> int:
    return min(round(ratio * UNIT), WIDTH - LEFT - GAP)


def _text(x: int, y: int, text: str, weight: str = "normal") -> str:
    return f'<text x="{x}" y="{y}" font-weight="{weight}">{escape(text)}</text>'
