"""What a recording does not keep: values whose names mean a secret, and the same values wherever else they stand.

The rules for names are those of `adieu.texts`, by which error texts are masked, too. What is scrubbed keeps its form:
JSON stays JSON, a cookie keeps its name, a URL can be requested.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote_plus

from adieu.testing.echoes import Echoes
from adieu.texts import MASK, is_secret, mask_named, mask_pairs, mask_url, show_field

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["Fields", "KeepsAll", "Scrubber"]

Fields = list[tuple[str, str]]

_COOKIES = frozenset(("cookie", "set-cookie"))
_URLS = frozenset(("content-location", "location", "origin", "referer"))
# A parameter or a member in any text, as `adieu.texts` finds those of its own names.
_NAMED = r"(?i)(?<![\w-])(%s)([\"']?[ \t]*[:=][ \t]*[\"']?)([^\s&#;,\"'<>]+)"
# A part of a form (RFC 7578): its name, and its value up to the next boundary.
_PART = re.compile(
    rb"(?is)(content-disposition:[^\r\n]*?[; ]name=\"([^\"]*)\"[^\r\n]*\r\n(?:[^\r\n]+\r\n)*\r\n)(.*?)(?=\r\n--)"
)


class Scrubber:
    """Masks the values of secret names, and of these further `names`, and what repeats one of these values."""

    def __init__(self, names: Iterable[str] = ()) -> None:
        self._names = frozenset(name.lower() for name in names)
        self._echoes = Echoes()
        any_name = "|".join(map(re.escape, sorted(self._names)))
        self._own = re.compile(_NAMED % any_name) if self._names else None

    def _is_secret(self, name: str) -> bool:
        return name.lower() in self._names or is_secret(name)

    def _learned(self, value: str) -> str:
        self._echoes.learn(value)
        return MASK

    def masked(self, text: str) -> str:
        """The text without the secrets that are known by now."""
        return self._echoes.masked(text)

    def url(self, text: str) -> str:
        """A URL, with the values of secret parameters masked."""
        place, mark, query = text.partition("?")
        if mark:
            query = "&".join(map(self._parameter, query.split("&")))
        return self.masked(mask_url(f"{place}{mark}{query}"))

    def _parameter(self, pair: str) -> str:
        name, sign, value = pair.partition("=")
        if sign and self._is_secret(unquote_plus(name)):
            return f"{name}={self._learned(value)}"
        return pair

    def fields(self, fields: Fields) -> Fields:
        """Header fields."""
        scrubbed = [(name, self._field(name.lower(), value)) for name, value in fields]
        return [(name, self.masked(value)) for name, value in scrubbed]

    def _field(self, name: str, value: str) -> str:
        if name in _COOKIES:
            return self._cookies(value, all_pairs=name == "cookie")
        if self._is_secret(name):
            return self._learned(value)
        return self.url(value) if name in _URLS else show_field(name, self._own_names(value))

    def _own_names(self, text: str) -> str:
        if self._own is None:
            return text
        return self._own.sub(lambda found: f"{found[1]}{found[2]}{self._learned(found[3])}", text)

    def _cookies(self, value: str, *, all_pairs: bool) -> str:
        """The pairs of a Cookie field, or the one pair of a Set-Cookie field, without their values."""
        pairs = value.split(";")
        for nth, pair in enumerate(pairs if all_pairs else pairs[:1]):
            name, sign, content = pair.partition("=")
            pairs[nth] = f"{name}={self._learned(content)}" if sign else self._learned(pair)
        return ";".join(pairs)

    def content(self, content: bytes, media_type: str) -> bytes:
        """The content of a request or a response; only text is looked into, and the fields of a form."""
        kind = media_type.partition(";")[0].strip().lower()
        if kind == "multipart/form-data":
            return _PART.sub(self._part, content)
        try:
            text = content.decode()
        except UnicodeDecodeError:
            return content
        if kind.endswith("json"):
            try:
                value = json.loads(text)
            except ValueError:
                pass
            else:
                self._learn_members(value)
                scrubbed = self._json(value)
                # What has no secret keeps its spaces and escapes.
                return content if scrubbed == value else _dumped(scrubbed)
        if kind == "application/x-www-form-urlencoded":
            return self.masked("&".join(map(self._parameter, text.split("&")))).encode()
        return self.masked(mask_named(self._own_names(text))).encode()

    def _part(self, found: re.Match[bytes]) -> bytes:
        head, name, content = found.groups()
        try:
            value = content.decode()
        except UnicodeDecodeError:
            return head + (MASK.encode() if self._is_secret(name.decode("latin-1")) else content)
        value = (
            self._learned(value) if self._is_secret(name.decode("latin-1")) else self.masked(value)
        )
        return head + value.encode()

    def _learn_members(self, value: Any, *, secret: bool = False) -> None:
        """The texts below secret names: first, so that they are masked in what stands before them, too."""
        if isinstance(value, dict):
            for name, member in value.items():
                self._learn_members(member, secret=secret or self._is_secret(name))
        elif isinstance(value, list):
            for item in value:
                self._learn_members(item, secret=secret)
        elif secret and isinstance(value, str):
            self._echoes.learn(value)

    def _json(self, value: Any) -> Any:
        if isinstance(value, dict):
            return {
                name: _masked(member) if self._is_secret(name) else self._json(member)
                for name, member in value.items()
            }
        if isinstance(value, list):
            return [self._json(item) for item in value]
        if isinstance(value, str):
            # It may be a URL, a form or a header field.
            return self.masked(mask_url(mask_pairs(self._own_names(value))))
        return value


class KeepsAll(Scrubber):
    """Masks nothing."""

    def masked(self, text: str) -> str:
        return text

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


def _dumped(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()
