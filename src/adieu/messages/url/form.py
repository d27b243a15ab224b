"""Form fields: `application/x-www-form-urlencoded`, as URL queries and form bodies carry it.

The rules are those of browsers (https://url.spec.whatwg.org/#urlencoded-serializing): UTF-8, a
space is `+`, and only ASCII letters, digits and `*-._` stand for themselves.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TypeAlias

from adieu.errors import InvalidRequest
from adieu.messages.url.percent import decode_bytes

__all__ = [
    "FormFields",
    "FormScalar",
    "FormValue",
    "defaults_left",
    "encode_form",
    "form_bytes",
    "form_items",
]

FormScalar: TypeAlias = str | bytes | int | float | bool | None
FormValue: TypeAlias = FormScalar | Sequence[FormScalar]
FormFields: TypeAlias = Mapping[str, FormValue] | Sequence[tuple[str, FormValue]]

_PLAIN = re.compile(r"[A-Za-z0-9*\-._]*").fullmatch
_ENCODED = [
    chr(byte) if _PLAIN(chr(byte)) else "+" if byte == 0x20 else f"%{byte:02X}"
    for byte in range(256)
]


def encode_form(fields: FormFields) -> str:
    """Encode a mapping or a sequence of pairs.

    A value is a str, bytes (taken for UTF-8), an int, a float, a bool (`true` or `false`) or None
    (the field is left out); a list or tuple of those repeats the field. Raises `InvalidRequest` for
    anything else; the text names the field and the type, never the value.

    >>> encode_form({"q": "a b", "page": [1, 2], "draft": None})
    'q=a+b&page=1&page=2'
    """
    return "&".join(
        [f"{_encode(name, name)}={_encode(item, name)}" for name, item in form_items(fields)]
    )


def defaults_left(
    defaults: FormFields, query: str | None, own: FormFields | None
) -> list[tuple[str, FormValue]]:
    """The default fields that neither an encoded query nor other fields name; a field that is None is named, too.

    >>> defaults_left({"v": 1, "key": "k", "lang": "en"}, "lang=de", {"key": None})
    [('v', 1)]
    """
    named = {form_bytes(name, name) for name, _ in _pairs_of(own)} if own is not None else set()
    if query:
        named.update(
            decode_bytes(field.partition("=")[0].replace("+", " ")) for field in query.split("&")
        )
    return [field for field in _pairs_of(defaults) if form_bytes(field[0], field[0]) not in named]


def form_items(fields: FormFields) -> Iterator[tuple[str, object]]:
    """Each field with each of its values, without those that are None. `form_bytes` checks them."""
    for name, value in _pairs_of(fields):
        for item in value if isinstance(value, (list, tuple)) else (value,):
            if item is not None:
                yield name, item


def form_bytes(item: object, name: object) -> bytes:
    """One name or value as the bytes that a form carries. Raises `InvalidRequest`, naming the field."""
    if isinstance(item, str):
        try:
            return item.encode()
        except UnicodeEncodeError:
            raise InvalidRequest(
                f"form field {name!r} has a lone surrogate, which UTF-8 cannot encode"
            ) from None
    if isinstance(item, bool):
        return b"true" if item else b"false"
    if isinstance(item, int):
        return int.__repr__(item).encode()  # str() of an IntEnum is its name on Python 3.10
    if isinstance(item, float):
        return float.__repr__(item).encode()
    if isinstance(item, bytes):
        return item
    raise InvalidRequest(
        f"form field {name!r} is {type(item).__name__}; it must be str, bytes, int, float,"
        " bool, None, or a list of those"
    )


def _pairs_of(fields: FormFields) -> Iterable[tuple[str, FormValue]]:
    # A dictionary first: the check for any mapping takes ten times as long.
    if type(fields) is dict or isinstance(fields, Mapping):
        return fields.items()
    return _pairs(fields)


def _pairs(fields: Iterable[object]) -> Iterable[tuple[str, FormValue]]:
    if isinstance(fields, (str, bytes)):
        raise InvalidRequest(
            "form fields are a mapping or pairs, not text; a query that is encoded already"
            " belongs into the URL"
        )
    if not isinstance(fields, Iterable):
        raise InvalidRequest(f"form fields are a mapping or pairs, not {type(fields).__name__}")
    for pair in fields:
        # Not by unpacking, which would accept a str of two characters.
        if not isinstance(pair, (tuple, list)) or len(pair) != 2:
            raise InvalidRequest(
                f"form fields come in pairs of name and value, not as {type(pair).__name__}"
            )
        yield pair[0], pair[1]


def _encode(item: object, name: object) -> str:
    if type(item) is str:
        if _PLAIN(item):
            return item
    elif type(item) is int:
        return str(item)
    return "".join([_ENCODED[byte] for byte in form_bytes(item, name)])
