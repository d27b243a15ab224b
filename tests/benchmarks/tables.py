"""Tables in Markdown."""

from __future__ import annotations

__all__ = ["number", "span", "table", "unit"]


def number(value: float) -> str:
    """A ratio with three digits or so."""
    return f"{value:.4f}" if value < 0.1 else f"{value:.2f}" if value < 10 else f"{value:.0f}"


def span(quartiles: tuple[float, float], scale: float = 1.0) -> str:
    """The quartiles of a value."""
    low, high = quartiles
    return f"{number(low * scale)} to {number(high * scale)}"


def unit(seconds: float) -> str:
    """A time, in the unit that suits it."""
    return f"{seconds * 1e6:.1f} µs" if seconds < 1e-3 else f"{seconds * 1e3:.1f} ms"


def table(head: list[str], rows: list[list[str]]) -> str:
    """With aligned columns; those of numbers to the right."""
    widths = [max(map(len, column)) for column in zip(head, *rows, strict=True)]
    right = [i > 0 and all(not r[i] or r[i][0].isdigit() for r in rows) for i in range(len(head))]
    rule = [f"{'-' * (w - 1)}:" if r else "-" * w for w, r in zip(widths, right, strict=True)]
    lines = []
    for line in (head, rule, *rows):
        cells = zip(line, widths, right, strict=True)
        lines.append(f"| {' | '.join(c.rjust(w) if r else c.ljust(w) for c, w, r in cells)} |")
    return "\n".join(lines)
