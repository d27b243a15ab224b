"""`Content-Disposition`: the name that a server gives a file, made harmless (RFC 6266).

Rules of the room: nothing raises, and what comes out is one name within one folder on any system: no separator, no
control character, no name that Windows takes for a device, nothing hidden, and not too long.
"""

from __future__ import annotations

import re

from adieu.messages.fields.parameters import parameters

__all__ = ["file_name", "safe_name"]

_SEPARATORS = re.compile(r"[/\\]")
# Controls, what Windows forbids, and what turns the direction of text around to hide an extension.
_BAD = re.compile(
    r'[\x00-\x1f\x7f-\x9f<>:"|?*\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff\ud800-\udfff]'
)
_DEVICE = re.compile(
    r"(?:con|prn|aux|nul|conin\$|conout\$|com[0-9\xb9\xb2\xb3]|lpt[0-9\xb9\xb2\xb3])(?:\..*)?$",
    re.IGNORECASE,
)
# Most file systems have room for 255; the part file beside it needs some of that.
_LONGEST = 200


def file_name(content_disposition: str | None) -> str | None:
    """The file name of this field, harmless; None if it has none. `filename*` goes before `filename`."""
    named = dict(reversed(parameters(content_disposition or "")))
    for name in ("filename*", "filename"):
        if (found := named.get(name)) and (safe := safe_name(found)):
            return safe
    return None


def safe_name(name: str) -> str | None:
    """The last part of a path as a harmless name; None if nothing is left of it."""
    name = _BAD.sub("_", _SEPARATORS.split(name)[-1]).strip(". ")
    if _DEVICE.match(name):
        name = f"_{name}"
    if len(name.encode()) > _LONGEST:
        stem, dot, extension = name.rpartition(".")
        if not stem or len(extension) > 20:
            stem, dot, extension = name, "", ""
        room = _LONGEST - len((dot + extension).encode())
        name = (stem.encode()[:room].decode(errors="ignore") + dot + extension).strip(". ")
    return name or None
