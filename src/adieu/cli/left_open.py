"""The page that `adieu run` ends with: what was opened and reused, by which lines, and what was left open. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from adieu.observe.picture import End, counted

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from adieu.observe.picture import Bar, Picture, Track

__all__ = ["Page", "page_of"]

_UNKNOWN = "(a line that is not known)"


class Page(NamedTuple):
    """The text, and whether nothing was left open."""

    text: str
    is_clean: bool


class _Uses(NamedTuple):
    requests: int
    opened: int
    reused: int
    failed: int


def page_of(picture: Picture, sockets: Sequence[str]) -> Page:
    """The page. `sockets`: descriptions of the sockets that are open and are none of adieu's, a line each."""
    faults = [*_faults(picture)]
    lines = [f"adieu run: {picture.title}", *(f"  {line}" for line in _used(picture.bars))]
    if faults:
        lines += [
            "left open, or to chance, by adieu's clients:",
            *(f"  {fault}" for fault in faults),
        ]
    if sockets:
        lines += ["left open by other code:", *(f"  {row}" for row in sockets)]
    if faults or sockets:
        lines.append(f"NOT CLEAN: {counted(len(faults) + len(sockets), 'fault')}")
    else:
        lines.append("clean: nothing was left open")
    return Page("\n".join(lines), not faults and not sockets)


def _used(bars: Iterable[Bar]) -> Iterator[str]:
    """For each line of the user's what its requests did, in the order of their first requests."""
    uses: dict[str, _Uses] = {}
    for bar in bars:
        line = bar.opened_at or _UNKNOWN
        requests, opened, reused, failed = uses.get(line, _Uses(0, 0, 0, 0))
        is_new = bool(bar.connection) and not bar.reused
        uses[line] = _Uses(
            requests + 1,
            opened + is_new,
            reused + bar.reused,
            failed + (bar.error is not None),
        )
    for line, (requests, opened, reused, failed) in uses.items():
        parts = [counted(requests, "request")]
        parts += [f"{opened:,} opened a connection"] if opened else []
        parts += [f"{reused:,} reused one"] if reused else []
        parts += [f"{failed:,} failed"] if failed else []
        yield f"{line}: {', '.join(parts)}"


def _faults(picture: Picture) -> Iterator[str]:
    for track in picture.tracks:
        busy = False
        for bar in track.bars:
            busy = busy or bar.ended is End.OPEN
            if bar.ended.is_fault:
                how = f"connection {bar.connection}" if bar.connection else "without a connection"
                at = f", opened at {bar.opened_at}" if bar.opened_at else ""
                yield f"{bar.request} ({how}){at}: {bar.ended.value}"
        if track.is_open and not busy:
            yield f"connection {track.connection} to {track.origin}{_opener(track)}: idle, its client was not closed"


def _opener(track: Track) -> str:
    line = next((bar.opened_at for bar in track.bars if bar.opened_at), None)
    return f", opened at {line}" if line else ""
