"""The chart: bars of the CPU time of each client, in SVG, with colours that are readable on light and dark pages."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

from benchmarks.cases import CASES, CHART
from benchmarks.tables import unit

if TYPE_CHECKING:
    from benchmarks.measure import Measured
    from benchmarks.slices import Result

__all__ = ["chart"]

_COLUMNS: Final = 3
_PANEL: Final = 300
_NAMES: Final = 78
_BARS: Final = 140
_ROW: Final = 17
_TEXT: Final = "#767b84"
_OWN: Final = "#1f8f6b"
_OTHER: Final = "#8a93a6"
_REFERENCES: Final = ("socket", "h11 loop")


def chart(cases: dict[str, Measured]) -> str:
    """A panel for each case of the chart; the bars are logarithmic, as the values span a factor of a hundred."""
    panels = [case for case in CASES if case.name in CHART and case.name in cases]
    shown = {case.name: _shown(cases[case.name].result) for case in panels}
    rows = max(map(len, shown.values()))
    height = _ROW * (rows + 2)
    lines = math.ceil(len(panels) / _COLUMNS)
    box = f"0 0 {_PANEL * _COLUMNS} {height * lines}"
    font = f'font-family="sans-serif" font-size="11" fill="{_TEXT}"'
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="{box}" {font}>',
        "<title>CPU time of one call, by client; shorter is faster, logarithmic</title>",
    ]
    for place, case in enumerate(panels):
        x, y = _PANEL * (place % _COLUMNS), height * (place // _COLUMNS)
        parts.append(f'<text x="{x + 4}" y="{y + 13}" font-weight="bold">{case.title}</text>')
        result, found = cases[case.name].result, shown[case.name]
        least, most = result.seconds(found[0]) / 2, result.seconds(found[-1])
        for row, name in enumerate(found):
            seconds = result.seconds(name)
            width = _BARS * math.log(seconds / least) / math.log(most / least)
            top = y + _ROW * (row + 1) + 4
            parts += [
                f'<text x="{x + _NAMES - 6}" y="{top + 11}" text-anchor="end">{name}</text>',
                (
                    f'<rect x="{x + _NAMES}" y="{top}" width="{width:.1f}" height="{_ROW - 4}" rx="2" '
                    f'fill="{_OWN if name == "adieu" else _OTHER}"/>'
                ),
                f'<text x="{x + _NAMES + width + 5:.1f}" y="{top + 11}">{unit(seconds)}</text>',
            ]
    return "\n".join([*parts, "</svg>", ""])


def _shown(result: Result) -> list[str]:
    """The clients, fastest first."""
    found = (name for name in result.rounds if "," not in name and name not in _REFERENCES)
    return sorted(found, key=result.seconds)
