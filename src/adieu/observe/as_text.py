"""A picture as text for a terminal: a line for each exchange, with its phases as letters on a common scale.

No colour is needed to read it, and it is plain ASCII but for what URLs have.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from adieu.observe.picture import SHORT, duration

if TYPE_CHECKING:
    from collections.abc import Iterator

    from adieu.observe.picture import Bar, Phase, Picture, Track

__all__ = ["as_text"]

_LETTERS = {
    "wait": "w",
    "dns": "d",
    "tcp": "c",
    "proxy": "p",
    "tls": "t",
    "send": "s",
    "answer": "-",
    "body": "b",
    "idle": ".",
}
# Columns of the outcome and the duration, with the blanks before them.
_OUTCOME = 4
_SECONDS = 7
_MARGIN = 2


def as_text(picture: Picture, width: int = 80) -> str:
    """The picture in lines of at most `width` columns, if that is not below 60."""
    lines = [picture.title, *(f"  {line}" for line in picture.summary)]
    layout = _Layout(picture.seconds, max(width, 60))
    used: set[str] = set()
    for track in picture.tracks:
        lines.append("")
        lines += _track(track, layout, used)
    legend = [f"{_LETTERS[name]} {SHORT[name]}" for name in _LETTERS if name in used]
    if "!" in used:
        legend.append("! fault")
    if any(track.closed is not None for track in picture.tracks):
        legend.append("x closed")
    if legend:
        lines += ["", *_wrapped(legend, layout.width)]
    return "\n".join(lines)


class _Layout:
    """The columns: of the labels, and of the scale."""

    def __init__(self, seconds: float, width: int) -> None:
        self.width = width
        self._left = width * 45 // 100
        # The blank and the two bars around the scale.
        self.scale = width - _MARGIN - self._left - 3
        self._seconds = seconds or 1e-9

    def column(self, at: float) -> int:
        """The column of a time on the scale."""
        return min(int(at / self._seconds * self.scale), self.scale - 1)

    def line(self, label: str, outcome: str, seconds: str, drawn: str) -> str:
        """A line of the picture. An outcome that is longer than a status shortens the label."""
        right = f"{outcome:>{_OUTCOME}} {seconds:>{_SECONDS}}"
        width = self._left - len(right) - 1
        if len(label) > width:
            label = _shortened(label, width)
        return f"{' ' * _MARGIN}{label:<{width}} {right} |{drawn:<{self.scale}}|"


def _track(track: Track, layout: _Layout, used: set[str]) -> Iterator[str]:
    if track.connection:
        facts = ", ".join(value for _, value in track.facts)
        heading = f"connection {track.connection}  {track.origin}"
        yield from _heading(heading, facts, layout.width)
    else:
        yield "without a connection"
    if track.error is not None:
        row = _drawn(track.opening, layout, used)
        used.add("!")
        at = layout.column(max((phase.end for phase in track.opening), default=track.begin))
        yield layout.line("open", "failed", "", _mark(row, at, "!"))
        yield f"{' ' * _MARGIN}  {track.error}"[: layout.width]
    elif track.opening:
        seconds = track.opening[-1].end - track.opening[0].begin
        yield layout.line("open", "", duration(seconds), _drawn(track.opening, layout, used))
    for bar in track.bars:
        row = _drawn(bar.phases, layout, used)
        if bar.ended.is_fault or bar.error is not None:
            used.add("!")
            row = _mark(row, layout.column(bar.end), "!")
        yield layout.line(f"{bar.method} {_path(bar)}", bar.outcome, duration(bar.seconds), row)
        if bar.ended.is_fault:
            line = f", opened at {bar.opened_at}" if bar.opened_at else ""
            yield f"{' ' * _MARGIN}  {bar.ended.value}{line}"
    if track.closed is not None:
        row = _mark(_drawn(track.idle, layout, used), layout.column(track.closed), "x")
        yield layout.line(f"closed: {track.why}", "", "", row)
    elif track.idle:
        yield layout.line("idle", "", "", _drawn(track.idle, layout, used))


def _heading(heading: str, facts: str, width: int) -> Iterator[str]:
    if not facts:
        yield heading[:width]
    elif len(heading) + len(facts) + 3 <= width:
        yield f"{heading} ({facts})"
    else:
        yield heading[:width]
        yield f"{' ' * _MARGIN}{facts}"[:width]


def _path(bar: Bar) -> str:
    """The URL without its origin."""
    _, _, rest = bar.url.partition("://")
    path = rest[rest.find("/") :] if "/" in rest else bar.url
    return path or bar.url


def _drawn(phases: tuple[Phase, ...], layout: _Layout, used: set[str]) -> str:
    """Phases on the scale. A later phase overwrites the last column of the one before; each has one at least."""
    row = [" "] * layout.scale
    for phase in phases:
        used.add(phase.name)
        first, last = layout.column(phase.begin), layout.column(phase.end)
        for column in range(first, max(last, first + 1)):
            row[column] = _LETTERS[phase.name]
    return "".join(row).rstrip()


def _mark(row: str, column: int, mark: str) -> str:
    padded = row.ljust(column + 1)
    return f"{padded[:column]}{mark}{padded[column + 1 :]}"


def _shortened(text: str, width: int) -> str:
    """Without its query, if that is enough; else its beginning and its end, which tell requests apart best."""
    path, mark, _ = text.partition("?")
    if mark and len(path) + 4 <= width:
        return f"{path}?..."
    end = (width - 3) // 2
    return f"{path[: width - 3 - end]}...{path[len(path) - end :]}" if len(path) > width else path


def _wrapped(words: list[str], width: int) -> Iterator[str]:
    line = ""
    for word in words:
        if line and len(line) + 2 + len(word) > width:
            yield line
            line = ""
        line = f"{line}  {word}" if line else word
    yield line
