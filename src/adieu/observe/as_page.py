"""A picture as one HTML page, which needs no network: a chart with bars to point at or to walk through, and a table.

Invariants. Without JavaScript it shows everything: each bar is a link to its row of the table. Every text is escaped,
and a content security policy forbids the page to load or send anything.
"""

from __future__ import annotations

from html import escape
from importlib.resources import files
from typing import TYPE_CHECKING

from adieu.observe.picture import PHASES, SHORT, Bar, End, duration, size

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from adieu.observe.picture import Phase, Picture, Track

__all__ = ["as_page"]

# The page may neither load nor send anything.
_POLICY = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'"
_TOOLS = """\
<div class="tools" hidden>
<span role="group" aria-label="zoom"><button type="button" data-zoom="0.5" aria-label="zoom out">&minus;</button>
<button type="button" data-zoom="2" aria-label="zoom in">+</button>
<button type="button" data-zoom="0">fit</button></span>
<label>find <input type="search" id="find" placeholder="path, status, error"></label>
<label><input type="checkbox" id="problems"> problems only</label>
<span id="found" role="status"></span>
</div>"""
_COLUMNS = (
    "request",
    "outcome",
    "began at",
    "took",
    "phases",
    "connection",
    "sent",
    "received",
    "ended",
    "opened at",
)
# The share of the scale below which a bar is drawn wider than it is, and above those that it then covers.
_THIN = 0.005
# These may be broken into lines.
_LONG = ("phases", "ended", "opened at")


def as_page(picture: Picture) -> str:
    """The whole page."""
    chart = _Chart(picture)
    return "\n".join(
        [
            '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">',
            '<meta name="color-scheme" content="light dark">',
            f"<title>{escape(picture.title)}</title>",
            f"<style>\n{_resource('page.css')}</style>\n</head>\n<body>",
            *_header(picture),
            *chart.drawn(),
            '<section id="facts" role="status" aria-live="polite" hidden></section>',
            *_table(picture),
            f"<script>\n{_resource('page.js')}</script>\n</body>\n</html>\n",
        ]
    )


def _resource(name: str) -> str:
    return files("adieu.observe").joinpath(name).read_text(encoding="utf-8")


def _header(picture: Picture) -> Iterator[str]:
    yield f"<header>\n<h1>{escape(picture.title)}</h1>"
    if picture.summary:
        yield "<ul>"
        for line in picture.summary:
            bad = " class=bad" if "LEAKED" in line or "OPEN" in line else ""
            yield f"<li{bad}>{escape(line)}</li>"
        yield "</ul>"
    yield "</header>"


class _Chart:
    """The tracks on a common scale. Positions are per cent of it, so that zooming is one width."""

    def __init__(self, picture: Picture) -> None:
        self._picture = picture
        self._seconds = picture.seconds or 1e-9

    def drawn(self) -> Iterator[str]:
        """The chart, with its tools and its legend."""
        yield '<section aria-labelledby="chart-title">\n<h2 id="chart-title">Connections</h2>'
        yield _TOOLS
        used = {
            phase.name
            for track in self._picture.tracks
            for phases in (track.opening, track.idle, *(bar.phases for bar in track.bars))
            for phase in phases
        }
        yield '<ul class="legend" aria-label="phases">'
        for name, meaning in PHASES.items():
            if name in used:
                yield f'<li><i class="{name}"></i>{meaning}</li>'
        yield '<li><i class="mark">&times;</i>closed</li>\n</ul>'
        yield '<div id="chart" tabindex="-1"><div id="plot">'
        yield from self._scale()
        for track in self._picture.tracks:
            yield from self._track(track)
        yield "</div></div>\n</section>"

    def _scale(self) -> Iterator[str]:
        yield '<div class="scale" aria-hidden="true">'
        step = _step(self._seconds)
        for number in range(int(self._seconds / step) + 1):
            at = number * step
            yield f'<i style="left:{self._at(at)}">{duration(at) if at else "0"}</i>'
        yield "</div>"

    def _track(self, track: Track) -> Iterator[str]:
        name, facts = _named(track)
        yield f'<div class="track">\n<h3><b>{escape(name)}</b> <span>{escape(facts)}</span></h3>'
        lanes = _lanes(track.bars) if not track.connection else [list(track.bars)]
        for lane in lanes or [[]]:
            yield '<div class="lane">'
            for phase in track.idle:
                yield self._box("idle", phase.begin, phase.end)
            if track.opening:
                yield self._opening(track)
            for bar in lane:
                yield self._bar(bar)
            if track.closed is not None:
                label = f"closed: {track.why}"
                yield (
                    f'<a class="closed" href="#c{track.connection}" style="left:{self._at(track.closed)}" '
                    f'aria-label="{escape(name)} {escape(label)}" data-text="{escape(_facts(track))}">&times;</a>'
                )
            yield "</div>"
        yield "</div>"

    def _opening(self, track: Track) -> str:
        begin, end = track.opening[0].begin, track.opening[-1].end
        label = f"connection {track.connection}: opened in {duration(end - begin)}"
        if track.error is not None:
            label = f"connection {track.connection}: {track.error}"
        return self._link(
            "bar bad" if track.error else "bar",
            f"#c{track.connection}",
            label,
            track.opening,
            begin,
            end,
            f' data-text="{escape(_facts(track))}"',
        )

    def _bar(self, bar: Bar) -> str:
        begin = next((phase.begin for phase in bar.phases if phase.name != "wait"), bar.begin)
        label = f"{bar.request}: {bar.outcome} in {duration(bar.seconds)}"
        if bar.ended.is_fault:
            label = f"{label}, {bar.ended.value}"
        waits = [phase for phase in bar.phases if phase.name == "wait"]
        before = "".join(self._box("wait", wait.begin, wait.end) for wait in waits)
        phases = tuple(phase for phase in bar.phases if phase.name != "wait")
        kind = "bar bad" if bar.is_problem else "bar"
        return before + self._link(kind, f"#e{bar.exchange}", label, phases, begin, bar.end, "")

    def _link(
        self,
        kind: str,
        target: str,
        label: str,
        phases: Iterable[Phase],
        begin: float,
        end: float,
        more: str,
    ) -> str:
        whole = max(end - begin, 1e-9)
        if (end - begin) / self._seconds < _THIN:
            kind = f"{kind} thin"
        inner = "".join(
            f'<i class="{phase.name}" style="width:{max(phase.end - phase.begin, 0) / whole:.2%}"></i>'
            for phase in phases
        )
        return (
            f'<a class="{kind}" href="{target}" style="left:{self._at(begin)};width:{self._at(end - begin)}" '
            f'aria-label="{escape(label)}"{more}>{inner}</a>'
        )

    def _box(self, kind: str, begin: float, end: float) -> str:
        return (
            f'<i class="{kind}" style="left:{self._at(begin)};width:{self._at(end - begin)}"></i>'
        )

    def _at(self, seconds: float) -> str:
        return f"{seconds / self._seconds:.3%}"


def _named(track: Track) -> tuple[str, str]:
    if not track.connection:
        return "without a connection", ""
    facts = ", ".join([track.origin, *(value for _, value in track.facts)])
    return f"connection {track.connection}", facts


def _facts(track: Track) -> str:
    """What is known of a connection, a line each."""
    lines = [f"connection {track.connection}", f"to: {track.origin}"]
    lines += [f"{name}: {value}" for name, value in track.facts]
    lines += [
        f"{SHORT[phase.name]}: {duration(phase.end - phase.begin)}" for phase in track.opening
    ]
    if track.error is not None:
        lines.append(f"failed: {track.error}")
    lines.append(f"requests: {len(track.bars):,}")
    if track.closed is not None:
        lines.append(f"closed: {track.why}, after {duration(track.closed - track.begin)}")
    elif track.is_open:
        lines.append("still open")
    return "\n".join(lines)


def _lanes(bars: Iterable[Bar]) -> list[list[Bar]]:
    """The bars in as few lanes as it takes for none to cover another."""
    lanes: list[list[Bar]] = []
    for bar in bars:
        for lane in lanes:
            if lane[-1].end <= bar.begin:
                lane.append(bar)
                break
        else:
            lanes.append([bar])
    return lanes


def _step(seconds: float) -> float:
    """A round distance of ticks: at most eight of them."""
    step = 1e-4
    while True:
        for factor in (1, 2, 5):
            if seconds / (step * factor) <= 8:
                return step * factor
        step *= 10


def _table(picture: Picture) -> Iterator[str]:
    yield '<section aria-labelledby="table-title">\n<h2 id="table-title">Requests</h2>'
    yield '<div class="scroll" tabindex="0" role="region" aria-labelledby="table-title">\n<table>\n<thead><tr>'
    yield "".join(f'<th scope="col">{name}</th>' for name in _COLUMNS)
    yield "</tr></thead>\n<tbody>"
    for bar in picture.bars:
        bad = ' class="bad"' if bar.is_problem else ""
        cells = _cells(bar)
        first = f'<th scope="row">{escape(cells[0])}</th>'
        rest = "".join(
            f"<td{' class=long' if name in _LONG else ''}>{escape(cell)}</td>"
            for name, cell in zip(_COLUMNS[1:], cells[1:], strict=True)
        )
        yield f'<tr id="e{bar.exchange}"{bad}>{first}{rest}</tr>'
    yield "</tbody>\n</table>\n</div>"
    yield '<h2>Ends of connections</h2>\n<ul class="ends">'
    for track in picture.tracks:
        if track.connection:
            name, facts = _named(track)
            end = _facts(track).rpartition("\n")[2]
            yield f'<li id="c{track.connection}"><b>{name}</b>, {escape(facts)}: {escape(end)}</li>'
    yield "</ul>\n</section>"


def _cells(bar: Bar) -> list[str]:
    phases = [
        f"{SHORT[phase.name]} {duration(phase.end - phase.begin)}"
        for phase in bar.phases
        if phase.end - phase.begin >= 5e-5
    ]
    received = "" if bar.received is None else size(bar.received)
    if bar.decoded is not None and bar.decoded != bar.received:
        received = f"{received}, decoded {size(bar.decoded)}"
    return [
        bar.request,
        bar.outcome,
        duration(bar.begin) if bar.begin else "0",
        duration(bar.seconds),
        ", ".join(phases),
        f"{bar.connection}{', reused' if bar.reused else ', new'}" if bar.connection else "none",
        "" if bar.sent is None else size(bar.sent),
        received,
        f"{bar.ended.value}: {bar.why}"
        if bar.why and bar.ended is not End.LEAKED
        else bar.ended.value,
        bar.opened_at or "",
    ]
