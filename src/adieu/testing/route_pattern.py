"""The patterns of mocked routes: an origin as in the patterns of mounts, and a path that is matched as a whole.

- No path: any path. `/`: the root alone. `/items`: that path, and `/items/`, as servers take them for the same.
- `*` in a segment stands for any characters of it, so `/items/*` is one segment more, and `/*.json` a file.
- `**` as the last segment stands for any number of segments, none included.
"""

from __future__ import annotations

import re

from adieu.errors import MountError
from adieu.messages.url import URL
from adieu.transport.mount_pattern import Pattern, segments

__all__ = ["RoutePattern"]

_PLACE = re.compile(r"([^:/?#]+://[^/?#]*)(/[^?#]*)?")
_REST = "**"


class RoutePattern:
    """A parsed pattern. Raises `MountError` for what is none."""

    def __init__(self, text: str) -> None:
        found = _PLACE.fullmatch(text) if isinstance(text, str) else None
        place, path = found.groups() if found is not None else (text, None)
        # It refuses what has no scheme, or a query.
        self._origin = Pattern.parse(place)
        if path is not None and not self._origin.host:
            raise MountError(f"{self._origin}{path}: a path needs a host before it")
        self._parts = None if path is None else _parts(path)
        if self._parts is not None and _REST in self._parts[:-1]:
            raise MountError(f"{path!r}: ** stands for what comes last")
        self._rest = self._parts is not None and self._parts[-1:] == (_REST,)
        fixed = (self._parts or ())[: -1 if self._rest else None]
        self._patterns = [
            re.compile(".*".join(map(re.escape, part.split("*"))), re.DOTALL) for part in fixed
        ]

    def why_not(self, url: URL) -> str | None:
        """Why a URL does not match, for people; None if it does."""
        why = self._origin.misses(url.origin, url.host_key)
        if why is not None or self._parts is None:
            return why
        given = segments(url.path)
        enough = len(given) >= len(self._patterns) if self._rest else len(given) == len(self._parts)
        if enough and all(
            pattern.fullmatch(part) for pattern, part in zip(self._patterns, given, strict=False)
        ):
            return None
        return f"path {url.path} is not {self._path()}"

    def rank(self) -> tuple[object, ...]:
        """How specific it is; greater is more."""
        host, labels, port, _, scheme = self._origin.rank()
        parts = self._parts or ()
        literal = sum("*" not in part for part in parts)
        # Of `/*` and `/*.json`, the second says more.
        letters = len("".join(parts).replace("*", ""))
        path = self._parts is not None, literal, not self._rest, len(parts), letters
        return host, labels, port, *path, scheme

    def _path(self) -> str:
        return "/" + "/".join(self._parts or ())

    def __str__(self) -> str:
        place = str(self._origin)
        return place.rstrip("/") + self._path() if self._parts is not None else place.rstrip("/")


def _parts(path: str) -> tuple[str, ...]:
    """The segments of a path, normalised as those of a URL."""
    # No URL has a bare asterisk escaped, so it comes through as it is.
    return segments(URL(f"http://any{path}").path)
