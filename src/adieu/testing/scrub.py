"""What a recording does not keep: the values of fields, parameters and JSON members whose names mean a secret.

The rules for names are those of `adieu.texts`, by which error texts are masked, too. What is scrubbed keeps its form:
JSON stays JSON, a cookie keeps its name, a URL can be requested.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote_plus

from adieu.texts import MASK, is_secret, mask_named, mask_url, show_field

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["Fields", "KeepsAll", "Scrubber"]

Fields = list[tuple[str, str]]

_COOKIES = frozenset(("cookie", "set-cookie"))


class Scrubber:
    """Masks the values of secret names, and of these further `names`."""

    def __init__(self, names: Iterable[str] = ()) -> None:
        self._names = frozenset(name.lower() for name in names)

    def _is_secret(self, name: str) -> bool:
        return name.lower() in self._names or is_secret(name)

    def url(self, text: str) -> str:
        """A URL, with the values of secret parameters masked."""
        place, mark, query = mask_url(text).partition("?")
        if not mark or not self._names:
            return f"{place}{mark}{query}"
        return f"{place}?{'&'.join(map(self._parameter, query.split('&')))}"

    def _parameter(self, pair: str) -> str:
        name, sign, _ = pair.partition("=")
        return f"{name}={MASK}" if sign and self._is_secret(unquote_plus(name)) else pair

    def fields(self, fields: Fields) -> Fields:
        """Header fields."""
        return [(name, self._field(name.lower(), value)) for name, value in fields]

    def _field(self, name: str, value: str) -> str:
        if name in _COOKIES:
            return _cookies(value, all_pairs=name == "cookie")
        if name in self._names:
            return MASK
        return self.url(value) if name == "location" else show_field(name, value)

    def content(self, content: bytes, media_type: str) -> bytes:
        """The content of a request or a response; only text is looked into."""
        try:
            text = content.decode()
        except UnicodeDecodeError:
            return content
        kind = media_type.partition(";")[0].strip().lower()
        if kind.endswith("json"):
            try:
                value = json.loads(text)
            except ValueError:
                pass
            else:
                scrubbed = self._json(value)
                # What has no secret keeps its spaces and escapes.
                return content if scrubbed == value else _dumped(scrubbed)
        if kind == "application/x-www-form-urlencoded":
            return "&".join(map(self._parameter, text.split("&"))).encode()
        return mask_named(text).encode()

    def _json(self, value: Any) -> Any:
        if isinstance(value, dict):
            return {
                name: _masked(member) if self._is_secret(name) else self._json(member)
                for name, member in value.items()
            }
        return [self._json(item) for item in value] if isinstance(value, list) else value


class KeepsAll(Scrubber):
    """Masks nothing."""

    def url(self, text: str) -> str:
        return text

    def fields(self, fields: Fields) -> Fields:
        return fields

    def content(self, content: bytes, media_type: str) -> bytes:
        return content


def _masked(value: Any) -> Any:
    """A value of the same form that tells nothing."""
    if isinstance(value, dict):
        return {name: _masked(member) for name, member in value.items()}
    if isinstance(value, list):
        return [_masked(item) for item in value]
    if isinstance(value, str):
        return MASK
    return 0 if isinstance(value, (int, float)) and not isinstance(value, bool) else value


def _cookies(value: str, *, all_pairs: bool) -> str:
    """The pairs of a Cookie field, or the one pair of a Set-Cookie field, without their values."""
    pairs = value.split(";")
    for nth, pair in enumerate(pairs if all_pairs else pairs[:1]):
        name, sign, _ = pair.partition("=")
        pairs[nth] = f"{name}={MASK}" if sign else MASK
    return ";".join(pairs)


def _dumped(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()
